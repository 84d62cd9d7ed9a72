"""The API of one cluster as a function from request to reply; watches are served elsewhere."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from . import discovery, openapi
from .calls import Call, Reply, Request, find_target
from .collector import Collector, DeleteOptions
from .context import Context
from .errors import ApiError, bad_request, not_found
from .objects import Obj, key_of
from .patches import patch
from .selectors import parse_selectors
from .subresources import create_review, serve_subresource
from .writer import Writer

__all__ = ["Handler"]

_AGGREGATED = "as=APIGroupDiscoveryList"
_AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_PROTO_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_OPENAPI_PATH = re.compile(
    r"/openapi/v3/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
)
_GROUP_PATH = re.compile(r"/apis/(?P<group>[^/]+)")
_VERSION_PATH = re.compile(r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))")
_PARTIAL = "as=PartialObjectMetadata"


class Handler:
    """Serves the requests of one cluster; ``base`` is the URL path in front of its API."""

    def __init__(self, context: Context, writer: Writer, collector: Collector, base: str) -> None:
        self._context = context
        self._writer = writer
        self._collector = collector
        self._base = base

    def find(self, request: Request) -> Call | None:
        """Return the call that a request makes, None for documents about the API itself."""
        path = request.path.rstrip("/")
        if not path.startswith(("/api/v1/", "/apis/")) or path.count("/") < 3:
            return None
        if path.startswith("/apis/") and path.count("/") < 4:
            return None
        return find_target(self._context.table, request)

    def serve(self, request: Request, call: Call | None) -> Reply:
        """Answer a request that is not a watch; raises :class:`ApiError`."""
        if call is None:
            return self._document(request)
        if "create" in call.resource.verbs and len(call.resource.verbs) == 1:
            return create_review(call, request.read_body())
        if call.subresource and call.subresource != "status":
            return serve_subresource(call, self._context, self._writer, self._collector)
        return self._collection(call) if call.name is None else self._one(call)

    def _document(self, request: Request) -> Reply:
        path = request.path.rstrip("/")
        if path in ("/healthz", "/livez", "/readyz"):
            return Reply(content=b"ok", content_type="text/plain")
        if path == "/version":
            return Reply(discovery.version_info(self._context.schemas.version))
        if path.startswith("/openapi/"):
            return self._openapi(path, request)
        return self._discovery(path, request)

    def _discovery(self, path: str, request: Request) -> Reply:
        table = self._context.table
        if path in ("/api", "/apis") and _AGGREGATED in request.accept:
            document = discovery.aggregated(table, core=path == "/api")
            return Reply(document, content_type=_AGGREGATED_TYPE)
        if path in ("/api", "/apis"):
            return Reply(
                discovery.core_versions() if path == "/api" else discovery.api_groups(table)
            )
        if found := _VERSION_PATH.fullmatch(path):
            version = found["core"] or found["version"]
            return Reply(discovery.api_resources(table, found["group"] or "", version))
        if found := _GROUP_PATH.fullmatch(path):
            return Reply(discovery.api_group(table, found["group"]))
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def _openapi(self, path: str, request: Request) -> Reply:
        table, schemas = self._context.table, self._context.schemas
        if path == "/openapi/v2":
            if "protobuf" in request.accept:
                # An empty message: what asks for it falls back to the types that it knows.
                return Reply(content=b"", content_type=_PROTO_V2)
            return Reply(openapi.openapi_v2(table, schemas))
        if path == "/openapi/v3":
            return Reply(openapi.openapi_v3_index(table, self._base))
        if found := _OPENAPI_PATH.fullmatch(path):
            version = found["core"] or found["version"]
            return Reply(openapi.openapi_v3(table, schemas, found["group"] or "", version))
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def _collection(self, call: Call) -> Reply:
        match call.request.method:
            case "GET":
                return self._list(call)
            case "POST":
                return self._create(call)
            case "DELETE":
                return self._delete_all(call)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method here")

    def _one(self, call: Call) -> Reply:
        method = call.request.method
        if method == "PATCH":
            return patch(call, self._context.store, self._writer, self._context.schemas)
        obj = self._context.store.get(call.resource.key, call.key)
        if obj is None:
            raise not_found(call.resource.group, call.resource.plural, call.key[1])
        if method == "GET":
            return Reply(_partial(call, call.view(obj)))
        if method == "PUT":
            return self._replace(call)
        if method == "DELETE" and not call.subresource:
            return self._delete(call)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method here")

    def _selected(self, call: Call) -> list[Obj]:
        query = call.request.query
        selector = parse_selectors(query.get("labelSelector"), query.get("fieldSelector"))
        found = self._context.store.all(call.resource.key, call.namespace)
        return [obj for obj in found if selector(obj)]

    def _list(self, call: Call) -> Reply:
        found = self._selected(call)
        metadata: dict[str, Any] = {"resourceVersion": str(self._context.store.revision)}
        query = call.request.query
        limit = int(query.get("limit") or 0)
        if query.get("continue"):
            after = _read_continue(query["continue"])
            found = [obj for obj in found if _place(obj) > after]
        if limit and len(found) > limit:
            metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
            metadata["continue"] = _continue(found[-1])
        items = [_partial(call, call.view(obj)) for obj in found]
        kind, version = f"{call.resource.kind}List", call.resource.api_version
        if _PARTIAL in call.request.accept:
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        return Reply({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})

    def _create(self, call: Call) -> Reply:
        body = self._object(call)
        options = call.request.write_options()
        created = self._writer.create(call.resource, call.namespace, body, options)
        return Reply(call.view(created), code=201)

    def _replace(self, call: Call) -> Reply:
        body = self._object(call)
        if body["metadata"].get("name", call.name) != call.name:
            raise bad_request("the name in the object is not the one in the URL")
        if call.resource.custom and not body["metadata"].get("resourceVersion"):
            text = "Invalid value: 0x0: must be specified for an update"
            message = f'{call.resource.plural}.{call.resource.group} "{call.name}" is invalid: '
            raise ApiError(422, "Invalid", f"{message}metadata.resourceVersion: {text}")
        options = call.request.write_options()
        written = self._writer.update(call.resource, call.key, body, options, call.subresource)
        return Reply(call.view(written))

    def _object(self, call: Call) -> Obj:
        """Return the body, which must be an object of the kind that the URL says."""
        body = call.request.read_body()
        if not isinstance(body, dict):
            raise bad_request("an object is needed in the body")
        resource = call.resource
        kind, version = body.get("kind") or resource.kind, body.get("apiVersion")
        if kind != resource.kind or (version or resource.api_version) != resource.api_version:
            raise bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind}): "
                f"{version}, Kind={kind}"
            )
        if not isinstance(body.get("metadata", {}), dict):
            raise bad_request("metadata must be an object")
        body["metadata"] = dict(body.get("metadata") or {})
        given = body["metadata"].get("namespace")
        if given and call.namespace and given != call.namespace:
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the "
                f"request: {given}, {call.namespace}"
            )
        return body

    def _delete(self, call: Call) -> Reply:
        options = DeleteOptions.parse(call.request.read_body(), call.request.query)
        obj = self._collector.delete(call.resource, call.key, options)
        if options.dry_run or self._context.store.get(call.resource.key, call.key) is not None:
            return Reply(call.view(obj))
        details = {
            "name": call.name,
            "group": call.resource.group,
            "kind": call.resource.plural,
            "uid": obj["metadata"]["uid"],
        }
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Reply({**status, "details": details})

    def _delete_all(self, call: Call) -> Reply:
        options = DeleteOptions.parse(call.request.read_body(), call.request.query)
        found = self._selected(call)
        for obj in found:
            self._collector.delete(call.resource, key_of(obj), options)
        kind = f"{call.resource.kind}List"
        items = [call.view(obj) for obj in found]
        metadata = {"resourceVersion": str(self._context.store.revision)}
        return Reply(
            {
                "kind": kind,
                "apiVersion": call.resource.api_version,
                "metadata": metadata,
                "items": items,
            }
        )


def _partial(call: Call, obj: Obj) -> Obj:
    if _PARTIAL not in call.request.accept:
        return obj
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _place(obj: Obj) -> tuple[str, str]:
    namespace, name = key_of(obj)
    return namespace or "", name


def _continue(obj: Obj) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(obj)).encode()).decode()


def _read_continue(token: str) -> tuple[str, str]:
    try:
        namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise bad_request("continue key is not valid") from None
    return namespace, name
