"""Addresses of the command line stay out of everything that is said on stderr.

No message of ours holds a secret. But argparse repeats what it did not understand, the system's
errors repeat the name they could not open, and a traceback repeats them all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, TextIO, cast

from skyeye_edge.core.address import is_like_address, without_secrets


class Veil:
    """A text stream that writes other words for some."""

    def __init__(self, stream: TextIO, words: Mapping[str, str]) -> None:
        self._stream = stream
        self._words = words

    def write(self, text: str) -> int:
        """Write, with every word replaced; returns the length of `text`, as a file does."""
        veiled = text
        for word, other in self._words.items():
            veiled = veiled.replace(word, other)
        self._stream.write(veiled)
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def veiled_stderr(argv: Sequence[str]) -> Iterator[None]:
    """Inside the block, addresses among the arguments are shown on stderr without their secrets."""
    words = harmless_words(argv)
    if not words:
        yield
        return
    # It does what is asked of a stream, but is not of the class that typeshed wants.
    with redirect_stderr(cast(TextIO, Veil(sys.stderr, words))):
        yield


def harmless_words(argv: Sequence[str]) -> dict[str, str]:
    """What to write instead of each address in `argv`, by every form in which it may turn up."""
    words: dict[str, str] = {}
    for argument in argv:
        option, equals, value = argument.partition("=")
        text = value if equals and option.startswith("-") else argument
        if is_like_address(text):
            forms = text, str(Path(text)), *map(repr, (text, str(Path(text))))
            shown = without_secrets(text)
            words |= {form: repr(shown) if form in forms[2:] else shown for form in forms}
    return dict(sorted(words.items(), key=lambda item: len(item[0]), reverse=True))
