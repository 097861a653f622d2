from __future__ import annotations

from skyeye_edge.cli.doctor import rival_problems


def test_rival_distributions_are_told_with_the_way_out() -> None:
    found = {"onnxruntime": "1", "onnxruntime-gpu": "1", "opencv-python": "5"}

    (problem,) = rival_problems(found)

    assert "share one module" in problem
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in problem


def test_one_of_each_is_no_problem() -> None:
    assert list(rival_problems({"onnxruntime": "1", "opencv-python-headless": "5"})) == []
