"""The verb `diagnose`: what a person and a program get to see."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import run
from benchmarks import diagnosis as benchmark
from tests import made_up_run
from tests.made_up_losses import healthy_hinge, history, noise, sparse
from wgan_jax import diagnosis
from wgan_jax.health.judge import Setup, judge
from wgan_jax.health.logs.runlog import RunLog
from wgan_jax.health.rules import RULES
from wgan_jax.health.verdict import Finding, Verdict
from wgan_jax.history import History
from wgan_jax.record.writers import JsonLinesWriter
from wgan_jax.recording import Recorder
from wgan_jax.settings import Settings


def write_csv(path: Path, columns: dict[str, np.ndarray], every: int = 10) -> Path:
    """A CSV with an empty cell where nothing was measured."""
    rows = [",".join(["step", *columns])]
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        cells = ("" if np.isnan(value) else repr(float(value)) for value in values)
        rows.append(",".join([str(every * i), *cells]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def collapsed() -> dict[str, np.ndarray]:
    """Sound until row 600 of 1000; then the critic makes no error, and FID leaves its best."""
    columns = healthy_hinge()
    columns["d_loss"][600:] *= 0.01
    columns["g_loss"][600:] += 2
    fid = np.concatenate([np.linspace(120, 30, 30), np.linspace(50, 200, 20)])
    return {**columns, "FID": sparse(1000, 20, fid)}


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_failing_run_is_told_with_evidence_onset_and_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_csv(tmp_path / "mine.csv", collapsed())
    assert run.main(["diagnose", str(log), "--objective", "hinge"]) == 0
    lines = lines_of(capsys)
    assert lines[0] == "mine.csv: failing since step 6190"
    text = "\n".join(lines)
    best = "times its best median (33.1 at 5790)"
    for part in ("collapse, from step 6190", best, "critic overpowered", "advice"):
        assert part in text
    assert max(map(len, lines)) <= 80


def test_a_healthy_run_is_one_line_and_what_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_csv(tmp_path / "mine.csv", healthy_hinge())
    assert run.main(["diagnose", str(log)]) == 0
    lines = lines_of(capsys)
    assert lines[0] == "mine.csv: healthy"
    assert "objective hinge (guessed)" in " ".join(lines)
    assert len(lines) <= 3


def test_json_is_one_object_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_csv(tmp_path / "mine.csv", collapsed())
    assert run.main(["diagnose", str(log), "--json"]) == 0
    (line,) = lines_of(capsys)
    said = json.loads(line)
    assert list(said)[:5] == ["file", "verdict", "onset_epoch", "causes", "advice"]
    assert (said["file"], said["verdict"], said["onset_epoch"]) == (str(log), "failing", 6190)
    assert said["causes"][0] == "collapse"
    assert said["advice"]
    assert (said["objective"], said["guessed"]) == ("hinge", True)
    assert (said["rows"], said["first_epoch"], said["last_epoch"]) == (1000, 0, 9990)
    assert said["columns"] == {
        "d_loss": "d_loss",
        "g_loss": "g_loss",
        "fid_score": "FID",
        "epoch": "step",
    }
    found = said["findings"][0]
    assert list(found) == ["rule", "cause", "verdict", "evidence", "onset_epoch"]
    assert (found["rule"], found["onset_epoch"]) == ("fid_departed", 6190)
    assert said["notes"] == []


def test_until_judges_as_if_the_run_had_come_no_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_csv(tmp_path / "mine.csv", collapsed())
    assert run.main(["diagnose", str(log), "--until", "5990", "--json"]) == 0
    (line,) = lines_of(capsys)
    assert json.loads(line)["verdict"] == "healthy"
    assert run.main(["diagnose", str(log), "--until", "5990"]) == 0
    assert "from step 0 to 5990, 600 rows" in " ".join(lines_of(capsys))
    assert run.main(["diagnose", str(log), "--until", "-1"]) == 2


def test_a_folder_is_a_table_and_what_is_no_log_is_named_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "bad.csv", collapsed())
    write_csv(tmp_path / "a_run_with_a_name_that_is_far_too_long.csv", healthy_hinge())
    (tmp_path / "index.csv").write_text("run,label\nbad,collapsed\ngood,healthy\n")
    (tmp_path / "notes.txt").write_text("not a log")
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    (workdir / "metrics.jsonl").write_text('{"epoch": 0, "d_loss": 1}\n{"epoch": 1, "d_loss": 1}\n')
    assert run.main(["diagnose", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert [line.split()[:2] for line in out.splitlines()[2:5]] == [
        ["a_run_with_a_name_that_…", "healthy"],
        ["bad", "failing"],
        ["workdir", "not"],
    ]
    assert out.splitlines()[-1] == "3 runs: 1 failing, 0 warning, 1 healthy, 1 not judged"
    assert len(err.splitlines()) == 1
    assert "index.csv has no column for d_loss" in err


def test_of_texts_in_a_folder_those_with_losses_are_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loss_log.txt").write_text("(epoch: 1, iters: 5) D_A: 1 G_A: 2\n" * 3)
    (tmp_path / "train.log").write_text("step 1 d_loss: 1 g_loss: 2\nstep 2 d_loss: 1 g_loss: 2\n")
    (tmp_path / "requirements.txt").write_text("torch==2.0\nnumpy\n")
    assert run.main(["diagnose", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["loss_log", "train"]
    assert out.splitlines()[-1].startswith("2 runs")
    assert err == ""


def test_runs_of_a_folder_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dot in a folder's name begins no suffix; a suffix is said of files that differ in it."""
    row = '{"epoch": 0, "d_loss": 1}\n{"epoch": 1, "d_loss": 1}\n'
    for name in ("lr_0.001", "lr_0.0005", "v1.5"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(row)
    for name in ("a.json", "a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(row)
    assert run.main(["diagnose", str(tmp_path)]) == 0
    names = [line.split()[0] for line in lines_of(capsys)[2:8]]
    assert names == ["a.json", "a.jsonl", "b", "lr_0.0005", "lr_0.001", "v1.5"]


def test_long_names_of_runs_in_a_table_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate in ("0.001", "0.002"):
        write_csv(tmp_path / f"cifar_wgan_batch_256_learning_rate_{rate}.csv", healthy_hinge())
    assert run.main(["diagnose", str(tmp_path)]) == 0
    lines = lines_of(capsys)
    names = [line.split()[0] for line in lines[2:4]]
    assert names == ["cifa…learning_rate_0.001", "cifa…learning_rate_0.002"]
    assert max(map(len, lines)) <= 80


def test_what_is_said_of_a_log_holds_for_those_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"x": np.linspace(2, 1, 200), "y": np.ones(200)}
    write_csv(tmp_path / "A.CSV", columns)
    flags = ["--map", "d_loss=x,g_loss=y", "--objective", "lsgan", "--until", "990", "--json"]
    assert run.main(["diagnose", str(tmp_path), *flags]) == 0
    said = json.loads(lines_of(capsys)[0])
    assert (said["objective"], said["guessed"], said["last_epoch"]) == ("lsgan", False, 990)


def test_the_experiment_log_and_a_grids_conclusion_are_no_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "mine.csv", healthy_hinge())
    for name in ("experiments.csv", "triage.json"):
        (tmp_path / name).write_text("run,d_loss\na,1.0\nb,2.0\n")
    assert run.main(["diagnose", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("1 runs: ")
    assert err == ""


def test_a_folder_as_json_is_one_line_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        write_csv(tmp_path / f"{name}.csv", healthy_hinge())
    assert run.main(["diagnose", str(tmp_path), "--json"]) == 0
    files = [json.loads(line)["file"] for line in lines_of(capsys)]
    assert files == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]


def test_columns_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = healthy_hinge()
    renamed = {"adv-1": columns["d_loss"], "adv-2": columns["g_loss"]}
    log = write_csv(tmp_path / "mine.csv", renamed)
    assert run.main(["diagnose", str(log)]) == 2
    assert "--map d_loss=COLUMN" in capsys.readouterr().err
    assert run.main(["diagnose", str(log), "--map", "d_loss=adv-1,g_loss=adv-2"]) == 0
    assert "measured: d_loss (from adv-1), g_loss (from adv-2)" in " ".join(
        " ".join(lines_of(capsys)).split()
    )


@pytest.mark.parametrize(
    ("rows", "verdict", "note"),
    [
        (99, "not judged", "the losses are judged from 100"),
        (100, "healthy", "noise is judged from 500"),
    ],
)
def test_a_run_too_short_to_judge_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int, verdict: str, note: str
) -> None:
    log = write_csv(tmp_path / "mine.csv", healthy_hinge(rows))
    assert run.main(["diagnose", str(log)]) == 0
    said = " ".join(" ".join(lines_of(capsys)).split())
    assert f"mine.csv: {verdict} " in said
    assert note in said
    assert run.main(["diagnose", str(log), "--json"]) == 0
    said = json.loads(lines_of(capsys)[0])
    assert said["verdict"] == verdict
    assert note in said["notes"][0]


@pytest.mark.parametrize(("rows", "said"), [(499, True), (500, False)])
def test_noise_is_judged_from_500_values_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int, said: bool
) -> None:
    assert run.main(["diagnose", str(write_csv(tmp_path / "a.csv", healthy_hinge(rows)))]) == 0
    assert ("its noise is judged" in " ".join(lines_of(capsys))) is said


def log_of(**known: Any) -> RunLog:
    """A WGAN's log with wide weights, a strong critic and late, poor FIDs."""
    columns = {"d_loss": 1 + 0.1 * noise(1000), "dg_ratio": np.full(1000, 2.0)}
    columns |= {"critic_weight_std": np.full(1000, 0.02), "fid_score": np.full(1000, np.nan)}
    columns["fid_score"][-12:] = 400
    return RunLog(Path("a.csv"), history(**columns), {}, Setup("wgan", **known))


@pytest.mark.parametrize(
    ("known", "rule", "found"),
    [
        ({}, "critic_bound_broken", False),
        ({"clip": 0.01}, "critic_bound_broken", True),
        ({}, "critic_strong", True),
        ({"total_epochs": 9000}, "critic_strong", False),
        ({}, "never_trained", True),
        ({"encoder": "digits"}, "never_trained", False),
    ],
)
def test_the_judge_is_told_all_that_the_log_says(
    known: dict[str, Any], rule: str, found: bool
) -> None:
    log = log_of(**known)
    verdict = judge(log.history, log.setup)
    assert (rule in {f.rule for f in verdict.findings}) is found


def test_what_several_rules_found_is_said_once_with_the_first_onset() -> None:
    late = Finding("a", "divergence", "failing", "1 > 0", 50, "mend", "a book")
    early = Finding("b", "divergence", "failing", "2 > 0", 30, "mend", "a book", inferred=True)
    mild = Finding("c", "plateau", "warning", "3 > 0", 10, "wait", "a paper")
    verdict = Verdict.of([late, early, mild])
    text = diagnosis.as_text(log_of(), verdict)
    assert text.count("failing: divergence, from epoch 30") == 1
    assert text.count("source    a book") == 1
    assert json.loads(diagnosis.as_line(log_of(), verdict))["advice"] == ["mend"]


@pytest.mark.parametrize(("every", "enough"), [(10, True), (15, False)])
def test_all_that_speak_of_a_run_agree_whether_it_was_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], every: int, enough: bool
) -> None:
    """Here of 60 epochs, with 6 or 4 values of FID."""
    folder = made_up_run.make(tmp_path / "a", 60, grids=0, measure=False)
    (folder / "metrics.jsonl").unlink()
    lines = JsonLinesWriter(folder / "metrics.jsonl")
    lines.write_chunk(np.arange(60), made_up_run.columns(60), made_up_run.quality(60, every))
    assert run.main(["diagnose", str(folder), "--json"]) == 0
    word = json.loads(lines_of(capsys)[0])["verdict"]
    assert word == ("healthy" if enough else "not judged")
    record = Recorder(Settings(epochs=60), folder, quiet=True)
    record.take_back_to(60)
    record.summarize("finished")
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["stability"] != "not judged") is enough
    assert run.main(["report", "--workdir", str(folder)]) == 0
    assert ("**– not judged**" not in (folder / "report.md").read_text()) is enough


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("g_loss", [1.0, 1.0, 1.0, 1.0, np.inf], "failing since"),
        ("fid", [50.0, 49.0, 48.0, 47.0, np.nan], "not judged"),
        ("fid", [50.0, 49.0, 48.0, 47.0, 46.0], "healthy"),
    ],
)
def test_a_short_run_is_judged_where_something_is_found_or_fid_is_enough(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    column: str,
    values: list[float],
    said: str,
) -> None:
    columns = {"d_loss": np.ones(5), column: np.array(values)}
    assert run.main(["diagnose", str(write_csv(tmp_path / "mine.csv", columns))]) == 0
    assert lines_of(capsys)[0].startswith(f"mine.csv: {said}")


def test_a_run_is_judged_by_its_fid_alone_where_there_is_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fid = [*np.linspace(200, 20, 20), *np.linspace(30, 90, 10)]
    lines = (json.dumps({"results": {"fid50k_full": value}}) for value in fid)
    log = tmp_path / "metric-fid50k_full.jsonl"
    log.write_text("\n".join(lines) + "\n")
    assert run.main(["diagnose", str(log)]) == 0
    said = " ".join(" ".join(lines_of(capsys)).split())
    assert "failing: collapse" in said
    assert "judged by the samples alone" in said


def test_only_what_has_a_number_is_called_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = healthy_hinge(200)
    columns |= {"fid": np.full(200, np.nan), "recall": np.full(200, -1.0)}
    assert run.main(["diagnose", str(write_csv(tmp_path / "mine.csv", columns))]) == 0
    said = " ".join(" ".join(lines_of(capsys)).split())
    assert "measured: d_loss, g_loss note:" in said


def test_damage_in_a_run_folder_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the report does it: one torn line ends no diagnosis, nor that of a grid."""
    rows = [json.dumps({"epoch": i, "d_loss": -1.0 - i, "g_loss": 0.5}) for i in range(4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*rows[:2], '{"epo', *rows[2:], ""]))
    (tmp_path / "config.json").write_text("{")
    assert run.main(["diagnose", str(tmp_path)]) == 0
    text = " ".join(" ".join(lines_of(capsys)).split())
    assert "4 rows" in text
    assert "metrics.jsonl has 1 damaged line" in text
    assert "config.json is damaged" in text


def test_of_many_columns_those_of_samples_are_named_and_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = healthy_hinge(200)
    names = ("d_loss_real", "d_loss_fake", "critic_grad_norm", "generator_grad_norm", "dg_ratio")
    weights = ("critic_weight_std", "clip_ratio", "wasserstein_distance")
    columns |= dict.fromkeys((*names, *weights, "fid_score", "pixel_variance"), np.ones(200))
    assert run.main(["diagnose", str(write_csv(tmp_path / "mine.csv", columns))]) == 0
    said = " ".join(" ".join(lines_of(capsys)).split())
    found = re.search(r"measured: (fid_score, [\w, ]+) and (\d+) more", said)
    assert found
    listed, more = found[1].split(", "), found[2]
    assert listed[1] == "pixel_variance"
    assert set(listed) < set(columns)
    assert len(listed) + int(more) == 12


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nowhere.csv"], "does not exist"),
        ([".", "--objective", "gan"], "none of wgan"),
        ([], "required"),
    ],
)
def test_errors_are_one_line_and_exit_2(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["diagnose", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert part in err
    assert len(err.splitlines()) == 1


def test_losses_of_no_known_objective_are_said_to_be_judged_by_fewer_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_csv(tmp_path / "mine.csv", {"d_loss": healthy_hinge(1000)["d_loss"]})
    assert run.main(["diagnose", str(log)]) == 0
    assert "The losses fit no objective we know" in capsys.readouterr().out
    assert run.main(["diagnose", str(log), "--objective", "hinge"]) == 0
    assert "no objective we know" not in capsys.readouterr().out


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["diagnose", str(tmp_path)]) == 2
    assert "holds no run's log" in capsys.readouterr().err


def test_a_log_of_several_megabytes_is_read_block_by_block(tmp_path: Path) -> None:
    from wgan_jax.health.logs import runlog, tables

    columns = healthy_hinge(20_000)
    log = write_csv(tmp_path / "mine.csv", columns, every=1)
    assert log.stat().st_size > 500_000
    whole: History = runlog.read(log).history
    block, tables._BLOCK = tables._BLOCK, 10_000
    try:
        parts = runlog.read(log).history
    finally:
        tables._BLOCK = block
    np.testing.assert_array_equal(whole["d_loss"], columns["d_loss"])
    np.testing.assert_array_equal(parts["d_loss"], columns["d_loss"])


DOCS = Path(__file__).parent.parent / "docs" / "diagnosis.md"


def test_the_documented_table_of_rules_is_the_one_in_force() -> None:
    rows = [
        line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    in_force = [
        f"| `{rule.name}` | {rule.metric} | {rule.band} | {rule.cause} | "
        f"{rule.verdict}{' *' * (rule.yields > 0)} |"
        for rule in RULES
    ]
    assert rows[: len(RULES)] == in_force


def test_documented_thresholds_are_those_in_force() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, (_, threshold) in benchmark.TUNED.items():
        assert f"| `{name}` | {threshold:g}" in text
