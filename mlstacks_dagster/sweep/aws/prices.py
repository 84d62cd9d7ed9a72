"""Rough monthly prices in US dollars, for estimates: list prices of us-east-1, rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["by_class", "flat", "per_gib"]

Price = Callable[[Item], float]

# What a month of the size "large" costs in a family, by the family's first letters.
_LARGE: tuple[tuple[str, float], ...] = (
    ("p5", 4200.0),
    ("p4", 1000.0),
    ("p3", 560.0),
    ("p2", 165.0),
    ("g6", 150.0),
    ("g5", 185.0),
    ("g", 96.0),
    ("inf", 83.0),
    ("trn", 245.0),
    ("t", 61.0),
    ("c", 62.0),
    ("r", 92.0),
    ("x", 240.0),
    ("m", 70.0),
)
_SIZES: Mapping[str, float] = {
    "nano": 1 / 16,
    "micro": 1 / 8,
    "small": 1 / 4,
    "medium": 1 / 2,
    "large": 1.0,
    "xlarge": 2.0,
    "metal": 48.0,
}


def flat(usd: float) -> Price:
    """Return a price that is the same for every item."""
    return lambda _item: usd


def per_gib(usd: float) -> Price:
    """Return a price by the fact ``size-gib``."""
    return lambda item: usd * float(item.facts.get("size-gib", "0"))


def by_class(surcharge: float = 1.0) -> Price:
    """Return a price by the fact ``class`` (such as ``m5.xlarge``) times ``surcharge``.

    What is stopped costs nothing here; its disks are items of their own.
    """

    def price(item: Item) -> float:
        words = item.facts.get("class", "").removeprefix("db.").removeprefix("ml.").split(".")
        if len(words) != 2 or item.facts.get("state", "").lower() == "stopped":
            return 0.0
        large = next((usd for family, usd in _LARGE if words[0].startswith(family)), 70.0)
        return large * _size(words[1]) * surcharge

    return price


def _size(word: str) -> float:
    if word in _SIZES:
        return _SIZES[word]
    number = word.removesuffix("xlarge")
    return 2.0 * int(number) if number.isdecimal() else 1.0
