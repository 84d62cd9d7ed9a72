"""PATCH: the four kinds of patch, chosen by the body's type."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch

from .calls import Call, Reply
from .errors import ApiError, bad_request, not_found
from .merges import merge_patch, strategic_merge
from .objects import Obj
from .schemas import Schemas
from .store import Store
from .writer import Writer

__all__ = ["patch"]

APPLY_TYPES = ("application/apply-patch+yaml", "application/apply-patch+cbor")
_JSON, _MERGE = "application/json-patch+json", "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"


def patch(call: Call, store: Store, writer: Writer, schemas: Schemas) -> Reply:
    """Patch an object and return it; raises :class:`ApiError`."""
    body = call.request.read_body()
    if call.request.content_type in APPLY_TYPES:
        return _apply(call, body, writer)
    old = store.get(call.resource.key, call.key)
    if old is None:
        raise not_found(call.resource.group, call.resource.plural, call.key[1])
    new = _patched(call, call.view(old), body, schemas)
    if new["metadata"].get("name") != call.key[1]:
        raise bad_request("the name of the object can't be changed by a patch")
    options = call.request.write_options()
    subresource = _written_part(call.subresource)
    return Reply(call.view(writer.update(call.resource, call.key, new, options, subresource)))


def _apply(call: Call, config: Any, writer: Writer) -> Reply:
    options = call.request.write_options()
    if not call.request.query.get("fieldManager"):
        raise bad_request("fieldManager: Required value: is required for apply patch")
    _check_config(call, config)
    config.setdefault("metadata", {})["name"] = call.key[1]
    subresource = _written_part(call.subresource)
    obj, created = writer.apply(call.resource, call.key, config, options, subresource)
    return Reply(call.view(obj), code=201 if created else 200)


def _check_config(call: Call, config: Any) -> None:
    if not isinstance(config, dict):
        raise bad_request("an applied configuration must be an object")
    wanted = (call.resource.api_version, call.resource.kind)
    if (config.get("apiVersion"), config.get("kind")) != wanted:
        raise bad_request(f"an applied configuration here must be of {' '.join(wanted)}")
    metadata = config.get("metadata") or {}
    if metadata.get("name", call.key[1]) != call.key[1]:
        raise bad_request("the name in the configuration is not the one in the URL")
    if metadata.get("namespace", call.namespace) != call.namespace:
        raise bad_request("the namespace in the configuration is not the one in the URL")


def _patched(call: Call, old: Obj, body: Any, schemas: Schemas) -> Obj:
    target = copy.deepcopy(old)
    match call.request.content_type:
        case t if t == _JSON:
            return _json_patched(target, body)
        case t if t == _STRATEGIC:
            if call.resource.custom:
                raise _unsupported("strategic merge patches of custom resources")
            return _object(strategic_merge(target, body, schemas.root(call.resource)))
        case t if t == _MERGE:
            return _object(merge_patch(target, body))
        case other:
            raise _unsupported(f"the patch type {other!r}")


def _json_patched(target: Obj, body: Any) -> Obj:
    try:
        return _object(jsonpatch.apply_patch(target, body))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", message) from error
    except (TypeError, KeyError) as error:
        raise bad_request(f"the JSON patch can't be read: {error}") from error


def _object(value: Any) -> Obj:
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        raise bad_request("the patch leaves no object")
    return value


def _unsupported(what: str) -> ApiError:
    return ApiError(415, "UnsupportedMediaType", f"{what} not supported")


def _written_part(subresource: str) -> str:
    return subresource if subresource == "status" else ""
