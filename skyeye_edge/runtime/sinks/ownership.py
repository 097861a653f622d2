"""What this program wrote in a folder: nothing else is ever overwritten unasked.

Subtitles cannot say who wrote them, so a hidden file beside the outputs notes name, size and hash
of each. A file that was changed since is somebody's work, and counts as not ours.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from skyeye_edge.core.errors import OutputError
from skyeye_edge.runtime.fingerprint import fingerprint
from skyeye_edge.runtime.run_record import is_event_file

NOTES = ".skyeye-edge.jsonl"
ENTRY = '{"file": '  # where an entry begins, also behind a torn one


def check_free(paths: Iterable[Path], *, overwrite: bool = False) -> None:
    """Refuse to write where something stands that we did not write.

    Names are compared without case, because file systems may do so too: a drone's `DJI_0001.SRT`
    is the same file as `dji_0001.srt` on its card.

    Raises:
        OutputError: names what stands in the way, and how to go on.
    """
    if overwrite:
        return
    wanted: dict[Path, set[str]] = {}
    for path in paths:
        wanted.setdefault(path.parent, set()).add(same_name(path.name))
    in_the_way = [
        found
        for folder, names in wanted.items()
        if folder.is_dir()
        for found in sorted(folder.iterdir())
        if same_name(found.name) in names and not is_ours(found)
    ]
    if in_the_way:
        more = f" (and {len(in_the_way) - 1} more)" if in_the_way[1:] else ""
        raise OutputError(
            f"{in_the_way[0]}{more}: would be overwritten, and is not what skyeye-edge wrote; "
            "give another -o, or --overwrite if it may go"
        )


def is_ours(path: Path) -> bool:
    """Whether a file holds what this program wrote there."""
    try:
        if path.suffix.lower() == ".jsonl":
            return is_event_file(path)
        return _is_noted(path)
    except OSError:  # a folder, or a link to nothing
        return False


def note(path: Path, content: Path) -> None:
    """Write down that what `content` holds is going to stand at `path`; raises OSError."""
    found = fingerprint(content)
    entry = {"file": path.name, "bytes": found.bytes, "blake2b": found.blake2b}
    file = os.open(
        path.parent / NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
    )
    try:
        os.write(file, f"{json.dumps(entry)}\n".encode())  # at once: other runs write here too
    finally:
        os.close(file)


def same_name(name: str) -> str:
    """What two names have in common that mean one file on some file system."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_noted(path: Path) -> bool:
    """Whether what a file holds was noted under its name."""
    notes = path.parent / NOTES
    if not notes.exists():
        return False
    found = fingerprint(path)
    lines = notes.read_text("utf-8", errors="replace").splitlines()
    # A folder may have thousands of notes: only those with the right hash are parsed.
    return any(_names(line, path.name) for line in lines if found.blake2b in line)


def _names(line: str, name: str) -> bool:
    """Whether a line is the note of a file of this name."""
    _, mark, rest = line.rpartition(ENTRY)
    try:
        return same_name(json.loads(mark + rest)["file"]) == same_name(name)
    except (ValueError, KeyError, TypeError):  # a torn line
        return False
