"""The judge beside a loop of one's own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.made_up_losses import Floats, healthy_hinge, healthy_wgan, history
from wgan_jax.errors import UserError
from wgan_jax.health.judge import Setup, judge
from wgan_jax.health.past import KEYS
from wgan_jax.health.watch import Watch


def watched(columns: dict[str, Floats], setup: Setup) -> Watch:
    watch = Watch(setup)
    for epoch in range(len(columns["d_loss"])):
        watch.add(epoch, **{key: column[epoch] for key, column in columns.items()})
    return watch


@pytest.mark.parametrize(
    ("columns", "setup"),
    [
        (healthy_hinge(600), Setup("hinge")),
        (healthy_wgan(600), Setup("wgan", total_epochs=600)),
        (healthy_hinge(600) | {"d_loss": np.full(600, 0.7)}, Setup("nsgan")),
    ],
)
def test_it_says_what_the_judge_says(columns: dict[str, Floats], setup: Setup) -> None:
    watch = Watch(setup)
    for epoch in range(600):
        watch.add(epoch, **{key: column[epoch] for key, column in columns.items()})
        if epoch % 90 == 0:
            watch.verdict  # noqa: B018 - looked at on the way
    assert watch.verdict == judge(history(**columns), setup)


def test_what_was_not_measured_is_left_out() -> None:
    columns, watch = healthy_hinge(600), Watch(Setup("hinge"))
    fid = {499: 20.0, 519: 20.0, 539: 30.0, 559: 40.0, 579: 50.0, 599: 60.0}
    for epoch in range(600):
        watch.add(epoch, d_loss=columns["d_loss"][epoch], g_loss=columns["g_loss"][epoch])
        if epoch in fid:
            with pytest.raises(ValueError, match="epochs must increase"):
                watch.add(epoch, fid_score=fid[epoch])
    assert watch.verdict.word == "healthy"
    for i, value in enumerate(fid.values()):  # rows of their own, without losses
        watch.add(600 + i, fid_score=value)
    assert watch.verdict.causes == ("collapse",)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_a_divergence(odd: float) -> None:
    """Also where some rows have no losses, and where both are lost, with nothing beside them."""
    watch = watched(healthy_hinge(400), Setup("hinge"))
    watch.add(400, fid_score=30.0)
    watch.add(401, d_loss=odd, g_loss=odd)
    watch.add(402, d_loss=odd, g_loss=odd)
    assert watch.verdict.line().startswith("failing since epoch 401: divergence")


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_step_that_was_skipped_is_none(odd: float) -> None:
    columns = healthy_hinge(600)
    watch = Watch(Setup("hinge"))
    for epoch in range(600):
        d = odd if epoch in (300, 301, 450) else columns["d_loss"][epoch]
        watch.add(epoch, d_loss=d, g_loss=columns["g_loss"][epoch])
        assert (watch.verdict.word == "failing") is (epoch in (300, 301, 450))


def test_a_row_that_is_refused_changes_nothing() -> None:
    """A notebook's cell that is run again begins at the first epoch: a lost loss stays lost."""
    watch = watched(healthy_hinge(400), Setup("hinge"))
    watch.add(400, d_loss=math.nan)
    for epoch in (0, 400, 400.5, math.nan):
        with pytest.raises(ValueError, match="epoch"):
            watch.add(epoch, d_loss=1.0)
    assert watch.verdict.line().startswith("failing since epoch 400: divergence")
    watch.add(401, d_loss=1.0)
    with pytest.raises(ValueError, match="epochs must increase"):
        watch.add(401, g_loss=math.nan)
    watch.add(np.float32(402), g_loss=1.0)
    assert watch.verdict.word == "healthy"


def test_values_are_whatever_float_takes() -> None:
    watch = Watch()
    watch.add(0, d_loss=np.float32(1), g_loss=np.array(2.0), d_accuracy=True)
    watch.add(7, d_loss=1)
    assert watch.verdict.word == "not judged"


def test_a_mistyped_key_is_named_and_nothing_kept() -> None:
    watch = Watch()
    with pytest.raises(UserError, match=r"knows no loss_D: Watch\.KEYS lists what it reads"):
        watch.add(0, loss_D=1.0, g_loss=2.0)
    watch.add(0, g_loss=2.0)


def test_the_page_names_every_key() -> None:
    page = Path("docs/python.md").read_text()
    assert all(f"`{key}`" in page for key in KEYS)


@pytest.mark.parametrize("odd", ["Inception", "InceptionV3", "inception-v3-compat"])
def test_inception_by_another_name_is_refused(odd: str) -> None:
    """Its bands would not be used: a run that never trained would be healthy."""
    with pytest.raises(UserError, match="call it inception"):
        Setup("hinge", encoder=odd)
    for other in (None, "inception", "inception:mine", "digits", "clip"):
        Setup("hinge", encoder=other)


@pytest.mark.parametrize("odd", ["NSGAN", "wgan-gp", ""])
def test_a_mistyped_objective_is_named(odd: str) -> None:
    """It would be judged as one that is not known: a lost nsgan is healthy then."""
    with pytest.raises(UserError, match=rf"'{odd}' is none of wgan, wgan_gp, .*, lsgan"):
        Setup(odd)
