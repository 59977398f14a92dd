"""Kernels, operations and bytes counted in a compiled program's text, by hand."""

from pathlib import Path

import pytest

from benchmarks import hlo

TEXT = (Path(__file__).parent / "golden" / "small_round.hlo").read_text()


def test_kernels_are_counted_once_through_the_outermost_loop():
    forward, filter_, input_, total, gemm = hlo.kernels_of_a_round(TEXT)
    # 8 images of 16 x 16 places, 5 x 5 taps, 3 to 16 channels, two operations each.
    multiplications = 8 * 16 * 16 * 5 * 5 * 3 * 16
    assert [each.operations for each in (forward, filter_, input_)] == [2 * multiplications] * 3
    image, kernel, result = 4 * 8 * 32 * 32 * 3, 4 * 16 * 5 * 5 * 3, 4 * 8 * 16 * 16 * 16
    assert forward == hlo.Kernel(  # and 64 bytes of scratch memory
        "__cudnn$convForward", 1, 2 * multiplications, image + kernel + result
    )
    assert input_.bytes == image + kernel + result
    assert total == hlo.Kernel("fusion", 1, 0, 2 * 4 * 64 * 32)
    assert gemm == hlo.Kernel("fusion", 5, 2 * 64 * 100 * 32, 2 * (64 * 100 + 100 * 32 + 64 * 32))


def test_a_librarys_product_counts_as_ours():
    """As cuBLAS is called where it is faster than XLA's own kernel."""
    ours = "bf16[64,32]{1,0} fusion(%x.1, %k.1), kind=kCustom, calls=%fused_dot"
    theirs = (
        "(bf16[64,32]{1,0}, s8[4194304]{0}) custom-call(%x.1, %k.1), custom_call_target="
        '"__cublas$lt$matmul", backend_config={"gemm_backend_config":{"beta":0,'
        '"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":'
        '["0"],"lhs_batch_dimensions":[],"rhs_batch_dimensions":[]}}}'
    )
    *_, before = hlo.kernels_of_a_round(TEXT)
    *_, after = hlo.kernels_of_a_round(TEXT.replace(ours, theirs))
    assert after == hlo.Kernel("__cublas$lt$matmul", 5, before.operations, before.bytes)


@pytest.mark.parametrize(
    ("part", "other", "word"),
    [
        ("known_trip_count", "unknown", "does not know how often loop goes round"),
        ("__cudnn$convForward", "fft", "how much work fft is"),
        ("%rounds = (s32[], bf16[64,100]{1,0}) while", "%rounds = (s32[]) tuple", "0 outermost"),
    ],
)
def test_what_cannot_be_counted_is_not_passed_over(part, other, word):
    with pytest.raises(ValueError, match=word):
        hlo.kernels_of_a_round(TEXT.replace(part, other))


def test_what_the_host_starts_is_counted_once_through_the_outermost_loop():
    thunks = """
000: kCopy [source | next=001 (1)] kCopy
001: kWhile [prev=000 (1) | sink]
condition:
    002: kCustomKernel [source | sink] loop_and_fusion grid: [1, 1, 1]
  body:
    000: kCommandBuffer [source | next=005 (1)]
        003: kCopy [source | sink] kCopy
        004: kCustomKernel [source | sink] loop_add_fusion grid: [1, 1, 1]
    005: kWhile [prev=000 (1) | next=010 (1)]
condition:
        006: kCustomKernel [source | sink] loop_compare_fusion grid: [1, 1, 1]
      body:
        000: kCommandBuffer [source | next=008 (1)]
            007: kCustomKernel [source | sink] loop_add_fusion grid: [1, 1, 1]
        008: kConvolution [prev=000 (1) | next=009 (1)] kConvolution
        009: kCustomKernel [prev=008 (1) | sink] loop_add_fusion grid: [1, 1, 1]
    010: kConvolution [prev=005 (1) | sink] kConvolution
"""
    # Outer: its condition, a graph, a convolution. Inner, five times: a graph and two more.
    assert hlo.launches_of_a_round(thunks, 5) == 3 + 5 * 3
    # All of it as one graph, started once a chunk.
    lines = ["000: kCommandBuffer [source | sink]"]
    lines += [("" if "condition" in line else "    ") + line for line in thunks.splitlines()]
    assert hlo.launches_of_a_round("\n".join(lines), 5) == 0
