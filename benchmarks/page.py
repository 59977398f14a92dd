"""docs/performance.md from what was measured: tables, and two plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import page_accelerators, plots
from benchmarks.markdown import EXPERIMENTS, NAMES, RATES, spread, table, versions

DOCS = Path(__file__).resolve().parent.parent / "docs"

FORMS = ("plain", "winograd")  # of a convolution
INTRO = """# Performance

Made by `python -m benchmarks --torch PYTHON`, whose figures are in
`benchmarks/results/performance.json`; below each part stands on what machine and when it was
measured. Other programs are the scripts in `benchmarks/peers`: the same networks (their numbers of
weights are checked to be equal), optimisers, batches and images. Each program is a process of its
own, and they take turns, so that a ratio compares turns of the same minute. Figures are medians
over turns, with the least and the greatest in brackets. A round is 5 critic updates and one
generator update. *Times ours* is how many times as long the other program takes.

`python run.py --config FILE --profile` says where the time of your own run goes.
"""


def write(found: dict[str, Any]) -> Path:
    """The page and its plots; parts that were not measured are left out."""
    parts = [INTRO]
    for kind, section in SECTIONS.items():
        of_kind = [row for part, row in found.items() if part.partition(":")[0] == kind]
        parts += [f"{section(row['figures'])}\n{_about(row['about'])}" for row in of_kind]
    plots.draw(found, DOCS / "images")
    path = DOCS / "performance.md"
    if not any(part.startswith("gpu:") for part in found):
        parts.append(page_accelerators.NO_GPU)
    path.write_text("\n".join(parts))
    return path


def _about(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"*{about['cores']} cores of {about['cpu']}, Python {about['python']}, {versions}; "
        f"{about['date'][:10]}, load before {about['load_before']}.*\n"
    )


def _rounds(figures: dict[str, Any]) -> str:
    parts = ["## A round\n\n![Seconds a round](images/performance_rounds.png)\n"]
    for name, rows in figures.items():
        experiment, batch = name.split()
        lines = [
            [
                NAMES[entrant],
                spread(row),
                f"{min(row['processor']):.2f}",
                "" if entrant == "ours" else spread(row["ratio"], 2),
            ]
            for entrant, row in rows.items()
        ]
        heads = ["", "s a round", "processor s, least", "times ours"]
        parts.append(f"**{EXPERIMENTS[experiment]}, batch {batch}**\n\n{table(heads, lines)}")
    return "\n".join(parts) + f"\n{versions(figures.values())}"


def _parity(figures: dict[str, Any]) -> str:
    heads = ["experiment", "all that a round measures", "critic's weights", "generator's weights"]
    lines = [
        [name, *(f"{row[key]:.0e}" for key in ("metrics", "critic", "generator"))]
        for name, row in figures.items()
    ]
    peer = next(iter(figures.values()))["torch"]
    return (
        "## Do they compute the same?\n\nTen rounds of every experiment but `folder_wgan`, whose "
        "network is `cifar_wgan`'s, batch 16, were trained by this program and then replayed by "
        "plainly written PyTorch (`benchmarks/peers/torch_replay.py`) with autograd's gradients "
        "and torch's optimisers, norms and convolutions. Initial weights, images, latents and the "
        "penalty's points are ours; everything is in float64. The first column is the largest "
        "difference in any round "
        "of a loss, a gradient's norm or any other measure, divided by that measure's largest "
        "value; the others are how far the final weights are apart, divided by how far training "
        f"moved them.\n\n{table(heads, lines)}\n\nDropout (`cifar_nsgan`) is off, longer critic "
        "phases are left out, and learning-rate schedules end with the twentieth round; rates are "
        "float64 too, whereas optax computes them in float32 in a run. The losses of "
        "`cifar_wgan_gp_resnet` change so much in the first rounds that a round-off of 2e-14 grows "
        "some hundred times within ten of them. Smaller runs are compared in the tests "
        "(`tests/test_parity.py`). *In the forms of GPUs*: convolutions as they run on a GPU, "
        f"computed on the CPU. The replay used torch {peer}; that of `cifar_sngan` is of "
        "2026-11-28.\n"
    )


def _roofline(figures: dict[str, Any]) -> str:
    return f"## How close to the hardware\n\n{_bounds(figures)}"


def _bounds(figures: dict[str, Any]) -> str:
    peaks = figures["peaks"]
    heads = ["network, batch", "GFLOP, plain form", "GFLOP by XLA", "GB, plain form", "GB by XLA"]
    heads += ["s at the peak", "s measured", "share"]
    counts = ("operations", "operations_xla", "bytes", "bytes_xla")
    lines = []
    for name, row in figures["rounds"].items():
        counted = [f"{row[key] / 1e9:,.1f}" for key in counts]
        times = [f"{row[key]:.4f}" for key in ("bound", "seconds")]
        lines.append([name, *counted, *times, f"{row['bound'] / row['seconds']:.0%}"])
    return (
        f"In {figures['precision']} this device multiplies large matrices at "
        f"{peaks['operations'] / 1e9:,.0f} GFLOP/s and copies {peaks['bytes'] / 1e9:,.0f} GB/s "
        "(the best of five). From these peaks follows the least time in which a round's dense "
        "layers and convolutions could run in their plain form, whose operations and bytes are "
        "counted by hand; the share is that time over the measured one. It may exceed 100 %, "
        "because the convolutions here need fewer operations than the plain form "
        "(`wgan_jax/gan/conv.py`). *By XLA* are XLA's own counts for the program that runs; its "
        "bytes are those of each operation by itself, whether they come from a cache or not."
        f"\n\n{table(heads, lines)}"
    )


def _quality(figures: dict[str, Any]) -> str:
    size, rows = figures["batch_size"], figures["features"]
    lines = [
        [
            NAMES[name],
            spread({key: size / row[of] for key, of in RATES.items()}, 1),
            "" if name == "ours" else spread(row["ratio"], 2),
        ]
        for name, row in rows.items()
    ]
    heads = ["InceptionV3 features, 32x32 images", "images/s", "times ours"]
    matrix = figures["matrix_part"]
    features = 50_000 * rows["ours"]["median"] / size
    share = matrix["with_stored_root"]["median"] / features
    fresh = matrix["from_moments"]["median"] / features
    rate = figures["operations"] * size / rows["ours"]["median"]
    return (
        f"## Evaluation\n\n{table(heads, lines)}\n"
        f"An image costs {figures['operations'] / 1e9:.1f} GFLOP by XLA's count. So this is "
        f"{rate / 1e9:.0f} GFLOP/s, {rate / figures['peak']:.0%} of what large matrix products "
        f"reach.\n\n"
        f"The features of 50,000 images would take {features:,.0f} s at this rate (computed, not "
        f"run). From the moments to the FID it then takes {spread(matrix['from_moments'], 2)} s "
        f"({fresh:.2%} of that), or {spread(matrix['with_stored_root'], 2)} s ({share:.2%}) where "
        "the matrix root of the real images' covariance is stored."
        f"\n\n{_both_forms(figures['convolutions'], size)}"
    )


def _both_forms(convolutions: list[dict[str, Any]], batch_size: int) -> str:
    lines = [
        [
            f"{row['size']} x {row['size']}, {' x '.join(map(str, row['kernel'][:2]))}, "
            f"{row['kernel'][2]} to {row['kernel'][3]}",
            str(row["times"]),
            *(spread({key: 1000 * row[form][key] for key in RATES}, 1) for form in FORMS),
            f"{row['difference']:.0e}",
        ]
        for row in convolutions
    ]
    plain, other = (sum(r["times"] * r[form]["median"] for r in convolutions) for form in FORMS)
    heads = ["pixels, kernel, channels", "of them", "plain, ms", "Winograd, ms", "difference"]
    return (
        "Inception's convolutions run in their plain form. Winograd's form, which training uses on "
        f"CPUs, was tried on all of them that it can compute, {batch_size} images at a time: "
        f"together they take {other:.2f} s in Winograd's form and {plain:.2f} s in the plain one. "
        "The last column is the largest difference over the largest value."
        f"\n\n{table(heads, lines)}"
    )


def _host(figures: dict[str, Any]) -> str:
    lines = []
    for name, row in figures.items():
        whole, least, greatest = (row["ratio"][key] for key in ("whole", "least", "greatest"))
        ratio = f"{whole:.3f} ({least:.3f} to {greatest:.3f})"
        counts = [f"{row['epochs']:,}", str(row["chunks"])]
        lines.append([name, *counts, ratio, f"{row['without_bursts']:.3f}", f"{row['within']:.1f}"])
    heads = ["run", "epochs", "chunks", "loop over rounds alone", "without bursts", "s, the loop"]
    return (
        "## What the host adds\n\nThe wall time of a run's whole loop (with JSON lines, console, "
        "health, samples and checkpoints), divided by that of its rounds alone. Every chunk of "
        "rounds is played twice, alone and then within the run, so that bursts of other work on "
        "the machine fall on both; in brackets are the tenths of the run with the least and with "
        "the greatest ratio. A short burst may still fall on only one of the two. *Without bursts* "
        "therefore counts each difference as the median of its kind (chunks with nothing due at "
        "their end, with samples, with a checkpoint). Files that are still being written when a "
        "chunk ends are waited for, and count. What happens once a run is left out: compiling, "
        "W&B's start, the last checkpoint and the report. W&B gets every tenth epoch of the digits "
        "demo (`config.mirror_every`), and every epoch of the other run."
        f"\n\n{table(heads, lines)}"
    )


def _start(figures: dict[str, Any]) -> str:
    words = {
        "help": "`run.py --help`",
        "cold": "first round of `make demo` written, nothing cached",
        "warm": "the same, second start",
    }
    lines = [[words[key], spread(figures[key], 2)] for key in words]
    return f"## Start\n\n{table(['', 's'], lines)}"


def _growth(figures: dict[str, Any]) -> str:
    def size_table(key: str, label: str) -> str:
        rows = []
        for r in figures[{"images": "dataset"}.get(key, key)]:
            time, memory = f"{1000 * r['seconds']:,.1f}", f"{r['scratch_mb']:,.0f}"
            rows.append([f"{r[key]:,}", time, memory, f"{r['compiling']:.1f}"])
        return table([label, "ms a round", "scratch memory, MB", "compiling, s"], rows)

    epochs = [
        [f"{r['epochs']:,}", *(f"{1000 * r[key]:.1f}" for key in ("history", "judge", "lines"))]
        for r in figures["epochs"]
    ]
    heads = ["epochs logged", "history, ms", "judge, ms", "JSON lines, ms"]
    keys = ("seconds", "memory_mb", "lines_mb", "page_mb")
    reports = [
        [f"{r['epochs']:,}", *(f"{r[key]:,.1f}" for key in keys)] for r in figures["reports"]
    ]
    parts = ["epochs logged", "s", "memory, MB", "metrics.jsonl, MB", "report.html, MB"]
    return "\n".join(
        [
            "## Growth\n\n![Time against size](images/performance_growth.png)\n",
            "The guide's network; the least of a few chunks. Compiling is done once: a run finds "
            "the program of an earlier one in the user's cache.\n",
            size_table("batch", "batch"),
            "With batch 16:\n",
            size_table("resolution", "height and width"),
            "The digits demo on datasets of 8x8 images, all on the device:\n",
            size_table("images", "images"),
            "Host time for the last thousand epochs of so many:\n",
            table(heads, epochs),
            "The report of so many, in a process of its own; memory at its greatest:\n",
            table(parts, reports),
        ]
    )


SECTIONS = {
    "rounds": _rounds,
    "parity": _parity,
    "roofline": _roofline,
    "quality": _quality,
    "host": _host,
    "start": _start,
    "growth": _growth,
    "ahead": page_accelerators.ahead,
    "ahead_tpu": page_accelerators.ahead_tpu,
    "gpu": page_accelerators.gpu,
    "gpu_features": page_accelerators.gpu_features,
}
