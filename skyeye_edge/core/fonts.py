"""Words as pixels: one font in the package, and the system's where that lacks a script."""

from __future__ import annotations

import logging
import subprocess
import unicodedata
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

log = logging.getLogger(__name__)

# Latin, Greek, Cyrillic, Vietnamese, Chinese, Japanese, Korean; see the README beside it.
PACKAGED = Path(__file__).parent.parent / "assets" / "fonts" / "wqy-microhei.ttc"
CAPITAL = 0.72  # height of its capital letters, as a share of the font's size
PROBE_SIZE = 16  # pixels; at which fonts are asked what they hold
NO_LETTER = "\uffff"  # no font has this one, so what is drawn for it stands for "no such letter"


@lru_cache(maxsize=512)
def text_mask(text: str, capital: float) -> npt.NDArray[np.uint8]:
    """Words in one line as (height, width) uint8, 255 where ink is; shared, so nobody writes to it.

    Args:
        text: any Unicode; white space becomes single spaces.
        capital: height of a capital letter in pixels. The mask is as high for any words.
    """
    size = _font_size(capital)
    ascent, descent = _font(str(PACKAGED), size).getmetrics()
    width = max(1, text_width(text, capital))
    canvas = Image.new("L", (width, ascent + descent))
    draw, left = ImageDraw.Draw(canvas), 0.0
    for file, run in _runs(text):
        font = _font(file, size)
        draw.text((left, ascent), run, fill=255, font=font, anchor="ls")
        left += font.getlength(run)
    mask = np.asarray(canvas)
    mask.flags.writeable = False
    return mask


@lru_cache(maxsize=4096)
def text_width(text: str, capital: float) -> int:
    """Pixels from the beginning of a line to its end."""
    size = _font_size(capital)
    return round(sum(_font(file, size).getlength(run) for file, run in _runs(text)) + 0.5)


@cache
def font_file(letter: str) -> str:
    """The font that has a letter: the packaged one, else one of the system.

    Where no font has it, the packaged one draws a box in its place, and a warning names what to
    install, once for each script.
    """
    if _has(str(PACKAGED), letter):
        return str(PACKAGED)
    file = _system_font(letter)
    if file and _has(file, letter):
        return file
    _warn_of(unicodedata.name(letter, "unknown").split()[0])
    return str(PACKAGED)


def _runs(text: str) -> list[tuple[str, str]]:
    """Parts of a text, each with its font; marks and spaces stay with the letter before them."""
    letters = unicodedata.normalize("NFC", " ".join(text.split()))
    files: list[str] = []
    for letter in letters:
        stays = files and (letter == " " or unicodedata.category(letter)[0] in "MC")
        files.append(files[-1] if stays else font_file(letter))
    pairs = zip(files, letters, strict=True)
    return [
        (file, "".join(letter for _, letter in run)) for file, run in groupby(pairs, lambda p: p[0])
    ]


def _font_size(capital: float) -> int:
    return max(6, round(capital / CAPITAL))


@lru_cache(maxsize=64)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _has(file: str, letter: str) -> bool:
    """Whether a font draws a letter, and not the sign for a missing one."""
    try:
        font = _font(file, PROBE_SIZE)
        drawn, missing = font.getmask(letter), font.getmask(NO_LETTER)
    except OSError:  # pictures instead of outlines (emoji), or no font at all
        return False
    return letter.isspace() or (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))


def _system_font(letter: str) -> str:
    """What fontconfig offers for a letter; empty without fontconfig."""
    command = ["fc-match", "--format=%{file}", f"sans:charset={ord(letter):x}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


@cache
def _warn_of(script: str) -> None:
    log.warning(
        "no font on this machine has letters of the kind %s, boxes stand in their place; "
        "install one, for example: apt-get install fontconfig fonts-noto-core",
        script,
    )
