"""What the charts of the page and the panels of the dashboard show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tests.made_up_run import make
from wgan_jax.bands import BANDS
from wgan_jax.history import History
from wgan_jax.record import curves, figures, panels
from wgan_jax.record.workdir import read


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return read(make(tmp_path_factory.mktemp("runs") / "a", 400, grids=0)).history


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    found: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, _: found.append(figure))
    return found


@pytest.mark.parametrize(
    ("verdict", "colour"),
    [
        ("stable", panels.GOOD),
        ("unstable", panels.WARN),
        ("collapsed", panels.BAD),
        ("not judged", panels.QUIET),
    ],
)
def test_the_dashboard_says_the_verdict_in_its_colour_and_why(
    history: History, kept: list[Figure], verdict: str, colour: str
) -> None:
    figures.dashboard(history, Path("x.png"), "a", verdict, "the reason")
    texts = {text.get_text(): text for text in kept[0].texts}
    assert to_hex(texts[verdict].get_bbox_patch().get_facecolor()) == colour
    assert "the reason  ·  400 epochs" in texts


def test_each_of_two_runs_has_its_curve_over_all_epochs(
    history: History, kept: list[Figure]
) -> None:
    runs = [("a", history.until(79)), ("b", history.until(119))]
    figures.overlay(runs, Path("x.png"), ("g_loss",))
    axis = kept[0].axes[0]
    assert len(axis.lines) == 2
    for line, (name, shown) in zip(axis.lines, runs, strict=True):
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_ydata(), shown["g_loss"])
    assert axis.get_xlim()[1] > 119


def drawn(
    history: History, title: str, encoder: str = "inception", objective: str | None = None
) -> Axes:
    """The axis of a panel."""
    axis = Figure().subplots()
    (draw,) = (draw for name, _, draw in panels.panels(encoder, objective) if name == title)
    draw(axis, history)
    return axis


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("Critic loss", ("d_loss_real", "d_loss_fake", "d_loss")),
        ("Generator loss", ("g_loss",)),
        ("D/G ratio", ("dg_ratio",)),
        ("Clip%", ("clip_ratio",)),
        ("Gradient norms", ("critic_grad_norm", "generator_grad_norm")),
        ("Critic weights", ("critic_weight_mean",)),
        ("Generator weights", ("generator_weight_mean",)),
        ("FID", ("fid_score",)),
        ("Inception Score", ("inception_score_mean",)),
        ("Pixel variance", ("pixel_variance",)),
    ],
)
def test_a_panel_draws_what_it_is_called(
    history: History, title: str, keys: tuple[str, ...]
) -> None:
    axis = drawn(history, title)
    for key, line in zip(keys, axis.lines, strict=False):  # limits are lines too
        np.testing.assert_array_equal(line.get_ydata(), history.measured(key)[1])


def test_gradient_norms_are_named_by_their_network(history: History) -> None:
    labels = [line.get_label() for line in drawn(history, "Gradient norms").lines]
    assert labels == ["critic", "generator"]


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_weights_are_drawn_with_their_spread(history: History, player: str) -> None:
    axis = drawn(history, f"{player.title()} weights")
    mean, std = (history[f"{player}_weight_{what}"] for what in ("mean", "std"))
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx((mean - std).min())
    assert heights.max() == pytest.approx((mean + std).max())


def test_the_best_fid_is_marked_and_its_bands_are_inceptions(history: History) -> None:
    epochs, fid = history.measured("fid_score")
    for encoder, limits in (("inception", True), ("digits", False)):
        axis = drawn(history, "FID", encoder)
        assert axis.lines[1].get_xydata().tolist() == [[epochs[fid.argmin()], fid.min()]]
        assert (len(axis.texts) > 0) is limits


def test_limits_of_both_scores_are_inceptions(history: History) -> None:
    for encoder, limits in (("inception", True), ("digits", False)):
        charts = {c["title"]: c for c in curves.charts(history, encoder)["charts"]}
        for title in ("FID", "Inception Score"):
            assert ("limits" in charts[title]) is limits


@pytest.mark.parametrize(
    ("objective", "limits"), [("wgan", True), ("wgan_gp", True), ("nsgan", False), ("hinge", False)]
)
def test_limits_of_the_ratio_are_those_of_wasserstein_losses(
    history: History, objective: str, limits: bool
) -> None:
    """At log loss a critic with a ratio above 1 is weak, not strong."""
    found = curves.charts(history, "inception", objective)["charts"]
    (chart,) = (chart for chart in found if chart["title"] == "D/G ratio")
    assert ("limits" in chart, "band" in chart, chart["log"]) == (limits, limits, True)
    assert (len(drawn(history, "D/G ratio", objective=objective).texts) > 0) is limits


def test_of_dark_images_half_of_their_own_variance_is_the_limit(history: History) -> None:
    dark = history.until(399)
    dark.extend(np.array([400]), {"real_pixel_variance": np.array([0.06])})
    (chart,) = (c for c in curves.charts(dark, "none")["charts"] if c["title"] == "Pixel variance")
    assert "band" not in chart
    ((limit, words, _),) = chart["limits"]
    assert (limit, words) == (0.03, "mode collapse below 0.03, half of the data's")
    assert [text.get_text() for text in drawn(dark, "Pixel variance").texts] == [words]


def test_limits_that_the_charts_draw_are_those_of_the_bands() -> None:
    edges = {(band.metric, edge) for band in BANDS for edge in (band.low, band.high)}
    bands = {(band.metric, band.low, band.high, band.name) for band in BANDS}
    named = {band.metric for band in BANDS}
    for chart in curves.CHARTS:
        key, keys = chart.series[0][0], {key for key, _, _ in chart.series}
        if key in named:
            known = {edge for metric, edge in edges if metric in keys}
            assert {limit[0] for limit in chart.style["limits"]} <= known
            if "band" in chart.style:
                assert (key, *chart.style["band"]) in bands


def test_axes_are_as_their_units_say(history: History) -> None:
    found = curves.charts(history, "inception")["charts"]
    logs = {chart["title"] for chart in found if chart.get("log")}
    assert logs == {"D/G ratio", "Gradient norms", "Loss variance"}
    assert [chart["title"] for chart in found if chart.get("percent")] == ["Clip%"]


def test_curves_of_the_critics_loss_carry_their_names(history: History) -> None:
    found = {c["title"]: c["series"] for c in curves.charts(history, "inception")["charts"]}
    last = {series["name"]: series["last"] for series in found["Critic loss"]}
    for name, key in (("R", "d_loss_real"), ("F", "d_loss_fake"), ("D", "d_loss")):
        assert last[name] == pytest.approx(history[key][-1], rel=1e-4)


def test_a_stretch_is_its_median_and_a_score_has_its_spread(tmp_path: Path) -> None:
    made = read(make(tmp_path / "a", 2400, grids=0)).history
    made["d_loss"][1] = 1e6  # one of four
    found = {c["title"]: c["series"] for c in curves.charts(made, "inception")["charts"]}
    assert found["Critic loss"][2]["y"][0] == pytest.approx(np.median(made["d_loss"][:4]), rel=1e-4)
    score = found["Inception Score"][0]
    np.testing.assert_allclose(np.subtract(score["hi"], score["y"]), 0.1, rtol=1e-2)
    np.testing.assert_allclose(np.subtract(score["y"], score["lo"]), 0.1, rtol=1e-2)


def test_a_name_that_the_font_lacks_is_boxes_without_a_word(
    history: History, tmp_path: Path
) -> None:
    """Where matplotlib would warn of each sign, and a warning is an error here."""
    figures.dashboard(history, tmp_path / "x.png", "実験 émoji $a_1$", "stable")
    assert figures._plain("実験 émoji $a_1$") == r"□□ émoji \$a_1\$"


@pytest.mark.parametrize(
    ("objective", "drawn"), [("wgan", True), (None, True), ("wgan_gp", False), ("nsgan", False)]
)
def test_the_share_at_the_boundary_is_drawn_where_weights_are_clipped(
    history: History, objective: str | None, drawn: bool
) -> None:
    titles = [chart["title"] for chart in curves.charts(history, "digits", objective)["charts"]]
    assert ("Clip%" in titles) is drawn
