"""Cues as WebVTT (W3C), which browsers and players show beside a video."""

from __future__ import annotations

import html

from skyeye_edge.runtime.sinks.cues import Cue, clock

HEADER = "WEBVTT\n\n"


def cue_text(number: int, cue: Cue) -> str:
    """One cue block; `number` counts from 1."""
    lines = "\n".join(html.escape(line, quote=False) for line in cue.lines)
    return f"{number}\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{lines}\n\n"
