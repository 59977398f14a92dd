"""The benchmark's driver takes turns and compares; the page says what the JSON holds."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest

from benchmarks import (
    ahead,
    ahead_tpu,
    diagnosis,
    gpu,
    host,
    labelled_runs,
    page,
    page_accelerators,
    quality,
    roofline,
)
from benchmarks.contest import Entrant, GaveUp, contest, summary
from benchmarks.rounds import EXPERIMENTS, check_sizes
from tests import plain_conv
from wgan_jax import experiment, loop
from wgan_jax.gan import networks

SLEEPER = """
import sys, time
sys.path.insert(0, "benchmarks/peers")
from serve import serve
serve(lambda n: time.sleep(n * {seconds}), {{"versions": {{"sleep": "1"}}, "parameters": 3}})
"""


def sleeper(name: str, seconds: float) -> Entrant:
    return Entrant(name, (sys.executable, "-c", SLEEPER.format(seconds=seconds)))


def test_contestants_take_turns_and_are_compared() -> None:
    found = contest([sleeper("ours", 0.01), sleeper("torch", 0.03)], passes=3, seconds=0.03)
    assert found["torch"]["rounds"] == 1
    assert found["torch"]["about"]["parameters"] == 3
    assert len(found["torch"]["times"]) == 3
    assert found["torch"]["median"] >= 0.03
    ratios = [t / o for t, o in zip(found["torch"]["times"], found["ours"]["times"], strict=True)]
    assert found["torch"]["ratio"] == summary(ratios)
    assert found["ours"]["ratio"]["median"] == 1


def test_a_contestant_that_ends_is_named() -> None:
    with pytest.raises(GaveUp, match="torch gave up: "):
        contest([Entrant("torch", (sys.executable, "-c", ""))], passes=1, seconds=0.1)


def test_who_is_not_needed_may_fail_or_hang() -> None:
    entrants = [
        sleeper("ours", 0.01),
        Entrant("fails", (sys.executable, "-c", "raise SystemExit('no such mode')")),
        Entrant("hangs", (sys.executable, "-c", "import time; time.sleep(60)")),
        sleeper("torch", 0.02),
    ]
    found = contest(entrants, passes=1, seconds=0.01, patience=2, all_needed=False)
    assert list(found) == ["ours", "fails", "hangs", "torch"]
    assert found["torch"]["ratio"]["median"] > 1
    assert found["fails"].keys() == found["hangs"].keys() == {"gave_up"}


@pytest.mark.slow
def test_a_contest_on_a_gpu_goes_on_without_those_that_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here all of PyTorch's do, without one; ours play on a CPU as if it were the GPU."""
    monkeypatch.setattr(gpu, "CONTESTS", (("digits_wgan", 2), ("digits_wgan", 3)))
    monkeypatch.setattr(gpu, "PRECISIONS", ("tf32",))
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    monkeypatch.setattr(gpu, "OURS", {"ours": ((), ("tf32",))})
    monkeypatch.setattr(gpu, "THEIRS", {"torch": ((), ("tf32",)), "torch, graph": ((), ("tf32",))})
    monkeypatch.setitem(roofline.MATRIX, "cpu", 64)
    monkeypatch.setitem(roofline.COPIED, "cpu", 64)
    found = gpu.measure(sys.executable, "digits_wgan")["batches"]
    assert list(found) == ["2", "3"]
    for of_it in found.values():
        assert of_it["rows"]["ours tf32"]["median"] > 0
        assert all("gave_up" in of_it["rows"][f"{who} tf32"] for who in gpu.THEIRS)
        assert of_it["hardware"]["tf32"]["bound"] > 0
        assert of_it["hardware"]["tf32"]["program"]["kernels"] > 0


def test_the_best_on_a_gpu_are_ours_and_pytorch_s_fastest_modes_on_tensor_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played: list[Entrant] = []

    def noted(entrants: list[Entrant], **_: object) -> dict[str, Any]:
        played.extend(entrants)
        return {}

    monkeypatch.setattr(gpu, "contest", noted)
    monkeypatch.setattr(gpu, "OURS", {"ours": ((), ("tf32", "float32"))})
    monkeypatch.setattr(gpu, "_share", lambda *_: {})
    monkeypatch.setattr(roofline, "peaks", lambda _: {})
    found = gpu.measure(sys.executable, "cifar_wgan_gp", "best")["batches"]
    who = {entrant.name.removesuffix(" 64") for entrant in played}
    fastest = ("torch, graph", "torch, compiled, graph")
    assert who == {"ours tf32", *(f"{f} {p}" for f in fastest for p in ("tf32", "bfloat16"))}
    assert list(found["64"]["hardware"]) == ["tf32", "bfloat16"]


def test_extractors_that_compute_other_features_are_no_contest() -> None:
    rows = [{"about": {"sum": 1000.0}}, {"gave_up": "why"}, {"about": {"sum": 1000.5}}]
    quality.same_features(rows)
    rows[2]["about"]["sum"] = 1002.0
    with pytest.raises(RuntimeError, match="not the same features"):
        quality.same_features(rows)


def row(time: float) -> dict[str, Any]:
    """A contestant's."""
    about = {"versions": {"x": "1"}, "parameters": 1}
    ratio = summary([time, time + 0.1])
    return summary([time]) | {"about": about, "processor": [2 * time], "ratio": ratio}


def test_every_contestant_on_a_gpu_has_a_name_on_the_page() -> None:
    assert list(page_accelerators.ON_GPU) == [*gpu.OURS, *gpu.THEIRS]


def test_networks_of_other_sizes_are_no_contest() -> None:
    rows = {"ours": row(1.0), "failed": {"gave_up": "why"}, "torch": row(2.0)}
    check_sizes("cifar_wgan", rows)
    rows["torch"]["about"]["parameters"] = 2
    with pytest.raises(RuntimeError, match=r"cifar_wgan: not the same networks: \[1, 2\]"):
        check_sizes("cifar_wgan", rows)


def made_up_on_gpu() -> dict[str, Any]:
    rows = {"ours tf32": row(0.002), "torch tf32": row(0.003)}
    rows |= {"torch, graph tf32": {"gave_up": "why"}}
    rows |= {"torch, compiled, graph, folded tf32": row(0.0025)}
    tf32: dict[str, Any] = {"operations": 5e9, "bytes": 2e9, "bound": 0.001}
    tf32["peaks"] = {"operations": 4e14, "bytes": 3e12}
    tf32["program"] = {"operations": 4e9, "bytes": 3e9, "kernels": 1478, "bound": 0.0015}
    batches = {"64": {"rows": rows, "hardware": {"tf32": tf32}}}
    known = {"name": "cifar_wgan", "device": "NVIDIA H100"}
    return known | {"batches": batches, "remarks": ["Said by hand."]}


def made_up_features() -> dict[str, Any]:
    rows = {"ours float32": row(0.1), "torch float32": row(0.2), "torch tf32": {"gave_up": "why"}}
    matrix = {"with_stored_root": summary([1.5])}
    known = {"device": "NVIDIA H100", "batch_size": 256}
    return known | {"rows": rows, "operations": 1e10, "peak": 5e13, "matrix_part": matrix}


def made_up() -> dict[str, Any]:
    """Every part, as small as can be."""
    sizes = [{"seconds": 0.1, "scratch_mb": 5.0, "images_mb": 1.0, "compiling": 2.0}] * 2
    logged = {"history": 0.1, "judge": 0.01, "lines": 0.2}
    reported = {"seconds": 3.0, "memory_mb": 200.0, "lines_mb": 1.0, "page_mb": 0.5}
    counts = dict.fromkeys(("operations", "operations_xla", "bytes", "bytes_xla"), 5e10)
    counts |= {"seconds": 1.0, "bound": 0.25}
    figures: dict[str, dict[str, Any]] = {
        "rounds": {"cifar_wgan 64": {"ours": row(1.0), "torch": row(1.2)}},
        "quality": {
            "batch_size": 32,
            "features": {"ours": row(2.0), "torch_fidelity": row(2.5)},
            "operations": 1e10,
            "peak": 2e11,
            "convolutions": [
                {
                    "size": 35,
                    "kernel": [3, 3, 64, 96],
                    "times": 4,
                    "plain": summary([0.02]),
                    "winograd": summary([0.03]),
                    "difference": 4e-6,
                }
            ],
            "matrix_part": dict.fromkeys(
                ("reference_root", "with_stored_root", "from_moments"), summary([1.5])
            ),
        },
        "host": {
            "digits": {
                "epochs": 9,
                "chunks": 3,
                "ratio": {"whole": 1.01, "least": 0.9, "greatest": 1.1},
                "without_bursts": 1.02,
                "within": 2.0,
            }
        },
        "roofline": {
            "precision": "float32",
            "peaks": {"operations": 2e11, "bytes": 1e10},
            "rounds": {"cifar_wgan 64": counts},
        },
        "start": dict.fromkeys(("help", "cold", "warm"), summary([4.0])),
        "growth": {
            "batch": [{"batch": n} | size for n, size in zip((16, 64), sizes, strict=True)],
            "resolution": [{"resolution": n} | sizes[0] for n in (32, 64)],
            "dataset": [{"images": n} | sizes[0] for n in (1000, 10_000)],
            "epochs": [{"epochs": n} | logged for n in (1000, 10_000)],
            "reports": [{"epochs": n} | reported for n in (1000, 10_000)],
        },
    }
    ahead = dict.fromkeys(("operations_plain", "operations", "bytes_plain", "bytes"), 5e9)
    ahead |= {"kernels": 1234, "scratch_mb": 67.0, "compiling": 9.0}
    figures["ahead"] = {"cifar_wgan 64 tf32": ahead}
    on_tpu = {"operations_plain": 5e9, "cycles": 2e6, "cycles_gpu_forms": 5e6}
    figures["ahead_tpu"] = {"cifar_wgan 64 tf32": on_tpu | {"scratch_mb": 67.0, "compiling": 9.0}}
    figures["gpu:cifar_wgan"] = made_up_on_gpu()
    figures["gpu_features"] = made_up_features()
    about = {"cores": 2, "cpu": "C", "python": "3", "versions": {"jax": "0"}, "load_before": 0.5}
    about["date"] = "2026-01-02T00:00"
    return {part: {"about": about, "figures": found} for part, found in figures.items()}


@pytest.mark.parametrize(
    ("part", "platform", "needed"),
    [(ahead, "cuda", "requirements-gpu.txt"), (ahead_tpu, "tpu", r"jax\[tpu\]")],
)
def test_what_compiles_for_a_device_that_is_not_here_is_asked_for_and_named(
    part: ModuleType, platform: str, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = mock.Mock(side_effect=RuntimeError("no such plugin"))
    monkeypatch.setattr(ahead.topologies, "get_topology_desc", asked)
    with mock.patch.dict(os.environ), pytest.raises(RuntimeError, match=f"install {needed}"):
        part.measure("")
    assert asked.call_args.args[1] == platform


def test_the_page_has_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(page, "DOCS", tmp_path)
    text = page.write(made_up()).read_text()
    assert "| PyTorch eager | 1.200 | 2.40 | 1.25 (1.20 to 1.30) |" in text
    assert "| cifar_wgan 64 | 50.0 | 50.0 | 50.0 | 50.0 | 0.2500 | 1.0000 | 25% |" in text
    assert "would take 3,125 s at this rate (computed, not" in text
    assert "So this is 160 GFLOP/s, 80% of" in text
    assert "| 35 x 35, 3 x 3, 64 to 96 | 4 | 20.0 | 30.0 | 4e-06 |" in text
    assert "take 0.12 s in Winograd's form and 0.08 s in the plain one" in text
    assert "| digits | 9 | 3 | 1.010 (0.900 to 1.100) | 1.020 | 2.0 |" in text
    assert "2026-01-02, load before 0.5" in text
    assert "| cifar_wgan 64 tf32 | 5.0 | 5.0 | 5.0 | 5.0 | 1,234 | 67 | 9.0 |" in text
    assert "| cifar_wgan 64 | 5.0 | 2.00 | 5.00 | 2.50 | 67 | 9 |" in text
    assert "## On a GPU: NVIDIA H100" in text
    assert "- Said by hand." in text
    assert "| wgan-jax, float32 | 2560 |  | 7.7% |" in text
    assert "| torch-fidelity, float32 | 1280 | 0.25 (0.20 to 0.30) | 3.8% |" in text
    assert "| torch-fidelity, tf32 | failed |" in text
    assert "**The guide's network (clipping, 32x32), batch 64**" in text
    assert "| PyTorch eager | 3.00 |" in text
    assert "| PyTorch, a CUDA graph | failed |" in text
    assert "| PyTorch's best over ours | 1.50 |" in text
    assert "| PyTorch's with folded upsampling over ours | 1.25 |" in text
    assert (
        "| tf32 | 400.0 | 3.0 | 5.0 | 2.0 | 1.00 | 50% | 4.0 | 3.0 | 1.50 | 75% | 1,478 |" in text
    )
    assert all(size.stat().st_size > 1000 for size in (tmp_path / "images").glob("*.png"))
    empty = page.write({}).read_text()
    assert "Not yet measured" in empty  # on a GPU
    assert "## A round" not in empty


@pytest.mark.slow
def test_every_chunk_is_played_alone_and_within_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.01)
    settings = experiment.read(EXPERIMENTS / "digits_wgan.py")
    off = dataclasses.replace(settings.wandb, mode="disabled")
    settings = dataclasses.replace(settings, epochs=12, quality_every=0, wandb=off)
    settings = dataclasses.replace(settings, sample_every=4, checkpoint_every=6)
    found = host.compared(settings)
    assert 3 <= found["chunks"] <= 10  # of 12 epochs, but for the first and the last
    assert found["ratio"]["least"] <= found["ratio"]["whole"] <= found["ratio"]["greatest"]
    assert found["ratio"]["whole"] == pytest.approx(found["within"] / found["alone"])


def test_a_burst_counts_for_nothing_and_a_checkpoint_for_what_it_takes() -> None:
    seconds = np.array([0.01, 0.02, 0.5, 9.0, 0.01, 0.7])
    due = np.array([0, 0, 2, 0, 0, 2])
    assert host._usual_sum(seconds, due) == pytest.approx(4 * 0.015 + 2 * 0.6)


def test_inceptions_convolutions_are_found_and_equal_in_both_forms() -> None:
    found = quality.convolutions()
    assert sum(times for *_, times in found) == 15  # square kernels, stride 1, above 1x1
    image, kernel, place, times = min(found, key=lambda kind: kind[2].image)
    assert (image[1:], kernel, times) == ((8, 8, 448), (3, 3, 448, 384), 2)
    row = quality.in_both_forms((1, *image[1:]), kernel, place, times, repeats=1)
    assert row["difference"] < 1e-4
    assert row["plain"]["median"] > 0


def test_an_image_costs_inception_what_is_published() -> None:
    assert quality.operations() == pytest.approx(11.4e9, rel=0.05)  # 5.7 G multiplications


def test_layers_are_counted_tap_by_tap() -> None:
    settings = experiment.read(EXPERIMENTS / "cifar_wgan.py")
    first, *_, last = roofline.critic_layers(settings, 3)
    # 16 places, 5 taps, stride 2, one zero before: 80 pairs, of which the first place has one
    # outside, and the last place two.
    assert first.multiplications == 77 * 77 * 3 * first.result // 256
    assert first.input == 32 * 32 * 3
    assert (last.kernel, last.multiplications) == (last.input, last.input)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("cifar_wgan", "cifar_wgan_adam", "cifar_wgan_gp", "cifar_wgan_gp_resnet"),
        *("cifar_sngan", "lsun_dcgan64"),
    ],
)
def test_the_count_by_hand_is_xlas_for_the_plain_form(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in ("conv2d", "upconv2d", "downconv2d", "conv_transpose2d"):
        monkeypatch.setattr(networks, form, getattr(plain_conv, form))
    settings = dataclasses.replace(experiment.read(EXPERIMENTS / f"{name}.py"), batch_size=2)
    ours, xlas = roofline.by_hand(settings, 3), roofline.by_xla(settings, 3)
    assert ours.operations == pytest.approx(xlas.operations, rel=0.1)


def test_the_benchmark_of_diagnosis_moves_every_rule_s_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    index = ["run,objective,label,onset_epoch", "sound,nsgan,healthy,", "dead,nsgan,collapsed,500"]
    (tmp_path / "index.csv").write_text("\n".join(index) + "\n")
    for name, settled in (("sound", 0.6), ("dead", 1e-6)):
        d = np.where(np.arange(1000) < 500, 0.6, settled) * (1 + 0.05 * rng.normal(size=1000))
        rows = [f"{epoch},{loss},{rng.normal(1.0, 0.05)}" for epoch, loss in enumerate(d)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["epoch,d_loss,g_loss", *rows]) + "\n")
    runs = labelled_runs.load(tmp_path)
    fires = diagnosis.hits(runs)
    middle = diagnosis.MULTIPLIERS.index(1.0)
    assert fires.keys() == diagnosis.TUNED.keys()
    assert all(found.shape == (len(diagnosis.MULTIPLIERS), 2) for found in fires.values())
    assert [any(found[middle, run] for found in fires.values()) for run in (0, 1)] == [False, True]
    assert any(len(set(found[:, 1])) == 2 for found in fires.values())  # thresholds do move
    assert diagnosis.leave_one_out(runs, fires)["false_alarms"] == 0
