"""Datasets made up for the tests, in the layout of the real ones."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


def cifar_records(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 32, 32, 3] and labels uint8 [n], every class in turn."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 32, 32, 3), np.uint8), np.arange(n, dtype=np.uint8) % 10


def cifar_download(root: Path, per_file: int = 20) -> None:
    """Put an archive in CIFAR-10's binary layout where TFDS looks for its download."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import resource

    builder = tfds.builder("cifar10", data_dir=str(root), file_format="array_record")
    info = builder.url_infos[CIFAR_URL]
    path = Path(root, "downloads", resource.get_dl_fname(CIFAR_URL, info.checksum))
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
        for seed, name in enumerate(names):
            images, labels = cifar_records(per_file, seed)
            planes = images.transpose(0, 3, 1, 2).reshape(per_file, -1)
            _add(archive, name, np.concatenate([labels[:, None], planes], axis=1).tobytes())
        _add(archive, "batches.meta.txt", ("\n".join(CLASSES) + "\n").encode())
    resource.write_info_file(
        url=CIFAR_URL, path=path, dataset_name="cifar10", original_fname=path.name, url_info=info
    )


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
