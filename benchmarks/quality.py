"""How fast quality is measured: Inception features beside torch-fidelity's, and FID's matrices.

Also why Inception's convolutions are plain ones: each kind of them is timed in the form that a
round has for it (`gan.winograd`) too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.contest import Entrant, contest, summary
from benchmarks.roofline import peaks
from wgan_jax.backend import compiler_options
from wgan_jax.gan import winograd
from wgan_jax.gan.place import Place
from wgan_jax.quality import distances, inception

DIM, BATCH = 2048, 32
Modes = dict[str, tuple[str, ...]]
PEERS = Path(__file__).resolve().parent / "peers"


def measure(torch: str) -> dict[str, Any]:
    """Features of 32x32 images in turns, and the matrix part; the weights are random."""
    rows = features(torch, BATCH, {"ours": ()}, {"torch_fidelity": ()}, seconds=5.0)
    same_features(list(rows.values()))
    return {
        "batch_size": BATCH,
        "features": rows,
        "operations": operations(),
        "peak": peaks("float32")["operations"],
        "convolutions": [in_both_forms(*kind, repeats=5) for kind in convolutions()],
        "matrix_part": matrix_part(repeats=5),
    }


def features(
    torch: str, batch_size: int, ours: Modes, theirs: Modes, seconds: float, **contest_options: Any
) -> dict[str, Any]:
    """The contest of extractors, with random weights; each is named, and has its script's flags."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        np.savez(weights, **random_weights())  # type: ignore[arg-type]
        scripts = [(sys.executable, "jax_features.py", ours)]
        if torch:
            scripts.append((torch, "torch_features.py", theirs))
        common = ("--weights", str(weights), "--batch_size", str(batch_size))
        entrants = [
            Entrant(name, (python, str(PEERS / script), *common, *flags))
            for python, script, modes in scripts
            for name, flags in modes.items()
        ]
        return contest(entrants, passes=5, seconds=seconds, **contest_options)


def same_features(rows: list[dict[str, Any]]) -> None:
    """All of these computed the same.

    Raises:
      RuntimeError: they did not.
    """
    sums = [row["about"]["sum"] for row in rows if "about" in row]
    if sums and max(sums) - min(sums) > 1e-3 * abs(sums[0]):
        raise RuntimeError(f"not the same features: {sums}")


def random_weights() -> dict[str, np.ndarray]:
    """Tensors of the graph under torch's names, scaled so that features stay finite."""
    random = np.random.default_rng(0)

    def tensor(shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return random.uniform(0.5, 1.5, shape)
        return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)

    tensors = {name: tensor(shape) for name, shape in inception.tensor_shapes().items()}
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def network() -> tuple[Callable[..., Any], Any, jax.ShapeDtypeStruct]:
    """InceptionV3 and the shapes of its weights and of a batch."""
    module = inception.InceptionV3()
    images = jax.ShapeDtypeStruct((BATCH, inception.SIZE, inception.SIZE, 3), jnp.float32)
    return module.apply, jax.eval_shape(module.init, jax.random.key(0), images), images


def operations() -> float:
    """What an image costs, by XLA's count; all convolutions are plain, and there is no loop."""
    apply, weights, images = network()
    cost: Any = jax.jit(apply).lower(weights, images).cost_analysis()
    return float(cost["flops"]) / BATCH


def convolutions() -> list[tuple[tuple[int, ...], tuple[int, ...], Place, int]]:
    """Those that Winograd's form could make: shapes of image and kernel, place, how many."""
    apply, weights, images = network()
    found = Counter[tuple[Any, ...]]()
    steps: list[Any] = jax.make_jaxpr(apply)(weights, images).eqns
    for step in steps:
        if step.primitive.name == "conv_general_dilated":
            image, kernel = (variable.aval.shape for variable in step.invars)
            if step.params["window_strides"] == (1, 1) and min(kernel[:2]) > 1:
                result = tuple(-(-side // 4) * 4 for side in step.outvars[0].aval.shape[1:3])
                low = tuple(before for before, _ in step.params["padding"])
                found[image, kernel, Place(image[1:3], kernel[:2], result, 1, low)] += 1
    return [(*kind, times) for kind, times in found.items()]


def in_both_forms(
    image: tuple[int, ...], kernel: tuple[int, ...], place: Place, times: int, repeats: int
) -> dict[str, Any]:
    """Seconds of one such convolution of a batch, plain and in Winograd's form, in turns.

    The latter on whole tiles of 4 x 4: what they hold beyond the result is cut off.
    """
    rows, columns = (
        length + 2 * low - taps + 1
        for length, low, taps in zip(place.image, place.low, place.taps, strict=True)
    )

    def plain(x: Array, weights: Array) -> Array:
        pads = [(low, low) for low in place.low]
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, weights, (1, 1), pads, dimension_numbers=layout)

    def tiled(x: Array, weights: Array) -> Array:
        return winograd.to_result(x, weights, place)[:, :rows, :columns]

    keys = jax.random.split(jax.random.key(0))
    x, weights = jax.random.normal(keys[0], image), jax.random.normal(keys[1], kernel)
    forms = [jax.jit(form, compiler_options=compiler_options()) for form in (plain, tiled)]
    values = [form(x, weights) for form in forms]
    off = float(jnp.abs(values[0] - values[1]).max() / jnp.abs(values[0]).max())
    turns = [
        [timed(partial(_wait, form, x, weights), 1)[0] for form in forms] for _ in range(repeats)
    ]
    plain_s, tiled_s = (summary(list(seconds)) for seconds in zip(*turns, strict=True))
    return {
        "size": place.image[0],
        "kernel": kernel,
        "times": times,
        "plain": plain_s,
        "winograd": tiled_s,
        "difference": off,
    }


def _wait(form: Callable[..., Array], x: Array, weights: Array) -> None:
    form(x, weights).block_until_ready()


def matrix_part(repeats: int) -> dict[str, Any]:
    """Seconds of one FID of 2,048 dimensions from moments, and of its parts."""
    random = np.random.default_rng(0)
    sides = [random.normal(size=(3 * DIM, DIM)) * np.geomspace(1, 1e-3, DIM) for _ in "ab"]
    (mean_a, sigma_a), (mean_b, sigma_b) = [
        (side.mean(axis=0), np.cov(side, rowvar=False)) for side in sides
    ]
    root = distances.covariance_root(sigma_b)
    work: dict[str, Callable[[], object]] = {
        "reference_root": lambda: distances.covariance_root(sigma_b),
        "with_stored_root": lambda: distances.frechet_distance(
            mean_a, sigma_a, mean_b, sigma_b, root
        ),
        "from_moments": lambda: distances.frechet_distance(mean_a, sigma_a, mean_b, sigma_b),
    }
    return {name: summary(timed(each, repeats)) for name, each in work.items()}


def timed(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of so many calls."""
    times = []
    for _ in range(repeats):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return times
