"""Checkpoints by orbax: asynchronous, atomic, and checked when they are read.

A checkpoint is named by the number of epochs played. The newest few are kept, and beside them the
best by FID, the one that was best before it, and the last that was judged healthy (`marks.json`
says which). A rollback drops those that it goes back past, but for the best of all: that is moved
to a folder of its own, `rolled-back-1/` say, for the run may come to its epoch again. Digests are
saved, of the arrays in a checkpoint and, once it is whole, of its files (`sealed.json`): a damaged
one is put aside and named, and the one before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wgan_jax import hosts
from wgan_jax.errors import UserError, first_line, kind_and_line
from wgan_jax.files import not_written, replace_object
from wgan_jax.record import digests, marks

Tree = Any

# Why a disk takes nothing more: full, over the user's quota, read-only, broken, or gone.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
_DROPPED = "dropped-"  # begins the name of a folder that is being deleted
_SPARE = 1 << 20  # bytes that a checkpoint may need beside its arrays, and these twice


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(
        self,
        folder: Path,
        keep: int = 3,
        say: Callable[[str], None] = print,
        *,
        read_only: bool = False,
    ) -> None:
        """Read the marks; orbax is opened when it is first needed.

        Args:
          folder: where they lie; made when the first is saved.
          keep: how many of the newest to keep.
          say: is told of damaged checkpoints and lost marks.
          read_only: the run is another's, which may be training: nothing in the folder is touched.
        """
        self._folder = folder
        self._keep = keep
        self._say = say
        self._read_only = read_only
        self._manager: Any = None
        self._begun: set[int] = set()  # by this process, saved or still being saved
        self.marks: marks.Marks = {} if read_only else hosts.by_first(self._read_marks)

    def epochs(self) -> list[int]:
        """Epochs of the whole checkpoints there are, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(int(entry.name) for entry in self._folder.iterdir() if entry.name.isdigit())

    def save(self, epoch: int, state: Tree, *, healthy: bool = True) -> None:
        """Begin to save the state after `epoch` epochs; does nothing if it is saved already.

        Training may go on at once, and may overwrite or donate the state's arrays.
        """
        if epoch not in self._begun and epoch not in hosts.by_first(self.epochs):
            self._begun.add(epoch)
            import orbax.checkpoint as ocp

            # Copies: orbax reads the arrays while the next chunk is given their buffers.
            arrays = _copied(state)
            content = {"blake2b": digests.of_arrays(arrays), "arrays": digests.structure(arrays)}
            with self._saving():
                self._ask_for_room(arrays)
            self.wait()  # seals what is whole; during the next save orbax deletes older ones
            with self._saving():
                self._opened().save(
                    epoch,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardSave(arrays),
                        content=ocp.args.JsonSave(content),
                    ),
                    force=True,
                )
        if healthy:
            self._mark("healthy", {"epoch": epoch})

    def is_better(self, fid: float, encoder: str) -> bool:
        """Whether a FID is below that of the best, or the best is by another encoder."""
        best = self.marks.get("best", {})
        return best.get("encoder") != encoder or bool(fid < best["fid_score"])

    def mark_best(self, epoch: int, fid: float, encoder: str) -> None:
        """Keep the checkpoint of `epoch` as the best by FID, until a better one is marked.

        Called before it is saved: until it is whole, and if it never is, the best before it stands.
        """
        if "best" in self.marks and self.marks["best"]["epoch"] != epoch:
            self.marks = self.marks | {"best before": self.marks["best"]}
        self._mark("best", {"epoch": epoch, "fid_score": fid, "encoder": encoder})

    def restore(self, like: Tree, which: str = "latest") -> tuple[int, Tree] | None:
        """The newest whole checkpoint, a marked one, or that of an epoch.

        Args:
          like: a state with the same structure, shapes and dtypes.
          which: `latest`, `best`, `healthy`, or a number of epochs.

        Returns:
          (epoch, state), or None if `latest` or `healthy` is asked for and there is none.

        Raises:
          UserError: there is none of that name, or its arrays do not fit `like`.
        """
        tried, left = set[int](), self._candidates(which)
        if which == "best" and (rolled_back := self._rolled_back(like)):
            return rolled_back
        while left:
            restored, reason = self._read(left[0], like)
            if not reason:
                return left[0], restored
            self._put_aside(left[0], reason)
            tried.add(left[0])
            # Listed anew: the run's own process may prune what was chosen, for newer ones.
            left = [epoch for epoch in self._candidates(which) if epoch not in tried]
        if which in ("latest", "healthy"):
            return None
        names = [name for name in ("latest", "best", "healthy") if self._candidates(name)]
        has = ", ".join([*map(str, self.epochs()), *names]) or "none"
        raise UserError(f"{self._folder} has no checkpoint {which!r} (it has: {has}).")

    def drop_after(self, epoch: int) -> None:
        """Forget the checkpoints above `epoch`, after a rollback to it; the best goes aside."""
        self.wait()
        self._set_best_aside(epoch)
        known = hosts.by_first(self.epochs)
        left = [earlier for earlier in known if earlier <= epoch]
        if self._folder.is_dir():  # before they go: else the best could name one that is saved anew
            self._keep_marks(marks.standing(self.marks, left))
        self._close_quietly()
        hosts.by_first(lambda: self._remove(known[len(left) :]))
        self._begun = {earlier for earlier in self._begun if earlier <= epoch}

    def wait(self) -> None:
        """Until what was begun is saved. Raises UserError if it could not be."""
        if self._manager is not None:
            with self._saving():
                self._manager.wait_until_finished()
                self._manager.check_for_errors()
            self._seal()

    def close(self) -> None:
        """Wait, and end the threads of orbax."""
        self.wait()
        self._close_quietly()

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        """Say why this save failed, or the one before: orbax reports that at the next call."""
        try:
            yield
        except OSError as error:
            raise not_written(self._folder, error) from error
        except ValueError as error:  # tensorstore's, with the system's word far behind in its line
            words = (os.strerror(number) for number in _REFUSALS)
            reason = next((word for word in words if word in str(error)), first_line(error, 80))
            raise not_written(self._folder, OSError(errno.EIO, reason)) from error

    def _ask_for_room(self, arrays: Tree) -> None:
        """Refuse, in all processes, where the disk is too full: orbax would fail at length."""
        needed = _SPARE + 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(arrays))
        self._folder.mkdir(parents=True, exist_ok=True)

        def look() -> None:
            if shutil.disk_usage(self._folder).free < needed:
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise not_written(self._folder, full)

        hosts.by_first(look)

    def _set_best_aside(self, epoch: int) -> None:
        """Move the best to a folder of its own, where a rollback to `epoch` would drop it.

        Unless a better one lies in such a folder already.
        """
        best = self.marks.get("best")
        if best is None or best["epoch"] <= epoch:
            return
        self._close_quietly()
        place = hosts.by_first(lambda: marks.set_aside(self._folder, best))
        if place:
            self._say(
                f"The best checkpoint, FID {best['fid_score']:.3f} after {best['epoch']} epochs, "
                f"is kept in {place}: --checkpoint best is that one until a better one comes."
            )

    def _remove(self, epochs: Sequence[int]) -> None:
        """Delete checkpoints, and what a process that was ended while it did this has left.

        Each has another name first: half a folder would pass for a damaged checkpoint.
        """
        names = [str(epoch) for epoch in epochs]
        with self._saving():
            for name in names:
                (self._folder / name).rename(self._folder / f"{_DROPPED}{name}-{time.time_ns()}")
            for dropped in self._folder.glob(f"{_DROPPED}*"):
                shutil.rmtree(dropped)

    def _rolled_back(self, like: Tree) -> tuple[int, Tree] | None:
        """The best checkpoint, where a rollback went back past it and none since is as good."""
        best = self.marks.get("best")
        for name in hosts.by_first(lambda: marks.set_aside_and_better(self._folder, best)):
            aside = Checkpoints(self._folder / name, say=self._say, read_only=True)
            with contextlib.closing(aside):
                found = aside.restore(like)
            if found is not None:
                self._say(f"The best checkpoint is from before a rollback: {name}/{found[0]}.")
                return found
        return None

    def _candidates(self, which: str) -> Sequence[int]:
        known = hosts.by_first(self.epochs)
        if which == "latest":
            return known[::-1]
        if self._read_only and which in ("best", "healthy"):
            self.marks = hosts.by_first(self._read_marks)
        if which == "healthy":
            last = self.marks.get("healthy", {}).get("epoch", -1)
            return [epoch for epoch in known[::-1] if epoch <= last]
        if which == "best":  # and the one before it, for a best that is damaged
            best = [self.marks[name]["epoch"] for name in marks.BEST if name in self.marks]
            return [epoch for epoch in best if epoch in known]
        return [found for found in known if str(found) == which]

    def _read(self, epoch: int, like: Tree) -> tuple[Tree, str]:
        """(state, "") of a checkpoint, or (None, what of it is damaged)."""
        place = self._folder / str(epoch)
        broken = hosts.by_first(lambda: digests.broken_seal(place))
        if broken:  # orbax is not asked: damaged files make it complain at length
            return None, f"{broken} changed"
        import orbax.checkpoint as ocp

        # Named here, where `like` names no devices: orbax would ask for those that saved it.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here
            ),
            like,
        )
        try:
            manager = self._opened()
            content = manager.restore(
                epoch, args=ocp.args.Composite(content=ocp.args.JsonRestore())
            )
            # Asked first: orbax would cut or pad arrays of another shape without a word.
            self._refuse_misfit(epoch, content["content"]["arrays"], digests.structure(like))
            args = ocp.args.Composite(state=ocp.args.StandardRestore(shapes))
            arrays = jax.tree.map(np.asarray, manager.restore(epoch, args=args)["state"])
            changed = digests.of_arrays(arrays) != content["content"]["blake2b"]
            reason = "its arrays changed" if changed else ""
        except UserError:
            raise
        except Exception as error:  # whatever a damaged file makes orbax or tensorstore raise
            reason = kind_and_line(error, 60)
            if digests.is_whole(place):  # no file's fault: nothing is put aside
                raise UserError(
                    f"{place} is whole, but cannot be read here ({reason}): "
                    "mend that, or move it away, then run the same command again."
                ) from error
        return (None, reason) if reason else (jax.tree.map(jax.numpy.asarray, arrays), "")

    def _put_aside(self, epoch: int, reason: str) -> None:
        self._close_quietly()
        if self._read_only:
            if epoch in self.epochs():  # else it was pruned while it was read
                self._say(f"Checkpoint {epoch} is damaged ({reason}): not used.")
            return
        aside = self._folder / f"damaged-{epoch}-{time.time_ns()}"
        hosts.by_first(lambda: str(shutil.move(self._folder / str(epoch), aside)))
        self.marks = marks.standing(self.marks, self.epochs())
        self._say(f"Checkpoint {epoch} is damaged ({reason}): kept as {aside.name}, not used.")

    def _seal(self) -> None:
        """Seal what this process has saved, while orbax is at rest."""
        if not hosts.first():
            return
        for epoch in self._begun:
            digests.seal(self._folder / str(epoch))

    def _refuse_misfit(self, epoch: int, saved: dict[str, str], wanted: dict[str, str]) -> None:
        if saved == wanted:
            return
        path = min(set(saved.items()) ^ set(wanted.items()))[0]
        theirs, ours = saved.get(path, "absent"), wanted.get(path, "absent")
        raise UserError(
            f"{self._folder / str(epoch)} is of other networks or optimisers: {path} is {theirs} "
            f"there, {ours} in the settings: use its own."
        )

    def _opened(self) -> Any:
        if self._manager is None:
            import orbax.checkpoint as ocp

            _hush()
            self._manager = ocp.CheckpointManager(
                self._folder.absolute(),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=_Preserve(self),
                    create=not self._read_only,
                    cleanup_tmp_directories=not self._read_only,
                    lightweight_initialize=self._read_only,  # what is listed may be pruned by then
                    enable_async_checkpointing=True,
                    async_options=ocp.AsyncOptions(timeout_secs=_patience()),
                ),
            )
        return self._manager

    def _close_quietly(self) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            with self._saving():  # orbax may raise again here what `wait` has told of
                manager.close()

    def _mark(self, name: str, value: dict[str, Any]) -> None:
        self._keep_marks(self.marks | {name: value})

    def _keep_marks(self, marked: marks.Marks) -> None:
        self.marks = marked
        if hosts.first():
            replace_object(self._folder / "marks.json", self.marks)

    def _read_marks(self) -> marks.Marks:
        path, known = self._folder / "marks.json", self.epochs()
        if not known:
            return {}
        found = marks.load(path)
        if found is None:
            found = marks.told(self._folder.parent / "metrics.jsonl", known)
            if found:  # else nothing was marked, in a run that was failing from the first
                best, healthy = (
                    found.get(name, {}).get("epoch", "not known") for name in ("best", "healthy")
                )
                self._say(
                    f"{path} is lost or damaged; by metrics.jsonl the best checkpoint is {best}, "
                    f"the last healthy one {healthy}."
                )
        return marks.standing(found, known)


def _patience() -> int:
    """Seconds that orbax may wait for a save.

    It reads the system's clock, which may be set forward while it waits: a month is further than
    clocks jump. Several processes wait for each other, and cannot wait so long for a lost one.
    """
    return 30 * 86_400 if jax.process_count() == 1 else 1200


@cache
def _hush() -> None:
    """Keep orbax from telling at length, on the terminal, of errors that it raises as well."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_is_news)
    others = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if str(error) != "Event loop is closed":  # tensorstore's, after a save that has failed
            others(kind, error, trace)

    sys.excepthook = tell


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is of anything but an error that `save` and `wait` tell in one line.

    Nor is it news that a save took more than a second, or that one was cut off by a kill: of that
    orbax warns, in lines of its own amid ours.
    """
    error = str(record.exc_info[1]) if record.exc_info else ""
    by_orbax = "orbax" in record.pathname and record.levelno >= logging.WARNING
    return not by_orbax and "tensorstore" not in error


class _Preserve:
    """Tells orbax which checkpoints to keep: the newest few and the marked ones."""

    def __init__(self, owner: Checkpoints) -> None:
        self._owner = owner

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        del context
        marked = {mark["epoch"] for mark in self._owner.marks.values()}
        newest = len(checkpoints) - self._owner._keep
        return [i >= newest or info.step in marked for i, info in enumerate(checkpoints)]


@jax.jit
def _copied(state: Tree) -> Tree:
    return jax.tree.map(jax.numpy.copy, state)
