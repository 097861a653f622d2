"""Cues as SubRip, the subtitle file that every player reads."""

from __future__ import annotations

from skyeye_edge.runtime.sinks.cues import Cue, clock

HEADER = ""


def cue_text(number: int, cue: Cue) -> str:
    """One cue block; `number` counts from 1."""
    lines = "\n".join(
        line.replace("-->", "->").replace("<", "(").replace(">", ")") for line in cue.lines
    )
    return f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{lines}\n\n"
