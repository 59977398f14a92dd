"""A few of each fault; the full table is `make faults`."""

import pytest

from tests.faults.harness import FAULTS, Bench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # orbax's event loops
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(bench, name):
    assert FAULTS[name](bench, 1, 3) == (True, True)
