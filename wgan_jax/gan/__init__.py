"""The adversarial game: all that is jitted, and only that. Knows no path and no clock; of flags
it only refuses those that change its numbers.
"""
