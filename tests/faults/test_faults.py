"""One of each kind of fault; the full table is `make faults`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TINY
from tests.faults.__main__ import rendered
from tests.faults.harness import Bench, can_mount
from tests.faults.table import faults
from wgan_jax import train
from wgan_jax.errors import UserError

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # orbax's event loops
    pytest.mark.usefixtures("no_dashboard", "traced_once"),
]

# Other tests have these: `test_cli.py`, `test_record_checkpoints.py`; or they differ in a word.
ELSEWHERE = {
    *("SIGKILL", "SIGINT", "newest checkpoint: a file emptied"),
    *("images: a file added", "images: a file replaced", "images: a file removed"),
    "disk full, writing samples",
}
FAULTS = {name: fault for name, fault in faults(kills=3).items() if name not in ELSEWHERE}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(bench: Bench, name: str) -> None:
    if name.startswith("disk full") and not can_mount(bench.place):
        pytest.skip("a small disk takes the right to mount one")
    assert FAULTS[name](bench, 1) == (True, True)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_nan_cannot_come_by_images(kind: type[np.floating[Any]], tmp_path: Path) -> None:
    """Images are integers; what could hold a NaN is refused, whether it does or not."""
    images = np.full((16, 8, 8, 1), np.nan, kind)
    with pytest.raises(UserError, match="images must be uint8 from 0 to 255"):
        train(TINY, tmp_path / "run", images=images, quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_page_shows_the_figures_last_measured() -> None:
    rows = json.loads(Path("benchmarks/results/faults.json").read_text())
    page = Path("docs/reliability.md").read_text()
    assert rendered(page, rows) == page


def test_the_page_names_tests_that_there_are() -> None:
    promises, _, _ = Path("docs/reliability.md").read_text().partition("## Faults")
    named = re.findall(r"`(test_\w+\.py)`(?:: ([\w, ]+))?", promises)
    assert len(named) > 30
    for file, words in named:
        tests = re.findall(r"def (test_\w+)", (Path("tests") / file).read_text())
        for word in filter(None, words.strip().split(", ")):
            assert any(word in test for test in tests), f"{file}: {word}"
