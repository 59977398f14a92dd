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
seeds=({seeds})
batch_sizes=({batch_sizes})
seed=${{seeds[SLURM_ARRAY_TASK_ID / {sizes}]:?$SLURM_ARRAY_TASK_ID is no run of this grid}}
batch_size=${{batch_sizes[SLURM_ARRAY_TASK_ID % {sizes}]}}
workdir={out}/batch_${{batch_size}}_seed_$seed
echo "$workdir"
cpus=${{SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}}
exec srun --ntasks=1 $cpus {train} --num_processes=1 \\
  --config.seed="$seed" --config.batch_size="$batch_size" --workdir "$workdir"
"""


def write_sweep(plan: Plan, path: Path) -> str:
    """Write the grid as a W&B sweep, each of whose runs is a grid of one.

    Returns:
      How to start it.

    Raises:
      UserError: settings of a run do not fit together, or the file cannot be written or hold them.
    """
    _check(plan)
    files = [f"--config={plan.config}", *plan.overrides, f"--out={plan.out}"]
    content = SWEEP.format(
        path=shlex.quote(str(path)),
        out=plan.out,
        conclude=_conclude(plan),
        seeds=", ".join(map(str, plan.seeds)),
        batch_sizes=", ".join(map(str, plan.batch_sizes)),
        flags="".join(f"  - {json.dumps(flag)}\n" for flag in files),
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
    train = [sys.executable, str(RUN), "--config", str(plan.config), *plan.overrides]
    content = JOB_ARRAY.format(
        runs=len(plan.cells()),
        path=shlex.quote(str(path)),
        conclude=_conclude(plan),
        name=_quoted(plan.out.name),
        last=len(plan.cells()) - 1,
        here=_quoted(str(Path.cwd())),
        output=_quoted(f"{str(plan.out).replace('%', '%%')}/slurm_%A_%a.log"),
        seeds=" ".join(map(str, plan.seeds)),
        batch_sizes=" ".join(map(str, plan.batch_sizes)),
        sizes=len(plan.batch_sizes),
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


def _conclude(plan: Plan) -> str:
    """The command that concludes from the grid's runs, and trains none."""
    sides = (("--seeds", plan.seeds), ("--batch_sizes", plan.batch_sizes))
    grid = [f"{flag}={','.join(map(str, side))}" for flag, side in sides]
    files = [f"--config={plan.config}", *plan.overrides, f"--out={plan.out}"]
    return shlex.join(["python", "run.py", "triage", *files, *grid, "--launcher=none"])


def _quoted(value: str) -> str:
    """A value as SLURM reads it in a `#SBATCH` line."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
