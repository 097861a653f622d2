"""Addresses of cameras: what they mean, and that nobody is shown their secrets."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.address import (
    HIDDEN,
    LONGEST_LOGIN,
    check_is_no_address,
    parse_address,
    without_secrets,
)
from skyeye_edge.core.errors import InputError

WORDS = ("kiwi", "Plum7", "fig", "quince", "42x")  # of passwords; in no other part of an address
MARKS = "/#?@:%&=;+ []{}<>\\\"'~!$^*|`,.()éß€漢\u2100\udc80"

# Every password is made of the words, with marks before, between and behind: where a single word
# of it can be read, so can a part of the password.
passwords = st.builds(
    lambda words, marks: marks[0] + "".join(w + m for w, m in zip(words, marks[1:], strict=False)),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
    st.lists(st.text(MARKS, max_size=3), min_size=5, max_size=5),
)
hosts = st.sampled_from(["10.0.0.2", "10.0.0.2:554", "[fe80::1]:8554", "cam", "cam.local:554"])


def shows_a_part(text: str) -> bool:
    return any(word in text for word in WORDS)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:pass@10.0.0.2:554/stream", "rtsp://10.0.0.2:554/stream"),
        ("rtsp://cam/live?user=admin&password=pass", "rtsp://cam/live"),
        ("rtsp://cam/live?user=admin&password=pass#pass", "rtsp://cam/…"),
        ("rtsp://a:p@ss@cam/live", "rtsp://cam/live"),
        ("rtsp://admin:pa/ss@cam/live", "rtsp://cam/live"),
        ("rtsp://admin:1/2@10.0.0.2/live", "rtsp://10.0.0.2/live"),
        ("rtsp://10.0.0.2/user=admin_password=pass_channel=1", "rtsp://10.0.0.2/…"),
        ("rtsp://10.0.0.2/pwd/pass/live", "rtsp://10.0.0.2/…"),
        ("rtsp://10.0.0.2/live/pass?=token", "rtsp://10.0.0.2/…"),
        ("rtsp://10.0.0.2:7441/AbCdEfGh12345678?enableSrtp", "rtsp://10.0.0.2:7441/…"),
        ("rtsp://10.0.0.2/Streaming/Channels/101", "rtsp://10.0.0.2/Streaming/Channels/101"),
        ("rtsp://10.0.0.2/h264Preview_01_main", "rtsp://10.0.0.2/h264Preview_01_main"),
        ("rtsp://[fe80::1]:554/live", "rtsp://[fe80::1]:554/live"),
        ("RTSP://Cam/live", "rtsp://Cam/live"),
        ("rtsp:/admin:pass@10.0.0.2/live", "rtsp://10.0.0.2/live"),
        ("udp://@:5600", "udp://:5600"),
        ("udp://239.1.1.1:5600?fifo_size=100", "udp://239.1.1.1:5600"),
        ("admin:pass@10.0.0.2/live", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_of_an_address_people_see_the_host_and_harmless_folders(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@given(password=passwords, host=hosts, tail=st.sampled_from(["", "/live", "/live?channel=1"]))
@settings(max_examples=200)
def test_no_part_of_a_password_in_the_user_info_is_shown(
    password: str, host: str, tail: str
) -> None:
    address = f"rtsp://admin:{password}@{host}{tail}"

    assert not shows_a_part(without_secrets(address))
    assert not shows_a_part(without_secrets(str(Path(address))))


TAILS = (
    "/user=admin_password={}_channel=1_stream=0.sdp",
    "/user=admin&password={}&channel=1",
    "/live/{}=token",
    "/pass/{}/live",
    "/live?pwd={}",
    "/live?channel=1&password={}&subtype=0",
    "/live;token={}",
    "/live#{}",
    "?{}",
)


@given(
    password=passwords,
    host=hosts,
    tail=st.sampled_from(TAILS),
    user=st.sampled_from(["", "admin:x@"]),
)
@settings(max_examples=400)
def test_no_part_of_a_password_in_path_or_query_is_shown(
    password: str, host: str, tail: str, user: str
) -> None:
    address = f"rtsp://{user}{host}{tail.format(password)}"

    assert not shows_a_part(without_secrets(address))
    assert not shows_a_part(without_secrets(str(Path(address))))


@given(address=st.text(MARKS + "abrtsp1", max_size=40) | passwords.map("rtsp://".__add__))
def test_any_text_is_understood_or_refused(address: str) -> None:
    try:
        shown = parse_address(address).shown
    except InputError:
        shown = without_secrets(address)

    assert HIDDEN in shown or "://" in shown


@given(password=passwords, host=st.sampled_from(["10.0.0.2", "[fe80::1]:8554", "localhost:554"]))
def test_a_camera_named_by_its_number_is_found_behind_any_password(
    password: str, host: str
) -> None:
    address = parse_address(f"rtsp://admin:{password}@{host}/live?channel=1")

    place, rest = re.sub("^.*@", "", address.for_ffmpeg), address.rest
    assert (place, rest) == (f"{host}/live?channel=1", "/live?channel=1")


@given(password=st.text(min_size=1, max_size=9).filter(lambda text: "%" not in text))
def test_ffmpeg_is_given_the_password_as_it_was_written(password: str) -> None:
    given = parse_address(f"rtsp://admin:{password}@10.0.0.2/live").for_ffmpeg

    login = given.removeprefix("rtsp://").removesuffix("@10.0.0.2/live")
    assert unquote(login, errors="surrogateescape") == f"admin:{password}"
    assert not set("/?#@ ") & set(login)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("p%40ss", "p@ss"),
        ("100%", "100%"),
        ("100%25", "100%"),
        ("%zz", "%zz"),
        ("a%2Fb/c", "a/b/c"),
    ],
)
def test_what_is_escaped_already_stays_and_a_lone_percent_sign_is_one(
    written: str, meant: str
) -> None:
    given = parse_address(f"rtsp://admin:{written}@10.0.0.2/live").for_ffmpeg

    assert unquote(given) == f"rtsp://admin:{meant}@10.0.0.2/live"


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://admin:12/34@cam/live",
        "rtsp://cam:554/live?mail=me@home",
        "rtsp://admin:P@ss.word/1@cam/live",
    ],
)
def test_an_address_with_two_meanings_is_refused_with_what_to_write(address: str) -> None:
    with pytest.raises(InputError, match="@ as %40") as caught:
        parse_address(address)

    assert str(caught.value).startswith(f"rtsp://{HIDDEN}: ")


@pytest.mark.parametrize("address", ["rtsp://", "rtsp:///live", "udp://@:99999", "rtsp://a:b@/x"])
def test_an_address_without_a_host_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="give an address like"):
        parse_address(address)


def test_a_login_that_ffmpeg_would_cut_is_refused() -> None:
    password = "é" * ((LONGEST_LOGIN - len("admin:")) // len("%C3%A9") + 1)

    with pytest.raises(InputError, match="longer than 127"):
        parse_address(f"rtsp://admin:{password}@10.0.0.2/live")


def test_the_value_itself_hides_its_secrets() -> None:
    address = parse_address("rtsp://admin:pass@10.0.0.2/live?pwd=pass")

    assert repr(address) == "<Address rtsp://10.0.0.2/live>"


@pytest.mark.parametrize(
    "path",
    [
        "rtsp://admin:pass@10.0.0.2/live",
        Path("rtsp://admin:pass@10.0.0.2/live"),
        "admin:pass@10.0.0.2/live",
        "file:///home/pass",
    ],
)
def test_an_address_where_a_file_is_needed_is_refused_without_its_secrets(path: str | Path) -> None:
    with pytest.raises(InputError, match="looks like an address") as caught:
        check_is_no_address(path)

    assert "pass" not in str(caught.value)


def test_a_file_that_is_there_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "12:30@harbour.mp4"
    file.touch()

    check_is_no_address(file)
    check_is_no_address("missing.mp4")
