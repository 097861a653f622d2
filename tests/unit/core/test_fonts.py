"""Words come out as written: real letters, and a warning where no font has them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core import fonts
from skyeye_edge.core.fonts import NO_LETTER, PACKAGED, font_file, text_mask, text_width


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without fontconfig, that has not warned yet."""
    monkeypatch.setenv("PATH", "")
    font_file.cache_clear()
    fonts._warn_of.cache_clear()
    yield
    font_file.cache_clear()
    fonts._warn_of.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Häuser, Straße, ő ř ł ñ", id="Latin"),
        pytest.param("дом, їжак", id="Cyrillic"),
        pytest.param("σπίτι", id="Greek"),
        pytest.param("Nhà ở Việt", id="Vietnamese"),
        pytest.param("河边的房子、臺灣", id="Chinese"),
        pytest.param("港のボート", id="Japanese"),
        pytest.param("항구의 배", id="Korean"),
        pytest.param("12° 3.5 m² — “a”… → ≤ ½", id="signs"),
    ],
)
def test_the_packaged_font_has_every_letter(text: str, no_system_fonts: None) -> None:
    letters = sorted(set(text) - {" "})
    masks = {letter: text_mask(letter, 30).tobytes() for letter in letters}

    assert {font_file(letter) for letter in letters} == {str(PACKAGED)}
    assert text_mask(NO_LETTER, 30).tobytes() not in masks.values()
    assert len(set(masks.values())) == len(letters)


def test_accents_are_drawn_also_where_they_are_letters_of_their_own() -> None:
    assert np.array_equal(text_mask("Ha\u0308user", 20), text_mask("Häuser", 20))
    assert not np.array_equal(text_mask("Häuser", 20), text_mask("Hauser", 20))


def test_a_letter_that_the_packaged_font_lacks_is_the_systems() -> None:
    file = font_file("ש")
    if file == str(PACKAGED):
        pytest.skip("no Hebrew font here: apt-get install fontconfig fonts-dejavu-core")

    mixed = text_mask("a ש", 30)

    assert mixed.shape[0] == text_mask("a", 30).shape[0]
    assert mixed[:, text_width("a ", 30) :].max() == 255


def test_a_letter_that_no_font_has_is_a_box_and_a_warning_once(
    no_system_fonts: None, caplog: pytest.LogCaptureFixture
) -> None:
    mask = text_mask("\u0e17\u0e14", 31)
    text_mask("\u0e2a", 31)

    assert mask.max() == 255
    (record,) = caplog.records
    assert "THAI" in record.getMessage()
    assert "apt-get install fontconfig fonts-noto-core" in record.getMessage()


@pytest.mark.parametrize("capital", [9, 12, 38, 80])
def test_a_capital_letter_is_as_high_as_asked_for(capital: float) -> None:
    rows = np.flatnonzero(text_mask("H", capital).max(1) > 128)

    assert abs(len(rows) - capital) <= 0.08 * capital + 1


@given(text=st.text(max_size=20))
def test_any_text_can_be_drawn_and_is_as_wide_as_measured(text: str) -> None:
    mask = text_mask(text, 12)

    assert mask.shape == (text_mask("", 12).shape[0], max(1, text_width(text, 12)))
