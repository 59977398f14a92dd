"""Ends of all kinds: killed, signalled, and with the newest checkpoint damaged afterwards."""

from __future__ import annotations

import random
import signal
import time

from tests.faults.harness import Bench, Fault, Result, stop, wait_for_epochs


def many_kills(kills: int) -> Fault:
    """SIGKILL at random moments after the start, so often in one run before it comes to its end."""

    # Long enough that every kill finds it at work: of the seconds before one, about three are for
    # the start, and some twenty epochs are played and saved in each of the others.
    length = (f"--config.epochs={60 * kills}", "--config.checkpoint_every=10")

    def fault(bench: Bench, seed: int) -> Result:
        rng, workdir = random.Random(seed), bench.place / f"kills{seed}"
        struck = 0
        while struck < kills:
            process = bench.start(workdir, length)
            time.sleep(rng.uniform(0.2, 6.0))
            if process.poll() is not None:
                break  # it came to its end before: fewer kills than promised
            stop(process, signal.SIGKILL)
            struck += 1
        survived, equal = bench.verdict(workdir, length)
        return survived and struck == kills, equal

    return fault


def one_signal(number: signal.Signals) -> Fault:
    """One signal, at a random moment once epochs are being written."""

    def fault(bench: Bench, seed: int) -> Result:
        rng, workdir = random.Random(seed), bench.place / f"{number.name}{seed}"
        process = bench.start(workdir)
        wait_for_epochs(workdir, process, rng)
        stop(process, number)
        return bench.verdict(workdir)

    return fault


def damaged(how: str) -> Fault:
    """A finished half of a run, the newest checkpoint of which is damaged in one random file."""

    def fault(bench: Bench, seed: int) -> Result:
        rng, workdir = random.Random(seed), bench.place / f"{how}{seed}"
        process = bench.start(workdir)
        wait_for_epochs(workdir, process, rng)
        stop(process)
        checkpoints = [p for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()]
        newest = max(checkpoints, key=lambda path: int(path.name))
        files = sorted(p for p in newest.rglob("*") if p.is_file() and p.stat().st_size)
        victim = rng.choice(files)
        data = bytearray(victim.read_bytes())
        if how == "flipped":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        victim.write_bytes({"flipped": data, "cut": data[: len(data) // 2]}.get(how, b""))
        survived, equal = bench.verdict(workdir)
        aside = list((workdir / "checkpoints").glob(f"damaged-{newest.name}-*"))
        return survived and len(aside) == 1, equal

    return fault
