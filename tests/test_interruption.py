"""Signals, noticed between chunks."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from wgan_jax.interruption import watched


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """A shell starts what it puts in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_is_noted_once_however_often_it_is_passed_on():
    with watched() as watch:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert watch.received == signal.SIGTERM


def test_a_later_one_acts_at_once():
    with watched() as watch:
        signal.raise_signal(signal.SIGINT)
        watch.since -= 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # and afterwards all is as it was
        signal.raise_signal(signal.SIGINT)


def test_the_default_of_sigterm_comes_back():
    text = (
        "import signal\nfrom wgan_jax.interruption import watched\n"
        "with watched() as w:\n  signal.raise_signal(15)\n  print('noted', flush=True)\n"
        "  w.since -= 2\n  signal.raise_signal(15)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "noted\n")
