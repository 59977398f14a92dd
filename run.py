"""The command line: parses, and calls a verb of `wgan_jax`; `python run.py --help` lists them."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from wgan_jax import supervision
from wgan_jax.errors import Followed, Interrupted, OneLine, RunFailed, UserError, printable
from wgan_jax.files import expanded

TRAIN_HELP = """\
Train a GAN, or go on with a run that was stopped.

  python run.py --config experiments/digits_wgan.py
  python run.py --config experiments/cifar_wgan.py --config.batch_size=256
  python run.py --config experiments/cifar_wgan.py --dry_run

Other commands (python run.py COMMAND --help):
"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. See {self.prog} --help.")


def parser(prog: str, description: str, examples: str = "") -> Parser:
    """A parser that prints its texts as they are written and takes no abbreviations."""
    return Parser(
        prog=prog,
        description=description,
        epilog=examples,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def to_path(text: str) -> Path:
    """A path on the command line, its `~` replaced: shells leave that of `--workdir=~/run`.

    An empty one (a shell variable never set) is no folder `.`.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    return expanded(text)


def train(argv: Sequence[str]) -> None:
    """Train (the command without a name)."""
    commands = "".join(f"  {name:<10}{verb.__doc__}\n" for name, verb in VERBS.items())
    args = parser("run.py", TRAIN_HELP + commands)
    args.add_argument("--config", type=to_path, metavar="FILE", help="experiment: get_config()")
    args.add_argument("--config.FIELD", metavar="VALUE", help="override a field of the experiment")
    args.add_argument(
        "--workdir", type=to_path, help="default: runs/<name of the experiment's file>"
    )
    several = args.add_argument_group("on several hosts (see docs/scaling.md)")
    several.add_argument("--coordinator", metavar="HOST:PORT", help="address of the first process")
    several.add_argument("--num_processes", type=int, metavar="N", help="how many; 1: this alone")
    several.add_argument("--process_id", type=int, metavar="I", help="which this is, from 0")
    args.add_argument("--dry_run", action="store_true", help="show what would run, and exit")
    args.add_argument(
        "--profile", action="store_true", help="trace a few chunks, print what takes time"
    )
    args.add_argument("--fields", action="store_true", help="show every config field, and exit")
    options, overrides = args.parse_known_args(argv)
    if options.fields:
        show_fields()
        return
    if options.config is None:
        raise UserError(
            "--config is missing: e.g. --config experiments/digits_wgan.py. See --help."
        )
    from wgan_jax import experiment

    settings = experiment.read(options.config, overrides)
    if options.dry_run:
        from wgan_jax.preview import preview

        preview(settings)
        return
    workdir = options.workdir or Path("runs", options.config.stem)
    rank = supervision.rank(options.coordinator, options.num_processes, options.process_id)
    supervised = supervision.supervised()
    if rank is not None and not supervised:
        sys.exit(supervision.supervise([sys.executable, __file__, *argv], workdir))
    if rank is not None:
        from wgan_jax import hosts

        hosts.join(rank.coordinator, rank.processes, rank.process)
    from wgan_jax.training import train

    train(settings, workdir, profile=options.profile)


def show_fields() -> None:
    """Every field of a config: name, default, meaning."""
    from wgan_jax.config import describe

    for name, default, meaning in describe():
        print(f"--config.{name}={default!r}\n    {meaning}")


DIAGNOSE_EXAMPLES = """\
examples:
  python run.py diagnose losses.csv
  python run.py diagnose runs/Nov26_12-00-00_host    # PyTorch's SummaryWriter
  python run.py diagnose log.jsonl --map d_loss=loss/D,g_loss=loss/G
  python run.py diagnose log.jsonl --objective hinge
  python run.py diagnose runs/ --until 5000
  python run.py diagnose runs/ --json

The exit code is 0 whatever the verdict, and 2 where nothing could be read.
"""


def diagnose(argv: Sequence[str]) -> None:
    """Say what is wrong with a run, of any GAN, from its log."""
    args = parser("run.py diagnose", diagnose.__doc__ or "", DIAGNOSE_EXAMPLES)
    args.add_argument("path", type=to_path, help="table, JSON, printed lines, events; or a folder")
    args.add_argument(
        "--map", default="", metavar="KEY=COLUMN,...", help="which column has which number"
    )
    args.add_argument("--objective", help="wgan, wgan_gp, nsgan, hinge or lsgan; default: guessed")
    args.add_argument(
        "--until", type=int, metavar="EPOCH", help="judge as if the run had ended here"
    )
    args.add_argument("--json", action="store_true", help="one JSON object a line")
    options = args.parse_args(argv)
    from wgan_jax import diagnosis
    from wgan_jax.health.logs.names import parse_map

    diagnosis.diagnose(
        options.path,
        columns=parse_map(options.map),
        objective=options.objective,
        until=options.until,
        as_json=options.json,
    )


REPORT_EXAMPLES = """\
  python run.py report --workdir runs/digits_wgan

Works on a run that is finished, stopped or still training, from its files.
"""


def report(argv: Sequence[str]) -> None:
    """Write report.html, report.md and dashboard.png of a run."""
    args = parser("run.py report", report.__doc__ or "", REPORT_EXAMPLES)
    args.add_argument("--workdir", type=to_path, required=True, help="the run's folder")
    options = args.parse_args(argv)
    from wgan_jax import report as verb

    for path in verb.report(options.workdir):
        print(printable(str(path)))


LOG_EXAMPLES = """\
  python run.py log
  python run.py log --sort best_fid
  python run.py log --compare digits_wgan digits_wgan_2
  python run.py log --note digits_wgan "Baseline"
"""


def log(argv: Sequence[str]) -> None:
    """Show the experiment log, or two of its runs side by side."""
    args = parser("run.py log", log.__doc__ or "", LOG_EXAMPLES)
    args.add_argument("--runs", type=to_path, default=Path("runs"), help="folder of workdirs")
    args.add_argument("--sort", default="date", help="any column of experiments.csv")
    args.add_argument("--reverse", action="store_true", help="greatest first")
    args.add_argument(
        "--compare", nargs=2, metavar="RUN", help="two runs, and a PNG of their curves"
    )
    args.add_argument("--note", nargs=2, metavar=("RUN", "TEXT"), help="note something on a run")
    options = args.parse_args(argv)
    from wgan_jax import logbook

    if options.compare:
        table, path = logbook.compare(options.runs, *options.compare)
        print(f"{table}\n\nCurves: {printable(str(path))}")
        return
    if options.note:
        logbook.note(options.runs, *options.note)
    print(logbook.show(options.runs, options.sort, options.reverse))


WEIGHTS_EXAMPLES = """\
examples:
  python run.py weights                            the public file, once (96 MB)
  python run.py weights --url https://mirror/dir/  or $WGAN_JAX_WEIGHTS_URL
  python run.py weights --from-file pt_inception-2015-12-05-6726825d.pth
  python run.py weights --from-file mine.pth --sha256 DIGEST --name mine

Weights are kept in $WGAN_JAX_CACHE, else in the user's cache directory, with
their SHA-256.
"""


def weights(argv: Sequence[str]) -> None:
    """Bring Inception's weights to this machine, which turns FID on."""
    args = parser("run.py weights", weights.__doc__ or "", WEIGHTS_EXAMPLES)
    args.add_argument(
        "--from-file", type=to_path, metavar="FILE", help="a .pth or .npz on this disk"
    )
    args.add_argument("--url", default="", help="a mirror: the file, or a folder ending in /")
    args.add_argument("--sha256", default="", metavar="DIGEST", help="what the file must have")
    args.add_argument("--name", default="", help="what other weights than the public are called")
    options = args.parse_args(argv)
    from wgan_jax.keys import PUBLIC_WEIGHTS
    from wgan_jax.quality import weights as kept

    if options.from_file:
        record = kept.take(options.from_file, options.name, options.sha256)
    else:
        record = kept.fetch(options.url, options.name or PUBLIC_WEIGHTS, options.sha256)
    print(f"{record.name}: {kept.paths(record.name)[0]}\nSHA-256 {record.sha256}")


EVALUATE_EXAMPLES = """\
examples:
  python run.py evaluate --workdir runs/cifar_wgan --checkpoint best --n 50000
  python run.py evaluate --images samples/ --reference photographs/
  python run.py evaluate --images a.npz --reference tfds:cifar10/train --json
  python run.py evaluate --images a/ --reference stats.npz --protocol pytorch

A set is a folder of pictures, an .npz of uint8 images, a statistics file (.npz
with mu and sigma), digits, or tfds:<name>/<split>. docs/metrics.md says what
each number is.
"""


def evaluate(argv: Sequence[str]) -> None:
    """Measure a run, or compare two sets: FID, KID, IS, precision, recall."""
    args = parser("run.py evaluate", evaluate.__doc__ or "", EVALUATE_EXAMPLES)
    args.add_argument("--workdir", type=to_path, help="a run; writes quality.json and .png there")
    args.add_argument("--checkpoint", default="latest", help="latest, best, healthy or an epoch")
    args.add_argument("--n", type=int, default=0, help="samples; default: the run's quality.n")
    args.add_argument("--images", metavar="SET", help="the set judged, without a run")
    args.add_argument("--reference", metavar="SET", help="what it is compared with")
    args.add_argument(
        "--encoder",
        default="",
        help="inception or digits; default: the run's, for two sets inception",
    )
    args.add_argument("--weights", default="", metavar="NAME", help="as run.py weights keeps them")
    args.add_argument(
        "--resize", default="", help="tf1 or pytorch; default: the run's, for two sets tf1"
    )
    args.add_argument(
        "--protocol", default="", help="how a plain statistics file was made: tf1 or pytorch"
    )
    args.add_argument("--dtype", default="", help="float32 (default) or bfloat16")
    args.add_argument("--batch-size", type=int, help="default: the run's, for two sets 64")
    args.add_argument(
        "--image-size", type=int, default=0, help="crop and resize to squares of this size"
    )
    args.add_argument(
        "--save-reference", type=to_path, metavar="FILE", help="keep the reference's statistics"
    )
    args.add_argument("--json", action="store_true", help="one line of JSON")
    options = args.parse_args(argv)
    from wgan_jax import evaluation, measurement

    how = evaluation.Options.of(options)
    if options.workdir and not (options.images or options.reference):
        refuse(args, options, "--workdir", "protocol", "image_size", "save_reference")
        found = evaluation.evaluate_run(options.workdir, options.checkpoint, options.n, how)
    elif options.images and options.reference and not options.workdir:
        from wgan_jax.comparing import evaluate_sets

        refuse(args, options, "--images", "checkpoint", "n")
        found = evaluate_sets(options.images, options.reference, how, options.save_reference)
    else:
        raise UserError("give --workdir RUN, or --images SET --reference SET. See --help.")
    print(measurement.json_line(found) if options.json else measurement.table(found))


def refuse(args: Parser, options: argparse.Namespace, beside: str, *names: str) -> None:
    """Refuse flags, by their names in `options`, that would change nothing beside another."""
    for name in names:
        if getattr(options, name) != args.get_default(name):
            raise UserError(f"--{name.replace('_', '-')} does not go with {beside}: leave it out.")


SAMPLE_EXAMPLES = """\
examples:
  python run.py sample --workdir runs/cifar_wgan --n 64 --grid
  python run.py sample --workdir runs/cifar_wgan --n 10000 --out samples/
  python run.py sample --workdir runs/cifar_wgan --checkpoint best
  python run.py sample --workdir runs/cifar_wgan --n 6 --interpolate
  python run.py sample --workdir runs/cifar_wgan --n 10 --nearest
"""


def sample(argv: Sequence[str]) -> None:
    """Write pictures from a run's checkpoint."""
    args = parser("run.py sample", sample.__doc__ or "", SAMPLE_EXAMPLES)
    args.add_argument("--workdir", type=to_path, required=True, help="the run")
    args.add_argument("--n", type=int, default=64, help="how many; of rows, how many rows")
    args.add_argument("--checkpoint", default="latest", help="latest, best, healthy or an epoch")
    args.add_argument(
        "--out", type=to_path, help="folder, or for one picture a .png; default: in the run"
    )
    args.add_argument("--seed", type=int, default=0, help="other pictures for another seed")
    args.add_argument("--grid", action="store_true", help="all in one picture")
    args.add_argument("--interpolate", action="store_true", help="rows from one latent to another")
    args.add_argument(
        "--nearest", action="store_true", help="rows of a sample and the real images most like it"
    )
    options = args.parse_args(argv)
    given = vars(options)
    if given.pop("nearest"):
        from wgan_jax import neighbours

        refuse(args, options, "--nearest", "grid", "interpolate")
        neighbours.show(options.workdir, options.n, options.checkpoint, options.out, options.seed)
        return
    from wgan_jax import sampling

    sampling.sample(**given)


TRIAGE_EXAMPLES = """\
examples:
  python run.py triage --config experiments/digits_wgan.py
  python run.py triage --config FILE --seeds 0:8 --batch_sizes 64,256
  python run.py triage --config FILE --launcher slurm

A grid that was stopped goes on with the same command. By --launcher it is
trained here, or by W&B's agents or SLURM, for which a file is written; with
none nothing is trained, and it concludes from the runs that are there.
"""


def triage(argv: Sequence[str]) -> None:
    """Say whether runs fail for their seed or batch size, from a grid."""
    args = parser("run.py triage", triage.__doc__ or "", TRIAGE_EXAMPLES)
    args.add_argument("--config", type=to_path, metavar="FILE", required=True, help="experiment")
    args.add_argument("--config.FIELD", metavar="VALUE", help="override a field of the experiment")
    args.add_argument("--seeds", default="0:8", help="0:8 or 1,2,3")
    args.add_argument("--batch_sizes", default="64,256,1024", help="64,256,1024")
    args.add_argument("--out", type=to_path, help="default: runs/triage_<name of the experiment>")
    who = ("here", "wandb", "slurm", "none")
    args.add_argument("--launcher", choices=who, default="here", help="who trains the runs")
    options, overrides = args.parse_known_args(argv)
    from wgan_jax import grid, launchers
    from wgan_jax import triage as verb

    plan = grid.Plan(
        options.config,
        tuple(overrides),
        grid.whole_numbers(options.seeds, "--seeds"),
        grid.whole_numbers(options.batch_sizes, "--batch_sizes"),
        options.out or Path("runs") / f"triage_{options.config.stem}",
    )
    if options.launcher == "wandb":
        print(launchers.write_sweep(plan, plan.out / "sweep.yaml"))
    elif options.launcher == "slurm":
        print(launchers.write_job_array(plan, plan.out / "grid.sbatch"))
    else:
        verb.triage(plan, here=options.launcher == "here")


Verb = Callable[[Sequence[str]], None]
VERBS: dict[str, Verb] = {
    "weights": weights,
    "evaluate": evaluate,
    "sample": sample,
    "diagnose": diagnose,
    "triage": triage,
    "report": report,
    "log": log,
}


def command(name: str) -> Verb:
    """The verb of that name, or a UserError that names the nearest."""
    if name not in VERBS:
        near = difflib.get_close_matches(name, [*VERBS, "train"], n=1)
        hint = f" Did you mean {near[0]}?" if near and near != [name] else ""
        if near == ["train"]:
            hint += " Training has no name: run.py --config FILE."
        elif name.endswith(".py"):
            hint = f" To train by it: run.py --config {name}."
        raise UserError(f"{name!r} is not a command.{hint} See run.py --help.")
    return VERBS[name]


def main(argv: Sequence[str]) -> int:
    """Run one command and return the exit code.

    2 for what the user can mend, 1 for a run that failed, 128 + signal for one that was stopped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign is shown a `?`
    try:
        return _run(argv)
    finally:
        _flush()


def _run(argv: Sequence[str]) -> int:
    named = bool(argv) and not argv[0].startswith("-")
    try:
        if named:
            command(argv[0])(argv[1:])
        else:
            train(argv)
    except Followed:
        return 2
    except UserError as error:
        return _say(error, 2)
    except RunFailed as error:
        return _say(error, 1)
    except Interrupted as error:
        return _say(error, 128 + error.signum)
    except BrokenPipeError:  # what reads our output has seen enough
        pass
    except OSError as error:
        return _say(OneLine(f"{error.filename or 'the system'}: {error.strerror or error}."), 2)
    except KeyboardInterrupt:
        if named:
            return _say(f"{argv[0]} was stopped before its end.", 130)
        return _say("stopped before the first chunk; nothing was trained.", 130)
    return 0


def _say(error: Exception | str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        print(f"run.py: {error}", file=sys.stderr)
    return code


def _flush() -> None:
    """Let nothing be left for Python to say at its end to a reader that has gone."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
