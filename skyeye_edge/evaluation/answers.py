"""Short answers, as they are compared."""

from __future__ import annotations


def plain_answer(answer: str) -> str:
    """Lower case, no full stop at the end, one space between words."""
    return " ".join(answer.lower().rstrip(".").split())
