"""Names of Kubernetes objects, and reading them out of manifests. Values are never kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import yaml

__all__ = [
    "KnownObject",
    "ObjectRef",
    "documents",
    "known_from_json",
    "known_objects",
    "known_to_json",
    "merged",
]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEEP = "helm.sh/resource-policy"
_HOOK = "helm.sh/hook"


@dataclass(frozen=True, order=True)
class ObjectRef:
    """One object in a cluster; ``namespace`` is empty for kinds that have none."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def is_custom(self) -> bool:
        """Whether a definition brought the kind: the groups of Kubernetes itself are others."""
        return "." in self.group and not self.group.endswith(".k8s.io")

    def __str__(self) -> str:
        """Render as ``Deployment ns/name``."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else self.short

    @property
    def short(self) -> str:
        """The kind and the name without the namespace."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class KnownObject:
    """An object that a release made or may have made.

    ``keep``: Helm leaves it on uninstall because the chart says so. ``hook``: Helm made it
    outside the manifest. ``claims`` are name prefixes of the volume claims that a StatefulSet's
    controller makes. ``before``: somebody else had made it before the release was installed.
    """

    ref: ObjectRef
    keep: bool = False
    hook: bool = False
    claims: tuple[str, ...] = ()
    before: bool = False

    @property
    def identity(self) -> tuple[str, str, str]:
        """What names the object whatever version or group of the API it was written in."""
        return (self.ref.kind, self.ref.namespace, self.ref.name)

    @property
    def of_crds_folder(self) -> bool:
        """True for a definition that Helm makes once and never removes."""
        return self.keep and self.ref.kind == "CustomResourceDefinition"

    def within(self, namespace: str) -> KnownObject:
        """Return the same object in ``namespace``."""
        return replace(self, ref=replace(self.ref, namespace=namespace))


def documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a manifest; the items of a ``List`` one by one.

    Raises :class:`yaml.YAMLError`.
    """
    for document in yaml.load_all(text, Loader=_LOADER):
        yield from _flat(document)


def _flat(document: object) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict) or not document.get("kind"):
        return
    if document["kind"] == "List" or (document["kind"].endswith("List") and "items" in document):
        for item in document.get("items") or ():
            yield from _flat(item)
        return
    yield document


def known_objects(
    manifest: str, namespace: str, *, hook: bool = False, keep: bool = False
) -> tuple[KnownObject, ...]:
    """Return the objects of ``manifest``; those that name no namespace get ``namespace``.

    ``hook`` and ``keep`` say the same of all of them; hooks and kept objects are recognised by
    their annotations too.
    """
    return tuple(_known(d, namespace, hook, keep) for d in documents(manifest))


def _known(document: Mapping[str, Any], namespace: str, hook: bool, keep: bool) -> KnownObject:
    metadata = document.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    name = str(metadata.get("name", ""))
    ref = ObjectRef(
        str(document.get("apiVersion", "")),
        str(document["kind"]),
        name,
        str(metadata.get("namespace") or namespace),
    )
    templates = (document.get("spec") or {}).get("volumeClaimTemplates") or ()
    return KnownObject(
        ref,
        keep=keep or annotations.get(_KEEP) == "keep",
        hook=hook or _HOOK in annotations,
        claims=tuple(f"{t['metadata']['name']}-{name}-" for t in templates)
        if ref.kind == "StatefulSet"
        else (),
    )


def merged(*groups: Iterable[KnownObject]) -> tuple[KnownObject, ...]:
    """Return the objects of all groups, each once.

    What later groups say wins; whether it was there before is what the first one says.
    """
    found: dict[tuple[str, str, str], KnownObject] = {}
    for group in groups:
        for known in group:
            earlier = found.get(known.identity)
            claims = dict.fromkeys((*(earlier.claims if earlier else ()), *known.claims))
            before = earlier.before if earlier else known.before
            found[known.identity] = replace(known, claims=tuple(claims), before=before)
    return tuple(found.values())


def known_to_json(objects: Iterable[KnownObject]) -> str:
    """Return ``objects`` as JSON text."""
    return json.dumps({"version": 2, "objects": [asdict(o) for o in objects]}, indent=1)


def known_from_json(text: str) -> tuple[KnownObject, ...]:
    """Read what :func:`known_to_json` wrote; raises ValueError, KeyError or TypeError.

    Version 1 did not say what had been there before, so any kept object may have been.
    """
    return tuple(
        KnownObject(
            ObjectRef(**o["ref"]),
            bool(o["keep"]),
            bool(o["hook"]),
            tuple(map(str, o["claims"])),
            bool(o.get("before", o["keep"])),
        )
        for o in json.loads(text)["objects"]
    )
