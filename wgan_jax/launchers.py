"""A grid as a file by which others start its runs: W&B's agents, or SLURM."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from wgan_jax.errors import UserError
from wgan_jax.files import absolute, replace_text
from wgan_jax.grid import RUN, Plan

SWEEP = """\
# A sweep of this grid: `wandb sweep {path}`, then `wandb agent SWEEP` on every machine that shares
# {out}. When all agents are done, this concludes from the runs there:
#   {conclude}
program: run.py
method: grid
parameters:
  seeds:
    values: [{seeds}]
  batch_sizes:
    values: [{batch_sizes}]
command:
  - ${{env}}
  - python
  - ${{program}}
  - triage
{flags}  - ${{args}}
"""

JOB_ARRAY = """\
#!/bin/bash
# The {runs} runs of this grid, each a job by itself. Start them with what your cluster asks for:
#   sbatch --gpus=1 --time=12:00:00 --partition=... {path}
# Submitted again, it goes on with those that were stopped. This says how far they are, and
# concludes once they have ended:
#   {conclude}
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --chdir={here}
#SBATCH --output={output}
#SBATCH --open-mode=append
#SBATCH --requeue
names=({names})
seeds=({seeds})
batch_sizes=({batch_sizes})
run=$SLURM_ARRAY_TASK_ID
workdir={out}/${{names[run]:?$run is no run of this grid}}
echo "$workdir"
cpus=${{SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}}
exec srun --ntasks=1 $cpus {train} --num_processes=1 \\
  --config.seed="${{seeds[run]}}" --config.batch_size="${{batch_sizes[run]}}" --workdir "$workdir"
"""


def write_sweep(plan: Plan, path: Path) -> str:
    """Write the grid as a W&B sweep, each of whose runs is a grid of one.

    Returns:
      How to start it.

    Raises:
      UserError: settings of a run do not fit together, or the file cannot be written or hold them.
    """
    _check(plan)
    content = SWEEP.format(
        path=shlex.quote(str(path)),
        out=plan.out,
        conclude=_conclude(plan),
        seeds=", ".join(map(str, plan.seeds)),
        batch_sizes=", ".join(map(str, plan.batch_sizes)),
        flags="".join(f"  - {json.dumps(flag)}\n" for flag in _grid(plan)),
    )
    replace_text(path, content)
    return f"Written: {path}. Start it with: wandb sweep {shlex.quote(str(path))}"


def write_job_array(plan: Plan, path: Path) -> str:
    """Write the grid as a SLURM job array, each of whose jobs trains one run.

    Returns:
      How to start it, and how to conclude.

    Raises:
      UserError: settings of a run do not fit together, or the file cannot be written or hold them.
    """
    _check(plan)
    if "\\" in str(absolute(plan.out)):
        raise UserError(
            f"SLURM writes no log into {plan.out}, for its backslash: take another --out."
        )
    cells = plan.cells()
    train = [sys.executable, str(RUN), "--config", str(plan.config), *plan.overrides]
    content = JOB_ARRAY.format(
        runs=len(cells),
        path=shlex.quote(str(path)),
        conclude=_conclude(plan),
        name=_quoted(plan.out.name),
        last=len(cells) - 1,
        here=_quoted(str(Path.cwd())),
        output=_quoted(f"{str(plan.out).replace('%', '%%')}/slurm_%A_%a.log"),
        names=" ".join(cell.name for cell in cells),
        seeds=" ".join(str(cell.seed) for cell in cells),
        batch_sizes=" ".join(str(cell.batch_size) for cell in cells),
        out=shlex.quote(str(plan.out)),
        train=shlex.join(train),
    )
    replace_text(path, content)
    return (
        f"Written: {path}. Start it, with what your cluster asks for, and conclude:\n"
        f"  sbatch --gpus=1 {shlex.quote(str(path))}\n  {_conclude(plan)}"
    )


def _check(plan: Plan) -> None:
    """Refuse here what would keep a run from starting there."""
    for cell in plan.cells():
        plan.settings(cell)
    if "\n" in f"{Path.cwd()}{_conclude(plan)}":  # the rest of a comment would be run
        raise UserError("A setting or a path has a line break, which such a file cannot have.")


def _grid(plan: Plan) -> list[str]:
    """The flags of a grid's command but for its sides."""
    return [f"--config={plan.config}", *plan.overrides, f"--out={plan.out}"]


def _conclude(plan: Plan) -> str:
    """The command that concludes from the grid's runs, and trains none."""
    flags = (("--seeds", plan.seeds), ("--batch_sizes", plan.batch_sizes))
    sides = [f"{flag}={','.join(map(str, side))}" for flag, side in flags]
    return shlex.join(["python", "run.py", "triage", *_grid(plan), *sides, "--launcher=none"])


def _quoted(value: str) -> str:
    """A value as SLURM reads it in a `#SBATCH` line."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
