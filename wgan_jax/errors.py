"""How a command ends early: one line that says what is wrong and what to do, and an exit code.

And how lines for a person are made: printable, on one line, not too long.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

LIMIT = 192  # characters of a line; with the "run.py: " before it, 200
_WHOLE = 32  # characters of a word, a path say, that are shown whatever its length


class OneLine(Exception):
    """Printed as one line on stderr, without a traceback.

    What the message quotes (paths, names, values) is made harmless for a terminal, and cut in its
    middle where it is long, so that the line has at most `LIMIT` characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class UserError(OneLine):
    """Wrong input, which the user can mend; exit code 2.

    The message names the thing that is wrong and the remedy.
    """


class Followed(UserError):
    """Another process of the run failed and prints why; this one prints nothing. Exit code 2."""


class RunFailed(OneLine):
    """The run cannot or should not go on, for its own reasons; exit code 1.

    What was saved before it is whole.
    """


class Interrupted(OneLine):
    """Ctrl-C or SIGTERM came, and what there is to save is saved; the line says how to go on.

    Attributes:
      signum: the signal; the exit code is 128 + signum.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum


def to_stderr(text: str) -> None:
    """For what is not the result, so that `--json` leaves one line on stdout."""
    print(text, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text without what a terminal obeys or cannot show: such signs are escaped, e.g. `\\x1b`."""
    if text.isprintable():
        return text
    signs = (c if c.isprintable() else " " if c in " \t\r\n" else _escaped(c) for c in text)
    return "".join(signs)


def one_line(text: str) -> str:
    """Printable text in one line of at most `LIMIT` characters, long words cut in their middle."""
    line = printable(text).strip()
    while len(line) > LIMIT:
        longest = max(line.split(" "), key=len)
        if len(longest) <= _WHOLE:
            return line[: LIMIT - 1] + "…"
        keep = max(_WHOLE, len(longest) - (len(line) - LIMIT)) - 1
        line = line.replace(longest, f"{longest[: keep // 2]}…{longest[keep // 2 - keep :]}")
    return line


def shorten(names: Iterable[str], room: int = 90) -> str:
    """Names in one line of at most `room` characters: all, or the first and how many more.

    Only a first name that is longer than that is cut itself.
    """
    line, *others = shown = list(map(printable, names)) or ["none"]
    if len(whole := ", ".join(shown)) <= room:
        return whole
    left = room - (len(f" and {len(others)} more") if others else 0)
    line = line if len(line) <= left else line[: left - 1] + "…"
    while others and len(line) + 2 + len(others[0]) <= left:
        line += f", {others.pop(0)}"
    return f"{line} and {len(others)} more" if others else line


def apart(names: Sequence[str], room: int) -> list[str]:
    """Names in at most `room` characters each; long ones are cut where most of them still differ.

    That is at the end, if it may be; else near the beginning, for names of runs differ at the end.
    """

    def cut(head: int) -> list[str]:
        tail = room - 1 - head
        return [n if len(n) <= room else f"{n[:head]}…{n[len(n) - tail :]}" for n in names]

    return max(map(cut, (room - 1, room // 6, *range(room))), key=lambda shown: len(set(shown)))


def first_line(error: BaseException, most: int = 120) -> str:
    """The first line of an error's text, at most so many characters; without text, its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]


def kind_and_line(error: BaseException, most: int = 120) -> str:
    """The same after the error's kind: `ValueError: no such thing`, or `ValueError` alone."""
    kind, line = type(error).__name__, first_line(error, most)
    return kind if line == kind else f"{kind}: {line}"


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()
