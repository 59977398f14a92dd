"""The one exception for what the user can mend: a line that says what is wrong and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Wrong input: printed as one line on stderr, without a traceback; exit code 2.

    The message names the thing that is wrong and the remedy, in at most 200 characters.
    """
