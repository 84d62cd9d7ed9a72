"""A unit's inputs, whatever runs it: variables of a Terraform module, values of a chart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlstacks_dagster.catalog.chart_values import chart_values
from mlstacks_dagster.catalog.models import SecretKey, UnitDefinition
from mlstacks_dagster.catalog.typecheck import TypeNode, check_type
from mlstacks_dagster.catalog.variables import module_variables

__all__ = ["NAMESPACE", "SECRET", "UnitInput", "secret_input", "unit_input"]

NAMESPACE = "$namespace"
SECRET = "$secret."  # noqa: S105 - the prefix of a name

_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


@dataclass(frozen=True)
class UnitInput:
    """One input. ``type`` is in words; ``why_not`` says why a value can't be, or None.

    ``node`` is the Terraform type and ``schema`` the JSON schema: one of the two is there.
    ``sensitive`` values are never shown; ``discreet`` says that the words of ``why_not`` hold none.
    """

    name: str
    type: str
    why_not: Callable[[object], str | None]
    node: TypeNode | None = None
    schema: dict[str, Any] | None = None
    default: Any = None
    sensitive: bool = False
    discreet: bool = False
    description: str = ""


def unit_input(unit: UnitDefinition, name: str) -> UnitInput | None:
    """Return the input of that name, None when the unit has none.

    ``name`` is a variable, or for Helm a value's path, ``$namespace`` or a secret's key. Raises
    :class:`~mlstacks_dagster.errors.CatalogError` when the module or the schema can't be read.
    """
    return _terraform_input(unit, name) if unit.helm is None else _helm_input(unit, name)


def secret_input(name: str) -> tuple[str, str] | None:
    """Return Secret and key of ``$secret.<name>.<key>``, None for any other name."""
    if not name.startswith(SECRET):
        return None
    secret, _, key = name.removeprefix(SECRET).partition(".")
    return secret, key


def _terraform_input(unit: UnitDefinition, name: str) -> UnitInput | None:
    variable = module_variables(unit.path).get(name)
    if variable is None:
        return None
    return UnitInput(
        name,
        str(variable.type),
        lambda value: check_type(value, variable.type),
        node=variable.type,
        default=variable.default,
        sensitive=variable.sensitive,
        description=variable.description,
    )


def _helm_input(unit: UnitDefinition, name: str) -> UnitInput | None:
    if unit.helm is None:
        return None
    if name == NAMESPACE:
        node = TypeNode("string")
        schema = {"type": "string", "pattern": _NAME_PATTERN}
        return UnitInput(
            name,
            "string",
            lambda value: check_type(value, node),
            schema=schema,
            default=unit.helm.namespace,
        )
    secret = secret_input(name)
    if secret is not None:
        return _secret_key(unit, name, *secret)
    values = chart_values(unit)
    found = values.at(name)
    if found is None:
        return None
    return UnitInput(
        name,
        _type_words(found),
        lambda value: values.why_not(name, value),
        schema=found,
        default=values.default(name),
        description=str(found.get("description", "")),
    )


def _secret_key(unit: UnitDefinition, name: str, secret: str, key: str) -> UnitInput | None:
    for one in unit.helm.secrets if unit.helm else ():
        if one.name == secret and key in one.keys:
            return UnitInput(
                name,
                "string",
                one.keys[key].why_not,
                schema=_secret_schema(one.keys[key]),
                sensitive=True,
                discreet=True,
                default=one.keys[key].value,
            )
    return None


def _secret_schema(key: SecretKey) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": key.min_length}
    if key.pattern is not None:
        schema["pattern"] = f"^(?:{key.pattern})$"
    if key.refuse:
        schema["not"] = {"enum": list(key.refuse)}
    return schema


def _type_words(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
