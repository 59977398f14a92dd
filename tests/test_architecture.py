"""Imports point one way: from run.py to verbs to wings to the shared words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path("wgan_jax")
WORDS = {
    *("backend", "bands", "config", "decoding", "devices", "errors", "files"),
    *("history", "hosts", "keys", "limits", "order", "settings"),
}
WINGS = {"gan", "data", "quality", "health", "record"}
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {".".join(path.with_suffix("").parts): path for path in MODULES}


def room(module: str) -> str:
    """`wgan_jax.gan.state` -> `gan`; `wgan_jax.training` -> `training`; the package itself: ""."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports; without those for types only."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "wgan_jax"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_downhill(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    here = parts[0]
    rooms = {room(name) for name in imported(path)} - {"", here}
    if here in WORDS:
        assert rooms <= WORDS
    elif here in WINGS:
        assert rooms <= WORDS, f"the wing {here} knows {rooms - WORDS}"


def test_the_judge_needs_no_reader_of_logs() -> None:
    for path in (PACKAGE / "health").glob("*.py"):
        assert not any(name.startswith("wgan_jax.health.logs") for name in imported(path)), path


def test_the_command_line_calls_verbs() -> None:
    """And two rooms of wings, to which a verb would only pass on."""
    wings = {name for name in imported(Path("run.py")) if room(name) in WINGS}
    assert wings == {"wgan_jax.health.logs.names.parse_map", "wgan_jax.quality.weights"}


def test_the_game_knows_no_path_clock_or_flag() -> None:
    for path in (PACKAGE / "gan").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert not names & {"pathlib", "os", "time", "absl", "ml_collections", "sys"}, path


def test_flax_linen_is_known_where_networks_are() -> None:
    """In the networks themselves."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if "import flax.linen" in path.read_text()
    }
    assert users == {"gan/networks.py", "quality/inception.py"}


def test_imports_form_no_circle() -> None:
    """Nor do those inside functions, though Python would bear them."""
    graph = {
        name: {found if found in NAMES else found.rpartition(".")[0] for found in imported(path)}
        for name, path in NAMES.items()
    }
    TopologicalSorter(graph).prepare()


def test_the_picture_shows_every_room() -> None:
    """docs/architecture.md names every module of the package where it shows the rooms."""
    _, rooms = Path("docs/architecture.md").read_text().split("## The rooms\n")
    rooms = rooms.partition("\n## ")[0]
    heads = [re.split(r" {3,}", line.strip())[0] for line in rooms.splitlines()]
    inside = re.findall(r"\(([a-z_, ]+)[):]", rooms)  # `weights  its weights: (download, npz)`
    shown = {word for text in (*heads, *inside) for word in re.findall(r"\w+", text)}
    assert {path.stem for path in MODULES} - {"__init__"} <= shown


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import wgan_jax", "jax tensorflow wandb numpy"),
        ("import run; run.main(['--fields'])", "jax tensorflow wandb numpy matplotlib"),
        ("import wgan_jax.health.judge, wgan_jax.report", "jax tensorflow wandb"),
        ("import wgan_jax.training", "tensorflow wandb matplotlib orbax"),
    ],
)
def test_nothing_heavy_is_imported_before_its_use(code: str, absent: str) -> None:
    check = f"{code}\nimport sys\nassert not set({absent.split()}) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, stdout=subprocess.DEVNULL)
