"""`--profile`: a trace of a few chunks, and a table that fits a terminal."""

from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

from wgan_jax.data.digits import read_labelled
from wgan_jax.profiling import Operation, _described, _paths, operations, table
from wgan_jax.training import train


@pytest.mark.slow
def test_a_profiled_run_leaves_a_trace_and_says_what_took_the_time(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _ = read_labelled()
    train(tiny | {"sample_every": 1, "epochs": 6}, tmp_path, images, profile=True)
    said = capsys.readouterr().out
    assert list(tmp_path.glob("profile/**/*.xplane.pb"))
    assert list(tmp_path.glob("profile/**/perfetto_trace.json.gz"))
    shown = said[said.index("Device time") : said.index("The trace is in")].splitlines()
    assert "Device time by operation, 3 rounds" in shown[0]
    assert len(shown) > 5
    assert max(map(len, shown)) <= 80
    assert any("Critic" in line or "Generator" in line for line in shown)


def test_a_call_that_ends_on_another_thread_is_as_long_as_it_is() -> None:
    begun = Some(name="dot.3", start_ns=0, duration_ns=10, stats=[("hlo_op", "dot.3"), ("_p", 7)])
    end = Some(name="end: dot.3", start_ns=2_000_000, duration_ns=1, stats=[("_c", 7)])
    around = Some(name="while.1", start_ns=0, duration_ns=9, stats=[("hlo_op", "while.1")])
    lines = [Some(events=[around, begun]), Some(events=[end])]
    trace = Some(planes=[Some(name="/host:CPU", lines=lines)])
    path = "jit(play_chunk)/while/body/transpose(jvp(Critic))/Critic._scores/Dense_0/dot_general"
    assert operations(trace, {"dot.3": path}) == [
        Operation("dot_general", "Critic/Dense_0 backward", 2e-3, 1)
    ]


def test_where_a_device_has_lines_of_its_own_the_host_does_not_count() -> None:
    kernel = Some(name="k", start_ns=0, duration_ns=0, stats=[("hlo_op", "fusion.1")])
    planes = [Some(name=name, lines=[Some(events=[kernel])]) for name in ("/device:GPU:0", "/host")]
    assert operations(Some(planes=planes), {}) == [Operation("fusion", "", 0, 1)]


def test_kernels_within_a_cuda_graph_are_told_apart() -> None:
    names = ("loop_add_fusion_16", "sm90_xmma_gemm_tf32_tilesize128", "memcpy32_post")
    kernels = [
        Some(name=name, start_ns=0, duration_ns=3e6 - n, stats=[("hlo_op", "command_buffer_5")])
        for n, name in enumerate(names)
    ]
    planes = [Some(name="/device:GPU:0", lines=[Some(events=kernels)])]
    program = (
        '  %loop_add_fusion.16 = f32[2] fusion(), metadata={op_name="jit(f)/vmap(Critic)/add"}'
    )
    found = operations(Some(planes=planes), _paths(program))
    assert [(each.name, each.where) for each in found] == [
        ("add", "Critic"),
        ("matrix product", ""),
        ("memcpy32_post", ""),
    ]


def test_an_empty_trace_makes_an_empty_table() -> None:
    assert len(table([], 1).splitlines()) == 2


def test_paths_are_shortened_to_what_is_computed() -> None:
    path = "jit(play_chunk)/while/body/Generator/jit(leaky_relu)/jit(_where)/select_n"
    assert _described("fusion.2", {"fusion.2": path}) == ("select_n", "Generator")
