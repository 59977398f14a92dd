"""The verb `triage`: a grid of runs over seeds and batch sizes, and what its failures depend on.

Every run is an ordinary run in a folder of its own, so that a grid that was stopped goes on where
it was, and the experiment log in the grid's folder has a row for each.
"""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wgan_jax.config import difference, flat
from wgan_jax.diagnosis import read_log
from wgan_jax.errors import Interrupted, RunFailed, UserError, to_stderr
from wgan_jax.files import make_folder, replace_object, replace_text
from wgan_jax.grid import Cell, Plan
from wgan_jax.health.conclusion import Conclusion, Outcome, conclude, rate_factor
from wgan_jax.health.judge import NOT_JUDGED, judge
from wgan_jax.health.windows import LEAST
from wgan_jax.keys import encoder_mark
from wgan_jax.record import events, identity, ledger
from wgan_jax.settings import Settings, figures_by
from wgan_jax.side_by_side import log_of, side_by_side

Trainer = Callable[[Settings, Path], object]


def triage(
    plan: Plan,
    *,
    here: bool = True,
    train: Trainer | None = None,
    say: Callable[[str], None] = print,
) -> Conclusion:
    """Run what is left of the grid, and conclude.

    Args:
      here: whether this process runs it; else others do, and it concludes from what is there.
      train: trains one run in its folder; None: this project's training, side by side where there
        are several devices.
      say: gets each line of the table as it fills, and the conclusion.

    Raises:
      UserError: the experiment cannot be read, or the folder holds other runs; or, when all is
        said and kept, some did not come to their end.
    """
    for cell in plan.cells():
        _check(plan.workdir(cell), plan.settings(cell))
    rest: Iterator[tuple[Cell, str]]
    ended, left = _ended_and_left(plan)
    if not here:
        rest = ((cell, _so_far(plan.workdir(cell))) for cell in left)
    elif train is None and left and (abreast := _prepared(plan)) > 1:
        rest = _trained_abreast(plan, left, abreast)
    else:
        rest = _trained_in_turn(plan, left, train or _train)
    say(f"{len(plan.cells())} runs in {plan.out}")
    title = _title(plan.settings(plan.cells()[0]))
    say(f"{'batch':>7}  {'seed':>5}  {'verdict':<10}  {title}  cause")
    outcomes, missing = [], 0
    make_folder(plan.out)
    for cell, reason in itertools.chain(((cell, "") for cell in ended), rest):
        missing += bool(reason)
        outcome, line = _outcome(plan, cell, reason, len(title))
        outcomes.append(outcome)
        say(line)
    conclusion = conclude(outcomes)
    text = as_text(plan, conclusion, outcomes)
    say(text)
    replace_text(plan.out / "triage.txt", f"{text}\n")
    replace_object(plan.out / ledger.CONCLUSION, dataclasses.asdict(conclusion))
    if missing:
        what = f"{missing} of {len(outcomes)} runs have not come to their end"
        if here:
            raise UserError(f"{what}, as their lines say. Started again, they go on.")
        raise UserError(
            f"{what}: they wait, train, were stopped or were refused, as what they printed says. "
            "Started again, those that were stopped go on."
        )
    return conclusion


def _check(workdir: Path, settings: Settings) -> None:
    """Refuse a folder in which a run with other settings lies."""
    if not (workdir / "config.json").exists():
        return
    other = difference(identity.load_settings(workdir), settings)
    if other:
        name, (theirs, ours) = next(iter(other.items()))
        raise UserError(
            f"{workdir} holds a run with config.{name} = {theirs}, not {ours}: take another --out."
        )


def _prepared(plan: Plan) -> int:
    """How many runs go side by side. Refuses at once what would keep any run from starting.

    Where there are several devices, each run of a grid has one of them. A grid of one run, or one
    whose config gives a number of devices, uses them as without a grid.

    Raises:
      UserError: the images cannot be read or are fewer than a batch, or a batch does not divide.
    """
    import jax

    from wgan_jax import devices
    from wgan_jax.feeding import read_images

    largest = plan.settings(Cell(plan.seeds[0], max(plan.batch_sizes)))
    read_images(largest)
    several = len(plan.cells()) > 1 and largest.devices <= 1
    if several and jax.default_backend() in ("cpu", "gpu"):
        return jax.local_device_count()
    for size in plan.batch_sizes:
        devices.check_divides(size, devices.mesh(largest.devices))
    return 1


def _title(settings: Settings) -> str:
    """The heading of the best FIDs."""
    return f"best FID{encoder_mark(figures_by(settings))}"


def _ended_and_left(plan: Plan) -> tuple[list[Cell], list[Cell]]:
    """The runs that failed or have trained all their epochs, and those that have not."""
    epochs = plan.base.epochs
    ended = [cell for cell in plan.cells() if _ended(plan.workdir(cell), epochs)]
    return ended, [cell for cell in plan.cells() if cell not in ended]


def _ended(workdir: Path, epochs: int) -> bool:
    if not (workdir / "config.json").exists() or not events.ended(workdir):
        return False
    last = events.read(workdir)[-1]
    return bool(last["event"] == "failed" or last["epoch"] + 1 >= epochs)


def _so_far(workdir: Path) -> str:
    """How far a run came that has not ended, in words."""
    try:
        return f"trained up to epoch {read_log(workdir).history.epochs[-1]}"
    except UserError:
        return "no epoch yet"


# Each run when its turn is over, and why it did not come to its end, if so.


def _trained_abreast(plan: Plan, left: list[Cell], abreast: int) -> Iterator[tuple[Cell, str]]:
    for cell, code in side_by_side(plan, left, abreast):
        whole = _ended(plan.workdir(cell), plan.base.epochs)
        yield cell, "" if whole else f"exit code {code}: see {log_of(plan, cell)}"


def _trained_in_turn(plan: Plan, left: list[Cell], train: Trainer) -> Iterator[tuple[Cell, str]]:
    for number, cell in enumerate(left, len(plan.cells()) - len(left) + 1):
        reason, name = "", f"batch {cell.batch_size}, seed {cell.seed}"
        to_stderr(f"training {name}: run {number} of {len(plan.cells())}")
        try:
            train(plan.settings(cell), plan.workdir(cell))
        except RunFailed:  # of what, is in its folder, and the judge reads it there
            pass
        except Interrupted as error:
            raise Interrupted(f"{name} {error}", error.signum) from None
        except UserError as error:
            reason = str(error)
        yield cell, reason


def _train(settings: Settings, workdir: Path) -> None:
    """Train in this process. Runs of one batch size share a program, by jax's cache of them."""
    from wgan_jax.training import train

    train(settings, workdir, quiet=True)


def _outcome(plan: Plan, cell: Cell, reason: str, width: int) -> tuple[Outcome, str]:
    """What a run came to, and its line in the table.

    Args:
      reason: why it did not come to its end, "" if it did.
      width: of the column for its best FID.
    """
    place = f"{cell.batch_size:>7}  {cell.seed:>5}"
    if reason:
        line = f"{place}  {'not ended':<10}  {'-':>{width}}  {reason}"
        return Outcome(*cell, worked=False, judged=False), line
    log = read_log(plan.workdir(cell))
    verdict = judge(log.history, log.setup)
    failed = verdict.verdict == "failing"
    # Not as the judge has it: of a short run neither warnings nor a few FIDs say that it worked.
    judged = failed or len(log.history.measured("d_loss")[0]) >= LEAST
    word = verdict.verdict if judged else NOT_JUDGED
    cause, advice = (verdict.causes[0], verdict.advice[0]) if verdict.causes else ("", "")
    _, fid = log.history.measured("fid_score")
    best = f"{fid.min():.1f}" if len(fid) else "-"
    line = f"{place}  {word:<10}  {best:>{width}}  {cause}"
    return Outcome(*cell, judged and not failed, cause, advice, judged), line.rstrip()


def as_text(plan: Plan, conclusion: Conclusion, outcomes: Sequence[Outcome]) -> str:
    """The conclusion for people: the rates, the reason and how sure it is, and what to try."""
    lines = [""]
    for rate in conclusion.rates:
        share = f"{rate.worked} of {rate.runs} work"
        if rate.unjudged:
            share += f", {rate.unjudged} not judged"
        lines.append(
            f"batch {rate.batch_size:>6}: {share} (95 % interval {rate.low:.0%}-{rate.high:.0%})"
        )
    lines += [
        "",
        f"Depends on: {conclusion.cause}. {conclusion.text[0].upper()}{conclusion.text[1:]}.",
    ]
    if conclusion.unjudged:
        lines.append(
            "Not judged: runs that did not come to their end, and those that do not fail and have "
            f"fewer than {LEAST} values of d_loss. Started again, the first go on, and with "
            f"--config.epochs={LEAST} or more the others."
        )
    elif conclusion.cause not in ("nothing", "neither"):
        chance = f"chance alone would do this in {conclusion.p_value:.2g} of such grids"
        advice = "" if conclusion.sure else "; run more seeds before you rely on it"
        lines.append(f"How sure: {len(outcomes)} runs; {chance}{advice}.")
    commands = fixes(plan, conclusion, outcomes)
    if commands:
        failed = Counter((o.cause, o.advice) for o in outcomes if o.judged and not o.worked)
        (cause, advice), times = failed.most_common(1)[0]
        says = f"Most often it is {cause} ({times} of {failed.total()} failing runs): {advice}"
        lines += ["", textwrap.fill(says, 80)]
        lines += ["", "To try, in this order:"]
        for what, command in commands:
            lines += [f"  {what}", f"    {command}"]
    return "\n".join(lines)


def fixes(plan: Plan, conclusion: Conclusion, outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """(what, exact command) for a run that failed, what the grid points to first."""
    failed = [o for o in outcomes if o.judged and not o.worked]
    if not failed:
        return []
    worst = min(failed, key=lambda o: (o.batch_size, o.seed))
    settings = flat(plan.settings(Cell(worst.seed, worst.batch_size)))
    seed, size = f"seed={worst.seed}", f"batch_size={worst.batch_size}"
    rates = ("critic_optimizer.learning_rate", "generator_optimizer.learning_rate")

    def at(factor: float) -> list[str]:
        return [f"{name}={settings[name] * factor:.4g}" for name in rates]

    smaller = conclusion.good_batch or max(min(plan.batch_sizes) // 2, 1)
    found = []
    if smaller < worst.batch_size:  # of 1 there is no smaller
        command = plan.command("smaller_batch", seed, f"batch_size={smaller}")
        found.append((f"smaller batch: {smaller}", command))
    if conclusion.working and not conclusion.good_batch:
        works = conclusion.working[0]
        command = plan.command("working_batch", seed, f"batch_size={works}")
        found.insert(0, (f"a batch that works: {works}", command))
    if conclusion.good_batch:
        factor = rate_factor(worst.batch_size, conclusion.good_batch)
        what = f"learning rates scaled to the batch, x {factor:.3g}"
        found.append((what, plan.command("scaled_rate", seed, size, *at(factor))))
    found.append(("lower learning rates: a half", plan.command("lower_rate", seed, size, *at(0.5))))
    more = f"n_critic={2 * settings['n_critic']}"
    found.append(("larger n_critic: twice", plan.command("n_critic", seed, size, more)))
    if settings["critic.dropout"] > 0:
        less = f"critic.dropout={settings['critic.dropout'] / 2:.4g}"
        found.append(("less dropout: a half", plan.command("dropout", seed, size, less)))
    other = conclusion.good_seeds[0] if conclusion.good_seeds else max(plan.seeds) + 1
    word = "known-good" if conclusion.good_seeds else "another"
    another = (f"{word} seed: {other}", plan.command("seed", f"seed={other}", size))
    return [another, *found] if conclusion.cause == "seed" else [*found, another]
