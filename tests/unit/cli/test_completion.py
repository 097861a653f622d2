from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from skyeye_edge.cli import main

# What bash does when Tab is pressed at the end of the words.
PRESS_TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_skyeye_edge
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        pytest.param(["ca"], ["caption"], id="command"),
        pytest.param(["caption", "--rec"], ["--recursive"], id="option"),
        pytest.param(["caption", "--device", "c"], ["cpu", "cuda"], id="value"),
        pytest.param(["caption", "fli"], ["flight.mp4"], id="file"),
    ],
)
def test_bash_completes_commands_options_values_and_files(
    words: list[str],
    completed: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    (tmp_path / "flight.mp4").touch()
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)

    command = ["bash", "-c", PRESS_TAB, "bash", str(script), "skyeye-edge", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert done.stdout.split() == completed, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script_with_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0

    out = capsys.readouterr().out
    assert all(word in out for word in ("caption", "watch", "doctor", "recursive"))
