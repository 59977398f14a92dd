"""`train`: checks settings and images, claims the folder, and plays the run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax import devices, hosts, interruption
from wgan_jax.backend import check_flags, enough_memory
from wgan_jax.config import resolve
from wgan_jax.errors import Interrupted, RunFailed, UserError
from wgan_jax.feeding import read_images
from wgan_jax.files import absolute, expanded
from wgan_jax.loop import Session
from wgan_jax.notebook import Run
from wgan_jax.record import claim, identity
from wgan_jax.settings import Settings

_TURN = threading.Lock()  # held by the one `train` of this process that is at work


def train(
    config: Mapping[str, Any] | Settings,
    workdir: str | Path,
    images: NDArray[np.uint8] | None = None,
    *,
    quiet: bool = False,
    profile: bool = False,
) -> Run:
    """Train, or go on with the run that lies in `workdir`.

    A process trains one run at a time: calls from several threads wait for each other.

    Args:
      config: from an experiment's `get_config()`, a nested dictionary, or settings.
      workdir: the run's folder; made if it is not there.
      images: real images, uint8 [n, h, w, c]; None: those that the config names.
      quiet: print nothing.
      profile: trace a few chunks into `workdir/profile`, and print what took the time.

    Raises:
      UserError: the config, the images or the folder cannot be used; nothing was changed.
      RunFailed: non-finite values, or a failing run with `on_failure=stop`; all is saved.
      Interrupted: Ctrl-C or SIGTERM; all is saved, or at a second one what was by then.
    """
    check_flags()
    settings, folder = _settings(config, images), _folder(workdir)
    devices.check_divides(settings.batch_size, devices.mesh(settings.devices))
    dataset = hosts.together(lambda: read_images(settings, images))
    hosts.check_same("The settings", repr(settings))
    hosts.check_same("The images", dataset.fingerprint)
    with contextlib.ExitStack() as held:
        held.enter_context(_TURN)

        def claim_it() -> None:
            held.enter_context(claim.claimed(folder))
            identity.settle(folder, settings, dataset.identity)

        hosts.by_first(claim_it)
        hosts.together(lambda: claim.check_seen(folder))
        held.enter_context(enough_memory("lower config.batch_size, or the networks' filters"))
        try:
            signals = held.enter_context(interruption.remembered())
            session = Session(settings, folder, dataset, signals, quiet=quiet, profile=profile)
            with contextlib.closing(session):
                session.run()
        except KeyboardInterrupt:
            raise Interrupted(
                f"{folder} stopped at once. The same command goes on from the last checkpoint.",
                signal.SIGINT,
            ) from None
        except (Interrupted, RunFailed):
            hosts.meet()
            raise
        hosts.meet()
        state, record = session.state, session.record
        return Run(settings, absolute(folder), session.game, state, record.history, record.verdict)


def _settings(config: Mapping[str, Any] | Settings, images: object) -> Settings:
    """The run's settings, which say where images that are given come from."""
    settings = resolve(config)
    if images is None:
        return settings
    data = dataclasses.replace(settings.data, name="arrays", held_out_split="")
    return dataclasses.replace(settings, data=data)


def _folder(workdir: str | Path) -> Path:
    """The run's folder, if it is one: an empty name would be the folder where the program runs."""
    if not isinstance(workdir, str | os.PathLike) or not str(workdir).strip():
        raise UserError(f"workdir = {workdir!r} names no folder: give one, e.g. 'runs/mine'.")
    return expanded(workdir)
