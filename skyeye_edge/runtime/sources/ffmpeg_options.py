"""Which options FFmpeg has, as it says itself; PyAV passes on what is unknown without a word."""

from __future__ import annotations

import ctypes
import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from skyeye_edge.core.errors import InputError

CONSTANT = 11  # AV_OPT_TYPE_CONST: a name for a value, and no option


class _Option(ctypes.Structure):
    """The beginning of AVOption (libavutil/opt.h)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("help", ctypes.c_char_p),
        ("offset", ctypes.c_int),
        ("type", ctypes.c_int),
    )


class _InputFormat(ctypes.Structure):
    """The beginning of AVInputFormat (libavformat/avformat.h)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("long_name", ctypes.c_char_p),
        ("flags", ctypes.c_int),
        ("extensions", ctypes.c_char_p),
        ("codec_tag", ctypes.c_void_p),
        ("priv_class", ctypes.c_void_p),
    )


def check_options(
    options: Mapping[str, str], own: frozenset[str], format_name: str, protocols: tuple[str, ...]
) -> None:
    """Refuse an option that neither our reader nor FFmpeg knows; raises InputError."""
    for name, value in options.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InputError(f"source option {name!r}: give names and values as text")
    theirs = ffmpeg_options(format_name, protocols) if format_name and options else set()
    known = own | (theirs or set())
    for name in options if theirs is not None else ():
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"; is {near[0]} meant?" if near else ""
            raise InputError(f"source option {name}: this kind of source has no such option{hint}")


def has_protocol(name: str) -> bool:
    """Whether FFmpeg was built with a protocol."""
    libraries = _libraries()
    if libraries is None:
        return False
    avformat, _ = libraries
    avformat.avio_protocol_get_class.restype = ctypes.c_void_p
    avformat.avio_protocol_get_class.argtypes = [ctypes.c_char_p]
    return bool(avformat.avio_protocol_get_class(name.encode()))


def ffmpeg_options(format_name: str, protocols: tuple[str, ...]) -> set[str] | None:
    """Names of the options of a demuxer, of protocols, and of all demuxers; None: not known."""
    libraries = _libraries()
    if libraries is None:
        return None
    avformat, avutil = libraries
    avformat.avformat_get_class.restype = ctypes.c_void_p
    avformat.avio_protocol_get_class.restype = ctypes.c_void_p
    avformat.avio_protocol_get_class.argtypes = [ctypes.c_char_p]
    avformat.av_find_input_format.restype = ctypes.POINTER(_InputFormat)
    avformat.av_find_input_format.argtypes = [ctypes.c_char_p]
    classes = [avformat.avformat_get_class()]
    for name in format_name.split(","):
        if found := avformat.av_find_input_format(name.encode()):
            classes.append(found.contents.priv_class)
    classes += [avformat.avio_protocol_get_class(name.encode()) for name in protocols]
    return {name for each in classes if each for name in _names(avutil, each)}


def _names(avutil: ctypes.CDLL, class_: int) -> Iterator[str]:
    avutil.av_opt_next.restype = ctypes.POINTER(_Option)
    avutil.av_opt_next.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    holder, option = ctypes.c_void_p(class_), None
    while option := avutil.av_opt_next(ctypes.byref(holder), option):
        if option.contents.type != CONSTANT:
            yield option.contents.name.decode()


def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL] | None:
    """FFmpeg's libavformat and libavutil that PyAV has loaded; None: they are not found."""
    import av  # noqa: F401  # loads them

    maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
    avformat, avutil = (_library(maps, name) for name in ("avformat", "avutil"))
    return (avformat, avutil) if avformat and avutil else None


def _library(maps: str, name: str) -> ctypes.CDLL | None:
    """PyAV's library of that name, and not the one that OpenCV's wheel brings besides."""
    paths = re.findall(rf"(/\S.*/lib{name}[-.][^/\n]*)", maps)
    its_own = [path for path in paths if "/av.libs/" in path]
    of_the_system = [path for path in paths if ".libs/" not in path]
    path = next(iter(its_own + of_the_system), None)
    return None if path is None else ctypes.CDLL(path)
