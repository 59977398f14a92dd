"""Whatever a config, a command line or a log holds, it is taken or refused in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wgan_jax import experiment
from wgan_jax.config import describe, resolve, to_dict
from wgan_jax.diagnosis import as_text
from wgan_jax.errors import LIMIT, UserError
from wgan_jax.health.judge import judge
from wgan_jax.health.logs import runlog
from wgan_jax.settings import Settings

FIELDS = [name for name, _, _ in describe()]
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["wgan", "adam", "", "digits", "folder:x", "(4, 8)", "1e3", "-1", "True", "nan"]
    ),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(0, 300),
        st.floats(),
        st.floats(0, 1),
        texts,
        st.binary(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(texts, inner, max_size=2),
    ),
    max_leaves=4,
)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as groups of fields."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, field = name.rpartition(".")
        if not group:
            found[field] = value
        elif isinstance(found.setdefault(group, {}), dict):
            found[group][field] = value
    return found


@st.composite
def fields(draw: Any) -> tuple[str, Any]:
    """A field, and as often as not a value that it may have."""
    name, default, _ = draw(st.sampled_from(describe()))
    own = st.integers(1, 8) if type(default) is int else st.just(default)
    return name, draw(st.one_of(values, own, own))


configs = st.one_of(
    st.lists(fields(), max_size=4).map(dict).map(nested), st.dictionaries(texts, values, max_size=3)
)


@contextlib.contextmanager
def one_line_at_most() -> Iterator[None]:
    """What is refused is refused in one line."""
    refusal = "none"
    try:
        yield
    except UserError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert 0 < len(refusal) <= LIMIT


@settings(max_examples=200, deadline=None, derandomize=True)
@given(configs)
def test_any_config_resolves_or_is_refused(config: dict[str, Any]) -> None:
    with one_line_at_most():
        found = resolve(config)
        assert resolve(to_dict(found)) == found
        assert resolve(json.loads(json.dumps(to_dict(found)))) == found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(FIELDS), values)
def test_any_value_of_one_field_resolves_or_is_refused(field: str, value: Any) -> None:
    with one_line_at_most():
        found = resolve(nested({field: value}))
        assert resolve(to_dict(found)) == found


names = st.one_of(st.sampled_from(FIELDS), texts)
overrides = st.lists(
    st.one_of(
        st.builds("--config.{}={}".format, names, texts),
        st.builds("--{}={}".format, names, texts),
        st.builds("--config.{}".format, names),
        texts,
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(overrides)
def test_any_override_is_taken_or_refused(flags: list[str]) -> None:
    with one_line_at_most():
        found = experiment.read(Path("experiments/digits_wgan.py"), flags)
        assert isinstance(found, Settings)
        assert dataclasses.asdict(resolve(found)) == to_dict(found)


cells = st.one_of(
    st.floats().map(str),
    st.integers(-5, 5000).map(str),
    st.sampled_from(["", "nan", "-nan", "inf", "1e400", "None", '"', "x,y", "\0", "\r"]),
    st.text(max_size=5),
)
columns = st.sampled_from(
    ["epoch", "step", "d_loss", "g_loss", "Loss/D", "fid_score", "clip_ratio", "note", "", "é"]
)


@st.composite
def tables(draw: Any) -> bytes:
    """Files that are nearly tables: CSV, TSV, spaces, JSON, JSON lines and printed lines."""
    header = draw(st.lists(columns, min_size=1, max_size=4))
    rows = draw(st.lists(st.lists(cells, min_size=1, max_size=5), max_size=12))
    kind = draw(st.sampled_from([",", "\t", ";", " ", "lines", "columns", "rows", "printed"]))
    if kind in ",\t; ":
        text = "\n".join(kind.join(row) for row in (header, *rows)) + "\n"
    else:
        objects = [dict(zip(header, row, strict=False)) for row in rows]
        numbers = [{k: _number(v) for k, v in row.items()} for row in objects]
        whole = {name: [row.get(name) for row in numbers] for name in header}
        text = {
            "lines": "\n".join(map(json.dumps, numbers)),
            "columns": json.dumps(whole),
            "rows": json.dumps(numbers),
            "printed": "\n".join(" ".join(f"{k}: {v}" for k, v in row.items()) for row in objects),
        }[kind]
    content = text.encode(errors="surrogatepass")
    cut = draw(st.integers(0, len(content)))
    return content if draw(st.booleans()) else content[:cut]


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


logs = st.one_of(tables(), st.binary(max_size=200), st.text(max_size=200).map(str.encode))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(logs, st.sampled_from(["log.csv", "log.json", "metrics.jsonl"]))
def test_any_file_is_diagnosed_or_refused(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as place, one_line_at_most():
        path = Path(place, name)
        path.write_bytes(content)
        log = runlog.read(path)
        said = as_text(log, judge(log.history, log.setup))
        assert said.startswith(f"{name}: ")
        assert said.replace("\n", "").isprintable()
