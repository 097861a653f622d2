"""Addresses of live video: how they are read, what FFmpeg is given, and what people may see.

Cameras take secrets as user info (`rtsp://admin:PASSWORD@host`), in the path
(`/user=admin_password=PASSWORD`) and in the query (`?pwd=PASSWORD`), and few of their users know
that `/ ? # @ %` in there have to be written as %2F %3F %23 %40 %25. So an address is not cut at the
first slash: every place where a host could stand is looked at, and where there are several, nothing
is guessed. What is not certain to be harmless is never shown.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from skyeye_edge.core.errors import InputError

HIDDEN = "…"  # stands where something was left out
LISTENING = ("udp", "rtp", "srt")  # schemes that need no host: others send to this machine
LONGEST_LOGIN = 127  # bytes; FFmpeg cuts what is longer, and the camera then refuses the rest

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(.*)", re.DOTALL)  # Path makes // one /
_PLACE = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?(?=[/?#]|\Z)"
)
_UDP_PLACE = re.compile(r"(?P<host>):(?P<port>[0-9]{1,5})(?=[/?#]|\Z)")  # udp://@:5600
_LOGIN = re.compile(r"[^/?#]*:")  # of a user info in which / ? or # stand unescaped
_ORDINARY = re.compile(r"[A-Za-z0-9._/?&=-]*\Z")
_PLAIN = re.compile(r"[A-Za-z0-9._-]*\Z")
_LABEL = re.compile(
    r"account|admin|auth|cred|key|login|pass|pin|psw|pwd|secret|sig|token|user|usr", re.IGNORECASE
)
_TOKEN = re.compile(  # sixteen letters and digits mixed, or a UUID: no folder that a person named
    r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{16}|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-"
)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """An address of which it is clear where its host stands."""

    scheme: str  # in small letters
    login: str | None  # user:password as written; None if there is no @ before the host
    host: str  # an IPv6 address in brackets; empty where others send to this machine
    port: int | None
    rest: str  # path, query and fragment, as written

    @property
    def shown(self) -> str:
        """For people: no user, no password, no query, and the path only of plain words."""
        port = "" if self.port is None else f":{self.port}"
        path = _shown_path(self.rest)
        if self.scheme.startswith("rtmp") and path.count("/") > 1:
            path = f"/{path.split('/')[1]}/{HIDDEN}"  # behind the application stands its key
        return f"{self.scheme}://{self.host}{port}{path}"

    @property
    def for_ffmpeg(self) -> str:
        """The same with everything escaped that would be misread; holds the secrets."""
        login = "" if self.login is None else f"{_escaped_login(self.login)}@"
        port = "" if self.port is None else f":{self.port}"
        # What follows the host is the camera's own language, where % or # may mean anything.
        rest = "".join(mark if "!" <= mark <= "~" else _quoted(mark) for mark in self.rest)
        return f"{self.scheme}://{login}{self.host}{port}{rest}"

    def __repr__(self) -> str:  # also in a traceback that shows values
        return f"<Address {self.shown}>"


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        InputError: it has no host, more than one place could be the host, or its user info is
            longer than FFmpeg takes. The message holds no secret.
    """
    readings = _readings(text)
    if not readings:
        raise InputError(
            f"{without_secrets(text)}: give an address like udp://@:5600 or rtsp://host:8554/path"
        )
    if len(readings) > 1:
        raise InputError(
            f"{without_secrets(text)}: this address can be read in more than one way; in a user "
            "name or password, path or query, write / as %2F, ? as %3F, # as %23 and @ as %40"
        )
    (address,) = readings
    if len(_escaped_login(address.login or "")) > LONGEST_LOGIN:
        raise InputError(
            f"{address.shown}: user name and password are longer than {LONGEST_LOGIN} characters "
            "(those that must be escaped count three), which FFmpeg would cut; use shorter ones"
        )
    return address


def without_secrets(text: str) -> str:
    """What may be shown of something that is, or was meant to be, an address; never fails."""
    readings = _readings(text)
    if len(readings) == 1:
        return readings[0].shown
    found = _SCHEME.match(text)
    return f"{found[1].lower()}://{HIDDEN}" if found else HIDDEN


def is_like_address(text: str) -> bool:
    """Whether something is an address or a part of one, and must not be shown as a path may be."""
    scheme_or_login = _SCHEME.match(text) or re.match(r"[^/]*:.*@", text, re.DOTALL)
    return scheme_or_login is not None or "://" in text


def check_is_no_address(path: str | os.PathLike[str]) -> None:
    """Refuse an address where a file is needed, without its secrets; raises InputError."""
    text = os.fspath(path)
    # os.path, because Path.exists fails on a name that is too long
    if is_like_address(text) and not os.path.exists(text):  # noqa: PTH110
        raise InputError(
            f"{without_secrets(text)}: this looks like an address, and a file is needed; "
            "`skyeye-edge watch` and `Model.stream` take addresses, with rtsp:// or udp:// in front"
        )


def _readings(text: str) -> list[Address]:
    """Every way to read an address; one if it is clear."""
    found = _SCHEME.match(text)
    if found is None:
        return []
    scheme, rest = found[1].lower(), found[2]
    places = list(_places(scheme, rest))
    # An IP address is no accident; the first one, because what follows may name another server.
    certain = [place for place in places if _is_certain(place.host)]
    return certain[:1] or places


def _places(scheme: str, rest: str) -> Iterator[Address]:
    """Every place at which a host could stand: at the beginning, and after each @."""
    for begin in [0, *(match.end() for match in re.finditer("@", rest))]:
        login = None if begin == 0 else rest[: begin - 1]
        if login is not None and re.search("[/?#]", login) and not _LOGIN.match(login):
            continue  # a user name alone has none of these
        place = _PLACE.match(rest, begin)
        if place is None and scheme in LISTENING and not login:
            place = _UDP_PLACE.match(rest, begin)
        if place is None or int(place["port"] or 0) > 65535:
            continue
        port = None if place["port"] is None else int(place["port"])
        yield Address(scheme, login, place["host"], port, rest[place.end() :])


def _is_certain(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def _shown_path(rest: str) -> str:
    """The path if every folder of it is a plain word that neither is nor names a secret."""
    # Where a secret with a mark such as # or @ in it begins, nobody can tell.
    path, _, query = rest.partition("?") if _ORDINARY.match(rest) else (rest, "", "")
    if any(map(_is_odd, query.split("&"))):
        return f"/{HIDDEN}"
    folders = path.split("/")
    harmless = all(map(_PLAIN.match, folders)) and not any(map(_LABEL.search, folders))
    return path if harmless and not any(map(_TOKEN.search, folders)) else f"/{HIDDEN}"


def _is_odd(part: str) -> bool:
    """True if a part of a query calls a secret by its value: one with a ? in it, torn apart."""
    name, _, value = part.partition("=")
    return bool(_LABEL.search(value)) and not _LABEL.search(name)


def _escaped_login(login: str) -> str:
    user, colon, password = login.partition(":")
    return _escaped(user) + colon + _escaped(password)


def _escaped(text: str) -> str:
    """Reserved characters as %XX; what is written as %XX already stays."""
    parts = re.split(r"(%[0-9A-Fa-f]{2})", text)
    return "".join(part if number % 2 else _quoted(part) for number, part in enumerate(parts))


def _quoted(text: str) -> str:
    # bytes of a command line that are no UTF-8 arrive as surrogates and leave as they came
    return quote(text, safe="!$&'()*+,;=", errors="surrogateescape")
