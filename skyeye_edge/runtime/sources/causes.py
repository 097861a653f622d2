"""Why a live source ended, in words for the person at the flight line."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from skyeye_edge.core.address import parse_address
from skyeye_edge.runtime.sources.registry import KINDS, Target

REFUSED = "the camera refuses this user name or password; tried again slowly, as cameras lock out"
ASKED = "the camera asks for a user name and password; give rtsp://USER:PASSWORD@..."

NO_VIDEO = "what arrives is no video that can be read"


@dataclass(frozen=True, slots=True)
class End:
    """How one opening of an address ended."""

    cause: str
    refused: bool = False  # the camera does not let us in: trying again soon locks us out
    final: bool = False  # it cannot be read: trying again would end the same way
    over: bool = False  # it has ended in order


class SourceEnded(Exception):
    """A reader knows why there is nothing, or nothing more, to read."""

    def __init__(self, end: End) -> None:
        super().__init__(end.cause)
        self.end = end


def end_after(error: Exception, target: Target) -> End:
    """What an error of the reader means; its own text may hold the address and is not used."""
    import av

    if target.kind == "v4l2" and isinstance(error, OSError):
        return _camera(error, target.text)
    address = parse_address(target.text) if "://" in target.text else None
    match error:
        case av.HTTPUnauthorizedError():
            return End(REFUSED if address and address.login else ASKED, refused=True)
        case av.HTTPForbiddenError():
            return End("the camera does not allow this user to see this stream", refused=True)
        case av.HTTPTooManyRequestsError():
            return End("the camera wants to be asked less often", refused=True)
        case av.HTTPNotFoundError():
            return End("the camera has no such stream; check what follows the host")
        case av.HTTPClientError():
            return End("the camera does not understand the request; check what follows the host")
        case av.HTTPServerError():
            return End("the camera reports an error of its own")
        case OSError(errno=errno.EINVAL) if target.options != KINDS[target.kind].options:
            return End("FFmpeg does not take the values of these source options", final=True)
        case av.InvalidDataError():
            return End(NO_VIDEO)
        case av.ExitError():
            return End("nothing arrives")
        case OSError(strerror="Input/output error"):
            name = " or its name is not known" if address and address.scheme == "rtsp" else ""
            return End(f"nothing arrives{name}")
        case OSError(strerror=str(words)) | av.FFmpegError(strerror=str(words)):
            return End(words.lower())
    # An unexpected one: its class is all that is certain to be harmless.
    return End(f"the reader met an unexpected {type(error).__name__}")


def _camera(error: OSError, device: str) -> End:
    """Why a camera at this machine cannot be opened; it may be plugged in later."""
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return End(f"there is no camera {device} (now); see v4l2-ctl --list-devices")
        case errno.EACCES | errno.EPERM:
            return End(
                f"this user may not use {device}: sudo usermod -aG video $USER, log in again"
            )
        case errno.EBUSY:
            return End(f"another program uses {device}")
        case errno.ENOTTY | errno.EINVAL:
            return End(f"{device} is no camera, or has no such size, rate or format")
    return End(f"{device}: {(error.strerror or 'cannot be opened').lower()}")
