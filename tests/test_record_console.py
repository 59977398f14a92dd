"""The console prints the guide's block to the character."""

import io
import time
from types import SimpleNamespace
from typing import Any

import pytest

from wgan_jax.record.console import Console, clock, epoch_block, quality_line

GUIDE_BLOCK = """\
═══════════════════════════════════════════════════════════════════════════
Epoch 11999/12000 [1.46s]
───────────────────────────────────────────────────────────────────────────
  Losses     │ D: 5.4859 (R:5.4853 F:5.4865)  G: -115.549  W-dist: 115.55
  Weights    │ Critic μ:0.0024 σ:0.0096  Gen μ:0.0028 σ:0.0810
  Stability  │ D/G Ratio: 0.0475  Clip%: 0.0%  Var: 0.000002
═══════════════════════════════════════════════════════════════════════════"""

ROW = {
    "epoch_time": 1.46,
    "d_loss": 5.4859,
    "d_loss_real": 5.4853,
    "d_loss_fake": 5.4865,
    "g_loss": -115.549,
    "wasserstein_distance": 115.55,
    "critic_weight_mean": 0.0024,
    "critic_weight_std": 0.0096,
    "generator_weight_mean": 0.0028,
    "generator_weight_std": 0.0810,
    "dg_ratio": 0.0475,
    "clip_ratio": 0.0,
    "loss_variance": 0.000002,
}

QUALITY = {
    "fid_score": 333.1,
    "inception_score_mean": 2.12,
    "inception_score_std": 0.19,
    "pixel_variance": 0.2960,
}


def test_the_guides_block_to_the_character() -> None:
    block = epoch_block(11999, 12000, ROW)
    assert block == GUIDE_BLOCK
    assert max(map(len, block.splitlines())) == 75


def test_a_share_is_printed_as_a_percentage() -> None:
    assert "Clip%: 41.8%" in epoch_block(0, 1, ROW | {"clip_ratio": 0.418})


def test_the_guides_quality_line() -> None:
    assert quality_line(QUALITY, "inception") == (
        "  Quality    │ FID: 333.1  IS: 2.12±0.19  PixVar: 0.2960"
    )


def test_scores_of_another_encoder_carry_its_name() -> None:
    assert quality_line(QUALITY, "digits") == (
        "  Quality    │ FID[digits]: 333.1  IS[digits]: 2.12±0.19  PixVar: 0.2960"
    )


def test_the_score_of_real_images_stands_beside_that_of_samples() -> None:
    assert "IS: 2.12±0.19 (real: 9.00)  PixVar" in quality_line(QUALITY, "inception", 9.0)


def test_without_features_pixel_variance_alone() -> None:
    assert quality_line({"pixel_variance": 0.5}, "inception") == "  Quality    │ PixVar: 0.5000"


def test_fast_epochs_show_milliseconds() -> None:
    assert "[8.2ms]" in epoch_block(0, 1, ROW | {"epoch_time": 0.0082})


def test_not_on_a_terminal_plain_lines() -> None:
    out = io.StringIO()
    console = Console(10, stream=out)
    console.say("hello")
    console.progress(0)
    console.progress(5, every=-1.0)
    console.close()
    first, second = out.getvalue().splitlines()
    assert first == "hello"
    assert second.startswith("5/10 epochs, ")
    assert second.endswith(" left")


def test_a_plain_line_says_the_pace_since_the_start_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, now = io.StringIO(), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(100, stream=out)
    console.progress(40)  # of a run that was resumed
    for seconds, done in ((31, 50), (40, 52), (62, 60)):
        now[0] = 1000.0 + seconds
        console.progress(done)
    assert out.getvalue().splitlines() == [
        "50/100 epochs, 0.323 epochs/s, 2:35 left",  # 10 in 31 s
        "60/100 epochs, 0.323 epochs/s, 2:04 left",
    ]


def test_the_bar_of_a_resumed_run_begins_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: dict[str, Any] = {}

    def bar(**how: Any) -> SimpleNamespace:
        begun.update(how)
        return SimpleNamespace()

    monkeypatch.setattr("tqdm.tqdm", bar)
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    Console(100, stream=out).progress(40)
    assert (begun["initial"], begun["total"]) == (40, 100)


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65, "1:05"), (3661, "1:01:01")])
def test_minutes_and_seconds_have_two_digits(seconds: int, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_where_nobody_listens_any_more_it_falls_silent(terminal: bool) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

        def isatty(self) -> bool:
            return terminal

    console = Console(10, stream=Closed())
    console.progress(0)
    console.say("hello")
    console.progress(5, every=-1.0)
    console.close()


def test_signs_that_a_terminal_lacks_are_replaced() -> None:
    raw = io.BytesIO()
    console = Console(10, stream=io.TextIOWrapper(raw, "latin-1"))
    console.say("μ ═ é")
    assert raw.getvalue() == "? ? é\n".encode("latin-1")


def test_quiet_says_nothing() -> None:
    out = io.StringIO()
    console = Console(10, stream=out, quiet=True)
    console.say("hello")
    console.progress(0)
    console.progress(10, every=-1.0)
    assert out.getvalue() == ""
