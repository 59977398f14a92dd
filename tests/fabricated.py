"""Datasets made up for the tests, in the layout of the real ones."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

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


def bedroom(number: int, side: int) -> Image.Image:
    """A picture about as hard to decode as a photograph: soft forms and some noise."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    soft = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
    noisy = soft + rng.integers(-12, 13, soft.shape, np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def lsun_prepared(root: Path, per_file: Sequence[int], side: int, different: int = 1000) -> Path:
    """Bedrooms as TFDS has prepared them, as JPEG files in array records; returns their folder.

    Args:
      root: TFDS's folder.
      per_file: number of pictures in each file.
      side: height and width of the pictures.
      different: how many are drawn; from there on they repeat.
    """
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    builder = tfds.builder("lsun/bedroom", data_dir=str(root), file_format="array_record")
    place = Path(builder.data_dir)
    place.mkdir(parents=True)
    drawn = []
    for number in range(min(different, sum(per_file))):
        content = io.BytesIO()
        bedroom(number, side).save(content, "JPEG", quality=90)
        drawn.append(content.getvalue())
    number = 0
    for file, count in enumerate(per_file):
        path = place / f"lsun-train.array_record-{file:05}-of-{len(per_file):05}"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for _ in range(count):
            example = tf_example_pb2.Example()
            example.features.feature["id"].bytes_list.value.append(str(number).encode())
            picture = drawn[number % len(drawn)]
            example.features.feature["image"].bytes_list.value.append(picture)
            writer.write(example.SerializeToString())
            number += 1
        writer.close()
    template = tfds.core.ShardedFileTemplate(
        data_dir=place,
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        dataset_name="lsun",
        split="train",
        filetype_suffix="array_record",
    )
    split = tfds.core.SplitInfo(
        name="train", shard_lengths=list(per_file), num_bytes=1, filename_template=template
    )
    builder.info.set_splits(tfds.core.SplitDict([split]))
    builder.info.write_to_directory(place)
    return place


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
