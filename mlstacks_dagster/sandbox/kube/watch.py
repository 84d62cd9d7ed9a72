"""WATCH: what happened since a revision, and what happens from now on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator

from .calls import Call
from .errors import ApiError, bad_request
from .objects import Obj
from .selectors import parse_selectors
from .store import ADDED, DELETED, MODIFIED, Event, Store

__all__ = ["Watch"]

_DEFAULT_SECONDS = 1800.0
_BOOKMARK_SECONDS = 30.0
# How often a watch that nothing happens to looks whether its client is still there.
_LOOK_SECONDS = 1.0
_INITIAL_END = "k8s.io/initial-events-end"
_TRUE = ("1", "true")


class Watch:
    """One watch; raises :class:`ApiError` when the request makes no sense."""

    def __init__(self, call: Call, store: Store) -> None:
        query = call.request.query
        version = query.get("resourceVersion", "")
        if not (version or "0").isdigit():
            raise bad_request(f"invalid resource version: {version!r}")
        fields = query.get("fieldSelector")
        if call.name is not None:
            fields = ",".join(filter(None, [fields, f"metadata.name={call.name}"]))
        self._call = call
        self._store = store
        self._selects = parse_selectors(query.get("labelSelector"), fields)
        self._seconds = float(query.get("timeoutSeconds") or _DEFAULT_SECONDS)
        self._bookmarks = query.get("allowWatchBookmarks") in _TRUE
        self._marks_end = query.get("sendInitialEvents") in _TRUE
        self._begins_now = version in ("", "0") or self._marks_end
        self._revision = int(version or 0)

    async def lines(self, is_open: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield JSON lines until the watch's time is over or ``is_open`` says no."""
        for line in self._initial():
            yield line
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        next_bookmark = loop.time() + _BOOKMARK_SECONDS
        while is_open() and loop.time() < end:
            changed = self._store.changed
            try:
                for line in self._news():
                    yield line
            except ApiError as error:
                yield _line("ERROR", error.status)
                return
            if self._bookmarks and loop.time() >= next_bookmark:
                next_bookmark = loop.time() + _BOOKMARK_SECONDS
                yield self._bookmark({})
            await _wait(changed, min(max(0.0, end - loop.time()), _LOOK_SECONDS))

    def _initial(self) -> Iterator[bytes]:
        if not self._begins_now:
            return
        self._revision = self._store.revision
        for obj in self._store.all(self._call.resource.key, self._call.namespace):
            if self._selects(obj):
                yield _line(ADDED, self._call.view(obj))
        if self._marks_end:
            yield self._bookmark({_INITIAL_END: "true"})

    def _news(self) -> Iterator[bytes]:
        events = self._store.events_after(self._revision)
        self._revision = max(self._revision, self._store.revision)
        for event in events:
            if (line := self._seen(event)) is not None:
                yield line

    def _seen(self, event: Event) -> bytes | None:
        """Return an event as this watch sees it, None when it doesn't.

        An object that comes to match is added, one that no longer matches is deleted.
        """
        if event.collection != self._call.resource.key:
            return None
        namespace = self._call.namespace
        if namespace is not None and event.obj["metadata"].get("namespace") != namespace:
            return None
        now = event.kind != DELETED and self._selects(event.obj)
        before = event.previous is not None and self._selects(event.previous)
        if now:
            return _line(MODIFIED if before else ADDED, self._call.view(event.obj))
        return _line(DELETED, self._call.view(event.obj)) if before else None

    def _bookmark(self, annotations: dict[str, str]) -> bytes:
        metadata: Obj = {"resourceVersion": str(self._revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return _line("BOOKMARK", self._call.view({"metadata": metadata}))


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass


def _line(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
