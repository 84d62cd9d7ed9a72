"""What the API refuses in an object that is written: schema, names, sizes, fixed fields."""

from __future__ import annotations

import base64
import binascii
import copy
import re
from collections.abc import Iterator
from typing import Any

from .defaults import fill_defaults, fill_from_schema
from .errors import ApiError, bad_request, invalid
from .fieldsets import item_key
from .objects import Obj, get
from .resources import Resource
from .schemas import Node, Schemas
from .selectors import label_selector_of
from .validation import TYPE, UNKNOWN, Problem, find_problems

__all__ = ["SECRET_LIMIT_BYTES", "admit", "check_applied", "check_unchanged"]

SECRET_LIMIT_BYTES = 1024 * 1024
_ANNOTATIONS_LIMIT_BYTES = 256 * 1024

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_QUALIFIED = re.compile(
    r"([a-z0-9][-a-z0-9.]{0,251}[a-z0-9]/|[a-z0-9]/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?")
_FREE_NAMES = {"clusterroles", "clusterrolebindings", "roles", "rolebindings"}
_SHORT_NAMES = {"namespaces", "services"}


def admit(resource: Resource, obj: Obj, schemas: Schemas, validation: str) -> None:
    """Check an object that is written, drop what the schema doesn't know, fill in defaults.

    ``validation`` is the request's ``fieldValidation``. Changes ``obj``; raises :class:`ApiError`.
    """
    node = schemas.root(resource)
    checked = {name: value for name, value in obj.items() if name != "status"}
    problems = find_problems(checked, node, custom=resource.custom)
    _refuse(resource, obj, problems, validation)
    if any(problem.kind == UNKNOWN for problem in problems):
        _prune(obj, node, resource.custom)
    if resource.custom:
        fill_from_schema(obj, node)
    _check_metadata(resource, obj)
    fill_defaults(resource, obj)
    _check_content(resource, obj)


def check_applied(resource: Resource, config: Obj, schemas: Schemas) -> None:
    """Refuse an applied configuration that doesn't fit the schema.

    Raises :class:`ApiError` with the code 500, as the API does.
    """
    checked = {name: value for name, value in config.items() if name != "status"}
    problems = find_problems(checked, schemas.root(resource), custom=resource.custom)
    texts = list(_duplicates(config, schemas.root(resource), ""))
    texts += [f".{p.field}: field not declared in schema" for p in problems if p.kind == UNKNOWN]
    texts += [f".{p.field}: {p.message}" for p in problems if p.kind == TYPE]
    if texts:
        metadata = config["metadata"]
        which = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        message = (
            f"failed to create typed patch object ({which}; {resource.api_version}, "
            f"Kind={resource.kind}): {', '.join(texts)}"
        )
        raise ApiError(500, "", message)


def _duplicates(obj: Any, node: Node | None, field: str) -> Iterator[str]:
    """Yield what is said of lists in which two items have the same keys."""
    if node is None:
        return
    if isinstance(obj, dict):
        for name, value in obj.items():
            yield from _duplicates(value, node.child(name), f"{field}.{name}")
    elif isinstance(obj, list) and node.list_keys:
        seen = set()
        for item in obj:
            key = item_key(item, node.list_keys)
            if key in seen:
                listed = ",".join(f'{name}="{value}"' for name, value in key)
                yield f"{field}: duplicate entries for key [{listed}]"
            seen.add(key)
            yield from _duplicates(item, node.items, field)


def _refuse(resource: Resource, obj: Obj, problems: list[Problem], validation: str) -> None:
    name = obj["metadata"].get("name", "")
    wrong = [p for p in problems if p.kind == TYPE]
    unknown = [p for p in problems if p.kind == UNKNOWN]
    handled = (
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    )
    if wrong and not resource.custom:
        raise bad_request(f"{handled}: " + ", ".join(f"{p.field}: {p.message}" for p in wrong))
    if unknown and validation == "Strict":
        listed = ", ".join(p.message for p in unknown)
        raise bad_request(f"{handled}: strict decoding error: {listed}")
    rest = [(p.field, p.message) for p in problems if p.kind != UNKNOWN]
    if rest:
        raise invalid(resource.kind, name, rest)


def _prune(obj: Any, node: Node | None, custom: bool) -> None:
    """Drop fields that the schema doesn't know, as the API does unless it is asked to be strict."""
    for problem in find_problems(obj, node, custom=custom):
        if problem.kind == UNKNOWN:
            _drop(obj, problem.field)


def _drop(obj: Any, field: str) -> None:
    """Remove the one field below ``obj`` whose printed path is ``field``."""
    if isinstance(obj, dict):
        if field in obj:
            del obj[field]
            return
        for name in obj:
            if field.startswith((f"{name}.", f"{name}[")):
                _drop(obj[name], field.removeprefix(name).removeprefix("."))
    elif isinstance(obj, list) and (found := re.match(r"\[(\d+)\]\.?", field)):
        _drop(obj[int(found[1])], field[found.end() :])


def _check_metadata(resource: Resource, obj: Obj) -> None:
    metadata = obj["metadata"]
    problems = []
    name = metadata.get("name", "")
    if not _name_is_good(resource, name):
        problems.append(
            ("metadata.name", f'Invalid value: "{name}": not a lowercase RFC 1123 name')
        )
    for key, value in (metadata.get("labels") or {}).items():
        if not _QUALIFIED.fullmatch(key):
            problems.append(("metadata.labels", f'Invalid value: "{key}": not a qualified name'))
        if not _LABEL_VALUE.fullmatch(value):
            problems.append(
                ("metadata.labels", f'Invalid value: "{value}": not a valid label value')
            )
    annotations = metadata.get("annotations") or {}
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT_BYTES:
        text = f"Too long: may not be more than {_ANNOTATIONS_LIMIT_BYTES} bytes"
        problems.append(("metadata.annotations", text))
    for key in annotations:
        if not _QUALIFIED.fullmatch(key.lower()):
            problems.append(
                ("metadata.annotations", f'Invalid value: "{key}": not a qualified name')
            )
    if problems:
        raise invalid(resource.kind, name, problems)


def _name_is_good(resource: Resource, name: str) -> bool:
    if resource.plural in _FREE_NAMES:
        return bool(name) and "/" not in name and "%" not in name and name not in (".", "..")
    if resource.group == "" and resource.plural in _SHORT_NAMES:
        return _LABEL.fullmatch(name) is not None
    return _SUBDOMAIN.fullmatch(name) is not None


def _check_content(resource: Resource, obj: Obj) -> None:
    problems: list[tuple[str, str]] = []
    if resource.key in (("", "secrets"), ("", "configmaps")):
        problems += _data_problems(resource, obj)
    if resource.group == "apps" and "selector" in obj.get("spec", {}):
        labels = get(obj, "spec", "template", "metadata", "labels") or {}
        if not label_selector_of(obj["spec"]["selector"])(labels):
            text = f"Invalid value: {labels}: `selector` does not match template `labels`"
            problems.append(("spec.template.metadata.labels", text))
    if resource.plural == "customresourcedefinitions":
        problems += _crd_problems(obj)
    if problems:
        raise invalid(resource.kind, obj["metadata"]["name"], problems)


def _data_problems(resource: Resource, obj: Obj) -> Iterator[tuple[str, str]]:
    size = 0
    encoded = "data" if resource.plural == "secrets" else "binaryData"
    for key, text in (obj.get(encoded) or {}).items():
        try:
            size += len(base64.b64decode(text or "", validate=True))
        except (binascii.Error, ValueError):
            raise bad_request(f"{encoded}.{key}: illegal base64 data") from None
    if encoded != "data":
        size += sum(len(text.encode()) for text in (obj.get("data") or {}).values())
    if size > SECRET_LIMIT_BYTES:
        yield "data", f"Too long: may not be more than {SECRET_LIMIT_BYTES} bytes"


def _crd_problems(obj: Obj) -> Iterator[tuple[str, str]]:
    spec = obj["spec"]
    wanted = f"{spec['names']['plural']}.{spec['group']}"
    if obj["metadata"]["name"] != wanted:
        yield "metadata.name", f'Invalid value: must be spec.names.plural+"."+spec.group ({wanted})'
    if sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        yield (
            "spec.versions",
            "Invalid value: must have exactly one version marked as storage version",
        )
    for place, version in enumerate(spec["versions"]):
        if not get(version, "schema", "openAPIV3Schema"):
            yield (
                f"spec.versions[{place}].schema.openAPIV3Schema",
                "Required value: schemas are required",
            )


# Of each kind, the fields that can't change; "*" stands for all of spec but those that follow.
_FIXED: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "deployments"): ("selector",),
    ("apps", "daemonsets"): ("selector",),
    ("apps", "replicasets"): ("selector",),
    ("apps", "statefulsets"): (
        "*", "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
    ),
    ("batch", "jobs"): ("selector", "template", "completions"),
    ("", "persistentvolumeclaims"): ("*", "resources", "volumeName", "volumeAttributesClassName"),
}  # fmt: skip
_FIXED_AT_TOP: dict[tuple[str, str], tuple[str, ...]] = {
    ("rbac.authorization.k8s.io", "rolebindings"): ("roleRef",),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): ("roleRef",),
    ("storage.k8s.io", "storageclasses"): ("provisioner", "parameters", "reclaimPolicy"),
    ("", "secrets"): ("type",),
}


def check_unchanged(resource: Resource, old: Obj, new: Obj) -> None:
    """Refuse a change of what can't be changed; raises :class:`ApiError` (422)."""
    problems = []
    fixed = _FIXED.get(resource.key, ())
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if fixed[:1] == ("*",):
        one, other = _without(before, fixed), _without(after, fixed)
        if one != other:
            allowed = ", ".join(f"'{name}'" for name in fixed[1:])
            text = f"Forbidden: updates to the spec for fields other than {allowed} are forbidden"
            problems.append(("spec", text))
    else:
        changed = [name for name in fixed if before.get(name) != after.get(name)]
        problems += [(f"spec.{name}", "Invalid value: field is immutable") for name in changed]
    for name in _FIXED_AT_TOP.get(resource.key, ()):
        if old.get(name) != new.get(name):
            problems.append((name, "Invalid value: field is immutable"))
    if old.get("immutable") and (old.get("data") != new.get("data") or not new.get("immutable")):
        problems.append(("data", "Forbidden: field is immutable when `immutable` is set"))
    problems += _claim_problems(resource, before, after)
    if problems:
        raise invalid(resource.kind, new["metadata"]["name"], problems)


def _claim_problems(
    resource: Resource, before: dict[str, Any], after: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    if resource.key != ("", "persistentvolumeclaims"):
        return
    if before.get("volumeName") and before["volumeName"] != after.get("volumeName"):
        yield "spec.volumeName", "Forbidden: is immutable after creation"


def _without(spec: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return copy.copy({name: value for name, value in spec.items() if name not in names})
