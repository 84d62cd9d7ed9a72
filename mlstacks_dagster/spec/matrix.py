"""The component triples that mlstacks knows, and the config keys that any flavor takes.

Whether a known triple can be deployed is the catalog's to say; a triple that neither mlstacks
nor the catalog knows is an error here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

__all__ = [
    "COMMON_CONFIG_KEYS",
    "COMPONENT_TYPES",
    "MATRIX",
    "PROVIDERS",
    "KnownFlavors",
    "flavors_of",
]

KnownFlavors = Collection[tuple[str, str, str]]
"""Triples of provider, component type and flavor."""

PROVIDERS = ("aws", "gcp", "k3d")

COMMON_CONFIG_KEYS = ("region", "zenml-version")
"""``metadata.config`` keys that every flavor takes.

``region`` is moved to the component's region while loading; ``zenml-version`` stays in its
config and is written to the ZenML stack file.
"""

_FLAVORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "artifact_store": {"aws": ("s3",), "gcp": ("gcp",), "k3d": ("minio",)},
    "container_registry": {"aws": ("aws",), "gcp": ("gcp",), "k3d": ("default",)},
    "experiment_tracker": {"aws": ("mlflow",), "gcp": ("mlflow",), "k3d": ("mlflow",)},
    "mlops_platform": {"aws": ("zenml",), "gcp": ("zenml",), "k3d": ("zenml",)},
    "model_deployer": {"aws": ("seldon",), "gcp": ("seldon",), "k3d": ("seldon",)},
    "orchestrator": {
        "aws": ("kubeflow", "kubernetes", "sagemaker", "skypilot", "tekton"),
        "gcp": ("kubeflow", "kubernetes", "skypilot", "tekton", "vertex"),
        "k3d": ("kubeflow", "kubernetes", "tekton"),
    },
    "step_operator": {"aws": ("sagemaker",), "gcp": ("vertex",)},
}

COMPONENT_TYPES = tuple(sorted(_FLAVORS))

MATRIX: frozenset[tuple[str, str, str]] = frozenset(
    (provider, kind, flavor)
    for kind, providers in _FLAVORS.items()
    for provider, flavors in providers.items()
    for flavor in flavors
)


def flavors_of(provider: str, kind: str, known: KnownFlavors) -> tuple[str, ...]:
    """Return the flavors of component type ``kind`` on ``provider``, sorted."""
    return tuple(sorted(f for p, k, f in known if p == provider and k == kind))
