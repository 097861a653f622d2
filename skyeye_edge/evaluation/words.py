"""Words of captions, as those who score captions count them."""

from __future__ import annotations


def caption_words(text: str) -> str:
    """PTB tokens in lower case without punctuation, one space between them."""
    return " ".join(text.lower().split())


def caption_characters(text: str) -> str:
    """The characters of `caption_words`, each as if it were a word; spaces do not count."""
    return " ".join(caption_words(text).replace(" ", ""))
