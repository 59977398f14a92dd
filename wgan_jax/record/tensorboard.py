"""TensorBoard as a mirror, through clu. Making the writer, and only that, imports TensorFlow."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import first_line
from wgan_jax.record.background import Mirror
from wgan_jax.record.writers import Columns, Extras, rows


class TensorBoardWriter:
    """Writes the numbers and pictures of a run as TensorBoard events, under the same keys.

    It writes the last of every `every` epochs, and those that have extras.
    """

    def __init__(self, logdir: Path, every: int = 1) -> None:
        """Imports TensorFlow, which takes seconds: make it on the writer's own thread."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow's and clu's own imports
            from clu import metric_writers

            self._writer = metric_writers.SummaryWriter(str(logdir))
        self._every = every

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        """Texts (verdict, protocol) are left out: TensorBoard plots numbers."""
        for row in rows(epochs, columns, extras, self._every):
            step = row.pop("epoch")
            scalars = {
                name: value for name, value in row.items() if isinstance(value, numbers.Real)
            }
            self._writer.write_scalars(step, scalars)

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        self._writer.write_images(step, images)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        plain = (bool, int, float, str)
        known = {k: v if isinstance(v, plain) else str(v) for k, v in hparams.items()}
        self._writer.write_hparams(known)

    def write_summary(self, values: Mapping[str, object]) -> None:
        self._writer.write_texts(0, {name: str(value) for name, value in values.items()})

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def tensorboard_mirror(workdir: Path, say: Callable[[str], None], *, every: int = 1) -> Mirror:
    """The TensorBoard mirror of a run, on its own thread; events go to `<workdir>/tensorboard`.

    A failure (no TensorFlow, a full disk) is said once, and training goes on.
    """

    def tell(error: Exception) -> None:
        say(
            f"TensorBoard failed and training goes on without it ({first_line(error)}): its curves "
            "end here, metrics.jsonl has all. A larger config.mirror_every sends fewer rows."
        )

    return Mirror(lambda: TensorBoardWriter(workdir / "tensorboard", every), tell, patience=60.0)
