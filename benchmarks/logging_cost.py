"""What logging costs: 12,000 epochs of all 23 keys through every writer, against 12,000 rounds.

  python benchmarks/logging_cost.py --round_seconds 5.7
  python benchmarks/logging_cost.py --run runs/cifar_wgan

Three figures a writer: what the loop itself waits (handing chunks over, and the end), the wall time
until the writer has ended, and the processor time of this process and its children. The last is an
upper bound of what training can lose, where no core is idle; the first, of what it loses where
one is. Rounds are not played here: their measured time is given, or read from a run.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.made_up_run import columns, quality
from wgan_jax.history import History
from wgan_jax.record.background import InBackground
from wgan_jax.record.tensorboard import TensorBoardWriter
from wgan_jax.record.wandb import wandb_mirror
from wgan_jax.record.writers import JsonLinesWriter, MultiWriter, Writer
from wgan_jax.settings import WandbSettings

EPOCHS, CHUNK = 12_000, 20
SAMPLES_EVERY = 500


def lines(place: Path) -> Writer:
    return InBackground(lambda: JsonLinesWriter(place / "metrics.jsonl"))


def wandb(place: Path) -> Writer:
    mirror = wandb_mirror(WandbSettings("offline"), place)
    assert mirror
    return mirror


def tensorboard(place: Path) -> Writer:
    # Waited for to the end, as a mirror is not: rounds in fast motion leave it behind.
    return InBackground(lambda: TensorBoardWriter(place))


WRITERS: dict[str, tuple[Callable[[Path], Writer], ...]] = {
    "json lines": (lines,),
    "W&B offline": (wandb,),
    "TensorBoard": (tensorboard,),
    "all": (lines, wandb, tensorboard),
}


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(makers: tuple[Callable[[Path], Writer], ...], round_seconds: float) -> dict[str, float]:
    """Log a run of `EPOCHS`, as fast as its rounds could ever be, and time it."""
    made, extras = columns(EPOCHS), quality(EPOCHS)
    grid = np.random.default_rng(0).integers(0, 256, (530, 530, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), processor_seconds()
        writer = MultiWriter([make(Path(folder)) for make in makers])
        writer.write_hparams({"clip": 0.01})
        waited = time.perf_counter() - began
        for first in range(0, EPOCHS, CHUNK):
            part = slice(first, first + CHUNK)
            chunk = {key: values[part] for key, values in made.items()}
            now = {e: extras[e] for e in range(first, first + CHUNK) if e in extras}
            handed = time.perf_counter()
            writer.write_chunk(np.arange(first, first + CHUNK), chunk, now)
            if (first + CHUNK) % SAMPLES_EVERY == 0:
                writer.write_images(first + CHUNK - 1, {"generated_images": grid})
            waited += time.perf_counter() - handed
            time.sleep(min(round_seconds * CHUNK, 0.02))  # the device at work, in fast motion
        ended = time.perf_counter()
        writer.close()
        waited += time.perf_counter() - ended
        return {
            "waited": waited,
            "wall": time.perf_counter() - began,
            "processor": processor_seconds() - used,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--round_seconds", type=float, help="seconds of a measured round")
    parser.add_argument("--run", type=Path, help="a run folder: its median epoch_time")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    seconds = options.round_seconds
    if options.run:
        seconds = float(np.nanmedian(History.read(options.run / "metrics.jsonl")["epoch_time"]))
    if not seconds:
        parser.error("give --round_seconds or --run")
    total = EPOCHS * seconds
    print(f"{EPOCHS:,} epochs; a round {seconds:.4g} s, all rounds {total:,.0f} s")
    print(f"{'writer':<14}{'loop waits':>12}{'share':>9}{'processor':>12}{'share':>9}{'wall':>8}")
    found = {}
    for name, makers in WRITERS.items():
        figures = found[name] = measure(makers, seconds)
        waits, works = figures["waited"], figures["processor"]
        print(
            f"{name:<14}{waits:>10.2f} s{waits / total:>9.3%}{works:>10.2f} s{works / total:>9.3%}"
            f"{figures['wall']:>6.1f} s"
        )
    if options.json:
        options.json.write_text(json.dumps({"round_seconds": seconds, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
