from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from skyeye_edge import BundleError, InputError, __version__
from skyeye_edge.cli import main
from skyeye_edge.cli.main import COMMANDS, build_parser, log_to_stderr, report

HEAVY = ("numpy", "PIL", "rich", "torch", "transformers", "llama_cpp", "onnxruntime", "cv2", "av")


def test_building_the_parser_imports_nothing_heavy() -> None:
    code = (
        "import sys, skyeye_edge, skyeye_edge.runtime\n"
        "from skyeye_edge.cli.main import build_parser\n"
        f"build_parser(); print([m for m in {HEAVY!r} if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_the_packages(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"skyeye-edge {__version__}\n")


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__.split(".")[-1])
def test_every_help_page_ends_in_two_commands(
    module: object, capsys: pytest.CaptureFixture[str]
) -> None:
    name = module.__name__.split(".")[-1].rstrip("_")  # type: ignore[attr-defined]  # modules have one

    with pytest.raises(SystemExit):
        main([name, "--help"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == "examples:"
    assert all(line.startswith(f"  skyeye-edge {name}") for line in lines[-2:])


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["caption"],
        ["caption", "a.mp4", "--every", "-1"],
        ["caption", "a.mp4", "--threads", "0"],
        ["caption", "a.mp4", "--device", "tpu"],
        ["caption", "a.mp4", "--min-score", "1.5"],
        ["caption", "a.mp4", "-f", "doc"],
    ],
)
def test_a_request_that_cannot_be_read_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(argv)

    assert ended.value.code == 2


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["caption", "missing.mp4"], id="missing input"),
        pytest.param(["ground", "."], id="nothing to find"),
        pytest.param(["ask", "."], id="nothing to ask"),
        pytest.param(["caption", "empty"], id="folder without images and videos"),
        pytest.param(["watch", "gopher://x"], id="address of an unknown kind"),
    ],
)
def test_a_wrong_request_is_one_line_and_2_before_anything_heavy_is_loaded(
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("skyeye_edge.runtime.load", None, raising=False)

    assert main(argv) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("skyeye-edge: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("names", [("a/flight.mp4", "b/FLIGHT.mov"), ("p.jpg", "p.png")])
def test_inputs_that_would_overwrite_each_others_outputs_are_refused(
    names: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert main(["caption", "--annotate", *(str(tmp_path / name) for name in names)]) == 2
    assert "2 of the inputs would be written there" in capsys.readouterr().err


def test_warnings_of_our_modules_are_shown_unless_the_user_wants_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("skyeye_edge.runtime.sources.file")

    with log_to_stderr(logging.WARNING):
        log.warning("a torn file")
    with log_to_stderr(logging.ERROR):
        log.warning("and another")
    log.warning("after the program")

    assert capsys.readouterr().err == "a torn file\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(InputError("x"), 2, id="wrong request"),
        pytest.param(BundleError("x"), 1, id="damaged bundle"),
        pytest.param(OSError(28, "No space left on device", "f"), 1, id="full disk"),
        pytest.param(ZeroDivisionError("x"), 1, id="our own mistake"),
    ],
)
def test_errors_are_told_without_a_traceback(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, debug=False) == code

    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("skyeye-edge: ")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    report(ZeroDivisionError("x"), debug=True)

    assert "ZeroDivisionError: x" in capsys.readouterr().err


def test_a_missing_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = "import sys; sys.modules['llama_cpp'] = None; sys.modules['onnxruntime'] = None\n"
    code = blocked + "from skyeye_edge.cli import main; sys.exit(main(['demo']))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'skyeye-edge[runtime]'" in done.stderr
