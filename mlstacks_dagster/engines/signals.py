"""Keeping a clean-up from being cut short by a second interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["shielded"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def shielded(*, redeliver: bool = False) -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM instead of acting on them while the block runs.

    Yields the list of signal numbers noted so far. With ``redeliver`` the signals are raised
    again at the end of the block, so the earlier handlers see them late rather than never.
    Only the main thread can do this; in other threads, which no signal interrupts, it does
    nothing.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    replaced = [n for n, handler in previous.items() if handler not in (None, signal.SIG_IGN)]
    for number in replaced:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number in replaced:
            signal.signal(number, previous[number])
    if redeliver:
        for missed in dict.fromkeys(noted):
            signal.raise_signal(missed)
