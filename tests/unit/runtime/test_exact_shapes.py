"""How much one call may hold: what was measured of llama.cpp's kernels."""

from __future__ import annotations

import pytest

from skyeye_edge.runtime.exact_shapes import ExactShapes, exact_shapes

F32, Q4_0, Q8_0, Q4_K_M, Q6_K, UNKNOWN = 0, 2, 7, 15, 18, -1


@pytest.mark.parametrize(
    ("machine", "tiny_blas", "file_type", "wanted"),
    [
        ("x86_64", False, Q8_0, ExactShapes(7, 7)),
        ("x86_64", False, F32, ExactShapes(7, 7)),
        ("x86_64", False, Q4_K_M, ExactShapes(3, 3)),
        ("x86_64", True, Q8_0, ExactShapes(7, 1)),
        ("x86_64", True, Q4_0, ExactShapes(3, 1)),
        ("x86_64", True, F32, ExactShapes(1, 1)),
        ("x86_64", True, UNKNOWN, ExactShapes(1, 1)),
        ("x86_64", False, Q6_K, ExactShapes(1, 1)),
        ("aarch64", False, Q8_0, ExactShapes(3, 3)),
        ("aarch64", True, Q8_0, ExactShapes(3, 1)),
        ("aarch64", False, F32, ExactShapes(1, 1)),
    ],
)
def test_only_calls_that_move_no_bit_are_made(
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    tiny_blas: bool,
    file_type: int,
    wanted: ExactShapes,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)

    assert exact_shapes(file_type, tiny_blas=tiny_blas) == wanted
