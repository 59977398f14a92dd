"""Checkpoints: which are kept, that they come back bit for bit, and what damage does."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.small_runs import power_cut
from wgan_jax import hosts
from wgan_jax.errors import Followed, UserError
from wgan_jax.record import digests, marks
from wgan_jax.record.checkpoints import Checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops


def state(value: float) -> dict[str, object]:
    return {"w": jnp.full((3, 2), float(value)), "n": jnp.int32(value), "none": None}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Six checkpoints, two of them kept for being new, one for being best, one for health."""
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for epoch in range(1, 7):
        checkpoints.save(epoch, state(epoch), healthy=epoch <= 3)
        if epoch == 2:
            checkpoints.mark_best(2, 12.5, "digits")
    checkpoints.close()
    return tmp_path / "c"


def test_newest_best_and_last_healthy_are_kept(saved: Path) -> None:
    checkpoints = Checkpoints(saved, keep=2)
    assert checkpoints.epochs() == [2, 3, 5, 6]
    for which, epoch in (("latest", 6), ("best", 2), ("healthy", 3), ("5", 5)):
        found = checkpoints.restore(state(0), which)
        assert found is not None
        assert found[0] == epoch
        np.testing.assert_array_equal(found[1]["w"], state(epoch)["w"])
        assert found[1]["n"].dtype == jnp.int32
    checkpoints.close()


def test_a_slow_disk_is_no_news_amid_the_lines_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """orbax would warn of a save that took a second, at every one of them."""
    monkeypatch.setattr(ocp.checkpoint_manager, "_WAIT_FOR_PREV_SAVE_WARNING_THRESHOLD_SECS", -1)
    checkpoints = Checkpoints(tmp_path, keep=2)
    for epoch in (1, 2):
        checkpoints.save(epoch, state(epoch))
    checkpoints.close()
    assert "previous save" not in caplog.text


@pytest.mark.parametrize("keep", [1, 2])
def test_nothing_is_written_to_a_checkpoint_that_is_being_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    """orbax deletes on a thread of its own: on a busy machine at any time, and not at once."""
    whole, first = shutil.rmtree, hosts.first

    def slowly(path: Path) -> None:
        for entry in Path(path).iterdir():
            whole(entry) if entry.is_dir() else entry.unlink()
        time.sleep(0.5)
        Path(path).rmdir()

    def late() -> bool:
        time.sleep(0.2)
        return first()

    monkeypatch.setattr(shutil, "rmtree", slowly)
    monkeypatch.setattr(hosts, "first", late)
    checkpoints = Checkpoints(tmp_path / "c", keep=keep)
    for epoch in range(1, 5):
        checkpoints.save(epoch, state(epoch), healthy=False)
    checkpoints.close()
    kept = list(range(5 - keep, 5))
    assert checkpoints.epochs() == kept
    assert all((tmp_path / "c" / str(epoch) / "sealed.json").exists() for epoch in kept)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_why_arrays_could_not_be_written_is_said_in_the_systems_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """tensorstore, which writes them, has these behind a driver, a key and a path."""
    reason = os.strerror(number)
    refusal = f'Error opening "zarr" driver: Error writing "epoch/.zarray" in {tmp_path}: {reason}'

    def refuse(*_: object) -> None:
        raise ValueError(f"UNKNOWN: {refusal} [tensorstore_spec='{{}}']")

    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, state(1))
    checkpoints.wait()
    with monkeypatch.context() as patched:
        patched.setattr(ocp.CheckpointManager, "check_for_errors", refuse)
        with pytest.raises(UserError, match=rf"c cannot be written \({reason}\)\. Nothing saved"):
            checkpoints.wait()
    checkpoints.close()


def test_what_orbax_raises_once_more_as_it_is_closed_is_said_as_well(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = ocp.CheckpointManager.close

    def fail(manager: ocp.CheckpointManager) -> None:
        close(manager)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoints = Checkpoints(saved, keep=2)
    checkpoints.restore(state(0))
    monkeypatch.setattr(ocp.CheckpointManager, "close", fail)
    with pytest.raises(UserError, match=r"c cannot be written \(No space left"):
        checkpoints.close()


def test_a_full_disk_that_the_first_process_finds_is_no_lost_process_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(_: object) -> None:
        raise Followed("No space left.")

    checkpoints = Checkpoints(tmp_path / "c")
    monkeypatch.setattr(checkpoints, "epochs", list)
    monkeypatch.setattr(hosts, "by_first", lambda do: do() if do is list else elsewhere(do))
    with pytest.raises(Followed):
        checkpoints.save(1, state(1))
    assert not list((tmp_path / "c").iterdir())


def test_processes_drop_what_the_first_of_them_sees(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """orbax waits for all of them at each, and one may see others: it is late, or its disk is."""
    late = Checkpoints(saved, keep=2)
    seen = late.epochs()
    monkeypatch.setattr(late, "epochs", lambda: [2, 3])
    monkeypatch.setattr(
        hosts, "by_first", lambda action: seen if action == late.epochs else action()
    )
    late.drop_after(3)
    late.close()
    assert Checkpoints(saved).epochs() == [2, 3]


def test_none_yet(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    assert checkpoints.restore(state(0)) is None
    assert checkpoints.restore(state(0), "healthy") is None
    with pytest.raises(UserError, match="no checkpoint 'best'"):
        checkpoints.restore(state(0), "best")
    assert not (tmp_path / "c").exists()


def test_what_was_given_may_be_overwritten_at_once(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    array = np.ones(100_000, np.float32)
    checkpoints.save(1, {"w": array})
    array[:] = 0
    checkpoints.wait()
    found = checkpoints.restore({"w": array})
    checkpoints.close()
    assert found is not None
    assert float(found[1]["w"].sum()) == 100_000


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_every_kind_of_damage_falls_back(saved: Path, damage: str) -> None:
    said: list[str] = []
    for path in (saved / "6").rglob("*"):
        if not path.is_file() or path.name == "sealed.json" or "d" not in path.parts:
            continue
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 1
        path.write_bytes({"flip": data, "cut": data[:-3]}.get(damage, b""))
        if damage == "remove":
            path.unlink()
    checkpoints = Checkpoints(saved, say=said.append)
    found = checkpoints.restore(state(0))
    checkpoints.close()
    assert found is not None
    assert found[0] == 5
    assert "Checkpoint 6 is damaged" in said[0]
    assert len(list(saved.glob("damaged-6-*"))) == 1


def fell_back(saved: Path) -> list[str]:
    """What is said where the newest checkpoint, 6, is passed over for 5."""
    said: list[str] = []
    checkpoints = Checkpoints(saved, say=said.append)
    found = checkpoints.restore(state(0))
    checkpoints.close()
    assert found is not None
    assert found[0] == 5
    return said


@pytest.mark.parametrize("text", ["[1]", "7", "null", "{}", "\xff"])
def test_a_damaged_seal_falls_back(saved: Path, text: str) -> None:
    """Also where it is JSON, but no seal."""
    (saved / "6" / "sealed.json").write_bytes(text.encode("latin-1"))
    said = fell_back(saved)
    assert said[0].startswith("Checkpoint 6 is damaged (sealed.json changed)")


def test_a_whole_checkpoint_that_cannot_be_read_is_not_put_aside(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by an orbax that does not fit: no file's fault, and no reason to train anew."""
    checkpoints = Checkpoints(saved)

    def unfit(*_: object, **__: object) -> None:
        raise AttributeError("no such thing as PyTree")

    monkeypatch.setattr(checkpoints._opened(), "restore", unfit)
    with pytest.raises(UserError, match=r"6 is whole, but cannot be read here \(AttributeError"):
        checkpoints.restore(state(0))
    checkpoints.close()
    assert not list(saved.glob("damaged-*"))


def test_damage_before_the_seal_is_seen_by_the_arrays_digest(saved: Path) -> None:
    """The process was killed before it could seal, and another array lies there now."""
    (saved / "6" / "sealed.json").unlink()
    shutil.rmtree(saved / "6" / "state")
    shutil.copytree(saved / "5" / "state", saved / "6" / "state")
    said = fell_back(saved)
    assert "its arrays changed" in said[0]


def test_other_shapes_are_refused_and_nothing_is_put_aside(saved: Path) -> None:
    checkpoints = Checkpoints(saved)
    with pytest.raises(UserError, match=r"\['w'\] is float32\[3, 2\] there, float32\[4, 2\] in"):
        checkpoints.restore(state(0) | {"w": jnp.zeros((4, 2))})
    with pytest.raises(UserError, match=r"\['more'\] is absent there"):
        checkpoints.restore(state(0) | {"more": jnp.zeros(1)})
    checkpoints.close()
    assert checkpoints.epochs() == [2, 3, 5, 6]


def test_after_a_rollback_later_ones_are_forgotten_and_saved_anew(saved: Path) -> None:
    checkpoints = Checkpoints(saved, keep=5)
    checkpoints.drop_after(3)
    assert checkpoints.epochs() == [2, 3]
    checkpoints.save(5, state(55))
    checkpoints.wait()
    found = checkpoints.restore(state(0))
    checkpoints.close()
    assert found is not None
    assert (found[0], int(found[1]["n"])) == (5, 55)


def test_the_best_stands_until_a_better_one_is_whole(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    for epoch, fid in ((1, 9.0), (2, None), (3, None), (4, 5.0)):
        if fid:
            checkpoints.mark_best(epoch, fid, "digits")
        if epoch == 4:  # here the process ends: marked, and not saved
            checkpoints.wait()
            reader = Checkpoints(tmp_path / "c", read_only=True)
            assert reader.restore(state(0), "best")[0] == 1
            reader.close()
        checkpoints.save(epoch, state(epoch), healthy=False)
    checkpoints.wait()
    assert checkpoints.epochs() == [1, 4]
    assert Checkpoints(tmp_path / "c").marks["best"]["epoch"] == 4
    checkpoints.close()


def test_a_best_that_a_rollback_drops_leaves_its_place_to_the_one_before(saved: Path) -> None:
    checkpoints = Checkpoints(saved, keep=5)
    checkpoints.mark_best(6, 3.0, "digits")
    checkpoints.drop_after(3)
    assert checkpoints.marks["best"] == {"epoch": 2, "fid_score": 12.5, "encoder": "digits"}
    checkpoints.drop_after(1)
    assert "best" not in checkpoints.marks
    checkpoints.close()


def test_the_best_before_outlives_the_process_that_marked_it(saved: Path) -> None:
    """A run that was resumed, and then rolled back behind its best."""
    checkpoints = Checkpoints(saved, keep=2)
    checkpoints.mark_best(6, 3.0, "digits")
    checkpoints.close()
    again = Checkpoints(saved, keep=2)
    again.drop_after(3)
    assert again.marks["best"] == {"epoch": 2, "fid_score": 12.5, "encoder": "digits"}
    for epoch in (4, 5, 6):
        again.save(epoch, state(epoch))
    again.close()
    assert again.epochs() == [2, 5, 6]


def test_a_best_that_was_dropped_does_not_name_the_one_saved_in_its_place(saved: Path) -> None:
    """Neither where nothing is marked after the rollback, as in a run that goes on failing."""
    checkpoints = Checkpoints(saved, keep=5)
    checkpoints.mark_best(6, 3.0, "digits")
    checkpoints.drop_after(3)
    checkpoints.save(6, state(66), healthy=False)
    checkpoints.close()
    assert Checkpoints(saved).marks["best"]["epoch"] == 2


@pytest.fixture
def rolled_back(saved: Path) -> Checkpoints:
    """The best, 6, and the best before it, 5, were dropped by a rollback to 3."""
    (saved / "marks.json").write_text('{"healthy": {"epoch": 3}}')
    checkpoints = Checkpoints(saved, keep=5)
    for epoch, fid in ((5, 9.0), (6, 3.0)):
        checkpoints.mark_best(epoch, fid, "digits")
    checkpoints.drop_after(3)
    return checkpoints


def best_of(folder: Path) -> tuple[int, int]:
    """(epochs, what was saved) of the best checkpoint, as another process finds it."""
    reader = Checkpoints(folder, read_only=True, say=lambda _: None)
    found = reader.restore(state(0), "best")
    reader.close()
    assert found is not None
    return found[0], int(found[1]["n"])


def test_the_best_that_a_rollback_went_back_past_is_the_best_until_a_better_one_comes(
    rolled_back: Checkpoints, saved: Path
) -> None:
    """Though the run comes to the same epoch again, with other weights and a poorer FID."""
    assert (rolled_back.epochs(), best_of(saved)) == ([2, 3], (6, 6))
    for epoch, fid, best in ((6, 4.0, (6, 6)), (7, 2.0, (7, 7))):
        rolled_back.mark_best(epoch, fid, "digits")
        rolled_back.save(epoch, state(epoch if epoch != 6 else 66))
        rolled_back.wait()
        assert best_of(saved) == best
    assert int(rolled_back.restore(state(0), "6")[1]["n"]) == 66
    rolled_back.close()


def test_a_later_rollback_sets_aside_what_is_better_still(
    rolled_back: Checkpoints, saved: Path
) -> None:
    for epoch, fid, best in ((4, 3.5, (6, 6)), (6, 1.0, (6, 66))):
        rolled_back.mark_best(epoch, fid, "digits")
        rolled_back.save(epoch, state(11 * epoch))
        rolled_back.drop_after(3)
        assert best_of(saved) == best
    rolled_back.close()
    names = sorted(path.parent.name for path in saved.glob("rolled-back-*/6"))
    assert names == ["rolled-back-1", "rolled-back-2"]


@pytest.mark.parametrize("cut", [False, True])
def test_the_only_checkpoint_is_set_aside_and_not_taken_for_the_one_saved_in_its_place(
    cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.mark_best(2, 3.0, "digits")
    checkpoints.save(2, state(2), healthy=False)
    if cut:
        with monkeypatch.context() as patched:
            patched.setattr(Checkpoints, "_keep_marks", power_cut)
            with pytest.raises(OSError, match="power cut"):
                checkpoints.drop_after(0)
        checkpoints.close()
        checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.drop_after(0)
    checkpoints.save(2, state(22), healthy=False)
    checkpoints.close()
    assert "best" not in Checkpoints(tmp_path / "c").marks
    assert best_of(tmp_path / "c") == (2, 2)


@pytest.mark.parametrize("moment", ["rename", "_keep_marks"])
def test_the_best_outlives_a_process_that_ends_while_a_rollback_sets_it_aside(
    moment: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(saved, keep=5)
    for epoch, fid in ((5, 9.0), (6, 3.0)):
        checkpoints.mark_best(epoch, fid, "digits")
    with monkeypatch.context() as patched:
        patched.setattr(Path if moment == "rename" else Checkpoints, moment, power_cut)
        with pytest.raises(OSError, match="power cut"):
            checkpoints.drop_after(3)
    checkpoints.close()
    again = Checkpoints(saved, keep=5)
    again.drop_after(3)  # as the next start does
    again.close()
    assert (again.epochs(), best_of(saved)) == ([2, 3], (6, 6))


def test_a_process_that_ends_while_a_rollback_deletes_leaves_nothing_that_passes_for_damage(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a folder is gone, the next start is told of nothing, and what is left goes."""
    checkpoints = Checkpoints(saved, keep=5)

    def half(folder: str | Path, *_: object, **__: object) -> None:
        next(path for path in sorted(Path(folder).rglob("*")) if path.is_file()).unlink()
        power_cut()

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", half)
        with pytest.raises(UserError, match="power cut"):
            checkpoints.drop_after(3)
    checkpoints.close()
    said: list[str] = []
    again = Checkpoints(saved, keep=5, say=said.append)
    assert again.restore(state(0))[0] == 3
    again.drop_after(3)  # as the next start does
    again.close()
    assert said == []
    assert {path.name for path in saved.iterdir()} == {"2", "3", "marks.json"}


def test_what_was_set_aside_gives_way_where_it_is_damaged_or_by_another_encoder(
    rolled_back: Checkpoints, saved: Path
) -> None:
    rolled_back.mark_best(3, 40.0, "digits")
    assert best_of(saved) == (6, 6)
    rolled_back.mark_best(3, 40.0, "inception")
    assert best_of(saved) == (3, 3)
    rolled_back.mark_best(3, 40.0, "digits")
    (saved / "rolled-back-1" / "6" / "sealed.json").write_text("{")
    assert best_of(saved) == (3, 3)
    rolled_back.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_best_leaves_its_place_to_the_one_before(saved: Path, read_only: bool) -> None:
    checkpoints = Checkpoints(saved, keep=5)
    checkpoints.mark_best(6, 3.0, "digits")
    checkpoints.close()
    (saved / "6" / "sealed.json").write_bytes(b"{")
    again = Checkpoints(saved, say=lambda _: None, read_only=read_only)
    found = again.restore(state(0), "best")
    again.close()
    assert found is not None
    assert found[0] == 2
    assert again.marks["best"]["epoch"] == (6 if read_only else 2)


def test_marks_of_the_best_before_stand_as_long_as_its_checkpoint() -> None:
    found = {"best": {"epoch": 6}, "best before": {"epoch": 2}, "healthy": {"epoch": 3}}
    assert marks.standing(found, [2, 3, 6]) == found
    assert marks.standing(found, [3, 6]) == {"best": {"epoch": 6}, "healthy": {"epoch": 3}}
    assert marks.standing(found, [2, 3]) == {"best": {"epoch": 2}, "healthy": {"epoch": 3}}
    assert marks.standing(found, [3]) == {"healthy": {"epoch": 3}}


RECORD = [  # epoch, verdict, FID, encoder; each is told by the checkpoint after it
    (0, "healthy", 1.0, "inception"),
    (1, "healthy", 12.5, "digits"),
    (2, "warning", None, ""),
    (3, "failing", 8.0, "digits"),  # its checkpoint is gone
    (4, "failing", 14.0, "digits"),
    (5, "failing", None, ""),
]


def record(folder: Path, lost: tuple[int, ...] = ()) -> None:
    """Such lines in `metrics.jsonl`, without those of the lost epochs."""
    rows = []
    for epoch, verdict, fid, encoder in RECORD:
        quality = {"fid_score": fid, "encoder": encoder} if fid else {}
        if epoch not in lost:
            rows.append(json.dumps({"epoch": epoch, "verdict": verdict, **quality}))
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize(
    "damage",
    [None, "", "{}", "[1]", "7", '{"best": 5}', '{"best": {"epoch": 2}}', '{"healthy": {}}', "{"],
)
def test_lost_marks_are_taken_from_the_record(saved: Path, damage: str | None) -> None:
    """Checkpoints 2, 3, 5 and 6 stand: 2 is the best of them, 3 the last that was healthy."""
    record(saved.parent)
    if damage is None:
        (saved / "marks.json").unlink()
    else:
        (saved / "marks.json").write_text(damage)
    said: list[str] = []
    checkpoints = Checkpoints(saved, keep=1, say=said.append)
    best = {"epoch": 2, "fid_score": 12.5, "encoder": "digits"}
    assert checkpoints.marks == {"healthy": {"epoch": 3}, "best": best}
    assert "the best checkpoint is 2, the last healthy one 3." in said[0]
    checkpoints.save(7, state(7), healthy=False)
    checkpoints.mark_best(7, 11.0, "digits")
    checkpoints.close()
    assert checkpoints.epochs() == [2, 3, 7]
    again = Checkpoints(saved, say=said.append)
    assert again.marks["best"]["epoch"] == 7
    assert len(said) == 1


def test_of_lost_marks_the_best_is_by_the_newest_encoder_with_the_one_before(
    tmp_path: Path,
) -> None:
    """An FID by another is on another scale."""
    rows = [
        (0, 1.0, "inception"),
        (1, 14.0, "digits"),
        (2, 12.5, "digits"),
        (3, 13.0, "digits"),
    ]
    lines = [json.dumps({"epoch": e, "fid_score": fid, "encoder": by}) for e, fid, by in rows]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    found = marks.told(tmp_path / "metrics.jsonl", [1, 2, 3, 4])
    assert found["best"] == {"epoch": 3, "fid_score": 12.5, "encoder": "digits"}
    assert found["best before"] == {"epoch": 2, "fid_score": 14.0, "encoder": "digits"}


def test_where_the_record_is_lost_too_nothing_is_pruned_that_may_be_the_best(saved: Path) -> None:
    record(saved.parent, lost=(1, 4))
    (saved / "marks.json").write_text("")
    said: list[str] = []
    checkpoints = Checkpoints(saved, keep=1, say=said.append)
    assert "the best checkpoint is not known, the last healthy one 3." in said[0]
    checkpoints.save(7, state(7))
    checkpoints.close()
    assert checkpoints.epochs() == [2, 3, 5, 7]  # 6 was not measured


def test_a_reader_of_lost_marks_finds_the_best_and_writes_nothing(saved: Path) -> None:
    record(saved.parent)
    (saved / "marks.json").unlink()
    said: list[str] = []
    reader = Checkpoints(saved, say=said.append, read_only=True)
    found = reader.restore(state(0), "best")
    assert (found is not None and found[0], len(said)) == (2, 1)
    assert reader.restore(state(0))[0] == 6
    reader.close()
    assert not (saved / "marks.json").exists()
    assert len(said) == 1


def test_an_unfinished_checkpoint_does_not_count(saved: Path) -> None:
    (saved / "7.orbax-checkpoint-tmp-1").mkdir()
    checkpoints = Checkpoints(saved)
    found = checkpoints.restore(state(0))
    checkpoints.close()
    assert found is not None
    assert found[0] == 6


def test_a_reader_touches_nothing_of_a_run_that_may_be_training(saved: Path) -> None:
    """Neither what is half written, nor what looks damaged."""
    half = saved / "7.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "array").write_bytes(b"half")
    (saved / "6" / "sealed.json").write_bytes(b"{")
    before = sorted(saved.rglob("*"))
    said: list[str] = []
    reader = Checkpoints(saved, say=said.append, read_only=True)
    found = reader.restore(state(0))
    reader.close()
    assert found is not None
    assert found[0] == 5
    assert said == ["Checkpoint 6 is damaged (sealed.json changed): not used."]
    assert sorted(saved.rglob("*")) == before


@pytest.mark.parametrize(("owner", "moment"), [(digests, "broken_seal"), (Checkpoints, "_opened")])
def test_a_checkpoint_pruned_while_it_is_read_gives_way_to_a_newer_one(
    saved: Path, owner: ModuleType | type[Checkpoints], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved / "6", saved / "later")
    real = getattr(owner, moment)

    def pruned(*arguments: object) -> object:
        if (saved / "later").exists():
            shutil.rmtree(saved / "6")
            (saved / "later").rename(saved / "9")
            if moment == "_opened":  # orbax lists the folder in vain
                raise FileNotFoundError(saved / "6")
        return real(*arguments)

    monkeypatch.setattr(owner, moment, pruned)
    said: list[str] = []
    reader = Checkpoints(saved, say=said.append, read_only=True)
    found = reader.restore(state(0))
    reader.close()
    assert (found is not None and found[0], said) == (9, [])
