"""What single charts of ours promise, each in its own way."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.chart_tools import CHARTS, Case, Helm, Object, cases, label, load_objects

MLFLOW = CHARTS / "experiment_tracker_mlflow"
KUBEFLOW = CHARTS / "orchestrator_kubeflow"
ISSUERS = CHARTS / "cluster_issuers"

STORE = {"bucket": "artifacts", "region": "eu-north-1", "host": "s3.eu-north-1.amazonaws.com"}
PARTS = {"runner": "pipeline-runner", "server": "ml-pipeline", "ui": "ml-pipeline-ui"}
"""Kubeflow's service accounts that take roles, by their names in the chart's values."""

STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"


def _cases(chart: Path) -> list[Any]:
    return [pytest.param(case, id=case.name) for case in cases() if case.chart == chart]


def _render(helm: Helm, chart: Path, **values: Any) -> list[Object]:
    file = helm.folder / "given.yaml"
    file.write_text(yaml.safe_dump(values))
    done = helm.template(chart, (file,))
    assert done.returncode == 0, done.stderr
    return load_objects(done.stdout)


def _refusal(helm: Helm, chart: Path, **values: Any) -> str:
    file = helm.folder / "given.yaml"
    file.write_text(yaml.safe_dump(values))
    done = helm.template(chart, (file,))
    assert done.returncode != 0, "it renders"
    return done.stderr


def _one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, [label(o) for o in objects]
    return found[0]


def _environment(container: Object) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container.get("env", ())}


# MLflow


@pytest.mark.parametrize("case", _cases(MLFLOW))
def test_mlflow_asks_for_a_password_in_every_case(case: Case, helm: Helm) -> None:
    deployment = _one(helm.objects(case), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "/etc/mlflow/start.py"]
    assert "--serve-artifacts" in container["args"]
    environment = _environment(container)
    for name in ("ADMIN_USERNAME", "ADMIN_PASSWORD"):
        assert environment[f"MLFLOW_AUTH_{name}"]["secretKeyRef"]["name"] == "mlflow-auth"
    assert environment["DATABASE_URL"]["secretKeyRef"]["optional"] is True
    assert "*" not in environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


def test_mlflow_has_no_ingress_without_tls(helm: Helm) -> None:
    bucket = {"bucket": "example"}
    assert "TLS" in _refusal(helm, MLFLOW, artifacts=bucket, ingress={"host": "a.example.com"})


def test_without_a_bucket_artifacts_stay_on_the_volume(helm: Helm) -> None:
    (container,) = _one(_render(helm, MLFLOW), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    assert "--artifacts-destination=/data/artifacts" in container["args"]
    assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]


def test_the_users_bucket_comes_before_the_stacks(helm: Helm) -> None:
    objects = _render(helm, MLFLOW, artifacts={"bucket": "mine", "stackBucket": "the-stacks"})
    (container,) = _one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--artifacts-destination=s3://mine/mlflow" in container["args"]


# Kubeflow Pipelines


@pytest.mark.parametrize("case", _cases(KUBEFLOW))
def test_kubeflow_has_no_way_in_from_outside(case: Case, helm: Helm) -> None:
    """Its API and its user interface have no login, so nothing may lead to them."""
    objects = helm.objects(case)
    assert not [o for o in objects if o["kind"] in ("Ingress", "HTTPRoute", "VirtualService")]
    everything = [
        o for o in objects if o["kind"] == "NetworkPolicy" if not o["spec"]["podSelector"]
    ]
    assert [policy["spec"]["ingress"] for policy in everything] == [
        [{"from": [{"podSelector": {}}]}]
    ]


def test_kubeflow_on_s3_has_no_keys_at_all(helm: Helm) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/kfp"}
    objects = _render(
        helm,
        KUBEFLOW,
        objectStore=STORE,
        serviceAccounts={part: {"annotations": role | {"part": part}} for part in PARTS},
    )
    text = yaml.safe_dump_all(objects)
    assert "mlpipeline-minio-artifact" not in text
    assert "minio" not in {o["metadata"]["name"] for o in objects}
    taking = {
        o["metadata"]["annotations"]["part"]: o["metadata"]["name"]
        for o in objects
        if o["kind"] == "ServiceAccount" and "annotations" in o["metadata"]
    }
    assert taking == PARTS
    for name in ("ml-pipeline", "ml-pipeline-ui"):
        deployment = _one(objects, "Deployment", name)
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert _environment(container)["AWS_EC2_METADATA_DISABLED"] == "true", "it may hang"
    launcher = yaml.safe_load(_one(objects, "ConfigMap", "kfp-launcher")["data"]["providers"])
    assert launcher["s3"]["default"]["credentials"] == {"fromEnv": True}
    argo = yaml.safe_load(_one(objects, "ConfigMap", "artifact-repositories")["data"]["default"])
    assert argo["s3"]["useSDKCreds"] is True
    assert argo["s3"]["keyFormat"] == "kubeflow/artifacts/{{workflow.name}}/{{pod.name}}"


def test_kubeflow_asks_s3_at_the_host_that_it_is_told(helm: Helm) -> None:
    """China's regions have another one; the role's unit knows the partition."""
    china = {"bucket": "artifacts", "region": "cn-north-1", "host": "s3.cn-north-1.example.cn"}
    text = yaml.safe_dump_all(_render(helm, KUBEFLOW, objectStore=china))
    assert "amazonaws" not in text
    assert text.count(china["host"]) == 4
    assert "objectStore.host" in _refusal(helm, KUBEFLOW, objectStore={**china, "host": ""})
    assert "objectStore.region" in _refusal(helm, KUBEFLOW, objectStore={**china, "region": ""})


def test_kubeflow_and_argo_are_of_versions_that_go_together() -> None:
    """Argo 4.0 came with Kubeflow Pipelines 2.17, which upstream tests with 4.0.4 and later."""
    chart = yaml.safe_load((KUBEFLOW / "Chart.yaml").read_text())
    values = yaml.safe_load((KUBEFLOW / "values.yaml").read_text())
    argo = yaml.safe_load((CHARTS / "argo_workflows" / "unit.yaml").read_text())
    assert chart["appVersion"] == values["images"]["tag"]
    assert values["images"]["tag"].startswith("2.17.")
    engine = argo["helm"]["chart"]["app_version"]
    assert engine.startswith("v4.0."), engine
    assert int(engine.rpartition(".")[2]) >= 4, engine


def test_pipelines_read_no_secret_but_the_stores(helm: Helm) -> None:
    for bucket in ("", "artifacts"):
        objects = _render(helm, KUBEFLOW, objectStore={**STORE, "bucket": bucket})
        for role in (o for o in objects if o["kind"] == "Role"):
            for rule in role["rules"]:
                if "secrets" in rule["resources"]:
                    assert rule["resourceNames"] == ["mlpipeline-minio-artifact"], label(role)
                    assert rule["verbs"] == ["get"]


def test_scripts_of_kubeflow_are_right_for_a_shell(helm: Helm) -> None:
    for script in sorted((KUBEFLOW / "files").glob("*.sh")):
        done = subprocess.run(
            ["bash", "-n", str(script)], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_metadata_store_gets_its_password_in_memory(helm: Helm) -> None:
    objects = _render(helm, KUBEFLOW)
    pod = _one(objects, "Deployment", "metadata-grpc-deployment")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["config"]["emptyDir"]["medium"] == "Memory"
    assert (
        "--metadata_store_server_config_file=/config/server.pbtxt" in pod["containers"][0]["args"]
    )
    assert "MYSQL_PASSWORD" not in _environment(pod["containers"][0])


# Issuers


def _servers(objects: list[Object]) -> dict[str, str]:
    return {
        o["metadata"]["name"]: o["spec"].get("acme", {}).get("server", "self-signed")
        for o in objects
    }


def test_without_an_address_certificates_are_self_signed(helm: Helm) -> None:
    assert _servers(_render(helm, ISSUERS, name="x")) == {
        "x": "self-signed",
        "x-self-signed": "self-signed",
    }


def test_staging_is_staging_and_production_is_production(helm: Helm) -> None:
    acme = {"email": "certificates@example.com"}
    found = _servers(_render(helm, ISSUERS, name="x", acme=acme))
    assert found == {
        "x": PRODUCTION,
        "x-production": PRODUCTION,
        "x-self-signed": "self-signed",
        "x-staging": STAGING,
    }
    assert _servers(_render(helm, ISSUERS, name="x", kind="staging", acme=acme))["x"] == STAGING


def test_an_acme_issuer_without_an_address_is_refused(helm: Helm) -> None:
    assert "acme.email" in _refusal(helm, ISSUERS, name="x", kind="production")


# Tekton, MinIO, the namespace of pipelines


def test_tektons_dashboard_reads_only_and_nothing_leads_to_it(helm: Helm) -> None:
    objects = _render(helm, CHARTS / "tekton_config")
    config = _one(objects, "TektonConfig")
    assert config["metadata"]["name"] == "config"
    assert config["spec"]["profile"] == "all"
    assert config["spec"]["dashboard"] == {"readonly": True}
    assert not [o for o in objects if o["kind"] in ("Ingress", "Service")]


def test_minio_has_a_bucket_and_no_console(helm: Helm) -> None:
    objects = _render(helm, CHARTS / "artifact_store_minio", bucket="models")
    pod = _one(objects, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["command"] == ["mkdir", "-p", "/data/models"]
    assert _environment(pod["containers"][0])["MINIO_BROWSER"] == "off"
    assert [p["name"] for p in _one(objects, "Service")["spec"]["ports"]] == ["s3"]


def test_the_orchestrator_gets_what_zenml_uses_and_no_more(helm: Helm) -> None:
    role = _one(_render(helm, CHARTS / "orchestrator_kubernetes_namespace"), "Role")
    rights = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    for resource in ("pods", "jobs", "cronjobs"):
        assert {(resource, v) for v in ("create", "get", "list", "patch", "delete")} <= rights
    assert ("pods/log", "get") in rights
    assert not {r for r, _ in rights} & {"roles", "rolebindings", "pods/exec", "deployments"}
