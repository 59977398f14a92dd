"""Fetches one file over HTTP, going on where a broken download stopped."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from wgan_jax.errors import UserError, kind_and_line
from wgan_jax.files import not_written

TIMEOUT = 20.0  # seconds without a byte
ATTEMPTS = 5  # times that a broken transfer is taken up again
_BLOCK = 1 << 20


class _Broken(Exception):
    """The transfer ended early; what came is kept."""


def download(url: str, part: Path, expected_bytes: int | None = None) -> bool:
    """Fetch `url` into the file `part`, of which a beginning may be there already.

    Args:
      url: http or https.
      part: grows as bytes come, and stays when the transfer breaks.
      expected_bytes: what the file's size must be, where that is known.

    Returns:
      Whether an old beginning was kept: if the digest is wrong then, fetch anew once.

    Raises:
      UserError: no answer, a refusal, another size, or a transfer that breaks again and again.
    """
    if not _is_address(url):
        raise UserError(f"{url} is no http or https address: check --url.")
    if not _is_plain(urllib.parse.urlsplit(url)):
        raise UserError(f"{url} has signs that no address has: write them by %, a space as %20.")
    resumed = part.exists() and part.stat().st_size > 0
    for _ in range(ATTEMPTS):
        try:
            _attempt(url, part, expected_bytes)
            return resumed
        except _Broken:
            continue
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and part.exists():  # our beginning is not of this file
                part.unlink()
                continue
            raise UserError(f"{url} answers {error.code} {error.reason}.") from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise UserError(
                f"No answer from {urllib.parse.urlsplit(url).netloc} ({reason}). With no network, "
                "bring the file and use --from-file FILE; --url names a mirror."
            ) from None
        except (http.client.HTTPException, ValueError) as error:  # also of where it sends us on
            place, reason = urllib.parse.urlsplit(url).netloc, kind_and_line(error, 60)
            raise UserError(f"{place} answers no HTTP ({reason}): check --url.") from None
    raise UserError(f"{url} broke off {ATTEMPTS} times; run the same command again to go on.")


def _is_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # as it is asked for
        return parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        return False


def _is_plain(parts: urllib.parse.SplitResult) -> bool:
    """Whether what follows the host can be asked for as it is."""
    asked = parts.path + parts.query
    return asked.isascii() and asked.isprintable() and " " not in asked


def _attempt(url: str, part: Path, expected_bytes: int | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "wgan-jax"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206:
            have = 0  # the server sends all of it, whatever was asked
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        if expected_bytes is not None and total not in (None, expected_bytes):
            raise UserError(f"{url} has {total:,} bytes, not {expected_bytes:,}: not this file.")
        try:
            with part.open("ab" if have else "wb") as file:
                came = have + _copy(response, file, have, total)
        except OSError as error:  # of the disk: a transfer that breaks is `_Broken`
            raise not_written(part, error) from error
    if total is not None and came < total:
        raise _Broken


def _copy(response: http.client.HTTPResponse, file: BinaryIO, have: int, total: int | None) -> int:
    """Copy until the end; the number of bytes that came."""
    came = 0
    with tqdm(initial=have, total=total, unit="B", unit_scale=True, disable=None) as bar:
        while True:
            try:
                block = response.read(_BLOCK)
            except (OSError, http.client.HTTPException):
                raise _Broken from None
            if not block:
                return came
            file.write(block)
            came += len(block)
            bar.update(len(block))
