"""Weights & Biases: the 23 charts, a writer, and a mirror that cannot hold training back.

The package `wandb` is imported only when a run is begun. Everything that may hang (logging in, a
server, the end of the upload) happens on the mirror's own thread and has a time limit; whatever
fails is said once, and what was logged stays in `<workdir>/wandb`, from where `wandb sync` uploads.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import netrc
import os
import secrets
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlparse

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError, first_line, to_stderr
from wgan_jax.files import read_object, replace_object
from wgan_jax.keys import BY_KEY, METRICS
from wgan_jax.record.background import Mirror
from wgan_jax.record.writers import Columns, Extras, rows
from wgan_jax.settings import WandbSettings

MODES = ("disabled", "offline", "online")
PREFIX = "extra/"  # what is logged beside the 23 charts
INIT_SECONDS, FINISH_SECONDS, SPARE_SECONDS = 20.0, 30.0, 10.0
ROOM = 64 * 1024  # bytes on the disk below which W&B's file is not trusted to be whole
# W&B collects on its own the program's arguments, git's remote and changes, host and user, in which
# there may be passwords; `environment.json` has what a run needs of that, without them.
PRIVATE: dict[str, Any] = {
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_disable_meta": True,
}
RUN_FILE = "wandb_run.json"  # id and address of the run, in its workdir, and where that lies

Say = Callable[[str], None]


def init_wandb(
    name: str,
    config: Mapping[str, Any] | None = None,
    project: str = "wgan-jax",
    *,
    entity: str = "",
    mode: str = "",
    workdir: Path | str | None = None,
    say: Say = to_stderr,
    beside: bool = False,
) -> Any:
    """Begin a W&B run, or go on with the one that a workdir began; returns the `wandb.Run`.

    Where the server does not take an online run within `INIT_SECONDS`, it is begun offline and
    `say` is told: the call does not fail for the network's sake.

    Args:
      name: the run's name on W&B.
      config: settings to show there.
      project: project the run belongs to.
      entity: team or user; empty: your default.
      mode: disabled, offline or online; empty: see `choose_mode`.
      workdir: the run's folder; the run's id is kept in it, so that a resumed run is the same one.
        A copy of a folder gets an id of its own. None: every call begins a run of its own, whose
        files are in `wandb/` where the program runs.
      say: prints one line to the user.
      beside: leave alone a run of the program's own, which stays `wandb.run`.
    """
    mode = choose_mode(mode, say)
    keeps, workdir = workdir is not None, Path(workdir or ".")
    known = read_run(workdir) if keeps and not _copied(workdir) else {}
    arguments = {
        "project": project,
        "entity": entity or None,
        "name": name,
        "id": str(known.get("id") or secrets.token_hex(4)),
        "dir": str(workdir.resolve()),  # W&B's process may have been started elsewhere
        "config": dict(config or {}),
        # Offline too: `wandb sync` asks for it, else what is resumed would overwrite what was sent.
        "resume": "allow",
        "reinit": "create_new" if beside else None,
    }
    workdir.mkdir(parents=True, exist_ok=True)
    run, mode = _begin(mode, arguments, say)
    if keeps and mode != "disabled":
        url = run.url if mode == "online" else known.get("url")
        found = {"id": run.id, "url": url or "", "folder": str(Path(run.dir).parent)}
        found["workdir"] = str(workdir.resolve())
        replace_object(workdir / RUN_FILE, found)
    if mode == "online":
        say(f"W&B: {run.url}")
    return run


def _begin(mode: str, arguments: Mapping[str, Any], say: Say) -> tuple[Any, str]:
    """(run, its mode): in the mode that is asked for, or offline where no server takes it."""
    # W&B's reports on itself would be sent, and waited for, at exit.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    def begin(mode: str) -> Any:
        wandb.setup(settings=wandb.Settings(silent=True))  # this module says what there is to say
        settings = wandb.Settings(
            console="off",  # the guide's block and the progress bar are no news to W&B
            silent=True,
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
            **PRIVATE,
        )
        chosen = cast(Literal["online", "offline", "disabled"], mode)
        others = set(logging.getLogger("wandb").handlers)
        run = wandb.init(**arguments, mode=chosen, settings=settings)
        for handler in set(logging.getLogger("wandb").handlers) - others:
            # Of W&B's log of itself: Python would print a traceback for each line, on a full disk.
            handler.handleError = lambda _: None  # type: ignore[method-assign, assignment]
        return run

    try:
        return begin(mode), mode
    except Exception as error:
        if mode != "online":
            raise
        say(f"W&B: the server did not take the run ({first_line(error)}); logging it offline.")
    if arguments["reinit"]:  # W&B's process holds on to the run that failed, and has to stay
        arguments = {**arguments, "id": secrets.token_hex(4)}
    else:
        _abandon()
    return begin("offline"), "offline"


def define_wgan_charts(run: Any = None) -> None:
    """Declare the 23 charts, each over `epoch` and with its summary (see `wgan_jax.keys`).

    Args:
      run: a `wandb.Run`; None: the one begun last in this process.
    """
    if run is None:
        import wandb

        run = wandb.run
    if run is None:
        raise UserError("No W&B run has begun: call init_wandb(...) before define_wgan_charts().")
    for metric in METRICS:
        run.define_metric(metric.key, step_metric="epoch", summary=metric.summary)


def choose_mode(mode: str, say: Say = to_stderr) -> str:
    """The mode to log in: as given, else as in WANDB_MODE, else online where logged in.

    Where not logged in that is offline, and `say` is told so.
    """
    name, mode = (
        ("config.wandb.mode", mode) if mode else ("WANDB_MODE", os.getenv("WANDB_MODE", ""))
    )
    if mode in MODES:
        return mode
    if mode:
        raise UserError(f"{name} = {mode!r} is not one of {', '.join(MODES)}.")
    if logged_in():
        return "online"
    say(
        "W&B: not logged in, so the run is logged offline; `wandb login` before the next run, or "
        "--config.wandb.mode=disabled."
    )
    return "offline"


def logged_in() -> bool:
    """Whether W&B will find a key: in the environment, or where `wandb login` leaves it."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    for place in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        try:
            if place and netrc.netrc(os.path.expanduser(place)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _copied(workdir: Path) -> bool:
    """Whether the folder is a copy: the run that it names lies in another, and still has its id."""
    found = read_run(workdir)
    first = Path(str(found.get("workdir", workdir)))
    return first.resolve() != workdir.resolve() and read_run(first).get("id") == found.get("id")


def read_run(workdir: Path) -> dict[str, str]:
    """`id`, `url`, `folder` and `workdir` of the workdir's W&B run; empty if it has none."""
    return read_object(workdir / RUN_FILE) or {}


class WandbWriter:
    """Writes into one W&B run. The 23 keys keep their plain names, others get `PREFIX`.

    It writes the last of every `every` epochs, and those that have extras.
    """

    def __init__(self, run: Any, every: int = 1) -> None:
        self._run, self._every = run, every
        define_wgan_charts(run)
        run.define_metric(PREFIX + "*", step_metric="epoch")

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        """W&B's own step counts on by itself, so that epochs redone after a rollback arrive too.

        W&B's process does not tell of a full disk, so that is looked at here.
        """
        if shutil.disk_usage(self._run.dir).free < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for row in rows(epochs, columns, extras, self._every):
            self._run.log({named(key): value for key, value in row.items()})

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        import wandb

        pictures = {named(key): wandb.Image(image) for key, image in images.items()}
        self._run.log({"epoch": step, **pictures})

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._run.config.update(dict(hparams), allow_val_change=True)

    def write_summary(self, values: Mapping[str, object]) -> None:
        """Paths to files that exist are uploaded too."""
        for key, value in values.items():
            if isinstance(value, Path) and value.is_file():
                self._run.save(str(value), base_path=str(value.parent), policy="now")
            self._run.summary[key] = str(value) if isinstance(value, Path) else value

    def flush(self) -> None:
        """W&B's process writes and uploads on its own."""

    def close(self) -> None:
        self._run.finish()


def named(key: str) -> str:
    """The key as W&B gets it."""
    return key if key in BY_KEY or key == "epoch" else PREFIX + key


def _abandon() -> None:
    """Let go of W&B's process, so that the end of ours neither waits for it nor complains."""
    wandb = sys.modules.get("wandb")
    with contextlib.suppress(Exception):
        if wandb:
            wandb.teardown()


def _has_own_run() -> bool:
    """Whether the program has a run of its own in W&B's process, which then has to stay."""
    wandb = sys.modules.get("wandb")
    return wandb is not None and wandb.run is not None


def wandb_mirror(
    settings: WandbSettings, workdir: Path, say: Say = to_stderr, *, every: int = 1
) -> Mirror | None:
    """The W&B mirror of a run, on its own thread; None where the mode is disabled.

    Never raises for W&B's sake and never waits longer than a minute, which only `close` may do.
    """
    mode = choose_mode(settings.mode, say)
    if mode == "disabled":
        return None

    def tell(error: Exception) -> None:
        kept = read_run(workdir).get("folder", "")
        # Without the flag, a run that was begun online is passed over.
        command = shlex.join(["wandb", "sync", "--include-online", kept])
        rest = f"; `{command}` uploads what was logged" if kept else ""
        say(f"W&B failed and training goes on without it ({first_line(error)}){rest}.")
        if not beside:
            threading.Thread(target=_abandon, daemon=True).start()

    beside = _has_own_run()

    def make() -> WandbWriter:
        run = init_wandb(
            workdir.name,
            project=settings.project,
            entity=settings.entity,
            mode=mode,
            workdir=workdir,
            say=say,
            beside=beside,
        )
        return WandbWriter(run, every)

    patience = INIT_SECONDS + FINISH_SECONDS + SPARE_SECONDS
    return Mirror(make, tell, patience)
