"""What operators do with their custom resources once they are deployed.

It is the little that others wait for. A resource that its operator has to clean up stays while
that is missing.
"""

from __future__ import annotations

import base64
from typing import Any

from .controllers import Tools
from .deployed import find_deployed
from .objects import Obj, condition, get, is_going, key_of, with_finalizers
from .store import Collection

__all__ = ["reconcile_certificate", "reconcile_issuer", "reconcile_tekton_config"]

_CERTIFICATES = ("cert-manager.io", "certificates")
_TEKTON = ("operator.tekton.dev", "tektonconfigs")
_SECRETS = ("", "secrets")
_TEKTON_FINALIZER = "tektonconfigs.operator.tekton.dev"
_EMULATED = base64.b64encode(b"emulated").decode()


def _set_ready(tools: Tools, collection: Collection, obj: Obj, reason: str) -> None:
    resource = tools.context.table.of_key(collection)
    if resource is None or not resource.has_status:
        return
    status: dict[str, Any] = {
        "observedGeneration": obj["metadata"].get("generation", 1),
        "conditions": [condition("Ready", True, reason, now=tools.context.now())],
    }
    tools.set_status(collection, obj, status)


def reconcile_issuer(tools: Tools, issuer: Obj) -> None:
    """Say that an issuer is ready, once cert-manager is deployed."""
    if not is_going(issuer) and find_deployed(tools, "cert-manager"):
        plural = "clusterissuers" if issuer["kind"] == "ClusterIssuer" else "issuers"
        _set_ready(tools, ("cert-manager.io", plural), issuer, "IsReady")


def reconcile_certificate(tools: Tools, certificate: Obj) -> None:
    """Make the Secret that a certificate asks for; what is in it is no certificate."""
    if is_going(certificate) or not find_deployed(tools, "cert-manager"):
        return
    key = (certificate["metadata"]["namespace"], certificate["spec"]["secretName"])
    if tools.context.store.get(_SECRETS, key) is None:
        name = certificate["metadata"]["name"]
        secret = {
            "metadata": {
                "name": key[1],
                "namespace": key[0],
                "annotations": {"cert-manager.io/certificate-name": name},
            },
            "type": "kubernetes.io/tls",
            "data": dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), _EMULATED),
        }
        tools.writer.put_internal(tools.context.resource(_SECRETS), secret)
    found = tools.context.store.get(_CERTIFICATES, key_of(certificate))
    if found is not None:
        _set_ready(tools, _CERTIFICATES, found, "Ready")


def reconcile_tekton_config(tools: Tools, config: Obj) -> None:
    """Say that Tekton is ready, once its operator is deployed; hold the resource until it goes."""
    if not find_deployed(tools, "tekton-operator"):
        return
    resource = tools.context.resource(_TEKTON)
    held = _TEKTON_FINALIZER in (get(config, "metadata", "finalizers") or ())
    if is_going(config):
        if held:
            tools.writer.put_internal(resource, with_finalizers(config, remove=_TEKTON_FINALIZER))
        return
    if not held:
        changed = with_finalizers(config, add=_TEKTON_FINALIZER)
        config = tools.writer.put_internal(resource, changed)
    _set_ready(tools, _TEKTON, config, "Ready")
