"""The real schemas of the built-in kinds, from kubernetes-validate's bundled definitions.

A :class:`Node` is one place in a schema; it knows how lists and maps there are merged.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstacks_dagster.errors import SandboxError

from .resources import Resource

__all__ = ["DEFAULT_VERSION", "Node", "Schemas", "available_versions", "load_schemas"]

DEFAULT_VERSION = "1.34"

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(frozen=True)
class Node:
    """A place in a schema: the property as it is written, and what it refers to."""

    written: Mapping[str, Any]
    schemas: Schemas
    # The root of a custom resource, and embedded objects, have ObjectMeta without saying so.
    is_object: bool = False

    @functools.cached_property
    def target(self) -> Mapping[str, Any]:
        """The schema itself, references followed."""
        return self.schemas.resolve(self.written)

    @functools.cached_property
    def _children(self) -> dict[str, Node | None]:
        return {}

    def child(self, name: str) -> Node | None:
        """Return the place of a field, None when the schema doesn't say."""
        if self.is_object and name == "metadata":
            return self.schemas.object_meta
        if name not in (self.target.get("properties") or ()):
            return self._extra
        if name not in self._children:
            self._children[name] = self._node(self.target["properties"][name])
        return self._children[name]

    @functools.cached_property
    def _extra(self) -> Node | None:
        """The place of a field that the schema doesn't name: one for all, they can be any."""
        return self._node(self.target.get("additionalProperties"))

    @functools.cached_property
    def items(self) -> Node | None:
        """The place of a list's items."""
        return self._node(self.target.get("items"))

    def _node(self, schema: Any) -> Node | None:
        if not isinstance(schema, dict):
            return None
        embedded = bool(schema.get("x-kubernetes-embedded-resource"))
        return Node(schema, self.schemas, is_object=embedded)

    def _said(self, name: str) -> Any:
        found = self.written.get(name)
        return self.target.get(name) if found is None else found

    @functools.cached_property
    def types(self) -> tuple[str, ...]:
        """The JSON types that are allowed here, ``null`` aside; empty: any."""
        return _types(self.target)

    @functools.cached_property
    def is_atomic_map(self) -> bool:
        """Whether a map here has one owner and is replaced as a whole."""
        return bool(self._said("x-kubernetes-map-type") == "atomic")

    @functools.cached_property
    def list_keys(self) -> tuple[str, ...]:
        """The fields that tell a list's items apart in server-side apply; empty: none do."""
        if self._said("x-kubernetes-list-type") != "map":
            return ()
        return tuple(sorted(self._said("x-kubernetes-list-map-keys") or ()))

    @functools.cached_property
    def is_set(self) -> bool:
        """Whether a list here is a set of plain values."""
        return bool(self._said("x-kubernetes-list-type") == "set")

    @functools.cached_property
    def patch_key(self) -> str:
        """The field by which strategic merge finds a list's items; empty: the list is replaced."""
        return self._said("x-kubernetes-patch-merge-key") or "" if self.patch_merges else ""

    @functools.cached_property
    def patch_merges(self) -> bool:
        """Whether strategic merge adds to a list here."""
        return "merge" in (self._said("x-kubernetes-patch-strategy") or "").split(",")


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    types = schema.get("type")
    if types is None:
        choices = schema.get("oneOf") or ()
        return tuple(name for choice in choices for name in _types(choice))
    return tuple(name for name in (types if isinstance(types, list) else [types]) if name != "null")


class Schemas:
    """The definitions of one Kubernetes version, such as ``1.34``."""

    def __init__(self, version: str, definitions: dict[str, Any]) -> None:
        self.version = version
        self.definitions = definitions
        self._names = {
            (gvk["group"], gvk["version"], gvk["kind"]): name
            for name, definition in definitions.items()
            for gvk in definition.get("x-kubernetes-group-version-kind", ())
        }
        self._roots: dict[str, Node] = {}

    @functools.cached_property
    def object_meta(self) -> Node:
        """The schema of ``metadata``."""
        return Node(self.definitions[_OBJECT_META], self)

    def name_of(self, resource: Resource) -> str | None:
        """Return the definition's name of a built-in kind."""
        return self._names.get((resource.group, resource.version, resource.kind))

    def root(self, resource: Resource) -> Node | None:
        """Return the schema of a kind; None for a custom resource that has none."""
        if resource.custom:
            return Node(resource.schema, self, is_object=True) if resource.schema else None
        name = self.name_of(resource)
        if name is None:
            return None
        if name not in self._roots:
            self._roots[name] = Node(self.definitions[name], self)
        return self._roots[name]

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow references."""
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        return schema


def available_versions() -> list[str]:
    """Return the Kubernetes versions whose schemas are installed, the oldest first."""
    names = [path.name for path in _folder().glob("v*-local-strict")]
    versions = [name.removeprefix("v").partition(".0-")[0] for name in names]
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


@functools.lru_cache(maxsize=4)
def load_schemas(version: str = DEFAULT_VERSION) -> Schemas:
    """Return the schemas of a version such as ``1.34``; raises :class:`SandboxError`."""
    path = _folder() / f"v{version}.0-local-strict" / "_definitions.json"
    try:
        return Schemas(version, json.loads(path.read_bytes())["$defs"])
    except OSError as error:
        raise SandboxError(
            f"there are no schemas of Kubernetes {version} here",
            remedy=f"use one of {', '.join(available_versions())}",
        ) from error


def _folder() -> Path:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise SandboxError(
            "the emulated Kubernetes needs kubernetes-validate, which is not installed",
            remedy="pip install 'mlstacks-dagster[sandbox]'",
        )
    return Path(spec.origin).parent / "kubernetes-json-schema"
