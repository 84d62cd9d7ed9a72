"""What holds for every unit that discovery finds, ours and contributed ones alike.

A folder named in ``MLSTACKS_TEST_CATALOG_PATH`` is tested together with our own.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from mlstacks_dagster.catalog.contract import check_catalog, check_unit
from mlstacks_dagster.catalog.discovery import Catalog, load_catalog
from mlstacks_dagster.catalog.docs import generated_files
from mlstacks_dagster.catalog.hcl import read_blocks
from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.catalog.models import Plan, UnitDefinition
from mlstacks_dagster.catalog.resolve import resolve
from mlstacks_dagster.catalog.variables import module_providers, module_variables
from mlstacks_dagster.errors import SpecError
from mlstacks_dagster.settings import Settings, data_root
from mlstacks_dagster.spec.models import ClusterLocation, Component, Source, Stack, StackOptions


def _settings() -> Settings:
    path = os.environ.get("MLSTACKS_TEST_CATALOG_PATH", "")
    return Settings.load({"MLSTACKS_HOME": "unused", "MLSTACKS_CATALOG_PATH": path})


def _load() -> Catalog:
    """Load the catalog before the tests begin, and so before they have a home of their own."""
    with TemporaryDirectory() as home, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLSTACKS_HOME", home)
        return load_catalog(_settings())


CATALOG = _load()
EXAMPLES = sorted(
    path
    for path in (data_root() / "examples").rglob("*.yaml")
    if (yaml.safe_load(path.read_text()) or {}).get("spec_type") == "stack"
)

each_unit = pytest.mark.parametrize(
    "unit", [pytest.param(unit, id=f"{unit.provider}-{unit.name}") for unit in CATALOG.units]
)


def test_discovery_finds_units_and_examples() -> None:
    """Without any, the parametrised tests below would pass by testing nothing."""
    assert CATALOG.units
    assert EXAMPLES


@each_unit
def test_a_unit_breaks_no_rule(unit: UnitDefinition) -> None:
    assert check_unit(unit) == ()


def test_the_units_fit_together() -> None:
    assert check_catalog(CATALOG.units) == ()


@each_unit
def test_a_unit_has_a_readme_that_names_it(unit: UnitDefinition) -> None:
    readme = unit.path / "README.md"
    assert readme.is_file(), f"{unit.name} has no README.md"
    assert unit.name in readme.read_text() or unit.title in readme.read_text()


@each_unit
def test_everything_that_a_reader_sees_is_said(unit: UnitDefinition) -> None:
    for text in (unit.title, unit.description, *(c.description for c in unit.config.values())):
        assert text.strip(), f"an empty title or description in {unit.path / 'unit.yaml'}"
    if unit.engine == "terraform":
        silent = [v.name for v in module_variables(unit.path).values() if not v.description]
        assert not silent, f"variables without a description: {silent}"


@each_unit
def test_a_module_declares_the_providers_of_its_resources(unit: UnitDefinition) -> None:
    used = {
        block.labels[0].split("_")[0]
        for path in unit.path.glob("*.tf")
        for block in read_blocks(path.read_text())
        if block.type in ("resource", "data")
    }
    assert used - {"terraform"} <= module_providers(unit.path)


_COMPANIONS = {"k3d": (("artifact_store", "minio"),)}


@pytest.mark.parametrize(
    "triple", [pytest.param(triple, id="-".join(triple)) for triple in sorted(CATALOG.triples)]
)
def test_a_component_resolves_alone(triple: tuple[str, str, str]) -> None:
    """Nothing else in the stack: whatever it needs comes in by itself.

    On k3d the cluster is one that exists, and artifacts are in the stack's MinIO.
    """
    provider, kind, flavor = triple
    source = Source(Path("component.yaml"))
    config = {"project_id": "some-project"} if provider == "gcp" else {}
    wanted = dict.fromkeys([(kind, flavor), *_COMPANIONS.get(provider, ())])
    components = tuple(
        Component(k, provider, k, f, source, config)  # type: ignore[arg-type]
        for k, f in wanted
    )
    existing = ClusterLocation(kubeconfig=Path("kubeconfig")) if provider == "k3d" else None
    plan = resolve(
        Stack(
            "alone",
            provider,  # type: ignore[arg-type]
            Source(Path("stack.yaml")),
            components=components,
            options=StackOptions(cluster=existing),
        ),
        CATALOG,
    )
    own = {unit.name for unit in CATALOG.by_component(*triple)}
    assert own <= {unit.name for unit in plan.units}
    done: set[str] = set()
    for unit in plan.units:
        assert done.issuperset(unit.depends_on)
        assert done.issuperset(binding.unit for binding in unit.bindings)
        done.add(unit.name)


_EKS = ClusterLocation(
    kubeconfig=Path("kubeconfig"),
    context="dev",
    name="dev",
    arn="arn:aws:eks:eu-north-1:111122223333:cluster/dev",
    region="eu-north-1",
    oidc_provider_arn="arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/A",
    oidc_issuer="oidc.example.com/id/A",
    has={"storage_class": {"name": "gp3"}, "load_balancer_controller": {}},
)


def _on_eks(kind: str, flavor: str, cluster: ClusterLocation, **config: object) -> Plan:
    component = Component(kind, "aws", kind, flavor, Source(Path("component.yaml")), config)
    options = StackOptions(cluster=cluster)
    source = Source(Path("stack.yaml"))
    return resolve(Stack("s", "aws", source, components=(component,), options=options), CATALOG)


@pytest.mark.parametrize(
    ("kind", "flavor"), [(k, f) for p, k, f in sorted(CATALOG.triples) if p == "aws"]
)
def test_a_component_resolves_on_an_eks_cluster_that_exists(kind: str, flavor: str) -> None:
    config = {"mlflow_host": "ml.example.com"} if flavor == "mlflow" else {}
    plan = _on_eks(kind, flavor, _EKS, **config)
    names = {unit.name for unit in plan.units}
    assert {unit.name for unit in CATALOG.by_component("aws", kind, flavor)} <= names
    assert not {"network", "cluster"} & names
    assert not [unit.name for unit in plan.units if unit.definition.teardown.drain]
    for unit in plan.units:
        bound = {v for r in unit.definition.requires for v in r.bind}
        told = {binding.variable for binding in unit.bindings} | set(unit.variables)
        assert bound <= told, f"{unit.name}: nothing sets {bound - told}"


def test_a_bare_kubeconfig_of_eks_names_what_is_missing() -> None:
    with pytest.raises(SpecError) as caught:
        _on_eks("experiment_tracker", "mlflow", ClusterLocation(kubeconfig=Path("kubeconfig")))
    text = str(caught.value)
    for key in ("name", "oidc_provider_arn", "context", "has: {storage_class: {name"):
        assert f"`cluster: {{{key}: ...}}" in text, text


def _aws_mlflow(**config: object) -> Plan:
    source = Source(Path("component.yaml"))
    kinds = (("artifact_store", "s3", {}), ("experiment_tracker", "mlflow", config))
    components = tuple(Component(k, "aws", k, f, source, c) for k, f, c in kinds)
    stack = Stack(
        "s", "aws", Source(Path("stack.yaml")), region="eu-north-1", components=components
    )
    return resolve(stack, CATALOG)


def test_a_host_for_mlflow_brings_its_ingress_and_issuer_in_with_their_keys() -> None:
    alone = {unit.name for unit in _aws_mlflow().units}
    assert not {"ingress_traefik", "cluster_issuers"} & alone
    plan = _aws_mlflow(
        mlflow_host="ml.example.com", certificate_email="me@example.com", ingress_class_name="mine"
    )
    assert {"ingress_traefik", "cluster_issuers"} <= set(
        plan.unit("experiment_tracker_mlflow").depends_on
    )
    bound = {b.variable for b in plan.unit("experiment_tracker_mlflow").bindings}
    assert {"ingress.className", "ingress.issuer"} <= bound
    assert plan.unit("cluster_issuers").variables == {"acme.email": "me@example.com"}
    assert plan.unit("ingress_traefik").variables == {"ingressClass.name": "mine"}


@pytest.mark.parametrize(
    ("provider", "kind", "flavor", "key", "bad"),
    [
        ("aws", "experiment_tracker", "mlflow", "mlflow-password", "short"),
        ("aws", "experiment_tracker", "mlflow", "mlflow-password", "password1234"),
        ("aws", "experiment_tracker", "mlflow", "mlflow-username", "a:b"),
        ("aws", "experiment_tracker", "mlflow", "mlflow_database_url", "mysql://u:secret@h/d"),
        ("aws", "experiment_tracker", "mlflow", "mlflow_database_url", "postgres://u:secret@h/d"),
        ("k3d", "experiment_tracker", "mlflow", "mlflow-password", "short"),
        ("k3d", "experiment_tracker", "mlflow", "mlflow_database_url", "mysql://u:secret@h/d"),
        ("k3d", "artifact_store", "minio", "zenml-minio-store-access-key", "ab"),
        ("k3d", "artifact_store", "minio", "zenml-minio-store-secret-key", "abc"),
        ("aws", "mlops_platform", "zenml", "zenml-database-url", "postgresql://u:secret@h/d"),
        ("k3d", "mlops_platform", "zenml", "zenml-database-url", "mysql://u@secret/d"),
    ],
)
def test_a_credential_that_the_server_would_refuse_is_refused_before_anything_runs(
    provider: str, kind: str, flavor: str, key: str, bad: str
) -> None:
    source = Source(Path("component.yaml"), {("metadata", "config", key): 11})
    component = Component(kind, provider, kind, flavor, source, {key: bad})  # type: ignore[arg-type]
    cluster = ClusterLocation(kubeconfig=Path("kubeconfig")) if provider == "k3d" else None
    stack = Stack(
        "s",
        provider,  # type: ignore[arg-type]
        Source(Path("stack.yaml")),
        components=(component,),
        options=StackOptions(cluster=cluster),
    )
    with pytest.raises(SpecError) as caught:
        resolve(stack, CATALOG)
    (problem,) = caught.value.problems
    assert problem.line == 11
    assert bad not in problem.message
    assert "secret@" not in str(problem)


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.relative_to(data_root()).as_posix()) for p in EXAMPLES]
)
def test_an_example_is_a_plan_without_warnings(path: Path) -> None:
    plan = load_plan(path, _settings())
    assert plan.units
    assert plan.warnings == ()


@pytest.mark.parametrize(
    "name", ["docs/catalog.md", "schemas/stack.schema.json", "schemas/unit.schema.json"]
)
def test_a_generated_file_is_fresh(name: str) -> None:
    root = data_root()
    if root.name == "_data":
        pytest.skip("an installed package has no docs folder")
    expected = generated_files(root)[root / name]
    assert (root / name).read_text() == expected, "run: mlstacks-dagster catalog --write ."
