"""Runs, metrics and the judge from Python, as docs/python.md shows them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import wgan_jax
from tests.conftest import TINY
from tests.made_up_losses import healthy_hinge
from wgan_jax import evaluate, load, train
from wgan_jax.errors import UserError
from wgan_jax.evaluation import evaluate_run
from wgan_jax.gan.state import Game, GanState, root_key
from wgan_jax.notebook import Run
from wgan_jax.sampling import sample_latents

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops
PAGE = Path("docs/python.md").read_text()


def test_a_run_is_opened_as_it_was_left(finished: Run) -> None:
    again = load(finished.workdir)
    assert again.settings == finished.settings
    assert again.verdict == finished.verdict
    assert again.history.keys() == finished.history.keys()
    for key in finished.history:
        np.testing.assert_array_equal(again.history[key], finished.history[key])
    np.testing.assert_array_equal(again.sample(3, seed=5), finished.sample(3, seed=5))


def test_any_checkpoint_is_opened(finished: Run) -> None:
    early = load(str(finished.workdir), 3)
    assert int(early.state.epoch) == 3
    assert len(early.history) == 6  # all that was measured
    assert not np.array_equal(early.sample(3), finished.sample(3))
    with pytest.raises(UserError, match="checkpoint"):
        load(finished.workdir, 5)
    with pytest.raises(UserError, match="no run"):
        load(finished.workdir.parent / "none")


def test_latents_of_ones_own_give_their_pictures(finished: Run) -> None:
    latents = np.asarray(sample_latents(finished.game, 0, 300))  # more than a batch
    pictures = finished.generate(latents)
    np.testing.assert_array_equal(pictures, finished.sample(300))
    np.testing.assert_array_equal(finished.generate(latents[:7].tolist()), pictures[:7])
    short, text = [[1.0], [1.0, 2.0]], [["a"] * finished.settings.latent_dim]
    odds = (latents[0], latents[:, :-1], latents[:0], np.full_like(latents, np.nan), short, text)
    for odd in odds:
        with pytest.raises(UserError, match=r"latents must be finite numbers \[n, "):
            finished.generate(odd)


@pytest.mark.parametrize("n", [0, 10**12, 2.5])
def test_no_more_samples_than_there_is_room_for(finished: Run, n: float) -> None:
    """XLA ends the process, notebook and all, where it has no memory for so many."""
    with pytest.raises(UserError, match="n must be from 1 to 1000000"):
        finished.sample(n)
    if n:
        with pytest.raises(UserError, match=r"n = .* must be at least 1 and at most 1000000"):
            finished.measure(n)


def test_a_run_stays_where_it_is_when_a_notebook_changes_its_folder(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.workdir.parent)
    run, again = load(finished.workdir.name), train(TINY, finished.workdir.name, quiet=True)
    monkeypatch.chdir("/")
    assert run.workdir == again.workdir == finished.workdir
    assert run.measure(20).values == again.measure(20).values


def test_a_report_is_written_anew(finished: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.workdir, copy, ignore=shutil.ignore_patterns("report.*", "*.png"))
    paths = load(copy).report()
    assert [path.name for path in paths] == ["report.html", "report.md", "dashboard.png"]
    assert all(path.parent == copy and path.stat().st_size for path in paths)


def test_asking_again_compiles_nothing(finished: Run, caplog: pytest.LogCaptureFixture) -> None:
    latents = np.zeros((2, finished.settings.latent_dim))
    for again in (False, True):
        caplog.clear()
        with jax.log_compiles(), caplog.at_level("WARNING"):
            finished.generate(latents)
            finished.scores(finished.sample(2))
        assert ("Compiling" in caplog.text) is not again


def test_another_checkpoint_of_a_run_compiles_nothing_for_its_samples(
    finished: Run, caplog: pytest.LogCaptureFixture
) -> None:
    first, other = (load(finished.workdir, checkpoint) for checkpoint in (3, 6))
    first.sample(5)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        assert not np.array_equal(other.sample(5), first.sample(5))
    assert "Compiling" not in caplog.text


def plain_scores(game: Game, state: GanState, images: np.ndarray) -> np.ndarray:
    """As the critic is defined: pixels in [-1, 1], nothing dropped."""
    variables = {"params": state.critic.params, **state.critic.stats}
    return np.asarray(game.critic.apply(variables, images / np.float32(127.5) - 1, train=False))


@pytest.mark.slow
def test_the_critic_scores_images(finished: Run) -> None:
    images = finished.sample(300)
    scores = finished.scores(images)
    assert (scores.shape, scores.dtype) == ((300,), np.float32)
    wanted = plain_scores(finished.game, finished.state, images)
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-6)
    sampler = finished.game.sampler(finished.state, root_key(finished.settings.seed))
    pictures = finished.game.generate(sampler, sample_latents(finished.game, 0, 300))
    floats = finished.game.scores(finished.state, pictures)  # but for the rounding to 8 bits
    np.testing.assert_allclose(floats, scores, rtol=1e-2, atol=1e-4)
    with pytest.raises(UserError, match="channels"):
        finished.scores(np.repeat(images, 3, axis=3))
    with pytest.raises(UserError, match="uint8"):
        finished.scores(images / 255)


def test_a_run_is_measured_as_the_command_does(finished: Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished.workdir, copy)
    before = sorted(copy.rglob("*"))
    found = load(copy).measure(300)
    assert sorted(copy.rglob("*")) == before
    wanted = evaluate_run(copy, n=300)
    assert found.values == wanted.values
    assert found.protocol | {"checkpoint": "latest"} == wanted.protocol
    with pytest.raises(UserError, match="n = -1 must be"):
        finished.measure(-1)
    with pytest.raises(UserError, match="The images are not those that"):
        finished.measure(10, images=np.tile(np.arange(64, dtype=np.uint8), 100).reshape(-1, 8, 8))


def test_two_arrays_are_compared(finished: Run, tmp_path: Path) -> None:
    fakes, reals = finished.sample(150), finished.sample(150, seed=1)
    found = evaluate(fakes, reals, encoder="digits")
    np.savez(tmp_path / "fakes.npz", images=fakes)
    np.savez(tmp_path / "reals.npz", images=reals)
    kept = evaluate(tmp_path / "fakes.npz", str(tmp_path / "reals.npz"), encoder="digits")
    assert found.values == kept.values
    assert found.values["fid_score"] > 0
    assert found.protocol["images"] == found.protocol["reference"] == "array"
    same = evaluate(fakes, fakes, encoder="digits")
    assert same.values["fid_score"] == pytest.approx(0, abs=1e-6)
    for pair, said in (
        ((fakes / 255, reals), r"images \(array\) has float64 pixels"),
        ((fakes, reals / 255), r"reference \(array\) has float64 pixels"),
        ((fakes, (reals > 127).astype(np.uint8)), r"reference \(array\) has images of 0 and 1"),
        ((fakes[0], reals), r"images \(array\) has shape \[8, 8, 1\]"),
        ((np.repeat(fakes[0], 3, axis=2), reals), r"shape \[8, 8, 3\]: images must be \[n"),
        (([fakes[0], fakes[0, :4]], reals), r"images \(array\) has images of different shapes"),
    ):
        with pytest.raises(UserError, match=said):
            evaluate(*pair, encoder="digits")
    with pytest.raises(UserError, match="nothing is not one of inception, digits"):
        evaluate(fakes, reals, encoder="nothing")


def test_all_that_the_package_offers_is_on_the_page() -> None:
    table = PAGE.partition("\n## ")[0]
    elsewhere = {"define_wgan_charts", "init_wandb"}  # W&B's, in docs/seeing_a_run.md
    for name in set(wgan_jax.__all__) - elsewhere - {"Setup"}:
        assert f"`{name}(" in table
        assert callable(getattr(wgan_jax, name))
    for name in re.findall(r"`run\.(\w+)", PAGE):
        assert name in {*Run.__annotations__, *vars(Run), "py"}, name


def test_checkers_know_what_the_package_offers() -> None:
    """Else all of it is Any to them, and an editor has nothing to offer."""
    package = Path(wgan_jax.__file__)
    assert (package.parent / "py.typed").is_file()
    names = re.findall(r"^    from \S+ import \w+ as (\w+)$", package.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(wgan_jax.__all__)


@pytest.mark.slow
def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its code, one block after the other, with a reader's own images and losses."""
    monkeypatch.chdir(tmp_path)
    columns = healthy_hinge(2000)
    lost = np.where(np.arange(2000) > 1200, np.nan, columns["d_loss"])
    np.savetxt(
        "losses.csv",
        np.stack(list(columns.values()), 1),
        delimiter=",",
        header="d_loss,g_loss",
        comments="",
    )
    known = {
        "TINY": TINY,
        "x_train": np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), np.uint8),
        "losses": list(zip(lost.tolist(), columns["g_loss"].tolist(), strict=True)),
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        # Networks that compile in seconds.
        exec(block.replace("train(config", "train(TINY | config"), known)
    assert "failing since epoch 1201: divergence" in capsys.readouterr().out
