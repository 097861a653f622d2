"""Events to an MQTT broker; the one module that knows paho-mqtt."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from skyeye_edge.core.address import Address
from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.events import AlertEvent, Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.json_types import json_line
from skyeye_edge.runtime.sinks.naming import plain_name

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PORTS = {"mqtt": 1883, "mqtts": 8883}
CONNECTING = 2.0  # seconds in which a broker that is there has answered
LEAVING = 0.5  # seconds in which what is on its way may still be confirmed
UNCONFIRMED = 100  # messages on their way to the broker at once
RECONNECT = (1, 5)  # seconds between tries, at first and at most


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """How a broker is spoken to."""

    qos: Literal[0, 1] = 1  # 1: each message is sent until the broker confirms it
    keepalive: int = 10  # seconds; a broker that is silent for 1.5 times as long is given up
    spool: int = 1000  # events that wait in memory while there is no broker
    client_id: str = ""  # empty: a new one every time
    login_file: str = ""  # a file with user:password, which nobody sees in a list of processes
    ca: str = ""  # file of certificates, for mqtts; empty: those of the system


class MqttSink:
    """Publishes each event under PREFIX/SOURCE/TYPE, and under PREFIX/status whether we are there.

    All but answers are retained, alerts each under its name: who subscribes later knows at once how
    each source stands. The broker itself says `offline` when we are gone (last will).

    Args:
        address: mqtt://[user:password@]host[:port]/prefix, or mqtts:// for TLS.
        settings: see there.

    Raises:
        InputError: no host, or a file that cannot be read.
        MissingExtraError: paho-mqtt is not installed.
    """

    wants_frames = False

    def __init__(self, address: Address, settings: MqttSettings | None = None) -> None:
        self._settings = settings or MqttSettings()
        self.name = address.shown
        self.spool = self._settings.spool
        self.unsent = 0
        if not address.host:
            raise InputError(f"{self.name}: the host is missing, as in mqtt://127.0.0.1/skyeye")
        self._prefix = topic_prefix(address)
        self._lock = threading.Lock()
        self._on_way = 0
        self._confirmed = threading.Condition(self._lock)
        self._heard = threading.Event()  # of the broker, be it a refusal
        self._is_connected = False
        self._why = "the broker does not answer"
        self._client = self._opened(address)

    def write(self, event: Event, frame: Frame | None) -> None:
        """Publish it.

        Raises:
            ConnectionError: there is no connection; why is said.
            TimeoutError: the broker confirms nothing of what it got.
        """
        self._heard.wait(CONNECTING)
        with self._lock:
            if not self._is_connected:
                raise ConnectionError(self._why)
            if self._on_way >= UNCONFIRMED:
                raise TimeoutError("the broker confirms nothing")
            self._on_way += 1
        values = event.to_dict()
        kind = values["type"]
        topic = f"{self._prefix}/{plain_name(event.source)}/{kind}"
        if isinstance(event, AlertEvent):  # each has its own, so that the last one says how it is
            topic = f"{topic}/{plain_name(event.alert)}"
        retain = kind in ("state", "control", "summary", "alert")
        sent = self._client.publish(topic, json_line(values), self._settings.qos, retain)
        kept = sent.rc == 4 and self._settings.qos > 0  # until it is connected again
        if sent.rc and not kept:
            self._confirm()
            raise ConnectionError("the broker has gone")

    def close(self) -> None:
        """Say that we leave, and wait a moment for what is on its way. Closing twice is fine."""
        with self._lock:
            if self._is_connected:
                self._confirmed.wait_for(lambda: not self._on_way, LEAVING)
            self.unsent, self._on_way = self._on_way, 0
            was_connected, self._is_connected = self._is_connected, False
        if was_connected:
            left = self._client.publish(f"{self._prefix}/status", "offline", 1, retain=True)
            left.wait_for_publish(LEAVING / 2)
        self._client.disconnect()
        if was_connected:  # else it may be connecting, and nobody has to wait for the end of that
            self._client.loop_stop()

    def _opened(self, address: Address) -> Client:
        with needs("mqtt"):
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        client = Client(CallbackAPIVersion.VERSION2, self._settings.client_id)
        client.will_set(f"{self._prefix}/status", "offline", 1, retain=True)
        login = self._login(address)
        if login:
            user, _, password = login.partition(":")
            client.username_pw_set(user, password)
        if address.scheme == "mqtts":
            try:
                client.tls_set(self._settings.ca or None)
            except OSError as error:
                raise InputError(f"{self.name}: ca={self._settings.ca}: {error}") from error
        client.on_connect = self._connected
        client.on_connect_fail = self._not_reached
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.max_inflight_messages_set(UNCONFIRMED)
        client.reconnect_delay_set(*RECONNECT)
        client.connect_timeout = CONNECTING
        port = address.port or PORTS[address.scheme]
        client.connect_async(address.host.strip("[]"), port, self._settings.keepalive)
        client.loop_start()
        return client

    def _login(self, address: Address) -> str:
        if not self._settings.login_file:
            login = address.login or ""
            return ":".join(unquote(part) for part in login.split(":", 1))
        path = Path(self._settings.login_file)
        try:
            return path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.name}: login_file={path}: {error}") from error

    # Called by paho in its own thread; what they are given changes with its versions.

    def _connected(self, client: Client, *values: Any) -> None:
        reason = values[2]
        with self._lock:
            self._is_connected = not reason.is_failure
            self._why = f"the broker refuses us ({str(reason).lower()})"
        if not reason.is_failure:
            client.publish(f"{self._prefix}/status", "online", 1, retain=True)
        self._heard.set()

    def _not_reached(self, *_: Any) -> None:
        with self._lock:
            self._is_connected = False
            self._why = "the broker cannot be reached"
        self._heard.set()

    def _disconnected(self, *values: Any) -> None:
        with self._lock:
            if self._is_connected:
                self._is_connected = False
                self._why = "the broker has gone"

    def _published(self, *_: Any) -> None:
        self._confirm()

    def _confirm(self) -> None:
        with self._lock:
            self._on_way = max(0, self._on_way - 1)
            self._confirmed.notify_all()


def topic_prefix(address: Address) -> str:
    """What topics begin with; raises InputError where MQTT reads it as a pattern."""
    prefix = unquote(address.rest.partition("?")[0]).strip("/") or "skyeye"
    if any(mark in prefix for mark in "+#\0"):
        raise InputError(f"{address.shown}: a topic has no + or #; give mqtt://host/some/prefix")
    return prefix
