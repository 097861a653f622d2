"""Events to a real MQTT broker, which is absent, dies, freezes and comes back."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import Event, build_alert, build_answer, build_state, build_summary
from skyeye_edge.core.frame import Counts, Frame, SourceChange, State
from skyeye_edge.runtime.sinks import open_sink
from skyeye_edge.runtime.sinks.fan import Fan

pytestmark = pytest.mark.mosquitto
UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
LIMIT = 120.0  # seconds after which something hangs: no machine is so busy
SOURCE = "udp-127.0.0.1-5600"


def state(what: State, cause: str = "because") -> Event:
    change = SourceChange(what, cause)
    return build_state(change, "udp://127.0.0.1:5600", UTC, nonce=cause)


ALERT = build_alert(
    answer := build_answer(
        [Frame(np.zeros((4, 8, 3), np.uint8), source="udp://127.0.0.1:5600")],
        [], Counts(1), UTC, timing_ms={}, model={},
    ),
    alert="Rauch über dem Dach/links", phrase="smoke", phase="begin", why="seen", score=0.9,
    evidence=[answer],
)  # fmt: skip
SUMMARY = build_summary(Counts(2), 2, UTC, source="udp://127.0.0.1:5600")


class Broker:
    """A mosquitto on a port of its own, which can be ended and started again."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", *(settings or ["allow_anonymous true"])]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        command = [program, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + LIMIT
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    return
            assert self._process.poll() is None and time.monotonic() < until
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


class Subscriber:
    """What another program hears."""

    def __init__(self, port: int, login: tuple[str, str] | None = None, ca: str = "") -> None:
        self.heard: list[tuple[str, str, bool]] = []
        self._changed = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(*login)
        if ca:
            self._client.tls_set(ca)
        self._subscribed = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._hear
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("localhost" if ca else "127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(LIMIT)

    def _hear(self, client: Client, user: Any, message: MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, message.payload.decode(), message.retain))
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, LIMIT), self.heard

    def causes(self) -> list[str]:
        found = [json.loads(text) for topic, text, _ in self.heard if topic.endswith("state")]
        return [each["cause"] for each in found]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_events_arrive_by_topic_and_who_comes_late_hears_how_things_stand(broker: Broker) -> None:
    broker.start()
    with ExitStack() as stack:
        early = stack.enter_context(closing(Subscriber(broker.port)))
        fan = Fan([open_sink(f"mqtt://127.0.0.1:{broker.port}/fleet/uav1")], patience=LIMIT)
        for event in (state("LIVE"), ALERT, state("ENDED", "it ended"), SUMMARY):
            fan.offer(event, None)
        early.wait(lambda: len(early.heard) == 5)
        late = stack.enter_context(closing(Subscriber(broker.port)))
        late.wait(lambda: len(late.heard) == 4)
        fan.close()
        early.wait(lambda: len(early.heard) == 6)

    base = f"fleet/uav1/{SOURCE}"
    assert [topic for topic, _, _ in early.heard] == [
        "fleet/uav1/status", f"{base}/state", f"{base}/alert/Rauch-über-dem-Dach-links",
        f"{base}/state", f"{base}/summary",
        "fleet/uav1/status",
    ]  # fmt: skip
    assert json.loads(early.heard[4][1]) == SUMMARY.to_dict()
    assert early.heard[-1][1] == "offline"
    assert {topic: text for topic, text, retained in late.heard if retained} == {
        "fleet/uav1/status": "online",
        f"{base}/alert/Rauch-über-dem-Dach-links": ALERT.to_json(),
        f"{base}/state": state("ENDED", "it ended").to_json(),
        f"{base}/summary": SUMMARY.to_json(),
    }
    assert fan.losses == {}


def test_a_program_that_is_killed_is_said_to_be_offline(broker: Broker) -> None:
    broker.start()
    program = (
        "import sys, time\n"
        "from skyeye_edge.runtime.sinks import open_sink\n"
        "sink = open_sink(sys.argv[1]); time.sleep(600)"
    )
    with closing(Subscriber(broker.port)) as listener:
        command = [sys.executable, "-c", program, f"mqtt://127.0.0.1:{broker.port}/uav"]
        running = subprocess.Popen(command)
        try:
            listener.wait(lambda: ("uav/status", "online", False) in listener.heard)
        finally:
            running.kill()
            running.wait()
        listener.wait(lambda: ("uav/status", "offline", False) in listener.heard)

    said = [text for topic, text, _ in listener.heard if topic == "uav/status"]
    assert said[-2:] == ["online", "offline"]


def test_events_wait_for_a_broker_that_comes_later_and_for_one_that_comes_back(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/uav")
    fan = Fan([sink], patience=LIMIT)
    fan.offer(state("CONNECTING", "0"), None)
    fan.offer(state("LIVE", "1"), None)
    until = time.monotonic() + LIMIT
    while "the broker cannot be reached" not in caplog.text:
        assert time.monotonic() < until
        time.sleep(0.01)

    broker.start()
    with closing(Subscriber(broker.port)) as listener:
        listener.wait(lambda: listener.causes()[-1:] == ["1"])
    broker.kill()
    fan.offer(state("STALLED", "2"), None)
    fan.offer(state("LIVE", "3"), None)
    broker.start()
    with closing(Subscriber(broker.port)) as listener:
        listener.wait(lambda: listener.causes()[-1:] == ["3"])
    fan.close()

    assert fan.losses == {}
    assert "watching goes on, events wait" in caplog.text


def test_a_broker_that_freezes_holds_nothing_up_and_gets_everything_when_it_thaws(
    broker: Broker,
) -> None:
    broker.start()
    with closing(Subscriber(broker.port)) as listener:
        fan = Fan([open_sink(f"mqtt://127.0.0.1:{broker.port}/uav?keepalive=5")], patience=LIMIT)
        fan.offer(state("LIVE", "0"), None)
        listener.wait(lambda: listener.causes() == ["0"])
        broker.signal(signal.SIGSTOP)
        for number in range(1, 300):  # more than may be on its way at once
            fan.offer(state("LIVE", f"{number}"), None)
        broker.signal(signal.SIGCONT)
        listener.wait(lambda: "299" in listener.causes())
        fan.close()

        wanted = [f"{number}" for number in range(300)]
        assert list(dict.fromkeys(listener.causes())) == wanted  # some twice, none missing
    assert fan.losses == {}


def test_a_broker_that_never_comes_costs_a_bounded_number_and_no_time_at_the_end(
    broker: Broker,
) -> None:
    fan = Fan([open_sink(f"mqtt://127.0.0.1:{broker.port}/uav?spool=20")])
    for number in range(100):
        fan.offer(state("LIVE", f"{number}"), None)
    fan.close()

    (counts,) = fan.counts.values()
    assert (counts.offered, counts.written, counts.waiting) == (100, 0, 0)
    assert sum(counts.lost.values()) == 100


def test_what_a_broker_has_not_confirmed_at_the_end_is_missed(broker: Broker) -> None:
    broker.start()
    with closing(Subscriber(broker.port)) as listener:
        fan = Fan([open_sink(f"mqtt://127.0.0.1:{broker.port}/uav")], patience=LIMIT)
        fan.offer(state("LIVE", "0"), None)
        listener.wait(lambda: listener.causes() == ["0"])
        wait_for_written(fan, 1)
        broker.signal(signal.SIGSTOP)
        for number in range(1, 6):
            fan.offer(state("LIVE", f"{number}"), None)
        fan.close()
        broker.signal(signal.SIGCONT)

    (counts,) = fan.counts.values()
    assert (counts.written, counts.lost) == (1, {"closed": 5})


def wait_for_written(fan: Fan, number: int) -> None:
    until = time.monotonic() + LIMIT
    while next(iter(fan.counts.values())).written < number:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_password_opens_the_broker_and_is_shown_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    passwords = tmp_path / "passwords"
    program = ["mosquitto_passwd", "-b", "-c", str(passwords), "me", "s3cr:t"]
    subprocess.run(program, check=True, capture_output=True)
    passwords.chmod(0o644)  # mosquitto may give up being root before it reads it
    tmp_path.chmod(0o755)
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}", "user root")
    broker.start()
    login_file = tmp_path / "login"
    login_file.write_text("me:s3cr:t\n")
    try:
        with closing(Subscriber(broker.port, ("me", "s3cr:t"))) as listener:
            for number, what in enumerate(
                (
                    f"mqtt://me:s3cr%3At@127.0.0.1:{broker.port}/uav",
                    f"mqtt://127.0.0.1:{broker.port}/uav?login_file={login_file}",
                )
            ):
                sink = open_sink(what)
                fan = Fan([sink], patience=LIMIT)
                fan.offer(state("LIVE", f"{number}"), None)
                listener.wait(lambda n=number: f"{n}" in listener.causes())  # type: ignore[misc]
                fan.close()
                assert "s3cr" not in sink.name and "me" not in sink.name
        wrong = Fan([open_sink(f"mqtt://me:wr0ng@127.0.0.1:{broker.port}/uav")], patience=LIMIT)
        wrong.offer(state("LIVE"), None)
        wrong.close()
    finally:
        broker.kill()

    assert "the broker refuses us (not authorized)" in caplog.text
    assert "s3cr" not in caplog.text and "wr0ng" not in caplog.text


def test_a_broker_may_be_spoken_to_over_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    broker = Broker(
        tmp_path, "allow_anonymous true", f"certfile {certificate}", f"keyfile {key}", "user root"
    )
    broker.start()
    try:
        with closing(Subscriber(broker.port, ca=str(certificate))) as listener:
            what = f"mqtts://localhost:{broker.port}/uav?ca={certificate}"
            fan = Fan([open_sink(what)], patience=LIMIT)
            fan.offer(state("LIVE", "0"), None)
            listener.wait(lambda: listener.causes() == ["0"])
            fan.close()
    finally:
        broker.kill()

    assert fan.losses == {}


def test_a_file_of_certificates_that_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ca="):
        open_sink(f"mqtts://127.0.0.1/uav?ca={tmp_path}/none.pem")
    with pytest.raises(InputError, match="login_file="):
        open_sink(f"mqtt://127.0.0.1/uav?login_file={tmp_path}/none")
