"""What the command line says about an address, and what of it nobody may read."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.cli.main import main
from skyeye_edge.cli.veil import veiled_stderr

WORDS = ("kiwi", "Plum7", "quince")  # every password is made of them, with marks around each
passwords = st.builds(
    lambda marks: "".join(mark + word for mark, word in zip(marks, WORDS, strict=True)),
    st.lists(st.text("/#?@:%&=;+ '\"\\é漢", max_size=3), min_size=3, max_size=3),
)
PLACES = (
    "{}://admin:{}@10.0.0.2:554/live",
    "{}://cam/user=admin_password={}_channel=1",
    "{}://cam.local/live?channel=1&pwd={}",
)
# Each fails before a model is loaded or a camera asked; {} is the address.
COMMANDS = (
    ("{}",),
    ("watch", "{}", "{}", "--debug"),
    ("watch", "{}", "--every", "{}"),
    ("watch", "{}", "--every={}"),
    ("watch", "{}", "--debug"),
    ("caption", "{}", "--debug"),
    ("ground", "{}", "--phrase", "a boat", "--debug"),
    ("bundle", "show", "{}", "--debug"),
    ("bundle", "verify", "{}", "--debug"),
)


def said_by(*argv: str) -> str:
    """Everything a command writes; it must fail."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            code: object = main(argv)
        except SystemExit as exit:  # of argparse
            code = exit.code
    assert code in (1, 2), said.getvalue()
    return said.getvalue()


@pytest.mark.parametrize("place", PLACES)
@given(password=passwords, command=st.sampled_from(COMMANDS))
@settings(max_examples=200, deadline=None)
def test_no_command_repeats_a_password(place: str, password: str, command: tuple[str, ...]) -> None:
    address = place.format("ftp", password)  # no camera of ours, so that `watch` fails at once

    said = said_by(*(word.format(address) for word in command))

    assert "skyeye-edge" in said
    assert not any(word in said for word in WORDS)


def test_a_traceback_of_the_system_is_shown_without_the_address() -> None:
    address = "rtsp://admin:ki/wi@10.0.0.2/live"
    said = io.StringIO()

    with redirect_stderr(said), veiled_stderr(["watch", f"--output={address}"]):
        try:
            Path(address).read_bytes()
        except OSError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.writelines([address, "\n"])

    assert "FileNotFoundError" in said.getvalue()
    assert said.getvalue().endswith("rtsp://10.0.0.2/live\n")
    assert "wi@" not in said.getvalue()
