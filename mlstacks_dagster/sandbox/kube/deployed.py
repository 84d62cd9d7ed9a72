"""Programs that run in the cluster and whose work is emulated once they are deployed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .controllers import Tools
from .objects import Obj, get, is_going

__all__ = ["DeployedProgram", "find_deployed"]

_DEPLOYMENTS = ("apps", "deployments")
_ACCOUNTS = ("", "serviceaccounts")
_ROLE = "eks.amazonaws.com/role-arn"
_OPTION = re.compile(r"--(?P<name>[\w-]+)=(?P<value>.*)")


@dataclass(frozen=True)
class DeployedProgram:
    """A deployment that is available, with the options on its containers' command lines."""

    namespace: str
    service_account: str
    role_arn: str
    options: dict[str, str]

    def option(self, name: str) -> str:
        """Return the value of ``--name=value``, empty when it isn't given."""
        return self.options.get(name, "")


def find_deployed(tools: Tools, name: str) -> DeployedProgram | None:
    """Return the program ``name``, by its Deployment's name or app label, if it is available."""
    for deployment in tools.context.store.all(_DEPLOYMENTS):
        metadata = deployment["metadata"]
        label = (metadata.get("labels") or {}).get("app.kubernetes.io/name")
        if name not in (metadata["name"], label) or is_going(deployment):
            continue
        if get(deployment, "status", "availableReplicas"):
            return _program(tools, deployment)
    return None


def _program(tools: Tools, deployment: Obj) -> DeployedProgram:
    spec = deployment["spec"]["template"]["spec"]
    namespace = deployment["metadata"]["namespace"]
    account = spec.get("serviceAccountName") or "default"
    found = tools.context.store.get(_ACCOUNTS, (namespace, account)) or {}
    options = {}
    for container in spec.get("containers") or ():
        for argument in [*(container.get("command") or ()), *(container.get("args") or ())]:
            if option := _OPTION.fullmatch(argument):
                options[option["name"]] = option["value"]
    role = (get(found, "metadata", "annotations") or {}).get(_ROLE, "")
    return DeployedProgram(namespace, account, role, options)
