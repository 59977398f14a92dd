"""The adversarial game: all that is jitted, and only that. Knows no path, clock or flag."""
