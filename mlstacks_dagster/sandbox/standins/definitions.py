"""The custom resource definitions of the stand-ins: names and versions as in the real charts.

Their schemas let everything in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DEFINITIONS", "Definitions", "Kind", "definition"]


@dataclass(frozen=True)
class Kind:
    """A custom resource: its names, API versions (the last one is stored) and scope."""

    group: str
    kind: str
    plural: str
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True


@dataclass(frozen=True)
class Definitions:
    """The definitions of a chart.

    ``when`` is the value that asks for them and ``keep`` the one that keeps them when the release
    goes, both paths below ``.Values``; without ``when`` they lie in ``crds/``, which Helm
    installs and never deletes. ``keep`` "always" keeps them whatever the values say.
    """

    kinds: tuple[Kind, ...]
    when: str = ""
    keep: str = ""


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of ``kind``."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == kind.versions[-1],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                    "subresources": {"status": {}},
                }
                for version in kind.versions
            ],
        },
    }


def _kinds(
    group: str, versions: tuple[str, ...], *names: str, namespaced: bool = True
) -> tuple[Kind, ...]:
    return tuple(Kind(group, name, _plural(name), versions, namespaced) for name in names)


def _plural(kind: str) -> str:
    word = kind.lower()
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "ch", "x")) else f"{word}s"


_ISTIO = ("v1alpha3", "v1beta1", "v1")

DEFINITIONS: dict[str, Definitions] = {
    "cert-manager": Definitions(
        (
            *_kinds("cert-manager.io", ("v1",), "Certificate", "CertificateRequest", "Issuer"),
            *_kinds("cert-manager.io", ("v1",), "ClusterIssuer", namespaced=False),
            *_kinds("acme.cert-manager.io", ("v1",), "Challenge", "Order"),
        ),
        when="crds.enabled",
        keep="crds.keep",
    ),
    "traefik": Definitions(
        (
            *_kinds(
                "traefik.io",
                ("v1alpha1",),
                "IngressRoute",
                "IngressRouteTCP",
                "IngressRouteUDP",
                "Middleware",
                "MiddlewareTCP",
                "ServersTransport",
                "ServersTransportTCP",
                "TLSOption",
                "TraefikService",
            ),
            *_kinds("traefik.io", ("v1alpha1",), "TLSStore"),
        )
    ),
    "base": Definitions(
        (
            *_kinds(
                "networking.istio.io",
                _ISTIO,
                "DestinationRule",
                "Gateway",
                "ServiceEntry",
                "Sidecar",
                "VirtualService",
                "WorkloadEntry",
                "WorkloadGroup",
            ),
            *_kinds("networking.istio.io", ("v1alpha3",), "EnvoyFilter"),
            *_kinds("networking.istio.io", ("v1beta1",), "ProxyConfig"),
            *_kinds(
                "security.istio.io",
                ("v1beta1", "v1"),
                "AuthorizationPolicy",
                "PeerAuthentication",
                "RequestAuthentication",
            ),
            Kind("telemetry.istio.io", "Telemetry", "telemetries", ("v1alpha1", "v1")),
            *_kinds("extensions.istio.io", ("v1alpha1",), "WasmPlugin"),
        ),
        when="global.istioNamespace",
        keep="always",
    ),
    "aws-load-balancer-controller": Definitions(
        (
            *_kinds("elbv2.k8s.aws", ("v1beta1",), "TargetGroupBinding"),
            Kind("elbv2.k8s.aws", "IngressClassParams", "ingressclassparams", ("v1beta1",), False),
        )
    ),
    "argo-workflows": Definitions(
        (
            *_kinds(
                "argoproj.io",
                ("v1alpha1",),
                "CronWorkflow",
                "Workflow",
                "WorkflowArtifactGCTask",
                "WorkflowEventBinding",
                "WorkflowTaskResult",
                "WorkflowTaskSet",
                "WorkflowTemplate",
            ),
            *_kinds("argoproj.io", ("v1alpha1",), "ClusterWorkflowTemplate", namespaced=False),
        ),
        when="crds.install",
        keep="crds.keep",
    ),
    "tekton-operator": Definitions(
        _kinds(
            "operator.tekton.dev",
            ("v1alpha1",),
            "ManualApprovalGate",
            "TektonChain",
            "TektonConfig",
            "TektonDashboard",
            "TektonHub",
            "TektonInstallerSet",
            "TektonPipeline",
            "TektonPruner",
            "TektonResult",
            "TektonTrigger",
            namespaced=False,
        ),
        when="installCRDs",
    ),
    "seldon-core-operator": Definitions(
        _kinds("machinelearning.seldon.io", ("v1alpha2", "v1alpha3", "v1"), "SeldonDeployment"),
        when="crd.create",
    ),
}
