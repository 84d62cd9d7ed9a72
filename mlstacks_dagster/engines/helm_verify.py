"""What a release really left in the cluster, whatever Helm's own record says.

Helm forgets objects: an uninstall that timed out loses its record while objects are still
there, an uninstall removes only what the newest revision lists, an upgrade over a failed one
leaves what only that one had made, and hooks are never removed. So the names of everything that
a release may have made are written down before it is made, and looked for afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.helm_request import HelmRequest
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import (
    KnownObject,
    ObjectRef,
    known_from_json,
    known_to_json,
    merged,
)
from mlstacks_dagster.files import disk_errors, write_private

__all__ = ["Inventory", "ReleaseObjects"]

_POLL_SECONDS = 0.25
_HELM_LABEL = "app.kubernetes.io/managed-by=Helm"
_SHARED_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Inventory:
    """The objects that a release may have made: names and kinds, in a private file."""

    def __init__(self, work_dir: Path) -> None:
        self._path = work_dir / "objects.json"

    def load(self) -> tuple[KnownObject, ...]:
        """Return them; none when nothing was written down or it can't be read."""
        try:
            return known_from_json(self._path.read_text())
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    def save(self, objects: Iterable[KnownObject]) -> None:
        """Write down ``objects`` instead of what was known. Raises :class:`MlstacksError`."""
        with disk_errors(self._path.parent, "writing down a release's objects"):
            write_private(self._path, known_to_json(objects).encode())

    def add(self, *groups: Iterable[KnownObject]) -> tuple[KnownObject, ...]:
        """Write down more objects, and return all."""
        found = merged(self.load(), *groups)
        self.save(found)
        return found


class ReleaseObjects:
    """Looks at the objects of one release. ``clock`` and ``sleep`` count seconds."""

    def __init__(
        self,
        request: HelmRequest,
        client: KubeClient,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._request = request
        self._client = client
        self._clock = clock
        self._sleep = sleep

    def normal(self, objects: Iterable[KnownObject]) -> tuple[KnownObject, ...]:
        """Return ``objects`` with no namespace for kinds that have none, each once."""
        return merged([o.within(self._client.normal(o.ref).namespace) for o in objects])

    def told_apart(
        self, intended: Iterable[KnownObject], known: Iterable[KnownObject], *, installed: bool
    ) -> tuple[KnownObject, ...]:
        """Return ``intended``, with a note at each definition that isn't brought by the release.

        Helm makes those of a chart's ``crds`` folder at the install only, and takes what is
        there. What is in ``known`` was looked at when it was first written down.
        """
        seen = {o.identity for o in known}
        return tuple(
            replace(o, before=installed or self._client.get(o.ref) is not None)
            if o.of_crds_folder and o.identity not in seen
            else o
            for o in intended
        )

    def missing(self, objects: Iterable[KnownObject]) -> tuple[ObjectRef, ...]:
        """Return those that should exist and don't."""
        return tuple(o.ref for o in objects if not o.hook and self._client.get(o.ref) is None)

    def prune(
        self, known: Iterable[KnownObject], current: Iterable[KnownObject]
    ) -> tuple[tuple[ObjectRef, ...], tuple[KnownObject, ...]]:
        """Delete what earlier revisions made and the current one does not have.

        Only objects that carry this release's own annotations go. Returns the deleted ones, and
        what is to be remembered besides ``current``: hooks and kept objects.
        """
        wanted = {o.identity for o in self.normal(current)}
        gone, remembered = [], []
        for extra in self.normal(known):
            if extra.identity in wanted:
                continue
            if extra.hook or extra.keep or extra.claims:
                remembered.append(extra)
            if extra.hook or extra.keep:
                continue
            live = self._client.get(extra.ref)
            if live is not None and self._is_ours(live) and self._client.delete(extra.ref):
                gone.append(extra.ref)
        return tuple(gone), tuple(remembered)

    def remove(self, known: Iterable[KnownObject], timeout_seconds: float) -> tuple[ObjectRef, ...]:
        """Wait until nothing is left of what an uninstall had to remove; return what is.

        What nobody has asked to go yet is deleted: hooks, and objects with this release's
        annotations that only an older revision listed.
        """
        deadline = self._clock() + timeout_seconds
        left = [o for o in self.normal(known) if not o.keep]
        while left := [o for o in left if self._still_there(o)]:
            if self._clock() >= deadline:
                break
            self._sleep(_POLL_SECONDS)
        return tuple(o.ref for o in left)

    def scan(self) -> tuple[KnownObject, ...]:
        """Look through the whole cluster for objects with this release's annotations.

        For a release of which neither Helm nor we have a record (any more).
        """
        found = []
        for kind in self._client.kinds():
            if not {"list", "delete"} <= set(kind.verbs):
                continue
            for live in self._client.list(kind.api_version, kind.kind, labels=_HELM_LABEL):
                if self._is_ours(live):
                    metadata = live["metadata"]
                    namespace = str(metadata.get("namespace") or "")
                    ref = ObjectRef(kind.api_version, kind.kind, metadata["name"], namespace)
                    found.append(KnownObject(ref))
        return tuple(found)

    def leftovers(self, known: Iterable[KnownObject]) -> tuple[ObjectRef, ...]:
        """Return what exists after an uninstall, came with the release and wasn't to go with it."""
        found = [o.ref for o in self.normal(known) if o.keep and self._is_left(o)]
        found += self.claims(known)
        namespace = ObjectRef("v1", "Namespace", self._request.namespace)
        if namespace.name not in _SHARED_NAMESPACES and self._client.get(namespace) is not None:
            found.append(namespace)
        return tuple(dict.fromkeys(found))

    def remembered(
        self, known: Iterable[KnownObject], leftovers: Sequence[ObjectRef]
    ) -> tuple[KnownObject, ...]:
        """Return those of ``known`` that explain one of ``leftovers``."""
        there = {(ref.kind, ref.namespace, ref.name) for ref in leftovers}
        claims = [r for r in leftovers if r.kind == "PersistentVolumeClaim"]
        return tuple(
            o
            for o in self.normal(known)
            if (o.keep and o.identity in there)
            or any(r.namespace == o.ref.namespace and _is_claim(r.name, o.claims) for r in claims)
        )

    def claims(self, known: Iterable[KnownObject]) -> tuple[ObjectRef, ...]:
        """Return the volume claims that StatefulSets of the release left."""
        prefixes: dict[str, set[str]] = {}
        for each in known:
            if each.claims:
                prefixes.setdefault(each.ref.namespace, set()).update(each.claims)
        return tuple(
            ObjectRef("v1", "PersistentVolumeClaim", name, namespace)
            for namespace, starts in prefixes.items()
            for claim in self._client.list("v1", "PersistentVolumeClaim", namespace)
            if _is_claim(name := str(claim["metadata"]["name"]), starts)
        )

    def _still_there(self, known: KnownObject) -> bool:
        live = self._client.get(known.ref)
        if live is None:
            return False
        if live["metadata"].get("deletionTimestamp"):
            return True
        if known.hook or self._is_ours(live):
            self._client.delete(known.ref, propagation="Foreground")
            return self._client.get(known.ref) is not None
        return False

    def _is_left(self, known: KnownObject) -> bool:
        live = self._client.get(known.ref)
        return live is not None and (not known.before or self._is_ours(live))

    def _is_ours(self, live: dict[str, Any]) -> bool:
        annotations = live["metadata"].get("annotations") or {}
        return (
            annotations.get("meta.helm.sh/release-name") == self._request.release
            and annotations.get("meta.helm.sh/release-namespace") == self._request.namespace
        )


def _is_claim(name: str, prefixes: Iterable[str]) -> bool:
    return any(name.startswith(p) and name.removeprefix(p).isdigit() for p in prefixes)
