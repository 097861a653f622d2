"""Alerts about a link that breaks."""

from __future__ import annotations

from collections.abc import Callable

from skyeye_edge.core.events import AlertEvent, AnswerEvent, Event, SummaryEvent
from skyeye_edge.runtime.alerts import Alert
from skyeye_edge.runtime.model import Model
from tests.integration.live.watching import Sender

SEEN = Alert("a boat", by="ground", begin_at=0.0, end_at=0.0)  # whatever the model says

ENDLESS = 5000  # events after which nothing new is to be expected


def test_an_alert_stands_while_the_sender_is_gone_and_ends_with_the_stream(
    tiny: Model, udp_sender: Callable[[], Sender], port: int
) -> None:
    sender = udp_sender()
    events: list[Event] = []

    with tiny.stream(f"udp://127.0.0.1:{port}", every=0, alerts=[SEEN]) as stream:
        for event in stream:
            events.append(event)
            if isinstance(event, AlertEvent) and event.phase == "begin":
                sender.kill()
                udp_sender()
            if isinstance(event, AnswerEvent) and (event.epoch == 1 or len(events) > ENDLESS):
                stream.stop()

    alerts = [event for event in events if isinstance(event, AlertEvent)]
    phases = [(event.phase, event.why) for event in alerts if event.phase != "update"]
    assert phases == [("begin", "seen"), ("end", "ended")]
    assert (alerts[0].epoch, alerts[-1].epoch) == (0, 1)
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    counts = summary.counts
    assert counts.received == summary.answered + counts.skipped + sum(counts.dropped.values())
