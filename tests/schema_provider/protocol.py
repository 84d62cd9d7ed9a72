"""The part of Terraform's plugin protocol 5 that the double speaks, as protobuf messages.

The messages are built here instead of being generated from Terraform's file: the field numbers
are what both sides must agree on, and of the fields only those that we read or write are named.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["RPCS", "SERVICE", "message"]

SERVICE = "tfplugin5.Provider"
_PACKAGE = "mlstacks.schema_provider"

# message -> field -> number, type; a star says that it is repeated. A protobuf map is a repeated
# message with the fields key and value.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "DynamicValue": {"msgpack": (1, "bytes"), "json": (2, "bytes")},
    "RawState": {"json": (1, "bytes")},
    "Diagnostic": {"severity": (1, "int32"), "summary": (2, "string"), "detail": (3, "string")},
    "Attribute": {
        "name": (1, "string"),
        "type": (2, "bytes"),
        "required": (4, "bool"),
        "optional": (5, "bool"),
        "computed": (6, "bool"),
    },
    "NestedBlock": {
        "type_name": (1, "string"),
        "block": (2, "Block"),
        "nesting": (3, "int32"),
        "min_items": (4, "int64"),
        "max_items": (5, "int64"),
    },
    "Block": {
        "version": (1, "int64"),
        "attributes": (2, "Attribute*"),
        "block_types": (3, "NestedBlock*"),
    },
    "Schema": {"version": (1, "int64"), "block": (2, "Block")},
    "NamedSchema": {"key": (1, "string"), "value": (2, "Schema")},
    "Empty": {},
    "GetSchemaResponse": {
        "provider": (1, "Schema"),
        "resource_schemas": (2, "NamedSchema*"),
        "data_source_schemas": (3, "NamedSchema*"),
    },
    "PrepareProviderConfigRequest": {"config": (1, "DynamicValue")},
    "PrepareProviderConfigResponse": {"prepared_config": (1, "DynamicValue")},
    "ConfigureRequest": {"config": (2, "DynamicValue")},
    "ValidateRequest": {"type_name": (1, "string"), "config": (2, "DynamicValue")},
    "UpgradeResourceStateRequest": {"type_name": (1, "string"), "raw_state": (3, "RawState")},
    "UpgradeResourceStateResponse": {"upgraded_state": (1, "DynamicValue")},
    "ReadResourceRequest": {"type_name": (1, "string"), "current_state": (2, "DynamicValue")},
    "ReadResourceResponse": {"new_state": (1, "DynamicValue")},
    "PlanResourceChangeRequest": {
        "type_name": (1, "string"),
        "proposed_new_state": (3, "DynamicValue"),
    },
    "PlanResourceChangeResponse": {"planned_state": (1, "DynamicValue")},
    "ApplyResourceChangeRequest": {
        "type_name": (1, "string"),
        "planned_state": (3, "DynamicValue"),
    },
    "ApplyResourceChangeResponse": {"new_state": (1, "DynamicValue")},
    "ReadDataSourceRequest": {"type_name": (1, "string"), "config": (2, "DynamicValue")},
    "ReadDataSourceResponse": {"state": (1, "DynamicValue"), "diagnostics": (2, "Diagnostic*")},
    "StopResponse": {"error": (1, "string")},
}

RPCS: dict[str, tuple[str, str]] = {
    "GetSchema": ("Empty", "GetSchemaResponse"),
    "PrepareProviderConfig": ("PrepareProviderConfigRequest", "PrepareProviderConfigResponse"),
    "Configure": ("ConfigureRequest", "Empty"),
    "ValidateResourceTypeConfig": ("ValidateRequest", "Empty"),
    "ValidateDataSourceConfig": ("ValidateRequest", "Empty"),
    "UpgradeResourceState": ("UpgradeResourceStateRequest", "UpgradeResourceStateResponse"),
    "ReadResource": ("ReadResourceRequest", "ReadResourceResponse"),
    "PlanResourceChange": ("PlanResourceChangeRequest", "PlanResourceChangeResponse"),
    "ApplyResourceChange": ("ApplyResourceChangeRequest", "ApplyResourceChangeResponse"),
    "ReadDataSource": ("ReadDataSourceRequest", "ReadDataSourceResponse"),
    "Stop": ("Empty", "StopResponse"),
}
"""Calls of the service, each with its request and its response."""


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="schema_provider.proto", package=_PACKAGE, syntax="proto3"
    )
    scalar = descriptor_pb2.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = declared.field.add(name=field_name, number=number, label=scalar.LABEL_OPTIONAL)
            if kind.endswith("*"):
                field.label = scalar.LABEL_REPEATED
            base = kind.removesuffix("*")
            if base in _MESSAGES:
                field.type, field.type_name = scalar.TYPE_MESSAGE, f".{_PACKAGE}.{base}"
            else:
                field.type = scalar.Type.Value(f"TYPE_{base.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()


def message(name: str) -> Any:
    """Return the class of the messages ``name``."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
