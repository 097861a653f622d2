"""Cues as WebVTT (W3C), which browsers and players show beside a video."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks.cues import Cue, build_cues, clock


def blocks(events: Iterable[Event]) -> Iterator[str]:
    """The file, cue by cue."""
    yield "WEBVTT\n\n"
    for number, cue in enumerate(build_cues(events), start=1):
        yield cue_text(number, cue)


def cue_text(number: int, cue: Cue) -> str:
    """One cue block; `number` counts from 1."""
    lines = "\n".join(html.escape(line, quote=False) for line in cue.lines)
    return f"{number}\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{lines}\n\n"
