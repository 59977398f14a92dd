"""The command line: parses, and calls a verb of `wgan_jax`; `python run.py --help` lists them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from wgan_jax.errors import UserError

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


def train(argv: Sequence[str]) -> None:
    """Train (the command without a name)."""
    commands = "".join(f"  {name:<10}{verb.__doc__}\n" for name, verb in VERBS.items())
    args = parser("run.py", TRAIN_HELP + commands)
    args.add_argument("--config", metavar="FILE", help="experiment file, with get_config()")
    args.add_argument("--config.FIELD", metavar="VALUE", help="override a field of the experiment")
    args.add_argument("--workdir", type=Path, help="default: runs/<name of the experiment's file>")
    args.add_argument("--dry_run", action="store_true", help="show what would run, and exit")
    args.add_argument("--list_fields", action="store_true", help="show every config field, and exit")
    options, rest = args.parse_known_args(argv)
    raise NotImplementedError(options, rest)


DIAGNOSE_EXAMPLES = """\
examples:
  python run.py diagnose losses.csv
  python run.py diagnose log.jsonl --map d_loss=loss/D,g_loss=loss/G --objective hinge
  python run.py diagnose runs/ --until 5000
  python run.py diagnose runs/ --json

The exit code is 0 whatever the verdict, and 2 where nothing could be read.
"""


def diagnose(argv: Sequence[str]) -> None:
    """Say what is wrong with a run, of any GAN, from its log."""
    args = parser("run.py diagnose", diagnose.__doc__ or "", DIAGNOSE_EXAMPLES)
    args.add_argument("path", type=Path, help="CSV, TSV, JSON, JSON lines; run folder; or a folder")
    args.add_argument("--map", default="", metavar="KEY=COLUMN,...", help="name the columns")
    args.add_argument("--objective", help="wgan, wgan_gp, nsgan, hinge or lsgan; default: guessed")
    args.add_argument("--until", type=int, metavar="EPOCH", help="judge as if it had come so far")
    args.add_argument("--json", action="store_true", help="one JSON object a line")
    options = args.parse_args(argv)
    from wgan_jax import diagnosis
    from wgan_jax.health.names import parse_map

    diagnosis.diagnose(
        options.path,
        columns=parse_map(options.map),
        objective=options.objective,
        until=options.until,
        as_json=options.json,
    )


Verb = Callable[[Sequence[str]], None]
VERBS: dict[str, Verb] = {"diagnose": diagnose}


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit code is 2 for what the user can mend."""
    verb = VERBS[argv[0]] if argv and argv[0] in VERBS else None
    try:
        verb(argv[1:]) if verb else train(argv)
    except UserError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
