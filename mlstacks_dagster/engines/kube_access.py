"""A kubeconfig of our own for each unit: private, with one context, without credentials.

Tokens come from our own command, which Helm calls as a credential plugin when it needs one;
cloud credentials reach it through Helm's environment. The user's own kubeconfig is only read,
and only when a stack names it.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.engines.kube_token import eks_token, gke_token
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.files import private_folder, write_private

__all__ = [
    "ClusterAccess",
    "eks_token",
    "gke_token",
    "kubeconfig_of",
    "token_program",
    "write_kubeconfig",
]

_FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}


class ClusterAccess(BaseModel):
    """How a cluster's API is reached.

    ``eks`` and ``gke`` need ``name``, ``endpoint`` (an https URL; GKE's may be a bare address),
    ``ca_data`` (base64 PEM) and ``region``. ``kubeconfig`` needs the file ``kubeconfig``;
    without ``context`` its current one is used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["eks", "gke", "kubeconfig"]
    name: str
    endpoint: str = ""
    ca_data: str = ""
    region: str = ""
    kubeconfig: Path | None = None
    context: str | None = None


def token_program() -> tuple[str, ...]:
    """Return how our own ``kube-token`` is started, from a wheel or a checkout alike."""
    return (sys.executable, "-P", "-m", "mlstacks_dagster.engines.kube_token")


def write_kubeconfig(
    access: ClusterAccess, path: Path, *, token_argv: Sequence[str] | None = None
) -> str:
    """Write a kubeconfig (0600) for ``access`` and return the name of its context.

    ``token_argv`` starts ``kube-token``; default :func:`token_program`. Of a user's kubeconfig
    only the one context is copied, with the files that it names. Raises :class:`InputError`
    when that file or context can't be used.
    """
    config = kubeconfig_of(access, token_argv or token_program())
    private_folder(path.parent)
    write_private(path, yaml.safe_dump(config, sort_keys=False).encode())
    return str(config["current-context"])


def kubeconfig_of(access: ClusterAccess, token_argv: Sequence[str]) -> dict[str, Any]:
    """Return the kubeconfig for ``access``; raises as :func:`write_kubeconfig` does."""
    if access.kind == "kubeconfig":
        return _copied(access)
    if not access.endpoint:
        raise InputError(
            f"cluster {access.name} has no endpoint", remedy="deploy the cluster first"
        )
    endpoint = access.endpoint if "://" in access.endpoint else f"https://{access.endpoint}"
    cluster: dict[str, Any] = {"server": endpoint}
    if access.ca_data:
        cluster["certificate-authority-data"] = access.ca_data
    program, *options = token_argv
    arguments = ["--kind", access.kind, "--cluster", access.name, "--region", access.region]
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program,
        "args": [*options, *arguments],
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }
    return _config(access.name, cluster, {"exec": plugin})


def _config(
    name: str, cluster: Mapping[str, Any], user: Mapping[str, Any], namespace: str = ""
) -> dict[str, Any]:
    context = {"cluster": name, "user": name}
    if namespace:
        context["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": dict(cluster)}],
        "users": [{"name": name, "user": dict(user)}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
        "preferences": {},
    }


def _copied(access: ClusterAccess) -> dict[str, Any]:
    path = access.kubeconfig
    if path is None:
        raise InputError(f"cluster {access.name}: no kubeconfig is named")
    path = path.expanduser().absolute()
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"the kubeconfig {path} can't be read: {error}", remedy="check cluster.kubeconfig"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a kubeconfig", remedy="check cluster.kubeconfig")
    name = access.context or str(content.get("current-context") or "")
    context = _named(content, path, "contexts", "context", name)
    cluster = _named(content, path, "clusters", "cluster", str(context.get("cluster")))
    user = _named(content, path, "users", "user", str(context.get("user")))
    return _config(
        name, _embedded(cluster, path), _absolute_plugin(_embedded(user, path), path.parent)
    )


def _named(
    content: Mapping[str, Any], path: Path, group: str, kind: str, name: str
) -> dict[str, Any]:
    entries = {
        str(e.get("name")): e.get(kind) for e in content.get(group) or () if isinstance(e, dict)
    }
    found = entries.get(name)
    if not isinstance(found, dict):
        known = ", ".join(sorted(entries)) or "none"
        what = f"no {kind} {name!r}" if name else f"no current {kind}"
        raise InputError(f"{path} has {what}; it has: {known}", remedy="check cluster.context")
    return found


def _embedded(entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return ``entry`` with the certificate files that it names taken in."""
    made = dict(entry)
    for key, data_key in _FILES.items():
        named = made.pop(key, None)
        if not named or made.get(data_key):
            continue
        file = path.parent / str(named)
        try:
            made[data_key] = base64.b64encode(file.read_bytes()).decode()
        except OSError as error:
            raise InputError(
                f"{path} names {file}, which can't be read: {error.strerror}",
                remedy="check that kubeconfig with kubectl",
            ) from error
    if made.get("tokenFile"):
        made["tokenFile"] = str(path.parent / str(made["tokenFile"]))
    return made


def _absolute_plugin(user: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Keep a plugin that is named relative to the kubeconfig's folder working."""
    plugin = user.get("exec")
    if isinstance(plugin, dict):
        command = str(plugin.get("command", ""))
        if "/" in command and not Path(command).is_absolute():
            user["exec"] = {**plugin, "command": str(folder / command)}
    return user
