"""The report: complete, from the files alone, fast, and robust to what is missing or damaged."""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import run as command_line
from tests.made_up_run import columns, make
from wgan_jax import report
from wgan_jax.bands import BANDS, LOG_LOSS, WASSERSTEIN, Band
from wgan_jax.diagnosis import setup_of
from wgan_jax.errors import UserError
from wgan_jax.gan.objectives import OBJECTIVES
from wgan_jax.health.judge import judge
from wgan_jax.health.verdict import Finding, Verdict
from wgan_jax.keys import BY_KEY, METRICS, ROUND_EXTRAS, ROUND_KEYS
from wgan_jax.record import curves, ledger, panels, sections, stability
from wgan_jax.record.pages import Page, Section, markdown, show
from wgan_jax.record.samples import REALS, grid_paths
from wgan_jax.record.sections import duration
from wgan_jax.record.webpage import MAX_GRIDS, choose, webpage
from wgan_jax.record.workdir import RunFolder, read

ROOT = Path(__file__).parent.parent


class Checker(HTMLParser):
    """Notes the addresses a page loads from, and tags left open."""

    VOID = ("meta", "link", "img", "input", "br", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        loads = ("src", "srcset") if tag == "a" else ("src", "srcset", "href")
        self.sources += [value or "" for name, value in attrs if name in loads]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def data_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found
    return dict(json.loads(found[1]))


@pytest.mark.slow
def test_the_report_of_12000_epochs_costs_little_and_no_jax(tmp_path: Path) -> None:
    """In processor time, and beside other work of this machine: neighbours make all of it dearer.

    A figure of 16 empty axes takes half of the time: 2.3 s where the report took 4.6.
    """
    report_code = """
import sys, run
assert run.main(["report", "--workdir", sys.argv[1]]) == 0
loaded = {"jax", "tensorflow", "wandb"} & set(sys.modules)
assert not loaded, loaded
"""
    figure_code = """
import sys
from matplotlib import pyplot
pyplot.subplots(4, 4)
pyplot.savefig(sys.argv[1], format="png")
"""

    def cost(code: str, path: Path) -> tuple[float, list[str]]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-W", "error", "-c", code, str(path)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return spent, done.stdout.split()

    folder = make(tmp_path / "long", 12_000)
    long, printed = cost(report_code, folder)
    short, _ = cost(report_code, make(tmp_path / "short", 400))
    figure, _ = cost(figure_code, tmp_path / "figure.png")
    assert long < 3.4 * figure
    assert long < 2 * short
    names = ("report.html", "report.md", "dashboard.png")
    assert printed == [str(folder / name) for name in names]
    assert (folder / "report.html").stat().st_size < 2_000_000


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 400)
    report.report(folder)
    html = (folder / "report.html").read_text()
    page = Checker()
    page.feed(html)
    assert page.open == []
    assert all(source.startswith("data:") for source in page.sources)
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", html)
    data = data_of(html)
    assert len(data["grids"]) == 6
    assert "prefers-color-scheme: dark" in html


def test_names_and_notes_that_are_not_utf8_are_shown_escaped(tmp_path: Path) -> None:
    folder, name = make(tmp_path / "a", 20, grids=0), os.fsdecode(b"caf\xe9")
    config = json.loads((folder / "config.json").read_text())
    config["data"]["name"] = f"folder:{name}"
    (folder / "config.json").write_text(json.dumps(config))
    ledger.write_note(folder, name)
    for path in (*report.report(folder)[:2], tmp_path / ledger.PAGE, tmp_path / ledger.TABLE):
        assert re.search(r"caf\\{1,2}udce9", path.read_text()), path


def test_every_numeric_chart_key_is_drawn(tmp_path: Path) -> None:
    run = read(make(tmp_path / "a", 400))
    drawn = {key for chart in curves.CHARTS for key, _, _ in chart.series}
    beside = {"d_accuracy", "g_accuracy", "critic_overfit"}
    shown = drawn - beside | {"inception_score_std", "generated_images"}
    assert shown == {m.key for m in METRICS}
    titles = [chart["title"] for chart in curves.charts(run.history, "inception")["charts"]]
    unseen = ("Accuracies", "Overfitting")  # of other losses, or other settings
    assert titles == [chart.title for chart in curves.CHARTS if chart.title not in unseen]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_are_defined_as_their_objective_has_them(run: RunFolder, objective: str) -> None:
    """The formulas of the report, computed, are what the game computes."""
    scores = np.array([-1.5, 0.2, 0.7])
    terms = {"d_loss_real": "real", "d_loss_fake": "fake", "g_loss": "generator"}
    run.config["objective"] = objective
    rows = table(run, "Protocol of each number").values()
    defined = {row["Key"]: row["Definition"] for row in rows}
    for key, term in terms.items():
        formula = defined[key].partition(", ")[2].replace("f(G(z))", "f").replace("f(x)", "f")
        formula = re.sub(r"^(-?)mean (.*)$", r"\1np.mean(\2)", formula)
        known = {"np": np, "f": scores, "log": np.log, "exp": np.exp, "max": np.maximum}
        game = getattr(OBJECTIVES[objective], term)(scores).mean()
        assert eval(formula, known) == pytest.approx(float(game), rel=1e-6), key
    unit = curves.unit_of("Generator loss", "inception", objective)
    assert unit.replace("−", "-") == "G = " + defined["g_loss"].partition(", ")[2]
    wasserstein = objective in WASSERSTEIN
    assert ("the critic's estimate" in defined["wasserstein_distance"]) is wasserstein
    assert any("critic's estimate" in note for note in report._notes(run)) is wasserstein


def test_the_docs_define_every_charted_metric_and_name_its_bands() -> None:
    lines = (ROOT / "docs" / "seeing_a_run.md").read_text().splitlines()
    for metric in METRICS:
        meaning = metric.meaning.replace("|", r"\|")
        begins = f"| `{metric.key}` | {metric.symbol} | {meaning} | {metric.summary} | "
        (line,) = (line for line in lines if line.startswith(begins))
        names = [band.name for band in BANDS if band.metric == metric.key]
        assert all(name in line for name in names), line


def test_accuracies_are_told_of_the_last_epochs_not_of_one_batch(tmp_path: Path) -> None:
    """The guide's signs of a collapse are accuracies that are stuck."""
    folder = make(tmp_path / "a", 400)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in lines:
        row |= {"d_accuracy": 0.6, "g_accuracy": 0.9}
    lines[-1] |= {"d_accuracy": 0.5, "g_accuracy": 0.0}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    config = json.loads((folder / "config.json").read_text()) | {"objective": "nsgan"}
    (folder / "config.json").write_text(json.dumps(config))
    html, text, _ = report.report(folder)
    last, _, rest = text.read_text().partition("## The last epochs")[2].partition("## ")
    assert "| d_accuracy | 0.6000 | 0.5000 | healthy |" in last
    assert "| g_accuracy | 0.9000 | 0.0000 | healthy |" in last
    assert "accuracy" not in rest.partition("## ")[0]
    charts = {c["title"]: c for c in data_of(html.read_text())["charts"]["charts"]}
    assert [len(series["y"]) for series in charts["Accuracies"]["series"]] == [400, 400]


def test_inceptions_bands_are_not_drawn_for_another_encoder(tmp_path: Path) -> None:
    history = read(make(tmp_path / "a", 400)).history
    for encoder, unit, limits in (
        ("inception", "lower is better", 4),
        ("digits", "by digits; lower is better", 0),
        ("none", "lower is better", 0),
    ):
        found = curves.charts(history, encoder)["charts"]
        (chart,) = [chart for chart in found if chart["title"] == "FID"]
        assert (chart["unit"], len(chart.get("limits", []))) == (unit, limits)
        units = {title: panel_unit for title, panel_unit, _ in panels.panels(encoder)}
        assert units["FID"] == unit


def test_thinned_curves_keep_the_extremes_and_the_last_value(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5000)
    history = read(folder).history
    history["d_loss"][1234] = 77.0
    found = curves.charts(history, "inception")
    (chart,) = [c for c in found["charts"] if c["title"] == "Critic loss"]
    (series,) = [s for s in chart["series"] if s["name"] == "D"]
    assert len(found["x"]) == curves.POINTS
    assert found["x"][-1] == 4999
    assert max(series["hi"]) == 77.0
    assert series["last"] == pytest.approx(columns(5000)["d_loss"][-1], rel=1e-4)
    middle = np.array(series["y"])
    assert np.all(np.array(series["lo"]) <= middle)
    assert np.all(middle <= np.array(series["hi"]))


def test_the_text_has_every_section(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 1000)
    report.report(folder)
    text = (folder / "report.md").read_text()
    for part in (
        "# a", "✅ stable", "5 of 5 stability indicators passed", "## Run summary",
        "## Configuration", "## Phases", "| warm-up | 0-19 |", "| final | 800-999 |",
        "## Stability indicators", "| Gradient signal | passed |", "## Final quality",
        "## Protocol of each number", "## Environment", "## Notes",
        "every 100 epochs and after the last; encoder inception, resize tf1",
        "| cat | dog |", "| 25.0% | 75.0% |",
    ):  # fmt: skip
        assert part in text, part
    rows = [line for line in text.splitlines() if line.startswith("| FID |")]
    assert "| good |" in rows[0]  # 60 + 300 e^-4: between 50 and 100


LEARNS = "behave as those of a run that learns"


def test_samples_are_named_only_where_they_were_measured(tmp_path: Path) -> None:
    for measure, parts in (
        (True, "losses, gradients and samples"),
        (False, "losses and gradients"),
    ):
        run = read(make(tmp_path / str(measure), 1000, measure=measure))
        reason = report.build(run).reason
        assert f"indicators passed; {parts} {LEARNS}." in reason


def test_a_run_of_which_an_indicator_failed_is_not_said_to_learn(tmp_path: Path) -> None:
    run = read(make(tmp_path / "a", 1000))
    run.history["wasserstein_distance"][800:] *= -1
    page = report.build(run)
    assert (page.verdict, page.reason) == ("stable", "4 of 5 stability indicators passed.")


@pytest.mark.parametrize(("n", "word"), [(99, "not judged"), (100, "stable")])
def test_a_run_of_a_few_epochs_is_not_judged(tmp_path: Path, n: int, word: str) -> None:
    folder = make(tmp_path / "short", n, measure=False)
    report.report(folder)
    mark = {"stable": "✅", "not judged": "–"}[word]
    assert f"**{mark} {word}**: " in (folder / "report.md").read_text()
    said = "losses are judged from 100 epochs on" in (folder / "report.md").read_text()
    assert said is (word == "not judged")


def test_without_an_encoder_nothing_is_measured_with_one(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 400)
    text = (folder / "metrics.jsonl").read_text().replace('"inception"', '"none"')
    (folder / "metrics.jsonl").write_text(text)
    report.report(folder)
    assert "none encoder" not in (folder / "report.md").read_text()
    assert "by none" not in (folder / "report.html").read_text()


def test_a_collapsed_run_is_called_so_with_what_to_do(tmp_path: Path) -> None:
    folder = make(tmp_path / "dead", 2000, measure=False)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    small = ("d_loss", "d_loss_real", "d_loss_fake", "wasserstein_distance", "generator_grad_norm")
    for row in rows[500:]:
        row.update({key: row[key] * 1e-10 for key in small})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = report.build(read(folder))
    assert page.verdict == "collapsed"
    (findings,) = [section for section in page.sections if section.title == "Findings"]
    assert all(len(row) == len(findings.header) for row in findings.rows)
    assert findings.rows[0][1] == "failing"
    report.report(folder)
    html = (folder / "report.html").read_text()
    assert html.index("<h2>Findings</h2>") < html.index("<h2>Curves</h2>")


def test_the_reason_says_since_when_as_the_verdict_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read(make(tmp_path / "a", 400))
    later = Finding("a", "divergence", "failing", "1 > 0", 1300, "mend", "book")
    earlier = Finding("b", "divergence", "failing", "1 > 0", 1200, "mend", "book", inferred=True)
    monkeypatch.setattr(report, "judge", lambda *_: Verdict.of([later, earlier]))
    reason = report.build(run).reason
    assert reason.endswith(" Foremost: divergence, since epoch 1,200.")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return read(make(tmp_path / "a", 400, grids=3))


def section(run: RunFolder, title: str) -> Section:
    """One of its report's."""
    page = report.build(run)
    (found,) = (section for section in page.sections if section.title == title)
    return found


def table(run: RunFolder, title: str) -> dict[str, dict[str, str]]:
    """The rows of one of its report's sections by their first cell, with the header's names."""
    found = section(run, title)
    return {row[0]: dict(zip(found.header, row, strict=True)) for row in found.rows}


def test_the_top_says_how_far_the_run_came_and_its_best_fid(run: RunFolder) -> None:
    run.config["epochs"] = 1000
    run.history["fid_score"][-1] = 99.0
    facts = dict(sections.facts(run))
    assert facts["Epochs"] == "400 of 1,000"
    assert facts["Best FID"] == f"{np.nanmin(run.history['fid_score']):.1f}"


def test_of_a_metric_the_last_and_the_best_are_said_with_their_epochs(run: RunFolder) -> None:
    fid, score = run.history["fid_score"], run.history["inception_score_mean"]
    fid[99], score[199] = 33.0, 8.0
    rows = table(run, "Final quality")
    assert rows["FID"]["Best"] == "33.0 at 99"
    assert rows["IS"]["Best"] == "8.00 at 199"
    assert rows["FID"]["Last"] == f"{fid[399]:.1f}"


def test_scores_of_another_encoder_have_no_band_and_a_caveat(run: RunFolder) -> None:
    for encoder, banded in (("inception", True), ("digits", False)):
        run.latest["encoder"] = encoder
        rows = table(run, "Final quality")
        assert all((rows[name]["Band"] != "–") is banded for name in ("FID", "IS"))
        assert ("not with published numbers" in section(run, "Final quality").note) is not banded


def test_the_band_of_pixel_variance_is_that_of_natural_images(run: RunFolder) -> None:
    for real, name in ((0.25, "healthy"), (0.15, "–")):
        measured = {"pixel_variance": np.array([0.3]), "real_pixel_variance": np.array([real])}
        run.history.extend(np.array([run.history.epochs[-1] + 1]), measured)
        assert table(run, "Final quality")["PixVar"]["Band"] == name


@pytest.mark.parametrize("band", BANDS, ids=lambda band: f"{band.metric} {band.name}")
def test_every_band_is_named_where_its_value_comes_last(run: RunFolder, band: Band) -> None:
    run.config["objective"] = "nsgan" if band.only == LOG_LOSS else "wgan"
    value = band.low + 0.1 if np.isinf(band.high) else (band.low + band.high) / 2
    at = run.history.epochs[-1] + np.arange(1, stability.WINDOW + 1)
    run.history.extend(at, {band.metric: np.full(len(at), value)})
    every_round = band.metric in (*ROUND_KEYS, *ROUND_EXTRAS)
    rows = table(run, "The last epochs" if every_round else "Final quality")
    symbol = BY_KEY[band.metric].symbol if band.metric in BY_KEY else band.metric
    assert rows[symbol]["Band"] == band.name


def test_the_last_epochs_are_medians_and_nothing_is_clipped_but_by_wgan(run: RunFolder) -> None:
    window = stability.WINDOW
    run.history["clip_ratio"][-window:] = np.linspace(0.1, 0.3, window)
    rows = table(run, "The last epochs")
    assert (rows["Clip%"]["Median"], rows["Clip%"]["Last"]) == ("20.0%", "30.0%")
    assert rows["Critic σ"]["Band"] == "–"
    run.config["objective"] = "wgan_gp"
    assert "Clip%" not in table(run, "The last epochs")


def test_the_judge_is_told_what_the_loop_knows(run: RunFolder) -> None:
    run.history["critic_weight_std"][:] = 0.02
    assert "clipping broken" in judge(run.history, setup_of(run)).causes  # clip 0.01
    run.config["objective"] = "wgan_gp"
    assert judge(run.history, setup_of(run)).findings == ()
    run.history["dg_ratio"][:] = 2.0
    assert "critic strong" in judge(run.history, setup_of(run)).causes
    run.config["epochs"] = 4000
    assert judge(run.history, setup_of(run)).findings == ()


def test_a_poor_fid_is_inceptions(run: RunFolder) -> None:
    run.history["fid_score"][:] = np.where(np.arange(400) % 20, np.nan, 400.0)
    assert "never trained" in judge(run.history, setup_of(run)).causes
    run.latest["encoder"] = "digits"
    assert "never trained" not in judge(run.history, setup_of(run)).causes


@pytest.mark.parametrize(("n", "few"), [(2047, True), (2048, False)])
def test_notes_say_what_to_mistrust(run: RunFolder, n: int, few: bool) -> None:
    run.config["quality.n"] = n
    run.environment["earlier"] = [{}, {}]
    notes = "\n".join(report.build(run).notes)
    assert "started 3 times" in notes
    assert (f"FID from {n:,} samples: below 2,048" in notes) is few


def test_settings_that_were_changed_come_first_with_their_default(run: RunFolder) -> None:
    run.config["n_critic"] = 7
    rows = list(table(run, "Configuration").values())
    defaults = {row["Setting"]: row["Default, where another"] for row in rows}
    assert (defaults["n_critic"], defaults["seed"]) == ("5", "")
    unchanged = [not default for default in defaults.values()]
    assert unchanged == sorted(unchanged)


def test_phases_tell_of_both_players(run: RunFolder) -> None:
    run.history["d_loss"][:] = np.arange(400) / 100
    run.history["g_loss"][:] = -np.arange(400.0)
    last = table(run, "Phases")["final"]
    assert (last["D end"], last["D per epoch"]) == ("3.9750", "+1.00e-02")
    assert (last["G end"], last["G per epoch"]) == ("-397.500", "-1.00e+00")


def test_the_summary_says_how_long_it_trained_and_an_event_what_it_rests_on(run: RunFolder) -> None:
    run.history["epoch_time"][:] = 0.5
    assert table(run, "Run summary")["Training time"]["Value"] == "3 min 20 s"
    run.events.append({"event": "verdict", "epoch": 9, "causes": ["dead critic", "collapse"]})
    assert table(run, "Events")["verdict"]["Evidence"] == "causes: dead critic, collapse"


def test_an_indicator_that_failed_is_said_so(run: RunFolder) -> None:
    run.history["wasserstein_distance"][320:] *= -1
    rows = table(run, "Stability indicators")
    assert rows["Wasserstein distance"]["Result"] == "failed"
    assert rows["Gradient signal"]["Result"] == "passed"


@pytest.mark.parametrize(
    ("verdict", "sign", "tone"),
    [
        ("stable", "✅", "good"),
        ("unstable", "⚠️", "warn"),
        ("collapsed", "❌", "bad"),
        ("not judged", "–", "quiet"),
    ],
)
def test_a_verdict_has_its_sign_and_its_tone(verdict: str, sign: str, tone: str) -> None:
    page = Page("a", verdict, "so", [], [])
    assert f"**{sign} {verdict}**" in markdown(page)
    assert f'class="verdict {tone}"' in webpage(page, {"x": [], "charts": []}, [])


def html_of(section: Section) -> str:
    """A page of this section alone."""
    return webpage(Page("a", "stable", "so", [], [section]), {"x": [], "charts": []}, [])


def test_the_page_folds_what_is_reference_and_colours_what_failed() -> None:
    rows: list[tuple[str, ...]] = [("failed",), ("passed",)]
    html = html_of(Section("Long", ("a",), rows, long=True))
    assert "<details><summary><h2>Long</h2></summary>" in html
    assert '<span class="mark bad">failed</span>' in html
    assert '<span class="mark good">passed</span>' in html
    assert "<section><h2>Short</h2>" in html_of(Section("Short", ("a",), rows))


@pytest.mark.parametrize(
    ("text", "link"),
    [("https://x/a", True), ("javascript://x/%0aalert(1)", False), ("see https://x", False)],
)
def test_an_address_alone_is_a_link(text: str, link: bool) -> None:
    assert ("<a " in html_of(Section("a", ("a",), [(text,)]))) is link


def test_the_page_shows_the_last_samples_first(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 40, grids=3)
    html = webpage(Page("a", "stable", "so", [], []), {}, grid_paths(folder / "samples"))
    last = base64.b64encode((folder / "samples" / "epoch_000040.png").read_bytes()).decode()
    shown = f'<img id="grid" src="data:image/png;base64,{last}"'
    assert f'{shown} alt="Grid of samples after 40 epochs">' in html


@pytest.mark.parametrize("kept", [True, False])
def test_real_images_are_shown_where_the_run_kept_some(tmp_path: Path, kept: bool) -> None:
    folder = make(tmp_path / "a", 40, grids=3)
    path = folder / "samples" / REALS
    source = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    if not kept:
        path.unlink()
    html = report.report(folder)[0].read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.+?)</script>', html)
    assert data is not None
    assert json.loads(data[1])["reals"] == (source if kept else None)
    assert ('<button id="real"' in html) is kept


def test_files_that_are_missing_or_damaged_cost_only_themselves(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 200, grids=0, measure=False)
    (folder / "config.json").write_text("{")
    (folder / "environment.json").unlink()
    (folder / "summary.json").write_text("[1]")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('garbage\n{"epoch": 200, "d_loss": "Infinity"}\n{"epoch": 3}\n{"epoch": 20')
    run = read(folder)
    assert run.history.epochs[-1] == 200
    assert run.history["d_loss"][-1] == np.inf
    assert run.faults == [
        "metrics.jsonl has 2 damaged lines, left out.",
        "config.json is damaged and was left out.",
        "summary.json is damaged and was left out.",
    ]
    report.report(folder)
    text = (folder / "report.md").read_text()
    assert "metrics.jsonl has 2 damaged lines" in text
    assert data_of((folder / "report.html").read_text())["grids"] == []


@pytest.mark.parametrize("name", ["config.json", "environment.json"])
def test_objects_nested_beyond_all_measure_are_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = make(tmp_path / "a", 20, grids=0)
    (folder / name).write_text("[" * 100_000)
    assert command_line.main(["report", "--workdir", str(folder)]) == 0
    assert command_line.main(["log", "--runs", str(tmp_path), "--compare", "a", "a"]) == 0
    assert command_line.main(["log", "--runs", str(tmp_path), "--note", "a", "read"]) == 0
    assert f"{name} is damaged and was left out." in (folder / "report.md").read_text()
    assert capsys.readouterr().err == ""


def test_the_command_can_be_pasted_back(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5, grids=0)
    command = ["run.py", "--config", "my file.py", "--config.critic.filters=(8, 16)"]
    (folder / "environment.json").write_text(json.dumps({"command": command}))
    row: dict[str, str] = dict(sections.environment(read(folder)).rows)
    assert shlex.split(row["command"]) == command


def test_values_of_another_kind_are_left_out_and_said(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 200, grids=0)
    odd: dict[str, dict[str, object]] = {
        "config.json": {"epochs": "x", "clip": [1], "objective": 5, "quality_every": None},
        "environment.json": {"versions": 5, "command": 5, "earlier": True, "untracked": "x"},
        "metrics.jsonl": {"class_shares": {"cat": "x"}},
    }
    for name in ("config.json", "environment.json"):
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | odd[name]))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 200, **odd["metrics.jsonl"]}) + "\n")
    report.report(folder)
    wanted = {
        f"{name}: its {key} is damaged and was left out." for name in odd for key in odd[name]
    }
    assert set(read(folder).faults) == wanted
    text = (folder / "report.md").read_text()
    assert all(f"- {fault}" in text.replace("\\", "") for fault in wanted)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_run_just_begun_has_a_report(tmp_path: Path, n: int) -> None:
    folder = make(tmp_path / "a", n, grids=1)
    assert len(report.report(folder)) == 3


def test_what_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no metrics\.jsonl"):
        report.report(tmp_path)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(UserError, match="holds no epoch yet"):
        report.report(tmp_path)


EVIL = '<script>alert(1)</script> & | "quoted" `x`'


def test_nothing_in_a_name_or_a_setting_becomes_markup() -> None:
    section = Section(EVIL, (EVIL, "b"), [(EVIL, "http://x/?a=<b>&c")], EVIL)
    page = Page(EVIL, EVIL, EVIL, [(EVIL, EVIL)], [section, section], [EVIL])
    charts = {"x": [0], "charts": [{"title": EVIL, "unit": "", "series": []}]}
    html = webpage(page, charts, [])
    assert "<script>alert" not in html
    assert data_of(html)["charts"] == charts
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    text = markdown(page)
    row = text.splitlines()[-5]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\\<script>" in text


def test_of_many_grids_a_bounded_number_and_size_is_embedded(tmp_path: Path) -> None:
    paths = [tmp_path / f"epoch_{i:06d}.png" for i in range(100)]
    for path in paths:
        path.write_bytes(b"x" * 1000)
    assert len(choose(paths)) == MAX_GRIDS
    for path in paths:
        path.write_bytes(b"x" * 1_000_000)
    chosen = choose(paths)
    assert (len(chosen), chosen[0], chosen[-1]) == (6, paths[0], paths[-1])


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("d_loss", 5.48594, "5.4859"),
        ("d_loss", 1.2e-9, "1.2e-09"),
        ("d_loss", 0.0, "0.0000"),
        ("fid_score", 333.07, "333.1"),
        ("fid_score", 0.0312, "0.0312"),
        ("fid_score", 0.849, "0.849"),
        ("wasserstein_distance", 0.01229, "0.0123"),
        ("clip_ratio", 0.00012, "0.012%"),
        ("clip_ratio", 0.0512, "5.1%"),
        ("kid_mean", float("nan"), "–"),
    ],
)
def test_numbers_keep_what_tells(key: str, value: float, text: str) -> None:
    assert show(key, value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.25, "4.2 s"), (64, "1 min 04 s"), (7500, "2 h 05 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("n", [1, 50, 200, 3000])
def test_the_dashboard_is_drawn_at_any_length(tmp_path: Path, n: int) -> None:
    folder = make(tmp_path / "a", n, grids=0, measure=n > 100, clip_ratio=n == 50)
    report.report(folder)
    with Image.open(folder / "dashboard.png") as picture:
        assert picture.size == (1500, 1400)
        pixels = np.asarray(picture.convert("L"))
    for row in range(4):  # ink in each of the twelve panels
        for column in range(3):
            part = pixels[160 + 300 * row : 400 + 300 * row, 90 + 480 * column : 480 + 480 * column]
            assert part.min() < 200


def test_a_long_curve_is_thinned_and_shows_every_spike() -> None:
    values = np.sin(np.arange(50_001) / 5_000)
    values[[17, 33_333]] = 9.0, -9.0
    axis = Figure().subplots()
    panels.curve(axis, np.arange(50_001), values)
    x, y = axis.lines[0].get_data()
    assert len(x) == 2 * panels.STRETCHES
    assert (y.max(), y.min()) == (9.0, -9.0)
    assert abs(x[y.argmin()] - 33_333) < 50_001 / panels.STRETCHES
