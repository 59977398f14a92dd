"""The commands `evaluate`, `weights` and `sample`, as they are typed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from PIL import Image

import run
from tests import standin
from tests.conftest import TINY
from wgan_jax import comparing
from wgan_jax.data.digits import read_labelled
from wgan_jax.errors import UserError
from wgan_jax.evaluation import Options, evaluate_run
from wgan_jax.measurement import Quality, table
from wgan_jax.quality.encoders import Encoder, Encoding, Wanted
from wgan_jax.quality.statistics import Protocol, Statistics
from wgan_jax.quality.weights import WeightsAbsent
from wgan_jax.sampling import between
from wgan_jax.settings import DataSettings
from wgan_jax.training import train

pytestmark = pytest.mark.usefixtures("own_cache")

Ask = Callable[..., tuple[int, str, str]]
KEYS = {
    *("fid", "kid_mean", "kid_std", "precision", "recall"),
    *("inception_score_mean", "inception_score_std", "protocol"),
}


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command: exit code, stdout, stderr."""

    def call(*argv: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run.main([str(word) for word in argv])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def digits_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of 60 pictures of digits each."""
    images, _ = read_labelled()
    folders = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    for i, image in enumerate(images[:120, ..., 0]):
        Image.fromarray(image).save(folders[i % 2] / f"{i:03d}.png")
    return folders


def refused(answer: tuple[int, str, str]) -> str:
    """The one line of a refusal."""
    code, out, err = answer
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_two_folders_as_json_on_one_line(ask: Ask, digits_folders: tuple[Path, Path]) -> None:
    a, b = digits_folders
    code, out, _ = ask(
        *("evaluate", "--images", a, "--reference", b, "--encoder", "digits", "--json")
    )
    assert code == 0
    assert out.count("\n") == 1
    found = json.loads(out)
    assert set(found) >= KEYS
    assert all(isinstance(found[key], float) for key in KEYS - {"protocol", "kid_std"})
    assert found["kid_std"] is None  # of 60 against 60 there is one subset
    assert found["encoder"] == "digits"
    assert found["protocol"]["n_fake"] == found["protocol"]["n_real"] == 60
    assert any("60 images, not above the 64" in caveat for caveat in found["caveats"])
    assert any("are grey, read as RGB" in caveat for caveat in found["caveats"])


def test_the_table_names_the_encoder_at_every_score(
    ask: Ask, digits_folders: tuple[Path, Path]
) -> None:
    a, b = digits_folders
    code, out, _ = ask("evaluate", "--images", a, "--reference", b, "--encoder", "digits")
    assert code == 0
    for name in (f"{one}[digits]" for one in ("FID", "KID", "precision", "recall", "IS")):
        assert f"  {name}" in out
    assert "FID " not in out.replace("and FID is biased", "")
    assert re.search(r"KID\[digits\] +-?\d\.\d{6}\n", out)  # of one subset: no ±
    assert "n_fake 60" in out


def test_the_table_has_the_ceiling_the_spread_the_classes_and_every_caveat() -> None:
    found = Quality(
        values={"inception_score_mean": 8.0, "inception_score_std": 0.25},
        encoder="digits",
        protocol={"n_fake": 60},
        caveats=("few images", "grey ones"),
        real={"inception_score_mean": 9.5, "inception_score_std": 0.1},
        class_shares={"3": 0.25, "4": 0.75},
    )
    lines = [line.split(maxsplit=1) for line in table(found).splitlines()]
    assert lines == [
        ["IS[digits]", "8.000 ± 0.250  (real images: 9.500)"],
        ["classes", "3: 25.0%  4: 75.0%"],
        ["by", "n_fake 60"],
        ["note", "few images"],
        ["note", "grey ones"],
    ]


def test_saved_statistics_stand_for_their_pictures(
    ask: Ask, digits_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    a, b = digits_folders
    common = ("evaluate", "--images", a, "--json")
    saved = tmp_path / "b.npz"
    first = ask(*common, "--reference", b, "--encoder", "digits", "--save-reference", saved)
    again = ask(*common, "--reference", saved)  # the file says by which encoder
    values = [json.loads(answer[1]) for answer in (first, again)]
    for key in KEYS - {"protocol", "kid_std"}:
        assert values[0][key] == pytest.approx(values[1][key], rel=1e-9)
    line = refused(ask(*common, "--reference", saved, "--encoder", "inception"))
    assert "which was made with digits: leave it out" in line  # no weights are asked for
    both = ask("evaluate", "--images", saved, "--reference", saved, "--json")
    assert json.loads(both[1])["fid"] == pytest.approx(0, abs=1e-6)


def test_a_reference_that_cannot_be_kept_there_is_refused_before_the_pictures_are_encoded(
    ask: Ask,
    digits_folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = digits_folders
    monkeypatch.setattr("wgan_jax.comparing.build", None)  # no encoder is even asked for
    (tmp_path / "file").touch()
    common = ("evaluate", "--images", a, "--reference", b, "--encoder", "digits")
    for place, why in ((tmp_path, "Is a directory"), (tmp_path / "file" / "b.npz", "cannot be")):
        assert why in refused(ask(*common, "--save-reference", place))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_statistics_replace_older_ones_but_no_images(
    ask: Ask, digits_folders: tuple[Path, Path], tmp_path: Path, link: Callable[..., None]
) -> None:
    np.savez(tmp_path / "b.npz", images=read_labelled()[0][:20])
    whole = (tmp_path / "b.npz").read_bytes()
    link(tmp_path / "b.npz", tmp_path / "other.npz")
    common = ("evaluate", "--images", digits_folders[0], "--encoder", "digits", "--reference")
    for one, other in (("b.npz", "other.npz"), ("other.npz", "b.npz")):
        sets = (*common, tmp_path / one, "--save-reference", tmp_path / other)
        assert "is what --reference names" in refused(ask(*sets))
    sets = (*common, digits_folders[1], "--save-reference", tmp_path / "b.npz")
    assert "is there already, and holds no statistics" in refused(ask(*sets))
    assert (tmp_path / "b.npz").read_bytes() == whole
    for reference in (tmp_path / "b.npz", digits_folders[1]):
        assert ask(*common, reference, "--save-reference", tmp_path / "kept.npz")[0] == 0
    with np.load(tmp_path / "kept.npz") as kept:
        assert json.loads(str(kept["about"]))["n"] == 60


def test_arrays_and_datasets_are_sets_too(
    ask: Ask, digits_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", images=read_labelled()[0][::2])
    found = ask(
        *("evaluate", "--images", tmp_path / "x.npz", "--reference", "digits"),
        *("--encoder", "digits", "--json"),
    )
    assert found[0] == 0
    assert json.loads(found[1])["precision"] > 0.95
    del digits_folders


@pytest.mark.parametrize(
    ("times", "noted"),
    [(1, []), (4, ["sizes differ, (32, 32) and (8, 8) (height, width): both are resized"])],
)
def test_pictures_of_another_size_than_the_dataset_are_noted(
    ask: Ask, tmp_path: Path, times: int, noted: list[str]
) -> None:
    images = read_labelled()[0][:100].repeat(times, axis=1).repeat(times, axis=2)
    np.savez(tmp_path / "x.npz", images=images)
    sets = ("--images", tmp_path / "x.npz", "--reference", "digits", "--encoder", "digits")
    code, out, _ = ask("evaluate", *sets, "--json")
    assert code == 0
    assert [line for line in json.loads(out)["caveats"] if "sizes" in line] == noted


def test_pictures_of_many_sizes_are_cut_as_in_training_where_a_size_is_given(
    ask: Ask, digits_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "wide").mkdir()
    for i, path in enumerate(sorted(digits_folders[0].glob("*.png"))[:20]):
        wide = Image.new("L", (8 + i, 8), 255)  # white beside the digit
        wide.paste(Image.open(path), (i // 2, 0))
        wide.save(tmp_path / "wide" / path.name)
    sides = ("evaluate", "--images", str(tmp_path / "wide"), "--encoder", "digits", "--json")
    said = refused(ask(*sides, "--reference", "digits"))
    assert "Give --image-size N for squares as in training" in said
    (tmp_path / "plain").mkdir()
    for path in (tmp_path / "wide").iterdir():
        shutil.copy(digits_folders[0] / path.name, tmp_path / "plain")
    code, out, _ = ask(*sides, "--reference", f"folder:{tmp_path / 'plain'}", "--image-size", "8")
    assert code == 0
    assert json.loads(out)["fid"] == pytest.approx(0, abs=1e-6)


def test_what_is_judged_and_what_it_is_compared_with_are_told_apart(
    ask: Ask, tmp_path: Path
) -> None:
    images, labels = read_labelled()
    np.savez(tmp_path / "x.npz", images=images[labels == 3])
    sets = ("--images", tmp_path / "x.npz", "--reference", "digits", "--encoder", "digits")
    code, out, _ = ask("evaluate", *sets, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["precision"] > 0.9 > 0.3 > found["recall"]  # of one class
    assert found["inception_score_mean"] < 1.5 < 9 < found["real"]["inception_score_mean"]
    assert (found["protocol"]["n_fake"], found["protocol"]["n_real"]) == (183, 1797)


@pytest.mark.parametrize(
    ("text", "name", "split"),
    [
        ("digits", "digits", "train"),
        ("tfds:cifar10", "tfds:cifar10", "train"),
        ("tfds:cifar10/test", "tfds:cifar10", "test"),
        ("tfds:lsun/bedroom/train", "tfds:lsun/bedroom", "train"),
    ],
)
def test_a_dataset_is_named_with_its_split(text: str, name: str, split: str) -> None:
    assert comparing.open_side(text, Options()) == DataSettings(name=name, split=split)


def test_what_the_flags_leave_open_is_as_a_statistics_file_says() -> None:
    theirs = Protocol("inception", "mine", "ab" * 32, "pytorch", "bfloat16")
    file = Statistics(theirs, "s.npz", 9, np.zeros(2), np.eye(2))
    other = DataSettings(name="digits")
    wanted = comparing.wanted_encoder(Options(), (other, file))
    assert (wanted.name, wanted.weights, wanted.resize, wanted.dtype) == (
        "inception", "mine", "pytorch", "bfloat16",
    )  # fmt: skip
    wanted = comparing.wanted_encoder(Options(), (other, other))
    assert (wanted.name, wanted.weights, wanted.resize, wanted.dtype) == (
        "inception", "", "tf1", "float32",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "others", "size"),
    [((32, 32, 3), [(64, 64)], 32), ((None, None, 3), [(64, 64)], 64)],
)
def test_a_dataset_is_encoded_at_its_own_size_or_that_of_the_other_side(
    shape: tuple[int, ...],
    others: list[tuple[int, int]],
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder = SimpleNamespace(
        info=SimpleNamespace(features={"image": SimpleNamespace(shape=shape)})
    )
    monkeypatch.setattr("tensorflow_datasets.builder", lambda _: builder)
    side = DataSettings(name="tfds:x")
    assert comparing._shape(side, Options(), others) == (size, size)
    assert comparing._shape(side, Options(image_size=16), others) == (16, 16)


def test_what_was_left_out_of_a_folder_is_said(
    ask: Ask, digits_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(digits_folders[0], tmp_path / "a")
    (tmp_path / "a" / "x.gif").write_bytes(b"")
    sides = ("--images", tmp_path / "a", "--reference", tmp_path / "a", "--encoder", "digits")
    code, _, err = ask("evaluate", *sides, "--image-size", "8")
    assert code == 0
    assert "1 .gif files are not read" in err


def test_bad_sets_get_one_line_each(
    ask: Ask, digits_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    good, _ = digits_folders

    def line(images: object, *more: object) -> str:
        how = more or ("--encoder", "digits")
        return refused(ask("evaluate", "--images", images, "--reference", good, *how))

    (tmp_path / "empty").mkdir()
    assert "no picture" in line(tmp_path / "empty")
    assert "neither a folder" in line(tmp_path / "absent")
    assert "does not exist" in line(tmp_path / "absent.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK")
    assert "not a whole .npz" in line(tmp_path / "cut.npz")
    np.savez(tmp_path / "nan.npz", images=np.full((4, 8, 8, 1), np.nan))
    assert "NaN" in line(tmp_path / "nan.npz")
    np.savez(tmp_path / "plain.npz", mu=np.zeros(64), sigma=np.eye(64))
    assert "--protocol" in line(tmp_path / "plain.npz")
    shutil.copytree(good, tmp_path / "mixed")
    Image.new("L", (9, 8)).save(tmp_path / "mixed" / "odd.png")
    assert "mixes sizes" in line(tmp_path / "mixed")
    assert "run.py weights" in line(good, "--weights", "absent")
    assert "--resize" in line(good, "--resize", "bicubic")
    assert "--encoder" in line(good, "--encoder", "dino")
    assert "bfloat16 is for Inception" in line(good, "--encoder", "digits", "--dtype", "bfloat16")
    assert "give --workdir" in refused(ask("evaluate", "--images", good))
    assert "not a file" in refused(ask("weights", "--from-file", tmp_path / "absent.pth"))


def test_a_dataset_of_many_sizes_needs_the_flag_that_the_line_names(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = {"image": SimpleNamespace(shape=(None, None, 3))}
    builder = SimpleNamespace(info=SimpleNamespace(features=features))
    monkeypatch.setattr("tensorflow_datasets.builder", lambda _: builder)
    sets = ("--images", "digits", "--reference", "tfds:many/train", "--encoder", "digits")
    assert "say --image-size N" in refused(ask("evaluate", *sets))


@pytest.mark.slow
def test_named_weights_are_taken_kept_and_used(ask: Ask, tmp_path: Path, own_cache: Path) -> None:
    np.savez(tmp_path / "w.npz", **standin.tensors())  # type: ignore[arg-type]
    digest = hashlib.sha256((tmp_path / "w.npz").read_bytes()).hexdigest()
    code, out, _ = ask(
        *("weights", "--from-file", tmp_path / "w.npz", "--sha256", digest, "--name", "standin")
    )
    assert code == 0
    assert digest in out
    noise = np.random.default_rng(0).integers(0, 256, (11, 12, 12, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", noise[:6])
    np.savez(tmp_path / "b.npz", noise[6:])
    common = ("evaluate", "--images", tmp_path / "a.npz", "--reference", tmp_path / "b.npz")
    code, out, _ = ask(*common, "--weights", "standin", "--batch-size", 6, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["fid"] > 0
    assert found["protocol"]["weights"] == "standin"
    assert found["protocol"]["weights_sha256"] == digest
    assert found["encoder"] == "inception:standin"  # not to be taken for a published FID
    code, out, _ = ask(*common, "--weights", "standin", "--batch-size", 6, "--dtype", "bfloat16")
    assert code == 0
    assert "dtype bfloat16" in out
    assert "FID[inception:standin]" in out
    effect = re.search(r"bfloat16: FID (\S+) between it and float32 on the same 6 images", out)
    assert effect is not None
    assert 0 < float(effect[1]) < 0.1 * found["fid"]
    kept = own_cache / "weights" / "standin.npz"
    kept.write_bytes(kept.read_bytes()[:-1])
    assert "was changed" in refused(ask(*common, "--weights", "standin"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few epochs on digits, without the dataset's help from then on."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    few = {"epochs": 4, "checkpoint_every": 2, "sample_every": 0}
    train(TINY | few | {"quality": {"n": 200, "batch_size": 64}}, workdir, quiet=True)
    return workdir


@pytest.mark.slow
def test_a_run_is_measured_into_its_folder(ask: Ask, trained: Path) -> None:
    code, out, _ = ask("evaluate", "--workdir", trained, "--checkpoint", 2)
    assert code == 0
    assert "FID[digits]" in out
    found = json.loads((trained / "quality.json").read_text())
    assert set(found) >= KEYS
    assert found["protocol"]["epoch"] == 2
    assert found["protocol"]["n_fake"] == 200
    assert ask("evaluate", "--workdir", trained, "--checkpoint", 4, "--n", 100)[0] == 0
    rows = [json.loads(line) for line in (trained / "quality.jsonl").read_text().splitlines()]
    assert rows[0] == found
    assert [row["protocol"]["epoch"] for row in rows] == [2, 4]
    with Image.open(trained / "quality.png") as picture:
        assert picture.size[0] >= 512
    assert "has no checkpoint" in refused(ask("evaluate", "--workdir", trained, "--checkpoint", 3))
    assert "holds no run" in refused(ask("evaluate", "--workdir", trained / "absent"))
    halved = ask("evaluate", "--workdir", trained, "--dtype", "bfloat16")
    assert "bfloat16 is for Inception" in refused(halved)


@pytest.mark.slow
def test_a_measurement_is_printed_where_the_folder_cannot_be_written(
    ask: Ask, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "theirs", ignore=shutil.ignore_patterns("quality.*"))
    for name in ("quality.json", "quality.png"):
        (tmp_path / "theirs" / name).mkdir()
    code, out, err = ask("evaluate", "--workdir", tmp_path / "theirs", "--n", 100, "--json")
    assert code == 0
    assert json.loads(out)["fid"] > 0
    lines = err.splitlines()
    assert "quality.json cannot be written" in lines[-2]
    assert "the measurement is printed alone" in lines[-2]
    assert "quality.png cannot be written" in lines[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "size"), [((), 64), (("--batch-size", 50), 50)])
def test_a_run_is_encoded_in_batches_of_its_size_or_the_size_given(
    ask: Ask, trained: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[object, ...], size: int
) -> None:
    sizes: list[int] = []

    def noting(encoder: Encoder, batch_size: int, mesh: Mesh) -> Encoding:
        sizes.append(batch_size)
        return Encoding(encoder, batch_size, mesh)

    monkeypatch.setattr("wgan_jax.evaluator.Encoding", noting)
    assert ask("evaluate", "--workdir", trained, *flags)[0] == 0
    assert sizes == [size]


@pytest.mark.slow
def test_the_flags_say_how_a_run_is_encoded(
    ask: Ask, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Wanted] = []

    def absent(wanted: Wanted) -> None:
        asked.append(wanted)
        raise WeightsAbsent("none here")

    monkeypatch.setattr("wgan_jax.evaluator.build", absent)
    how = ("--encoder", "inception", "--weights", "mine", "--resize", "pytorch")
    code, out, _ = ask("evaluate", "--workdir", trained, *how, "--dtype", "bfloat16", "--json")
    assert code == 0
    (wanted,) = asked
    assert (wanted.name, wanted.weights, wanted.resize, wanted.dtype) == (
        "inception", "mine", "pytorch", "bfloat16",
    )  # fmt: skip
    found = json.loads(out)
    assert found["protocol"]["checkpoint"] == "latest"
    assert found["caveats"] == ["FID and IS are off: none here"]


@pytest.mark.slow
def test_samples_need_no_dataset_and_depend_on_the_seed_alone(
    ask: Ask, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_data(*_: object) -> None:
        raise AssertionError("the dataset was read")

    monkeypatch.setattr("wgan_jax.data.digits.read", no_data)
    command = ("sample", "--workdir", trained, "--n", 5)
    assert ask(*command)[0] == 0
    first = sorted((trained / "generated" / "samples_000004_seed0").glob("*.png"))
    assert len(first) == 5
    with Image.open(first[0]) as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")
    assert ask(*command, "--out", tmp_path / "again")[0] == 0
    assert ask(*command, "--out", tmp_path / "other", "--seed", 1)[0] == 0
    again, other = (sorted((tmp_path / name).glob("*.png")) for name in ("again", "other"))
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in first]
    assert [path.read_bytes() for path in other] != [path.read_bytes() for path in first]
    for flag in ("--grid", "--interpolate"):
        assert ask(*command, flag, "--out", tmp_path / f"x{flag}.png")[0] == 0
        with Image.open(tmp_path / f"x{flag}.png") as picture:
            picture.load()
    assert "--n=0" in refused(ask("sample", "--workdir", trained, "--n", 0))


def test_paths_between_latents_keep_to_the_sphere() -> None:
    first, last = np.random.default_rng(0).normal(size=(2, 3, 50)).astype(np.float32)
    path = between(jnp.asarray(first), jnp.asarray(last), 5)
    assert path.shape == (3, 5, 50)
    np.testing.assert_allclose(path[:, 0], first, atol=1e-5)
    np.testing.assert_allclose(path[:, -1], last, atol=1e-5)
    # Two at a right angle, both of length 5: all between have that length.
    a, b = jnp.array([[3.0, 4, 0]]), jnp.array([[0.0, 0, 5]])
    np.testing.assert_allclose(jnp.linalg.norm(between(a, b, 9), axis=-1), 5, rtol=1e-6)


def test_the_run_of_an_array_is_measured_from_python(tiny: dict[str, Any], tmp_path: Path) -> None:
    images, _ = read_labelled()
    made = train(tiny | {"epochs": 1}, tmp_path / "run", images, quiet=True)
    with pytest.raises(UserError, match=r"on an array.*load\('.*run'\)\.measure\(images=\.\.\.\)"):
        evaluate_run(made.workdir)
    assert made.measure(10, images=images).values
