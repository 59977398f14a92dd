"""Kernels, operations and bytes counted in a compiled program's text, by hand."""

from pathlib import Path

import pytest

from benchmarks import hlo

TEXT = (Path(__file__).parent / "golden" / "small_round.hlo").read_text()


def test_kernels_are_counted_once_through_the_outermost_loop() -> None:
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


def test_a_librarys_product_counts_as_ours() -> None:
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
def test_what_cannot_be_counted_is_not_passed_over(part: str, other: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        hlo.kernels_of_a_round(TEXT.replace(part, other))


def test_a_tpu_s_estimates_count_once_for_every_update_of_the_critic() -> None:
    """Of a text as its compiler writes it: loops of no length, tiles in the types."""
    text = """
%update (x.1: f32[8,128]) -> f32[8,128] {
  %x.1 = f32[8,128]{1,0:T(8,128)S(1)} parameter(0)
  ROOT %y = f32[8,128]{1,0:T(8,128)} fusion(%x.1), calls=%f, backend_config={"estimated_cycles":"7"}
}
%round (x.2: f32[8,128]) -> f32[8,128] {
  %x.2 = f32[8,128]{1,0:T(8,128)} parameter(0)
  %a = (f32[8]{0:T(128)S(1)}, f32[8]{0}) fusion(%x.2), backend_config={"estimated_cycles":"10"}
  ROOT %b = f32[8,128]{1,0:T(8,128)} while(%x.2), condition=%c, body=%update
}
ENTRY %main (x.3: f32[8,128]) -> f32[8,128] {
  %x.3 = f32[8,128]{1,0:T(8,128)} parameter(0)
  %copy = f32[8,128]{1,0:T(8,128)} fusion(%x.3), backend_config={"estimated_cycles":"1000"}
  ROOT %d = f32[8,128]{1,0:T(8,128)} while(%copy), condition=%c, body=%round
}
"""
    assert hlo.estimated_cycles(text, 5) == 10 + 5 * 7
    with pytest.raises(ValueError, match="no cycles"):
        hlo.estimated_cycles(text.replace("estimated", "guessed"), 5)
