"""Signals, noticed between chunks."""

import gc
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from wgan_jax.interruption import Signals, remembered, watched


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """A shell starts what it puts in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_is_noted_once_however_often_it_is_passed_on() -> None:
    with watched(signals := Signals()):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM


def test_a_later_one_acts_at_once() -> None:
    with watched(signals := Signals()):
        signal.raise_signal(signal.SIGINT)
        signals.since -= 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # and afterwards all is as it was
        signal.raise_signal(signal.SIGINT)


def test_the_default_of_sigterm_comes_back() -> None:
    text = (
        "import signal\nfrom wgan_jax.interruption import Signals, watched\nw = Signals()\n"
        "with watched(w):\n  signal.raise_signal(15)\n  print('noted', flush=True)\n"
        "  w.since -= 2\n  signal.raise_signal(15)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "noted\n")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_python_drops_is_remembered() -> None:
    """An exception in a callback of the garbage collector goes nowhere; jax has such a callback."""

    def callback(*_: object) -> None:
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    with remembered() as signals:
        gc.callbacks.append(callback)
        gc.collect()
        assert signals.received == signal.SIGINT
        with watched(signals):
            assert signals.received == signal.SIGINT
            signals.since -= 2
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_until_it_is_watched_ctrl_c_acts_at_once() -> None:
    with remembered() as signals, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signals.received == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with remembered() as signals:
        signal.raise_signal(signal.SIGINT)
    assert not signals.received
