"""One request to the API, taken apart, and the answer to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from . import protobuf
from .errors import ApiError, bad_request
from .objects import Obj
from .resources import Resource, ResourceTable
from .writer import WriteOptions

__all__ = ["Call", "Reply", "Request", "find_target"]

_PATH = re.compile(r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))(?P<rest>/.*)")
_NO_ROUTE = "the server could not find the requested resource"
_VALIDATIONS = ("Strict", "Warn", "Ignore")


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """The body's type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    @property
    def accept(self) -> str:
        """What the client wants back."""
        return self.headers.get("accept", "")

    def read_body(self) -> Any:
        """Return the decoded body, None when there is none; raises :class:`ApiError`."""
        if not self.body:
            return None
        if self.body.startswith(protobuf.MAGIC):
            return protobuf.decode(self.body)
        try:
            if self.content_type == "application/apply-patch+yaml" and self.body[:1] != b"{":
                return yaml.safe_load(self.body)
            return json.loads(self.body)
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"the body can't be read: {error}") from error

    def write_options(self) -> WriteOptions:
        """Return what the query says about writing."""
        dry_run = self.query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise bad_request(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
        validation = self.query.get("fieldValidation") or "Warn"
        if validation not in _VALIDATIONS:
            raise bad_request(f'fieldValidation: Unsupported value: "{validation}"')
        agent = self.headers.get("user-agent", "unknown").partition("/")[0]
        return WriteOptions(
            manager=self.query.get("fieldManager") or agent,
            dry_run=bool(dry_run),
            validation=validation,
            force=self.query.get("force") == "true",
        )


@dataclass(frozen=True)
class Call:
    """A request with the resource that it is for."""

    request: Request
    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str
    watch: bool

    @property
    def key(self) -> tuple[str | None, str]:
        """Namespace and name of the one object that is meant."""
        if self.name is None:
            raise bad_request("a name is needed")
        return (self.namespace if self.resource.namespaced else None), self.name

    def view(self, obj: Obj) -> Obj:
        """Return an object as it looks in the version that was asked for."""
        return {**obj, "apiVersion": self.resource.api_version, "kind": self.resource.kind}


@dataclass(frozen=True)
class Reply:
    """An answer: an object, or raw ``content`` of a type of its own."""

    obj: Any = None
    code: int = 200
    content: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return what goes over the wire."""
        if self.content is not None:
            return self.content
        return json.dumps(self.obj, separators=(",", ":")).encode()


def find_target(table: ResourceTable, request: Request) -> Call:
    """Return the call that a request makes; raises :class:`ApiError` (404) for unknown paths."""
    found = _PATH.fullmatch(request.path)
    if found is None:
        raise ApiError(404, "NotFound", _NO_ROUTE)
    group, version = found["group"] or "", found["core"] or found["version"]
    parts = [part for part in found["rest"].split("/") if part]
    watch = request.method == "GET" and request.query.get("watch") in ("1", "true")
    if parts[:1] == ["watch"]:
        watch, parts = True, parts[1:]
    namespace = None
    if parts[:1] == ["namespaces"] and len(parts) > 2 and table.get(group, version, parts[2]):
        namespace, parts = parts[1], parts[2:]
    resource = table.get(group, version, parts[0]) if parts else None
    if resource is None:
        raise ApiError(404, "NotFound", _NO_ROUTE)
    name = parts[1] if len(parts) > 1 else None
    subresource = parts[2] if len(parts) > 2 else ""
    if subresource and subresource not in resource.subresources:
        raise ApiError(404, "NotFound", _NO_ROUTE)
    if resource.namespaced and namespace is None and (name or request.method == "POST"):
        raise ApiError(404, "NotFound", _NO_ROUTE)
    return Call(request, resource, namespace, name, subresource, watch)
