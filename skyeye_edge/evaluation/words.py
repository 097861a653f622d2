"""Words of captions, as those who score captions count them."""

from __future__ import annotations

from functools import lru_cache

from skyeye_edge.evaluation.ptb import caption_tokens


@lru_cache(maxsize=65536)  # the same references are scored again and again
def caption_words(text: str) -> str:
    """PTB tokens in lower case without punctuation, one space between them."""
    return " ".join(caption_tokens(text))


def caption_characters(text: str) -> str:
    """The characters of `caption_words`, each as if it were a word; spaces do not count."""
    return " ".join(caption_words(text).replace(" ", ""))
