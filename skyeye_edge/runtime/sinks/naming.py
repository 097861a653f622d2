"""Names of files and topics that are made of what a source is called."""

from __future__ import annotations

import re


def plain_name(text: str) -> str:
    """`udp://@:5600` as `udp-5600`: letters of any script, digits, dot, dash, underscore."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "source"
