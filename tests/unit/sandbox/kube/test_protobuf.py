"""The bodies that typed Go clients send as protobuf are read; others are refused."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.sandbox.kube.errors import ApiError
from mlstacks_dagster.sandbox.kube.protobuf import MAGIC, decode
from tests.unit.sandbox.kube.api import CORE, Api, config_map


def _varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _pair(number: int, key: str, value: bytes | str) -> bytes:
    return _field(number, _field(1, key) + _field(2, value))


def _body(kind: str, *fields: bytes, version: str = "v1") -> bytes:
    type_meta = _field(1, version) + _field(2, kind)
    return MAGIC + _field(1, type_meta) + _field(2, b"".join(fields)) + _field(4, "")


def test_a_secret_is_read() -> None:
    owner = _field(1, "Pod") + _field(3, "p") + _field(4, "uid") + _field(5, "v1") + _field(6, 1)
    metadata = b"".join([
        _field(1, "s"), _field(3, "default"), _field(6, "12"), _pair(11, "a", "b"),
        _pair(12, "c", "d"), _field(13, owner), _field(14, "example.org/hold"),
        _field(7, 3), _varint(9 << 3 | 1) + bytes(8), _varint(10 << 3 | 5) + bytes(4),
    ])  # fmt: skip
    raw = _body("Secret", _field(1, metadata), _pair(2, "k", b"\xff\x00"),
                _field(3, "helm.sh/release.v1"), _pair(4, "t", "x"), _field(5, 1))  # fmt: skip
    assert decode(raw) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "namespace": "default",
            "resourceVersion": "12",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "ownerReferences": [
                {"kind": "Pod", "name": "p", "uid": "uid", "apiVersion": "v1", "controller": True}
            ],
            "finalizers": ["example.org/hold"],
        },
        "data": {"k": base64.b64encode(b"\xff\x00").decode()},
        "type": "helm.sh/release.v1",
        "stringData": {"t": "x"},
        "immutable": True,
    }


def test_a_config_map_is_read() -> None:
    raw = _body("ConfigMap", _field(1, _field(1, "c")), _pair(2, "a", "b"), _pair(3, "x", b"\x00"),
                _field(4, 0))  # fmt: skip
    found = decode(raw)
    assert (found["data"], found["binaryData"]) == ({"a": "b"}, {"x": "AA=="})
    assert found["immutable"] is False


def test_delete_options_are_read() -> None:
    conditions = _field(1, "uid") + _field(2, "12")
    raw = _body("DeleteOptions", _field(1, 0), _field(2, conditions), _field(3, 1),
                _field(4, "Foreground"), _field(5, "All"))  # fmt: skip
    assert decode(raw) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "uid", "resourceVersion": "12"},
        "orphanDependents": True,
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


@pytest.mark.parametrize("kind", ["Namespace", "ServiceAccount"])
def test_of_some_kinds_only_the_metadata_is_read(kind: str) -> None:
    assert decode(_body(kind, _field(1, _field(1, "n")), _field(2, b"x")))["metadata"] == {
        "name": "n"
    }


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ApiError, match="doesn't read Deployment as protobuf") as caught:
        decode(_body("Deployment"))
    assert caught.value.code == 415


@given(st.binary(max_size=60))
def test_nonsense_is_refused_and_breaks_nothing(raw: bytes) -> None:
    for body in (MAGIC + raw, _body("Secret", raw)):
        with suppress(ApiError):
            assert isinstance(decode(body), dict)


def test_a_secret_can_be_made_and_replaced_and_deleted_so(api: Api) -> None:
    def secret(value: bytes) -> Any:
        metadata = _field(1, _field(1, "s"))
        return _body("Secret", metadata, _pair(2, "k", value))

    assert api.send("POST", f"{CORE}/secrets", secret(b"1")).code == 201
    api.send("PUT", f"{CORE}/secrets/s", secret(b"2"))
    assert api.get(f"{CORE}/secrets/s")["data"] == {"k": "Mg=="}
    api.send("DELETE", f"{CORE}/secrets/s", _body("DeleteOptions", _field(4, "Background")))
    assert api.names(f"{CORE}/secrets") == []


def test_orphaning_by_protobuf(api: Api) -> None:
    owner = api.post(f"{CORE}/configmaps", config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
                 "uid": owner["metadata"]["uid"]}  # fmt: skip
    child = {**config_map(), "metadata": {"name": "child", "ownerReferences": [reference]}}
    api.post(f"{CORE}/configmaps", child)
    api.send("DELETE", f"{CORE}/configmaps/owner", _body("DeleteOptions", _field(4, "Orphan")))
    api.settle()
    assert "child" in api.names(f"{CORE}/configmaps")
