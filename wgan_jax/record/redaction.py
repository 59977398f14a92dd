"""Takes passwords and keys out of what a run keeps of its command line and its code's changes.

A secret is known by its name. In a command line the value is then all that follows the name; in a
text it must be found, and code be left readable: a value is what is quoted, what stands after a
flag, or a run of signs that is no call or index. `key` is a name that code has for much else, so
that there the value must look like one.
"""

from __future__ import annotations

import os
import re

GONE = "…"
_SHORTEST = 6  # characters of a value that may be a secret

_WORDS = r"(?i:(?:api|access|private|auth)[-_]?key|secret|token|passw(?:or)?d|credential)"
_KEY = r"(?<![A-Za-z0-9])(?i:key)(?![A-Za-z0-9])"  # by itself, or a part: `--key`, `OPENAI_KEY`
_NAME = re.compile(rf"{_WORDS}|{_KEY}")
_FLAG = re.compile(rf"^-.*?(?:{_WORDS}|{_KEY}|(?i:key)$)")  # `--wandbkey` and `--openaiKey` too
_ADDRESS = re.compile(r"(\w://)[^/\s'\"]+@")  # to the last @: a password may have one

_TYPE = r":[\w.|\[\], \t]{1,40}="  # `password: str | None = `
_IS = rf"""["']?\]?[ \t]*(?:{_TYPE}|:=|[:=](?![=>]))[ \t]*"""
_QUOTE = r"""\(?[bfruBFRU]{0,2}(?P<quote>\"{3}|'{3}|"|')"""
_QUOTED = r"(?P<value>(?:\\.|(?!(?P=quote))[^\\\n])*)"
# To the next space or quote, but for what closes a list or a call there.
_RUN = r"""(?P<value>[^\s"'`]{5,}?[^\s"'`,;:)\]}])(?=[,;:)\]}]*(?:[\s"'`]|$))"""
_CODE = r"(?![(\[{]|[A-Za-z_][\w.]*[(\[])"  # not a call, an index, or what brackets begin
_KEYLIKE = r"(?P<value>(?=\S{0,99}\d)(?=\S{0,99}[A-Za-z])[\w+/=.-]{12,}+)(?![^\s,;\"'`)\]}])"
_NAMED = rf"{_WORDS}[\w-]{{0,40}}"
_KEY_NAMED = r"(?:(?<=[A-Za-z0-9])[_-](?i:key)|(?<=[a-z0-9])Key|\bKEY)"
_PLAIN = r"(?!(?:and|or|not|in|is|if|else|for|await|lambda)\b)\w"

# Each finds a name and its value, in this order.
_FOUND = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # `password = "..."`, `if token == '...'`, `{"secret": "..."}`, `OPENAI_KEY = "..."`
        rf"""(?:{_NAMED}|{_KEY_NAMED})(?:{_IS}|["']?[ \t]*(?:[=!]=|=>)[ \t]*){_QUOTE}{_QUOTED}""",
        # `key="abcdef123456"`, but not `key = "epoch"`
        rf"""{_KEY}{_IS}{_QUOTE}(?=[^"'\n]{{12}})(?=[^"'\n]{{0,99}}\d){_QUOTED}""",
        # `--config.password=...`, `--api-key ab3...`, in a script
        rf"""(?<![\w.-])--?[\w.-]{{0,60}}?(?:{_NAMED}|key)=(?!["'{{]){_RUN}""",
        rf"""(?<![\w.-])--?[\w.-]{{0,60}}?(?:{_NAMED}|key)[ \t]+(?![-"'])(?=\S{{0,99}}\d){_RUN}""",
        # `password: correct horse battery`: words side by side are no code
        rf"""^[-+# \t]*+["']?[\w.-]{{0,60}}?{_NAMED}{_IS}"""
        rf"(?P<value>{_PLAIN}[^\s,:=(\[{{}}]*[ \t]+{_PLAIN}.*)$",
        # `token=...`, and as a shell and YAML have keys: `OPENAI_KEY=...`, `my_key: abcdef123456`
        rf"{_NAMED}{_IS}{_CODE}{_RUN}",
        rf"(?<=[A-Z0-9])_KEY={_CODE}{_RUN}",
        rf"{_KEY_NAMED}{_IS}{_KEYLIKE}",
    )
]


def redacted(text: str) -> str:
    """Text without the users and passwords in addresses, and without what has a secret's name.

    What is called a key, token, secret, password or credential is one, be it a variable of the
    environment or a name in the text.
    """
    secrets = [value for name, value in os.environ.items() if _NAME.search(name)]
    for value in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        if len(value) >= _SHORTEST:
            text = text.replace(value, GONE)
    text = _ADDRESS.sub(rf"\1{GONE}@", text)
    for pattern in _FOUND:
        text = pattern.sub(_hidden, text)
    return text


def _hidden(match: re.Match[str]) -> str:
    """What was found, without its value if that may be a secret."""
    value = match["value"]
    if len(value) < _SHORTEST:
        return match[0]
    return match[0][: match.start("value") - match.start()] + GONE


def redacted_words(words: list[str]) -> list[str]:
    """A command line's words, likewise; what follows a flag of such a name goes too.

    Up to the next flag: a value that was not quoted, or is a list, is several words.
    """
    found, flag, secret = [], "", False
    for word in words:
        ends = secret and word.startswith("-")  # the first word may begin so, and is the value
        secret = bool(_FLAG.search(flag)) and "=" not in flag and not ends
        found.append(GONE if secret else _redacted_word(word))
        flag = flag if secret else word
    return found


def _redacted_word(word: str) -> str:
    """One word: after a secret's name and `=`, all of it is the value."""
    name, sign, value = word.partition("=")
    secret = value and (_NAME.search(name) or _FLAG.search(name))
    return f"{redacted(name)}{sign}{GONE}" if secret else redacted(word)
