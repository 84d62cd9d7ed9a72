"""The nearest known name, for "did you mean" remedies."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest"]

_CUTOFF = 0.6  # difflib's own default: lower values suggest unrelated words
_MAX_WORD = 200  # difflib is quadratic; nobody misspells a longer word


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the name in ``known`` that ``word`` probably stands for, or None.

    A name that differs only in case, or in ``-`` against ``_``, wins; then one with the same
    letters in another order.
    """
    names = list(known)
    text = str(word)
    if len(text) > _MAX_WORD:
        return None
    folded: dict[str, str] = {}
    for name in names:
        folded.setdefault(_fold(name), name)
    word_folded = _fold(text)
    matches = get_close_matches(word_folded, folded, n=3, cutoff=_CUTOFF)
    if not matches:
        return None
    letters = sorted(word_folded)
    swapped = [m for m in matches if sorted(m) == letters]
    best = matches[0] if matches[0] == word_folded or not swapped else swapped[0]
    return folded[best]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return a remedy: the nearest known name if there is one, else all of them."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near}?"
    return f"known: {', '.join(names)}" if names else ""


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_")
