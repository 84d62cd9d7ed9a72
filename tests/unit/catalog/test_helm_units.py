"""Units that Helm runs: what the catalog takes, refuses, and passes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstacks_dagster.catalog.helm_contract import CLUSTER
from mlstacks_dagster.catalog.schema import stack_schema
from mlstacks_dagster.errors import CatalogError, SpecError
from tests.unit.catalog.building import Folder, Stacks

MLFLOW = {"kind": ("experiment_tracker", "mlflow")}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "replicas": {"$ref": "#/$defs/count"},
        "storage": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"size": {"type": "string", "pattern": "^[0-9]+Gi$"}},
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "clusterId": {"type": "string"},
    },
    "$defs": {"count": {"type": "integer", "minimum": 1, "description": "How many."}},
}
UNIT: dict[str, Any] = {
    "title": "Tracker",
    "component": {"type": "experiment_tracker", "flavor": "mlflow"},
    "requires": [{"capability": CLUSTER, "bind": {"clusterId": "id"}}],
    "config": {
        "mlflow_replicas": {"variable": "replicas"},
        "mlflow_size": {"variable": "storage.size"},
        "mlflow-password": {"variable": "$secret.mlflow.password"},
        "mlflow_namespace": {"variable": "$namespace", "rule": "kubernetes_name"},
    },
    "helm": {
        "release": "mlflow",
        "namespace": "mlflow",
        "fill": {"labels": "marks"},
        "secrets": [{"name": "mlflow", "keys": {"password": {"generate": 32}}}],
        "outputs": {
            "url": "http://{release}.{namespace}:5000",
            "password": "{secret:mlflow/password}",
            "size": "{value:storage.size}",
        },
    },
}


def chart(folder: Folder, **changes: Any) -> Path:
    """Write the unit ``tracker`` with a chart of its own; ``changes`` replace keys of it."""
    where = folder.path / "charts" / "tracker"
    where.mkdir(parents=True)
    head = {"name": "tracker", "description": "A tracker.", "provider": "aws", "engine": "helm"}
    (where / "unit.yaml").write_text(yaml.safe_dump({**head, **UNIT, **changes}))
    (where / "Chart.yaml").write_text("apiVersion: v2\nname: tracker\nversion: 1.0.0\n")
    (where / "values.schema.json").write_text(json.dumps(SCHEMA))
    (where / "values.yaml").write_text("replicas: 2\nstorage: {size: 10Gi}\n")
    return where


def helm(**changes: Any) -> dict[str, Any]:
    return {"helm": {**UNIT["helm"], **changes}}


def secret(**keys: Any) -> dict[str, Any]:
    known = {"password": {"generate": 32}, **keys}
    return helm(secrets=[{"name": "mlflow", "keys": known}])


def refused(folder: Folder) -> str:
    with pytest.raises(CatalogError) as caught:
        folder.read()
    return str(caught.value)


def test_config_reaches_values_namespace_and_secrets(cluster: Folder, stacks: Stacks) -> None:
    chart(cluster)
    config = {"mlflow_replicas": 3, "mlflow_namespace": "ml", "mlflow-password": "hunter2hunter2"}
    plan = stacks.plan(cluster, {**MLFLOW, "config": config})
    unit = plan.unit("tracker")
    assert unit.variables == {"replicas": 3, "$namespace": "ml"}
    assert unit.secrets == {"mlflow.password": "hunter2hunter2"}
    assert [binding.variable for binding in unit.bindings] == ["clusterId"]
    assert [u.name for u in plan.units] == ["network", "cluster", "tracker"]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("mlflow_replicas", 0, "minimum"),
        ("mlflow_replicas", "many", "integer"),
        ("mlflow_size", "10GB", "does not match"),
        ("mlflow_namespace", "ML!", "mlflow_namespace"),
        ("mlflow-password", 12345678, "must be text: put it in quotes"),
        ("mlflow_replica", 1, "did you mean mlflow_replicas?"),
    ],
)
def test_a_value_that_the_chart_would_refuse_is_refused_with_its_line(
    cluster: Folder, stacks: Stacks, key: str, value: object, says: str
) -> None:
    chart(cluster)
    with pytest.raises(SpecError) as caught:
        stacks.plan(cluster, {**MLFLOW, "config": {key: value}})
    (problem,) = caught.value.problems
    assert says in str(problem)
    assert problem.line is not None
    assert "12345678" not in str(problem)


def test_a_unit_of_several_providers_is_one_unit_on_each(folder: Folder) -> None:
    chart(folder, provider=["aws", "k3d"], requires=[{"capability": CLUSTER}])
    units = folder.read().units
    assert [(unit.provider, unit.name) for unit in units] == [
        ("aws", "tracker"),
        ("k3d", "tracker"),
    ]


def test_a_requirement_may_count_on_some_providers_only(folder: Folder) -> None:
    needs = [{"capability": CLUSTER}, {"capability": "storage", "providers": ["aws"]}]
    chart(folder, provider=["aws", "k3d"], requires=needs)
    found = {u.provider: [r.capability for r in u.requires] for u in folder.read().units}
    assert found == {"aws": [CLUSTER, "storage"], "k3d": [CLUSTER]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"requires": []}, "requires kubernetes_cluster"),
        ({"helm": None}, "says how in helm:"),
        (helm(fill={"labels": "colours"}), "can't fill in colours"),
        (helm(fill={"label": "marks"}), "no value label"),
        (helm(fill={"clusterId": "name"}), "sets clusterId too"),
        (helm(chart="../nowhere"), "no Chart.yaml"),
        (helm(outputs={"url": "{host}"}), "{host}"),
        (helm(outputs={"url": "{load_balancer}"}), "doesn't name a Service"),
        (helm(outputs={"url": "{value:storage.speed}"}), "no such value"),
        (helm(outputs={"url": "{secret:mlflow/token}"}), "no such key of a secret"),
        ({"config": {"a": {"variable": "storage.speed"}}}, "no value storage.speed"),
        ({"config": {"a": {"variable": "storage..size"}}}, "no value storage..size"),
        ({"config": {"a": {"variable": ""}}}, "the chart has no value"),
        (helm(outputs={"url": "{value:storage.}"}), "no such value"),
        ({"config": {"a": {"variable": "$secret.mlflow.token"}}}, "$secret.mlflow.token"),
        ({"provides": [{"capability": "x", "outputs": {"uri": "uri"}}]}, "no output uri"),
        (helm(relase="x"), "did you mean release?"),
        (secret(a={"pattern": "("}), "no regular expression"),
        (secret(a={"pattern": "a+"}), "no message that says it in words"),
        (secret(a={"value": "a", "min_length": 2}), "its own value breaks its rule"),
        (secret(a={"generate": 16, "min_length": 17}), "less than min_length"),
        (secret(a={"min_lenght": 17}), "did you mean min_length?"),
        (secret(a={"refuse": "x"}), "refuse"),
        ({"config": {"a": {"variable": "clusterId", "password": "size"}}}, "no key of a Secret"),
        (
            {"config": {"a": {"variable": "storage.size", "password": "$secret.mlflow.x"}}},
            "$secret.mlflow.x",
        ),
        (
            {"requires": [{"capability": CLUSTER}, {"capability": "x", "when": "mlflow_sise"}]},
            "did you mean mlflow_size?",
        ),
        ({"after": [{"capability": "x", "when": "mlflow_size"}]}, "only requires has this"),
        (helm(chart={"name": "x", "repository": "http://x", "version": "1.0.0"}), "repository"),
    ],
)
def test_a_broken_unit_is_refused(cluster: Folder, changes: dict[str, Any], says: str) -> None:
    chart(cluster, **changes)
    found = refused(cluster)
    assert says in found
    assert "unit.yaml" in found


def test_a_terraform_unit_has_no_release(folder: Folder) -> None:
    folder.unit("plain", helm=UNIT["helm"])
    assert "only a unit with engine: helm" in refused(folder)


def test_a_broken_schema_names_its_file(cluster: Folder) -> None:
    (chart(cluster) / "values.schema.json").write_text("{")
    assert "values.schema.json" in refused(cluster)


def test_editors_learn_the_types_of_values(cluster: Folder) -> None:
    chart(cluster)
    config = stack_schema(cluster.read())["$defs"]["config_aws_experiment_tracker_mlflow"]
    properties = config["properties"]
    assert (properties["mlflow_replicas"]["minimum"], properties["mlflow_replicas"]["default"]) == (
        1,
        2,
    )
    assert properties["mlflow_size"]["pattern"] == "^[0-9]+Gi$"
    assert "default" not in properties["mlflow-password"]


def test_an_existing_cluster_stands_in_for_the_stacks_own(cluster: Folder, stacks: Stacks) -> None:
    chart(cluster, requires=[{"capability": CLUSTER}])
    (stacks.path / "kubeconfig").write_text("{}")
    plan = stacks.plan(cluster, MLFLOW, cluster={"kubeconfig": "kubeconfig"})
    assert [unit.name for unit in plan.units] == ["tracker"]
    assert plan.options.cluster is not None


RULED = {"password": {"generate": 32, "min_length": 12, "refuse": ["password1234"]}}
RULED |= {"url": {"optional": True, "pattern": "pg://.+", "message": "must be pg://HOST"}}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("mlflow-password", "hunter2", "must have 12 characters or more"),
        ("mlflow-password", "password1234", "everybody knows this one"),
        ("mlflow-password", "", "must be text"),
        ("mlflow-url", "my://hunter2", "must be pg://HOST"),
        ("mlflow-url", "pg://hunter2\n", "must be pg://HOST"),
    ],
)
def test_a_secret_that_its_server_would_refuse_is_refused_and_never_shown(
    cluster: Folder, stacks: Stacks, key: str, value: str, says: str
) -> None:
    more = {"mlflow-url": {"variable": "$secret.mlflow.url"}}
    chart(cluster, config={**UNIT["config"], **more}, **secret(**RULED))
    with pytest.raises(SpecError) as caught:
        stacks.plan(cluster, {**MLFLOW, "config": {key: value}})
    (problem,) = caught.value.problems
    assert f"{key}: {says}" in str(problem)
    assert problem.file is not None
    line = problem.file.read_text().splitlines()[(problem.line or 0) - 1]
    assert line.strip().startswith(f"{key}:")
    assert "hunter2" not in str(problem)
    assert not value or value not in str(problem)


def test_a_secret_that_keeps_the_rules_passes(cluster: Folder, stacks: Stacks) -> None:
    chart(cluster, **secret(**RULED))
    plan = stacks.plan(cluster, {**MLFLOW, "config": {"mlflow-password": "hunter2hunter2"}})
    assert plan.unit("tracker").secrets == {"mlflow.password": "hunter2hunter2"}


def test_editors_learn_the_rules_of_secrets(cluster: Folder) -> None:
    chart(cluster, **secret(**RULED))
    found = stack_schema(cluster.read())["$defs"]["config_aws_experiment_tracker_mlflow"]
    password = found["properties"]["mlflow-password"]
    assert (password["minLength"], password["not"]) == (12, {"enum": ["password1234"]})


DATABASE = {
    "mlflow_database": {
        "variable": "clusterId",
        "rule": "mysql_url",
        "password": "$secret.mlflow.password",
    }
}


def test_the_password_of_a_url_goes_to_the_secret_and_the_rest_to_the_value(
    cluster: Folder, stacks: Stacks
) -> None:
    chart(cluster, requires=[{"capability": CLUSTER}], config=DATABASE)
    given = {"mlflow_database": "mysql://me:hunter%402@db:3306/ml"}
    unit = stacks.plan(cluster, {**MLFLOW, "config": given}).unit("tracker")
    assert unit.variables == {"clusterId": "mysql://me@db:3306/ml"}
    assert unit.secrets == {"mlflow.password": "hunter@2"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me@hunter2/ml", "must be a URL with a user and a password"),
        ("mysql://me:hunter2@x@db/ml", "in which @ is written %40"),
        ("hunter2", "must be a URL with"),
        ("pg://me:hunter2@db/ml", "mysql://USER:PASSWORD@HOST:PORT/NAME"),
        (["hunter2"], "must be a URL with"),
        (None, "has no value"),
    ],
)
def test_a_url_that_can_not_be_used_is_never_shown(
    cluster: Folder, stacks: Stacks, url: object, says: str
) -> None:
    chart(cluster, requires=[{"capability": CLUSTER}], config=DATABASE)
    with pytest.raises(SpecError) as caught:
        stacks.plan(cluster, {**MLFLOW, "config": {"mlflow_database": url}})
    (problem,) = caught.value.problems
    assert says in str(problem)
    assert "hunter2" not in str(problem)
