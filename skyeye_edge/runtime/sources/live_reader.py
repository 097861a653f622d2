"""The child process of a live source: opens it, decodes, hands over the newest frame.

PyAV can hold the GIL for seconds and cannot be interrupted, so all of it happens here, where the
parent can kill it. What the two say to each other stands in `messages`.
"""

from __future__ import annotations

from contextlib import suppress

from skyeye_edge.runtime.sources.causes import End, SourceEnded, end_after
from skyeye_edge.runtime.sources.demuxing import follow
from skyeye_edge.runtime.sources.messages import ParentGone, Request, write_message
from skyeye_edge.runtime.sources.packet_tap import PacketTap
from skyeye_edge.runtime.sources.readers import open_reader
from skyeye_edge.runtime.sources.session import Session


def run(request: Request, wishes: int, output: int) -> None:
    """Read the source until it ends or nobody listens; the last message says why.

    Args:
        request: what is wanted.
        wishes: file descriptor with one byte per wanted frame.
        output: file descriptor for the messages.
    """
    session = Session(request, wishes, lambda values, rgb: write_message(output, values, rgb))
    with suppress(ParentGone):
        end = _end(request, session)
        session.end(end)
    if session.tap is not None:
        session.tap.close()


def _end(request: Request, session: Session) -> End:
    """Read it; how that ended."""
    try:
        with open_reader(request.target, session.notes) as opened:
            if request.tap is not None:
                session.tap = PacketTap(
                    request.tap, opened.context.name, opened.video, opened.streams
                )
            return follow(opened, session)
    except ParentGone:
        raise
    except SourceEnded as error:
        return error.end
    except Exception as error:  # the end of the process; the text of an error may hold the address
        return end_after(error, request.target)
