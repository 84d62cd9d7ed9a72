"""JSON schemas for editors: of stack and component files, and of ``unit.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.models import ConfigKey, UnitDefinition
from mlstacks_dagster.catalog.typecheck import TypeNode
from mlstacks_dagster.catalog.unit_inputs import UnitInput, unit_input
from mlstacks_dagster.spec.fields import MAX_NAME

__all__ = ["stack_schema", "unit_schema", "unit_settings"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
    "maxLength": MAX_NAME,
}
_TEXT = {"type": ["string", "null"]}
_TEXT_MAP = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_NUMBER_TEXT = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"

_Schema = dict[str, Any]


def stack_schema(catalog: Catalog) -> _Schema:
    """Return the JSON schema (draft 2020-12) of stack files and component files.

    It knows the component types, flavors and config keys of ``catalog``.
    """
    providers = sorted({unit.provider for unit in catalog.units})
    definitions = {
        "stack": _stack(providers),
        "component": _component(catalog, providers),
        **{_base_name(provider): _base(catalog, provider) for provider in providers},
        **{_config_name(*triple): _config(catalog, *triple) for triple in sorted(catalog.triples)},
    }
    return {
        "$schema": _DIALECT,
        "title": "Stack or component file of mlstacks-dagster",
        "oneOf": [{"$ref": "#/$defs/stack"}, {"$ref": "#/$defs/component"}],
        "$defs": definitions,
    }


def unit_schema() -> _Schema:
    """Return the JSON schema of ``unit.yaml``."""
    schema = UnitDefinition.model_json_schema()
    del schema["properties"]["path"]
    schema["required"].remove("path")
    provider = schema["properties"]["provider"]
    several = {"type": "array", "items": {"enum": provider["enum"]}, "minItems": 1}
    schema["properties"]["provider"] = {"anyOf": [{"enum": provider["enum"]}, several]}
    return {"$schema": _DIALECT, **schema, "title": "unit.yaml of mlstacks-dagster"}


def unit_settings(unit: UnitDefinition) -> dict[str, tuple[ConfigKey, UnitInput]]:
    """Return each config key of a unit, sorted, with the input that it sets."""
    found: dict[str, tuple[ConfigKey, UnitInput]] = {}
    for key, setting in sorted(unit.config.items()):
        taken = unit_input(unit, setting.variable)
        if taken is not None:
            found[key] = (setting, taken)
    return found


def _closed(properties: _Schema, required: Iterable[str]) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _stack(providers: Sequence[str]) -> _Schema:
    state = {"type": "string", "pattern": "^(s3|gs)://"}
    return _closed(
        {
            "spec_version": {"const": 1},
            "spec_type": {"const": "stack"},
            "name": {**_NAME, "description": "Name of the stack."},
            "provider": {
                "enum": list(providers),
                "description": "Cloud of the stack.",
            },
            "default_region": {**_TEXT, "description": "Region of every unit."},
            "default_tags": {**_TEXT_MAP, "description": "Tags of every resource."},
            "deployment_method": {"enum": ["kubernetes", None]},
            "components": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "Component files, relative to this file.",
            },
            "ttl": {**_TEXT, "description": "Time from the deploy to the teardown: 8h, 3d, 1w."},
            "expires_at": {**_TEXT, "description": "Moment of the teardown, with a time zone."},
            "protect": {
                "type": ["boolean", "null"],
                "description": "Refuse every teardown of the stack.",
            },
            "on_failure": {
                "enum": ["keep", "destroy", None],
                "description": "What becomes of the stack when its deploy fails.",
            },
            "data": {
                "enum": ["delete", "retain", None],
                "description": "retain: no teardown of what holds data; delete: it goes too.",
            },
            "cluster": {
                "anyOf": [
                    _cluster(),
                    {"type": "null"},
                ],
                "description": "Existing Kubernetes cluster to deploy to.",
            },
            "state": {
                "anyOf": [state, _closed({"url": state, "region": _TEXT}, ["url"])],
                "description": "Existing bucket for the Terraform states: s3:// or gs://.",
            },
        },
        ["spec_version", "spec_type", "name", "provider"],
    )


def _cluster() -> _Schema:
    has = {"type": ["object", "null"], "additionalProperties": _TEXT_MAP}
    about = {
        "kubeconfig": "Path, relative to this file.",
        "context": "Context in it; default: its current one.",
        "name": "EKS: name of the cluster; default: from its ARN.",
        "arn": "EKS: ARN of the cluster; default: from the context.",
        "region": "EKS: region of the cluster; default: from its ARN.",
        "oidc_provider_arn": "EKS: ARN of the IAM identity provider of its service accounts.",
        "oidc_issuer": "EKS: issuer of its service accounts' tokens; default: from the provider.",
        "node_role_name": "EKS: name of the nodes' IAM role; default: from its ARN.",
        "node_role_arn": "EKS: ARN of the nodes' IAM role.",
    }
    texts = {key: {**_TEXT, "description": text} for key, text in about.items()}
    texts["kubeconfig"] = {"type": "string", "description": about["kubeconfig"]}
    what = "Capabilities that the cluster has already, each with its keys."
    return _closed({**texts, "has": {**has, "description": what}}, ["kubeconfig"])


def _component(catalog: Catalog, providers: Sequence[str]) -> _Schema:
    kinds = sorted({kind for _, kind, _ in catalog.triples})
    flavors = sorted({flavor for _, _, flavor in catalog.triples})
    metadata = _closed(
        {
            "config": {"type": ["object", "null"]},
            "environment_variables": _TEXT_MAP,
            "tags": _TEXT_MAP,
            "region": _TEXT,
        },
        [],
    )
    schema = _closed(
        {
            "spec_version": {"const": 1},
            "spec_type": {"const": "component"},
            "name": {**_NAME, "description": "Name of the component."},
            "provider": {"enum": list(providers), "description": "The stack's provider."},
            "component_type": {"enum": kinds},
            "component_flavor": {"enum": flavors},
            "metadata": {**metadata, "type": ["object", "null"]},
        },
        ["spec_version", "spec_type", "name", "provider", "component_type", "component_flavor"],
    )
    return {**schema, "allOf": [*_flavor_rules(catalog), *_config_rules(catalog)]}


def _flavor_rules(catalog: Catalog) -> list[_Schema]:
    allowed: dict[tuple[str, str], list[str]] = {}
    for provider, kind, flavor in sorted(catalog.triples):
        allowed.setdefault((provider, kind), []).append(flavor)
    by_provider: dict[str, list[str]] = {}
    for provider, kind in allowed:
        by_provider.setdefault(provider, []).append(kind)
    rules = [
        _rule({"provider": p}, {"component_type": {"enum": kinds}})
        for p, kinds in by_provider.items()
    ]
    return rules + [
        _rule({"provider": p, "component_type": k}, {"component_flavor": {"enum": flavors}})
        for (p, k), flavors in allowed.items()
    ]


def _config_rules(catalog: Catalog) -> list[_Schema]:
    return [
        _rule(
            {"provider": p, "component_type": k, "component_flavor": f},
            {"metadata": {"properties": {"config": {"$ref": f"#/$defs/{_config_name(p, k, f)}"}}}},
        )
        for p, k, f in sorted(catalog.triples)
    ]


def _rule(when: dict[str, str], then: _Schema) -> _Schema:
    values = {key: {"const": value} for key, value in when.items()}
    return {"if": {"properties": values, "required": list(when)}, "then": {"properties": then}}


def _config_name(provider: str, kind: str, flavor: str) -> str:
    return f"config_{provider}_{kind}_{flavor}"


def _config(catalog: Catalog, provider: str, kind: str, flavor: str) -> _Schema:
    """Return the schema of ``metadata.config``.

    A base unit's keys are welcome in any component, since another one may bring the unit in.
    """
    own = catalog.by_component(provider, kind, flavor)
    properties: _Schema = {
        "region": {"type": "string", "description": "Region of the component."},
        "zenml-version": {"type": "string", "description": "Written to the ZenML stack file."},
    }
    if provider == "gcp":
        properties["project_id"] = {"type": "string", "description": "Project of the stack."}
    for base in catalog.base_units(provider):
        where = f"#/$defs/{_base_name(provider)}/properties"
        properties.update({key: {"$ref": f"{where}/{key}"} for key in base.config})
    for unit in own:
        properties.update(_keys(unit, shared=False))
    schema = _closed(dict(sorted(properties.items())), [])
    return {**schema, "type": ["object", "null"]}


def _base_name(provider: str) -> str:
    return f"base_{provider}"


def _base(catalog: Catalog, provider: str) -> _Schema:
    """Return the config keys of all base units on ``provider``."""
    properties: _Schema = {}
    for unit in catalog.base_units(provider):
        properties.update(_keys(unit, shared=True))
    return {"type": "object", "properties": dict(sorted(properties.items()))}


def _keys(unit: UnitDefinition, *, shared: bool) -> _Schema:
    found: _Schema = {}
    for key, (setting, taken) in unit_settings(unit).items():
        text = setting.description or taken.description
        if shared:
            text = f"{text} (of {unit.name}, shared by the stack)".strip()
        known = taken.schema if taken.node is None else _type(taken.node)
        found[key] = {**(known or {}), "description": text}
        if taken.default is not None and not taken.sensitive:
            found[key]["default"] = taken.default
    return found


def _type(node: TypeNode) -> _Schema:
    simple: dict[str, _Schema] = {
        "any": {},
        "string": {"type": ["string", "integer"]},
        "number": {"type": ["number", "string"], "pattern": _NUMBER_TEXT},
        "bool": {"enum": [True, False, "true", "false"]},
    }
    if node.kind in simple:
        return simple[node.kind]
    if node.kind in ("list", "set"):
        return {"type": "array", "items": _type(node.items[0])}
    if node.kind == "map":
        return {"type": "object", "additionalProperties": _type(node.items[0])}
    if node.kind == "tuple":
        return {"type": "array", "prefixItems": [_type(i) for i in node.items], "items": False}
    properties = {n: _type(i) for n, i in zip(node.names, node.items, strict=True)}
    return _closed(properties, [name for name in node.names if name not in node.optional])
