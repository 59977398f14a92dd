"""Takes passwords and keys out of what a run keeps of its command line and its code's changes."""

from __future__ import annotations

import os
import re

GONE = "…"
_SHORTEST = 6  # characters of a value that may be a secret

_WORDS = r"(?:api|access|private|auth)[-_]?key|secret|token|passw(?:or)?d|credential"
_NAME = re.compile(_WORDS, re.IGNORECASE)
_ADDRESS = re.compile(r"(\w://)[^/\s@'\"]+@")
# `api_key = "..."`, `--token=...`, `password: ...`; no call or index of that name.
_VALUE = re.compile(
    rf"""((?:{_WORDS})\w*["']?\s*[=:]\s*["']?)([^\s"'(){{}}\[\],;]{{{_SHORTEST},}})(?![(\[])""",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Text without the users and passwords in addresses, and without what has a secret's name.

    What is called a key, token, secret, password or credential is one, be it a variable of the
    environment or a name in the text.
    """
    for name, value in os.environ.items():
        if _NAME.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, GONE)
    return _VALUE.sub(rf"\1{GONE}", _ADDRESS.sub(rf"\1{GONE}@", text))


def redacted_words(words: list[str]) -> list[str]:
    """A command line's words, likewise; what follows a flag of such a name goes too."""
    found, flag = [], ""
    for word in words:
        secret = flag.startswith("-") and "=" not in flag and _NAME.search(flag)
        found.append(GONE if secret else redacted(word))
        flag = word
    return found
