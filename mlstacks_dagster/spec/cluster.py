"""The field ``cluster`` of a stack file: a Kubernetes cluster that exists already."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mlstacks_dagster.errors import SpecError
from mlstacks_dagster.spec.fields import Fields, describe
from mlstacks_dagster.spec.models import ClusterLocation
from mlstacks_dagster.spec.regions import unknown_region
from mlstacks_dagster.spec.rules import RULES
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["read_cluster"]

_FORM = "write cluster: {kubeconfig: ~/.kube/config, context: my-cluster}"
_HTTPS = "https://"

_EKS_RULES: Mapping[str, str | None] = {
    "name": "eks_cluster_name",
    "arn": "eks_cluster_arn",
    "region": None,
    "oidc_provider_arn": "oidc_provider_arn",
    "oidc_issuer": "oidc_issuer",
    "node_role_name": "iam_role_name",
    "node_role_arn": "iam_role_arn",
}
"""The keys that say more of an EKS cluster, and the rule of each."""


def read_cluster(fields: Fields, extra_regions: Collection[str] = ()) -> ClusterLocation | None:
    """Return the cluster that the stack file names, None when it names none or can't.

    A context that an ARN names (as ``aws eks update-kubeconfig`` does) tells name, ARN and
    region; ARNs tell the names in them. Problems go to the findings of ``fields``.
    """
    value = fields.data.get("cluster")
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.error(f"cluster must be a mapping, not {describe(value)}", "cluster", remedy=_FORM)
        return None
    child = fields.child("cluster")
    child.refuse_unknown(("kubeconfig", "context", "has", *_EKS_RULES))
    context = child.text("context")
    named = child.text("kubeconfig", required="~/.kube/config")
    facts = _facts(child, str(fields.data.get("provider")), extra_regions)
    has = _has(child)
    path = _file(child, named) if named else None
    if path is None:
        return None
    context, entry = _context(path, context)
    if fields.data.get("provider") == "aws" and "arn" not in facts:
        arns = [name for name in (context, entry) if name and not RULES["eks_cluster_arn"](name)]
        facts |= {"arn": arns[0]} if arns else {}
    return ClusterLocation(kubeconfig=path, context=context, has=has, **_derived(child, facts))


def _file(child: Fields, named: str) -> Path | None:
    try:
        path = (child.source.file.parent / Path(named).expanduser()).absolute()
        if path.is_file():
            return path
        why = f"there is no file {path}"
    except (OSError, RuntimeError, ValueError):  # no such user, a NUL, a name too long
        why = f"kubeconfig {describe(named)} can't be a path"
    child.error(why, "kubeconfig", remedy="name a kubeconfig file")
    return None


def _facts(child: Fields, provider: str, extra_regions: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, rule in _EKS_RULES.items():
        value = child.text(key)
        if value is None:
            continue
        if provider != "aws":
            child.error(f"{key} is for EKS clusters", key, remedy=f"remove {key}")
        elif rule is not None and (why := RULES[rule](value)):
            child.error(f"{key} {describe(value)} can't be", key, remedy=why)
        elif rule is None and (why := unknown_region("aws", value, extra_regions)):
            child.error(f"AWS has no region {value!r}", key, remedy=why)
        else:
            found[key] = value.removeprefix(_HTTPS) if key == "oidc_issuer" else value
    return found


def _derived(child: Fields, facts: Mapping[str, str]) -> dict[str, str]:
    """Return ``facts`` with what ARNs tell; a name that contradicts its ARN is an error."""
    told: dict[str, tuple[str, str]] = {}
    if arn := facts.get("arn"):
        told["name"] = (arn.rpartition("/")[2], "arn")
        told["region"] = (arn.split(":")[3], "arn")
    if arn := facts.get("oidc_provider_arn"):
        told["oidc_issuer"] = (arn.partition("/")[2], "oidc_provider_arn")
    if arn := facts.get("node_role_arn"):
        told["node_role_name"] = (arn.rpartition("/")[2], "node_role_arn")
    for key, (value, source) in told.items():
        if facts.get(key, value) != value:
            child.error(
                f"{key} {facts[key]!r} contradicts {source}, which says {value!r}",
                key,
                remedy="correct one of them; of a context that is an ARN, name the right cluster",
            )
    return {**{key: value for key, (value, _) in told.items()}, **facts}


def _has(child: Fields) -> dict[str, dict[str, str]]:
    has = child.child("has")
    return {key: has.text_map(key) for key in has.data}


def _context(path: Path, named: str | None) -> tuple[str | None, str | None]:
    """Return the context that is used, and the name of its cluster entry, as far as is known.

    What is wrong with a kubeconfig shows where it is used.
    """
    try:
        content = load_yaml(path)[0]
    except SpecError:
        return named, None
    current = named or content.get("current-context")
    if not isinstance(current, str) or not current:
        return None, None
    contexts: Any = content.get("contexts")
    for entry in contexts if isinstance(contexts, list) else ():
        inside = entry.get("context") if isinstance(entry, dict) else None
        if isinstance(inside, dict) and entry.get("name") == current:
            return current, str(inside.get("cluster"))
    return current, None
