"""Every error a user can meet, and the guard around imports of optional libraries.

    SkyEyeError                 1   anything below
    ├── InputError              2   the request is wrong: a path, an argument
    │   ├── MediaError          1   the content cannot be used: a broken video or image
    │   └── OutputError         2   an output is somebody else's: not ours, or of another run
    ├── BundleError             1   a bundle is missing, damaged, too new, or not trusted
    ├── CheckpointError         1   a checkpoint is missing or does not fit
    ├── DataError               1   an annotation file is wrong (file and line)
    ├── ParityError             1   bundle and checkpoint do not agree
    ├── BackendError            1   ONNX Runtime or llama.cpp cannot do what was asked
    ├── BusyError               1   too many questions wait for an answer
    ├── LateError               1   a question's turn came after its deadline
    ├── MissingExtraError       2   an optional library is not installed
    └── ClosedError             2   a model or stream was used after it was closed

The number is the exit code of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SkyEyeError(Exception):
    """An error with a message for the user: what is wrong, where, and what to do."""

    exit_code = 1


class InputError(SkyEyeError):
    """The request is wrong: a path, an address or an argument."""

    exit_code = 2


class MediaError(InputError):
    """The content of an image or video cannot be used."""

    exit_code = 1


class OutputError(InputError):
    """What is to be written is somebody else's: another program's file, or another run's."""


class BundleError(SkyEyeError):
    """A bundle is missing, damaged, newer than this program, or not trusted."""


class CheckpointError(SkyEyeError):
    """A checkpoint is missing or does not fit the architecture."""


class DataError(SkyEyeError):
    """Training data is wrong; the message names file and line."""


class ParityError(SkyEyeError):
    """Bundle and checkpoint do not agree as they should."""


class BackendError(SkyEyeError):
    """ONNX Runtime or llama.cpp cannot do what was asked."""


class BusyError(SkyEyeError):
    """Too many questions wait for an answer; ask again when some are answered."""


class LateError(SkyEyeError):
    """The turn of a question came after its deadline; nothing was computed for it."""


class MissingExtraError(SkyEyeError):
    """A library of an optional extra is not installed."""

    exit_code = 2


class ClosedError(SkyEyeError):
    """A model or stream was used after it was closed."""

    exit_code = 2


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Name the extra to install when an import inside the block finds nothing.

    A plain import statement stays one this way, so that linters and editors see it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        from skyeye_edge.core.install import install_command

        raise MissingExtraError(
            f"'{error.name}' is not installed; run: {install_command(extra)}"
        ) from error
