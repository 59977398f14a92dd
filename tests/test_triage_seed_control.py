"""One seed fixes a run: nothing in the package reads randomness that is not derived from it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "wgan_jax"
# Of numpy.random, what makes a generator from a seed that is given.
SEEDED = {"default_rng", "RandomState", "Generator", "SeedSequence", "PCG64"}
MAKERS = ("default_rng", "RandomState")


def dotted(node: ast.AST) -> str:
    """`np.random.rand` of an attribute or name; "" of anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def global_randomness(source: str) -> Iterator[str]:
    """Each place in a module's source that draws from a global or an unseeded generator.

    A run's name may come from `secrets`: nothing that is trained depends on it.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name == "random")
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            yield "from random import"
        elif isinstance(node, ast.Attribute):
            name = dotted(node)
            if name.startswith(("np.random.", "numpy.random.")) and node.attr not in SEEDED:
                yield name
        elif isinstance(node, ast.Call) and dotted(node.func).endswith(MAKERS) and not node.args:
            yield f"{dotted(node.func)} without a seed"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_reads_global_randomness(path: Path) -> None:
    assert list(global_randomness(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from random import choice",
        "import numpy as np\nnp.random.rand(3)",
        "import numpy\nnumpy.random.seed(0)",
        "import numpy as np\nrng = np.random.default_rng()",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(global_randomness(source))


def test_a_generator_with_a_seed_is_no_global_randomness() -> None:
    assert not list(global_randomness("import numpy as np\nnp.random.default_rng(3).normal()"))
