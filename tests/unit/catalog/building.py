"""Small catalogs and stacks on disk, for the catalog's tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mlstacks_dagster.catalog.discovery import Catalog, read_catalog
from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.catalog.resolve import resolve
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.load import load_stack
from mlstacks_dagster.spec.models import Stack

COMMON = {"name": "string", "install": "string", "region": "string", "tags": "map(string)"}


class Folder:
    """A catalog root under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def unit(
        self,
        name: str,
        *,
        variables: Mapping[str, str] | None = None,
        outputs: Iterable[str] = (),
        tf: str = "",
        folder: str = "",
        **keys: Any,
    ) -> Path:
        """Write a unit; ``variables`` maps names to types, each with default null."""
        where = self.path / (folder or f"aws/{name}")
        where.mkdir(parents=True)
        text = "".join(f'variable "{n}" {{\n  type = {t}\n}}\n' for n, t in COMMON.items())
        for variable, kind in (variables or {}).items():
            text += f'variable "{variable}" {{\n  type = {kind}\n  default = null\n}}\n'
        (where / "variables.tf").write_text(text + tf)
        (where / "outputs.tf").write_text(
            "".join(f'output "{o}" {{\n  value = "x"\n}}\n' for o in outputs)
        )
        data = {
            "name": name,
            "title": name.title(),
            "description": f"A unit named {name}.",
            "provider": "aws",
            "engine": "terraform",
            **keys,
        }
        (where / "unit.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        return where

    def base(self, name: str, *provides: str, requires: Sequence[str] = (), **more: Any) -> Path:
        """Write a base unit that provides and requires capabilities, without keys."""
        return self.unit(
            name,
            provides=[{"capability": c} for c in provides],
            requires=[{"capability": c} for c in requires],
            **more,
        )

    def component(self, name: str, kind: str, flavor: str, **more: Any) -> Path:
        """Write a unit that is a component."""
        return self.unit(name, component={"type": kind, "flavor": flavor}, **more)

    def read(self) -> Catalog:
        """Discover the units of this root alone."""
        return read_catalog([self.path])


class Stacks:
    """Stack files under construction."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings

    def write(self, *components: Mapping[str, Any], **keys: Any) -> Path:
        """Write a stack; a component is ``{"kind": (type, flavor), **metadata}``."""
        files = []
        for number, component in enumerate(components):
            data = dict(component)
            kind, flavor = data.pop("kind")
            files.append(f"c{number}.yaml")
            head = {"spec_version": 1, "spec_type": "component", "name": f"c{number}"}
            head |= {"provider": "aws", "component_type": kind, "component_flavor": flavor}
            (self.path / files[-1]).write_text(
                yaml.safe_dump({**head, "metadata": data} if data else head, sort_keys=False)
            )
        stack = {"spec_version": 1, "spec_type": "stack", "name": "demo", "provider": "aws"}
        stack |= {"default_region": "eu-north-1", **keys, "components": files}
        path = self.path / "stack.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in stack.items() if v is not None}))
        return path

    def load(self, catalog: Catalog, *components: Mapping[str, Any], **keys: Any) -> Stack:
        """Write and load a stack."""
        return load_stack(
            self.write(*components, **keys), self.settings, known=catalog.triples, now=None
        )

    def plan(self, folder: Folder, *components: Mapping[str, Any], **keys: Any) -> Plan:
        """Write, load and resolve a stack."""
        catalog = folder.read()
        return resolve(self.load(catalog, *components, **keys), catalog)


S3 = {"kind": ("artifact_store", "s3")}
KUBERNETES = {"kind": ("orchestrator", "kubernetes")}
REGISTRY = {"kind": ("container_registry", "aws")}


def cluster_catalog(folder: Folder) -> Folder:
    """Fill ``folder`` with a network, a cluster, a bucket, a registry and an orchestrator."""
    folder.unit(
        "network",
        provides=[{"capability": "network", "outputs": {"vpc": "vpc_id"}}],
        outputs=["vpc_id"],
        variables={"vpc_cidr": "string"},
        config={"vpc_cidr": {"variable": "vpc_cidr", "rule": "cidr"}},
    )
    folder.unit(
        "cluster",
        requires=[{"capability": "network", "bind": {"vpc": "vpc"}}],
        provides=[{"capability": "kubernetes_cluster", "outputs": {"id": "cluster_id"}}],
        variables={"vpc": "string", "node_count": "number"},
        outputs=["cluster_id"],
        config={"node_count": {"variable": "node_count", "description": "How many nodes."}},
    )
    folder.component(
        "bucket",
        "artifact_store",
        "s3",
        provides=[{"capability": "artifact_bucket", "outputs": {"arn": "arn"}}],
        variables={"bucket_name": "string", "secret": "string"},
        outputs=["arn"],
        config={"bucket_name": {"variable": "bucket_name", "rule": "s3_bucket_name"}},
    )
    folder.component(
        "registry",
        "container_registry",
        "aws",
        after=[{"capability": "kubernetes_cluster", "bind": {"puller": "id"}}],
        variables={"puller": "string"},
    )
    folder.component(
        "runner",
        "orchestrator",
        "kubernetes",
        requires=[{"capability": "kubernetes_cluster", "bind": {"cluster": "id"}}],
        variables={"cluster": "string"},
    )
    return folder
