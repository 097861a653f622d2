"""What a live source tells about itself, whatever its password is."""

from __future__ import annotations

import logging
import os
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.events import build_state
from skyeye_edge.core.frame import SourceChange
from skyeye_edge.runtime.sources.live import LiveSource
from skyeye_edge.runtime.sources.live_reader import run
from skyeye_edge.runtime.sources.messages import Request
from skyeye_edge.runtime.sources.registry import live_target

WORDS = ("kiwi", "Plum7", "quince")  # every password is made of them, with marks around each
passwords = st.builds(
    lambda marks: "".join(mark + word for mark, word in zip(marks, WORDS, strict=True)),
    st.lists(st.text("/#?@:%&=;+ '\"\\é漢", max_size=3), min_size=3, max_size=3),
)
# nobody listens on this port, so that FFmpeg refuses at once, with the address in its error
PLACES = (
    "rtsp://admin:{}@127.0.0.1:9/live",
    "rtsp://127.0.0.1:9/user=admin_password={}_channel=1",
    "rtsp://127.0.0.1:9/live?channel=1&pwd={}",
)


def told_by_reader(url: str) -> bytes:
    """Everything that the reader of an address hands to its parent."""
    wishes, wish = os.pipe()
    heard, output = os.pipe()
    try:
        run(Request(live_target(url), 0.0), wishes, output)
        return os.read(heard, 65536)
    finally:
        for descriptor in (wishes, wish, heard, output):
            os.close(descriptor)


@given(password=passwords, place=st.sampled_from(PLACES))
@settings(max_examples=200)
def test_no_event_no_log_line_and_no_message_shows_a_part_of_a_password(
    caplog: pytest.LogCaptureFixture, password: str, place: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url = place.format(password)

    told = told_by_reader(url)
    source = LiveSource(url)
    change = SourceChange("RECONNECTING", "connection refused")
    event = build_state(change, source.name, datetime.now(timezone.utc)).to_json()

    assert b'"type": "end"' in told
    said = f"{told!r} {event} {caplog.text} {source.name} {vars(source)}"
    assert not any(word in said for word in WORDS)
