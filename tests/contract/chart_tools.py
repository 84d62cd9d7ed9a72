"""What the tests of charts share: the real Helm, what it renders, Kubernetes' own schemas."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from mlstacks_dagster.engines.helm_tools import install_tools
from mlstacks_dagster.settings import Settings, data_root

CHARTS = data_root() / "charts"
OLDEST, NEWEST = "1.32", "1.37"
"""Kubernetes versions that charts must suit; clouds support those from the one to the other."""

MARKS = {
    "mlstacks-install": "i234567abcdef",
    "mlstacks-stack": "s234567abcdef",
    "mlstacks-component": "some_unit",
}
"""Ownership labels, as the program gives them to a chart."""

Object = dict[str, Any]

_RANDOM = ("randAlpha", "randNumeric", "randAscii", "randBytes", "randInt", "uuidv4", "genCA")
RANDOM_FUNCTIONS = (*_RANDOM, "genSelfSigned", "genSignedCert", "genPrivateKey", "derivePassword")
CHANGING_FUNCTIONS = (*RANDOM_FUNCTIONS, "bcrypt", "htpasswd", " now", "lookup ", "Revision")
"""Template functions whose result differs from one rendering to the next."""


@dataclass(frozen=True)
class Case:
    """One values file of one chart of ours."""

    chart: Path
    values: Path

    @property
    def name(self) -> str:
        """Return chart and case, for the test's name."""
        return f"{self.chart.name}-{self.values.name.removesuffix('-values.yaml')}"

    @property
    def is_default(self) -> bool:
        """Whether this is the case of somebody who sets nothing."""
        return self.values.name == "default-values.yaml"


def own_charts() -> list[Path]:
    """Return the folders of the charts that are ours, not published ones."""
    return sorted(path.parent for path in CHARTS.glob("*/Chart.yaml"))


def cases() -> list[Case]:
    """Return every case of every chart of ours."""
    return [Case(c, values) for c in own_charts() for values in sorted(c.glob("ci/*-values.yaml"))]


def fetch_helm(shared: Path) -> Path:
    """Return the real Helm: the one of ``MLSTACKS_TEST_HELM``, else fetched once into ``shared``.

    ``shared`` is a folder that all test processes see.
    """
    named = os.environ.get("MLSTACKS_TEST_HELM")
    if named:
        return Path(named)
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return install_tools(Settings(home=shared, stacks_dir=shared)).helm


class Helm:
    """The real Helm with folders of its own and no cluster."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.marks = folder / "marks.yaml"
        self.marks.write_text(yaml.safe_dump({"marks": MARKS}))

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Helm; what it printed is in the result, whatever came of it."""
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG")}
        return subprocess.run(
            [str(self.program), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**homes, "HELM_DATA_HOME": str(self.folder / "DATA"), "HOME": str(self.folder)},
        )

    def lint(self, chart: Path, values: Path) -> subprocess.CompletedProcess[str]:
        """Run ``helm lint --strict``."""
        return self.run("lint", "--strict", chart, "-f", values)

    def template(
        self, chart: Path, values: Sequence[Path], *, version: str = NEWEST, place: str = "here"
    ) -> subprocess.CompletedProcess[str]:
        """Render a chart as release ``rel`` in the namespace ``place``."""
        files = [argument for path in values for argument in ("-f", path)]
        return self.run(
            *("template", "rel", chart, "-n", place, "--include-crds"),
            *("--kube-version", version, *files),
        )

    def render(self, case: Case, version: str = NEWEST) -> str:
        """Return what a case renders to, with our marks; fails the test when Helm does."""
        done = self.template(case.chart, (case.values, self.marks), version=version)
        if done.returncode:
            pytest.fail(f"{case.name}: {done.stderr}")
        return done.stdout

    @functools.cached_property
    def _rendered(self) -> dict[Case, list[Object]]:
        return {}

    def objects(self, case: Case) -> list[Object]:
        """Return the objects of a case, rendered once."""
        if case not in self._rendered:
            self._rendered[case] = load_objects(self.render(case))
        return self._rendered[case]


def load_objects(text: str) -> list[Object]:
    """Return the objects in a rendered manifest."""
    return [found for found in yaml.safe_load_all(text) if found]


def label(found: Mapping[str, Any]) -> str:
    """Return kind and name, to say which object is meant."""
    return f"{found['kind']}/{found['metadata']['name']}"


def pod_specs(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Yield each object that makes pods, with its pod template."""
    for found in objects:
        spec = found.get("spec") or {}
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get(
            "template"
        )
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            yield found, template


def containers(template: Object) -> Iterator[Object]:
    """Yield the containers of a pod template, those that run first included."""
    yield from template["spec"].get("initContainers", [])
    yield from template["spec"]["containers"]


class KubernetesSchemas:
    """The schemas of one Kubernetes version; unknown fields are errors."""

    def __init__(self, version: str) -> None:
        root = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
        file = root / f"v{version}.0-local-strict" / "_definitions.json"
        definitions = json.loads(file.read_text())["$defs"]
        self._definitions = definitions
        self._kinds: dict[tuple[str, str], str] = {}
        for name, schema in definitions.items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                group = f"{kind['group']}/" if kind["group"] else ""
                self._kinds.setdefault((group + kind["version"], kind["kind"]), name)

    def problems(self, found: Object) -> list[str] | None:
        """Return what is wrong with an object, None when its kind isn't Kubernetes' own."""
        name = self._kinds.get((found["apiVersion"], found["kind"]))
        if name is None:
            return None
        validator = Draft202012Validator({"$defs": self._definitions, "$ref": f"#/$defs/{name}"})
        return [
            f"{label(found)} {'.'.join(map(str, error.path))}: {error.message}"
            for error in validator.iter_errors(found)
        ]


@functools.cache
def kubernetes_schemas(version: str) -> KubernetesSchemas:
    """Return the schemas of a version, read once."""
    return KubernetesSchemas(version)


def open_places(schema: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Yield the places of a values schema where it would take any key or any value."""
    if "$ref" in schema:
        return
    if not {"type", "enum", "const"} & set(schema):
        yield f"{place or 'the top'}: no type"
    kinds = schema.get("type", [])
    if kinds == "object" or "object" in kinds:
        rest = schema.get("additionalProperties", True)
        if rest is True or rest == {}:
            yield f"{place or 'the top'}: takes any key"
        elif isinstance(rest, dict):
            yield from open_places(rest, f"{place}.*")
        for key, inner in schema.get("properties", {}).items():
            yield from open_places(inner, f"{place}.{key}".lstrip("."))
    if kinds == "array":
        if "items" not in schema:
            yield f"{place}: items of any kind"
        else:
            yield from open_places(schema["items"], f"{place}[]")
