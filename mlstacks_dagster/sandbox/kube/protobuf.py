"""The few kinds that typed Go clients send as protobuf: decoded into plain objects.

Helm's typed client sends Secrets, ConfigMaps and Namespaces, and every delete's options; kubectl
sends service accounts and reviews as well. The
field numbers are those of Kubernetes' own ``generated.proto`` files.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from .errors import ApiError, bad_request

__all__ = ["MAGIC", "decode"]

MAGIC = b"k8s\0"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_META_TEXTS = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
_META_MAPS = {11: "labels", 12: "annotations"}
_OWNER_TEXTS = {1: "kind", 3: "name", 4: "uid", 5: "apiVersion"}
_OWNER_FLAGS = {6: "controller", 7: "blockOwnerDeletion"}


def decode(raw: bytes) -> dict[str, Any]:
    """Return the object in a protobuf body; raises :class:`ApiError` for other kinds."""
    try:
        envelope = dict(_fields(raw.removeprefix(MAGIC)))
        type_meta = dict(_fields(envelope.get(1, b"")))
        api_version, kind = _text(type_meta.get(1, b"")), _text(type_meta.get(2, b""))
        decoder = _DECODERS.get(kind)
        if decoder is None:
            raise ApiError(
                415,
                "UnsupportedMediaType",
                f"the emulator doesn't read {kind or 'this'} as protobuf; send JSON",
            )
        body = decoder(envelope.get(2, b""))
    except (IndexError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise bad_request(f"the protobuf body can't be read: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **body}


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: an int, or bytes."""
    place = 0
    while place < len(raw):
        tag, place = _varint(raw, place)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(raw, place)
            yield number, value
            continue
        if wire == _BYTES:
            size, place = _varint(raw, place)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise bad_request(f"the protobuf body has the unknown wire type {wire}")
        yield number, raw[place : place + size]
        place += size


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def _text(raw: bytes) -> str:
    return raw.decode()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _pair(raw: bytes, value: Callable[[bytes], str] = _text) -> tuple[str, str]:
    fields = dict(_fields(raw))
    return _text(fields.get(1, b"")), value(fields.get(2, b""))


def _metadata(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number in _META_TEXTS and value:
            found[_META_TEXTS[number]] = _text(value)
        elif number in _META_MAPS:
            key, text = _pair(value)
            found.setdefault(_META_MAPS[number], {})[key] = text
        elif number == 13:
            found.setdefault("ownerReferences", []).append(_owner(value))
        elif number == 14:
            found.setdefault("finalizers", []).append(_text(value))
    return found


def _owner(raw: bytes) -> dict[str, Any]:
    owner: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number in _OWNER_TEXTS:
            owner[_OWNER_TEXTS[number]] = _text(value)
        elif number in _OWNER_FLAGS:
            owner[_OWNER_FLAGS[number]] = bool(value)
    return owner


def _secret(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {}}
    for number, value in _fields(raw):
        if number == 1:
            found["metadata"] = _metadata(value)
        elif number == 2:
            key, content = _pair(value, _base64)
            found.setdefault("data", {})[key] = content
        elif number == 3 and value:
            found["type"] = _text(value)
        elif number == 4:
            key, content = _pair(value)
            found.setdefault("stringData", {})[key] = content
        elif number == 5:
            found["immutable"] = bool(value)
    return found


def _config_map(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {}}
    for number, value in _fields(raw):
        if number == 1:
            found["metadata"] = _metadata(value)
        elif number == 2:
            key, content = _pair(value)
            found.setdefault("data", {})[key] = content
        elif number == 3:
            key, content = _pair(value, _base64)
            found.setdefault("binaryData", {})[key] = content
        elif number == 4:
            found["immutable"] = bool(value)
    return found


def _only_metadata(raw: bytes) -> dict[str, Any]:
    return {
        "metadata": next((_metadata(value) for number, value in _fields(raw) if number == 1), {})
    }


def _nothing(raw: bytes) -> dict[str, Any]:
    """Read nothing: whatever is asked, the answer is the same."""
    del raw
    return {"metadata": {}}


def _delete_options(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number == 1:
            found["gracePeriodSeconds"] = value
        elif number == 2:
            names = {1: "uid", 2: "resourceVersion"}
            found["preconditions"] = {names[n]: _text(v) for n, v in _fields(value) if n in names}
        elif number == 3:
            found["orphanDependents"] = bool(value)
        elif number == 4:
            found["propagationPolicy"] = _text(value)
        elif number == 5:
            found.setdefault("dryRun", []).append(_text(value))
    return found


_DECODERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "ConfigMap": _config_map,
    "DeleteOptions": _delete_options,
    "LocalSubjectAccessReview": _nothing,
    "Namespace": _only_metadata,
    "Secret": _secret,
    "SelfSubjectAccessReview": _nothing,
    "SelfSubjectReview": _nothing,
    "ServiceAccount": _only_metadata,
    "SubjectAccessReview": _nothing,
    "TokenRequest": _nothing,
}
