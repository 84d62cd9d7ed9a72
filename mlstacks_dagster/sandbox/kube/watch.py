"""WATCH: what happened since a revision, and what happens from now on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from .calls import Call
from .errors import ApiError, bad_request
from .objects import Obj
from .selectors import parse_selectors
from .store import ADDED, DELETED, MODIFIED, Event, Store

__all__ = ["watch"]

_DEFAULT_SECONDS = 1800.0
_BOOKMARK_SECONDS = 30.0
_INITIAL_END = "k8s.io/initial-events-end"


async def watch(call: Call, store: Store, is_open: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the lines of a watch until its time is over or ``is_open`` says so.

    Raises :class:`ApiError` before the first line when the request makes no sense.
    """
    query = call.request.query
    seconds = float(query.get("timeoutSeconds") or _DEFAULT_SECONDS)
    bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
    view = _View(call)
    version = query.get("resourceVersion", "")
    if not (version or "0").isdigit():
        raise bad_request(f"invalid resource version: {version!r}")
    initial = version in ("", "0") or query.get("sendInitialEvents") == "true"
    revision = store.revision if initial else int(version)
    present = store.list(call.resource.key, call.namespace)
    if initial:
        for obj in filter(view.selects, present):
            yield _line(ADDED, view.show(obj))
        if query.get("sendInitialEvents") == "true":
            yield _bookmark(call, revision, {_INITIAL_END: "true"})
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    next_bookmark = loop.time() + _BOOKMARK_SECONDS
    while is_open():
        changed = store.changed
        try:
            events = store.events_after(revision)
        except ApiError as error:
            yield _line("ERROR", error.status)
            return
        for event in events:
            revision = event.revision
            if (line := view.line(event)) is not None:
                yield line
        left = end - loop.time()
        if left <= 0:
            return
        if bookmarks and loop.time() >= next_bookmark:
            next_bookmark = loop.time() + _BOOKMARK_SECONDS
            yield _bookmark(call, revision, {})
        await _wait(changed, min(left, _BOOKMARK_SECONDS, 1.0))


class _View:
    """What one watch sees."""

    def __init__(self, call: Call) -> None:
        self._call = call
        query = call.request.query
        fields = query.get("fieldSelector")
        if call.name is not None:
            fields = ",".join(filter(None, [fields, f"metadata.name={call.name}"]))
        self.selects = parse_selectors(query.get("labelSelector"), fields)

    def show(self, obj: Obj) -> Obj:
        return self._call.view(obj)

    def line(self, event: Event) -> bytes | None:
        """Return an event as this watch sees it, None when it doesn't.

        An object that comes to match is added, one that no longer matches is deleted.
        """
        if event.collection != self._call.resource.key:
            return None
        namespace = self._call.namespace
        if namespace is not None and event.obj["metadata"].get("namespace") != namespace:
            return None
        now = event.kind != DELETED and self.selects(event.obj)
        before = event.previous is not None and self.selects(event.previous)
        if now:
            return _line(MODIFIED if before else ADDED, self.show(event.obj))
        return _line(DELETED, self.show(event.obj)) if before else None


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass


def _bookmark(call: Call, revision: int, annotations: dict[str, str]) -> bytes:
    metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return _line("BOOKMARK", call.view({"metadata": metadata}))


def _line(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
