"""The one exception for what the user can mend: a line that says what is wrong and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Wrong input: printed as one line on stderr, without a traceback; exit code 2.

    The message names the thing that is wrong and the remedy, in at most 200 characters.
    """


class RunFailed(Exception):
    """The run cannot or should not go on, for its own reasons; one line, exit code 1.

    What was saved before it is whole.
    """


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came, and all is saved; one line that says how to go on.

    Attributes:
      signum: the signal; the exit code is 128 + signum.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum
