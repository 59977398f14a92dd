"""The page's sections on GPUs and TPUs: what was timed on one, and what was compiled for one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.markdown import EXPERIMENTS, NAMES, RATES, spread, table, versions

ON_GPU = {
    "ours": "wgan-jax",
    "torch": "PyTorch eager",
    "torch, compiled": "PyTorch, `torch.compile`",
    "torch, graph": "PyTorch, a CUDA graph",
    "torch, compiled, graph": "PyTorch, both",
    "torch, compiled, graph, folded": "PyTorch, both, upsampling folded into the kernel as ours",
}
FOLDED = "torch, compiled, graph, folded"
NO_GPU = """## GPU

Not yet measured. With jax for CUDA here, and PyTorch for CUDA in an environment of its own:

```
python -m benchmarks --only gpu --torch PYTHON
```

It plays our rounds and PyTorch's (eager, `torch.compile`, a CUDA graph, both) in turns, in TF32,
bfloat16 and float32, at batch 64 and 512, and writes this section; `--only gpu:cifar_wgan` plays
one of the contests, in about four minutes, `--only gpu:cifar_wgan:best` the same with PyTorch's
fastest modes alone, `--only gpu_features` that of Inception's features.
"""


def gpu(figures: dict[str, Any]) -> str:
    """A contest's rounds on a GPU, beside PyTorch's, and how close to the hardware."""
    parts = [
        f"## On a GPU: {figures['device']}\n\n"
        "*PyTorch's best over ours* is the fastest of PyTorch's modes with plain upsampling, over "
        "our time. The second table says how close this is to the hardware. Peaks are those of "
        "a large matrix product and of a copy. The plain form of a round is counted by hand, as "
        "above. *Our kernels* counts the kernels of our program, each with its operands and "
        "results moved once; *ms, each at the peak* is the time if each of them ran at its peak, "
        "one after the other. Shares are of our measured time.\n"
    ]
    for batch, of_it in figures["batches"].items():
        rows, hardware = of_it["rows"], of_it["hardware"]
        ours = {precision: _least(rows, precision, ["ours"]) for precision in hardware}
        plain = [who for who in ON_GPU if who not in ("ours", FOLDED)]
        lines = [
            [name, *(_milliseconds(rows.get(f"{who} {precision}", {})) for precision in hardware)]
            for who, name in ON_GPU.items()
        ]
        for name, who in (
            ("PyTorch's best", plain),
            ("PyTorch's with folded upsampling", [FOLDED]),
        ):
            ratios = [_least(rows, precision, who) / ours[precision] for precision in hardware]
            shown = ("" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios)
            lines.append([f"{name} over ours", *shown])
        bounds = [
            [
                precision,
                *(f"{of['peaks'][key] / 1e12:,.1f}" for key in ("operations", "bytes")),
                *_shared(of, ours[precision]),
                *_shared(of.get("program"), ours[precision]),
                f"{of['program']['kernels']:,}" if "program" in of else "",
            ]
            for precision, of in hardware.items()
        ]
        heads = ["", "peak TFLOP/s", "peak TB/s", "GFLOP, plain form", "GB", "ms at the peak"]
        heads += ["share", "GFLOP, our kernels", "GB", "ms, each at the peak", "share", "kernels"]
        parts.append(
            f"**{EXPERIMENTS[figures['name']]}, batch {batch}**\n\n"
            f"{table(['ms a round', *hardware], lines)}\n{table(heads, bounds)}"
        )
    parts.append("".join(f"- {remark}\n" for remark in figures.get("remarks", [])))  # by hand
    return (
        "\n".join(parts) + f"\n{versions(of_it['rows'] for of_it in figures['batches'].values())}"
    )


def gpu_features(figures: dict[str, Any]) -> str:
    """Inception's features on a GPU."""
    size, matrix = figures["batch_size"], figures["matrix_part"]
    names = {"ours": NAMES["ours"], "torch": NAMES["torch_fidelity"]}
    lines = []
    for name, row in figures["rows"].items():
        who, precision = name.split()
        if "gave_up" in row:
            lines.append([f"{names[who]}, {precision}", "failed", "", ""])
            continue
        rate = {key: size / row[of] for key, of in RATES.items()}
        share = matrix["with_stored_root"]["median"] * rate["median"] / 50_000
        ratio = "" if name == "ours float32" else spread(row["ratio"], 2)
        lines.append([f"{names[who]}, {precision}", spread(rate, 0), ratio, f"{share:.1%}"])
    heads = ["InceptionV3 features, 32x32 images", "images/s", "times ours", "matrix part of a FID"]
    return (
        f"## Evaluation on a GPU: {figures['device']}\n\n{table(heads, lines)}\n"
        f"In batches of {size}, from the host and back. The last column is what a FID of 50,000 "
        "images takes on the host beside their features (computed): "
        f"{spread(matrix['with_stored_root'], 2)} s with the reference's stored root. An "
        f"image costs {figures['operations'] / 1e9:.1f} GFLOP by XLA's count; large matrix "
        f"products reach {figures['peak'] / 1e12:,.1f} TFLOP/s in float32 here.\n\n"
        f"{versions([figures['rows']])}"
    )


def _shared(work: dict[str, Any] | None, seconds: float) -> list[str]:
    """Operations, bytes, the least time for them, and the share it is of the time taken."""
    if work is None:
        return [""] * 4
    counts = [f"{work[key] / 1e9:,.1f}" for key in ("operations", "bytes")]
    return [*counts, f"{1000 * work['bound']:.2f}", f"{work['bound'] / seconds:.0%}"]


def _milliseconds(row: dict[str, Any]) -> str:
    if "median" not in row:
        return "failed" if row else ""
    return spread({key: 1000 * row[key] for key in RATES}, 2)


def _least(rows: dict[str, Any], precision: str, who: Sequence[str]) -> float:
    """The least of these contestants' seconds a round; NaN where none of them played."""
    found = (rows.get(f"{each} {precision}", {}).get("median", math.nan) for each in who)
    return min((time for time in found if not math.isnan(time)), default=math.nan)


def ahead(figures: dict[str, Any]) -> str:
    """What an H100 would run, counted."""
    heads = ["network, batch, precision", "GFLOP, plain form", "GFLOP", "GB, plain form", "GB"]
    heads += ["kernels", "scratch memory, MB", "compiling, s"]
    counts = ("operations_plain", "operations", "bytes_plain", "bytes")
    lines = [
        [
            name,
            *(f"{row[key] / 1e9:,.1f}" for key in counts),
            f"{row['kernels']:,}",
            f"{row['scratch_mb']:,.0f}",
            f"{row['compiling']:.1f}",
        ]
        for name, row in figures.items()
    ]
    return (
        "## Compiled for an H100, not run\n\nXLA compiles for a GPU that is only described to it: "
        "`python -m benchmarks --only ahead`, with jax's CUDA plugin and without a GPU. Counted in "
        "the compiled program of a round are the operations of convolutions and matrix products, "
        "the bytes of every kernel's operands and results, and the kernels. The plain form is "
        "counted by hand, as above. This says nothing about the seconds of a round.\n\n"
        f"{table(heads, lines)}"
    )


def ahead_tpu(figures: dict[str, Any]) -> str:
    """What a TPU would run, as XLA estimates it."""
    heads = ["network, batch", "GFLOP, plain form", "million cycles", "in the forms for GPUs"]
    heads += ["times as many", "scratch memory, MB", "compiling, s"]
    lines = [
        [
            name.removesuffix(" tf32"),
            f"{row['operations_plain'] / 1e9:,.1f}",
            *(f"{row[key] / 1e6:.2f}" for key in ("cycles", "cycles_gpu_forms")),
            f"{row['cycles_gpu_forms'] / row['cycles']:.2f}",
            f"{row['scratch_mb']:,.0f}",
            f"{row['compiling']:.0f}",
        ]
        for name, row in figures.items()
    ]
    return (
        "## Compiled for a TPU v5e, not run\n\n`python -m benchmarks --only ahead_tpu`, with "
        "`jax[tpu]` and without a TPU. XLA notes how many cycles of the chip it expects every "
        "operation of a round to need. These are estimates, by which XLA makes its own choices, "
        "and no measurements. On a TPU convolutions are given to XLA as they are; for comparison, "
        "the forms made for GPUs, which put images into blocks of pixels, were compiled too. "
        "Precision is the device's default: products of bfloat16 in float32 arrays.\n\n"
        f"{table(heads, lines)}"
    )
