"""Why a live source ended, in words for the person at the flight line."""

from __future__ import annotations

from dataclasses import dataclass

from skyeye_edge.core.address import Address

REFUSED = "the camera refuses this user name or password; tried again slowly, as cameras lock out"
ASKED = "the camera asks for a user name and password; give rtsp://USER:PASSWORD@..."

NO_VIDEO = "what arrives is no video that can be read"


@dataclass(frozen=True, slots=True)
class End:
    """How one opening of an address ended."""

    cause: str
    refused: bool = False  # the camera does not let us in: trying again soon locks us out
    final: bool = False  # trying again would end the same way


class SourceEnded(Exception):
    """A reader knows why there is nothing, or nothing more, to read."""

    def __init__(self, end: End) -> None:
        super().__init__(end.cause)
        self.end = end


def end_after(error: Exception, address: Address | None) -> End:
    """What an error of the reader means; its own text may hold the address and is not used."""
    import av

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
