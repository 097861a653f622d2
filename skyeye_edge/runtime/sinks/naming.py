"""Names of files and topics that are made of what a source is called."""

from __future__ import annotations

import re


def plain_name(text: str) -> str:
    """`udp://@:5600` as `udp-5600`: letters, digits, dot, dash and underscore only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "source"
