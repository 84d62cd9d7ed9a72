"""Units of published charts: what they set exists upstream, and renders through stand-ins.

The real charts can't be fetched where these tests run, so the real Helm renders stand-ins of the
same name and version; what we set is checked against the keys of the real charts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from mlstacks_dagster.catalog.models import ChartReference, UnitDefinition
from mlstacks_dagster.catalog.variables import module_variables
from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.sandbox.standins import STAND_IN, build_mirror, published_charts
from mlstacks_dagster.settings import data_root
from tests.contract.chart_tools import (
    NEWEST,
    OLDEST,
    Helm,
    Object,
    kubernetes_schemas,
    label,
    load_objects,
    open_places,
    pod_specs,
)
from tests.contract.standin_tools import (
    UPSTREAM,
    deployed_values,
    leaves,
    published_units,
    release_of,
    set_paths,
    unknown_values,
)

UNITS = published_units()
ROLES = {
    "aws_ebs_csi_driver": ("ebs_csi_driver_role", "controller"),
    "aws_load_balancer_controller": ("load_balancer_controller_role", ""),
}

each_unit = pytest.mark.parametrize(
    "unit", [pytest.param(unit, id=f"{unit.provider}-{unit.name}") for unit in UNITS]
)


class StandIns:
    """The real Helm on the stand-in charts, with the values of a deploy."""

    def __init__(self, helm: Helm, folder: Path) -> None:
        self.helm, self.folder = helm, folder
        self.mirror = build_mirror(folder / "mirror")
        self._known: dict[tuple[str, str], list[Object]] = {}

    def all(self, unit: UnitDefinition) -> list[Object]:
        """Return the objects of a unit's release, rendered once."""
        key = (unit.name, unit.provider)
        if key not in self._known:
            self._known[key] = load_objects(self.render(unit))
        return self._known[key]

    def render(
        self, unit: UnitDefinition, version: str = NEWEST, values: dict[str, Any] | None = None
    ) -> str:
        """Return what the unit's release would be; fails the test when Helm does."""
        release, chart = release_of(unit)
        file = self.folder / f"{unit.provider}-{unit.name}.yaml"
        file.write_text(yaml.safe_dump(values or deployed_values(unit)))
        done = self.helm.run(
            *("template", release.release, self.mirror / chart.name, "-n", release.namespace),
            *("--include-crds", "--kube-version", version, "-f", file),
        )
        if done.returncode:
            pytest.fail(f"{unit.name}: {done.stderr}")
        return done.stdout

    def objects(self, name: str, provider: str = "aws") -> dict[str, Object]:
        """Return the objects of a unit's release by kind and name."""
        unit = next(u for u in UNITS if (u.name, u.provider) == (name, provider))
        return {label(found): found for found in self.all(unit)}


@pytest.fixture(scope="session")
def standins(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> StandIns:
    return StandIns(helm, tmp_path_factory.mktemp("stand-ins"))


def _schema(unit: UnitDefinition) -> dict[str, Any]:
    found = json.loads((unit.path / "values.schema.json").read_text())
    assert isinstance(found, dict)
    return found


def _arguments(found: Object) -> list[str]:
    return [a for c in found["spec"]["template"]["spec"]["containers"] for a in c.get("args", [])]


def test_there_are_units_of_published_charts() -> None:
    """Without any, the tests below would pass by testing nothing."""
    assert len(UNITS) > 10


@each_unit
def test_every_value_that_is_set_exists_upstream(unit: UnitDefinition) -> None:
    _, chart = release_of(unit)
    assert unknown_values(chart.name, deployed_values(unit)) == []


@each_unit
def test_everything_that_the_unit_file_sets_is_among_the_checked_values(
    unit: UnitDefinition,
) -> None:
    """A bound value that no deploy would give would slip through the test above."""
    given = [path for path, _ in leaves(deployed_values(unit))]
    for path in set_paths(unit):
        assert any(f"{one}.".startswith(f"{path}.") for one in given), path


@pytest.mark.parametrize(
    ("chart", "values"),
    [
        ("traefik", {"service": {"anotations": {"a": "b"}}}),
        ("traefik", {"deployment": {"replicas": "two"}}),
        ("traefik", {"dashboard": {"enabled": False}}),
        ("cert-manager", {"crds": {"enabled": "yes"}}),
        ("istiod", {"pilot": {"resources": {}}}),
        ("aws-ebs-csi-driver", {"controller": {"replicaCount": True}}),
    ],
)
def test_a_value_that_upstream_does_not_have_is_found(chart: str, values: dict[str, Any]) -> None:
    assert unknown_values(chart, values)


def test_there_are_keys_of_each_published_chart_and_of_no_other() -> None:
    assert set(UPSTREAM) == {chart.name for chart in published_charts()}


@each_unit
def test_the_schema_of_values_is_closed(unit: UnitDefinition) -> None:
    schema = _schema(unit)
    assert list(open_places(schema)) == []
    assert schema["additionalProperties"] is False


@each_unit
def test_what_a_deploy_gives_fits_the_schema(unit: UnitDefinition) -> None:
    errors = Draft7Validator(_schema(unit)).iter_errors(deployed_values(unit))
    assert [f"{'.'.join(map(str, e.path))}: {e.message}" for e in errors] == []


@each_unit
def test_the_schema_refuses_a_value_that_we_do_not_set(unit: UnitDefinition) -> None:
    values = {**deployed_values(unit), "replicaCounts": 1}
    assert not Draft7Validator(_schema(unit)).is_valid(values)


@each_unit
def test_no_password_is_among_the_values(unit: UnitDefinition) -> None:
    """A chart gets the names of Secrets."""
    text = json.dumps(deployed_values(unit)).lower()
    for secret in release_of(unit)[0].secrets:
        for key in secret.keys.values():
            assert key.value is None or f'"{key.value}"' not in text
    assert "password=" not in text


@each_unit
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_stand_in_renders_without_a_field_unknown_to_kubernetes(
    unit: UnitDefinition, version: str, standins: StandIns
) -> None:
    schemas = kubernetes_schemas(version)
    objects = load_objects(standins.render(unit, version))
    assert objects
    problems = [p for found in objects for p in schemas.problems(found) or ()]
    assert problems == []


@each_unit
def test_a_stand_in_renders_twice_to_the_same_bytes(
    unit: UnitDefinition, standins: StandIns
) -> None:
    assert standins.render(unit) == standins.render(unit)


@pytest.mark.parametrize("name", sorted({release_of(u)[1].name for u in UNITS}))
def test_a_stand_in_passes_lint(name: str, helm: Helm, tmp_path: Path) -> None:
    """Lint refuses the v before the version that cert-manager's charts have."""
    unit = next(u for u in UNITS if release_of(u)[1].name == name)
    chart = release_of(unit)[1]
    plain = chart.model_copy(update={"version": chart.version.removeprefix("v")})
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(deployed_values(unit)))
    done = helm.lint(build_mirror(tmp_path / "mirror", [plain]) / name, values)
    assert done.returncode == 0, done.stdout + done.stderr


@each_unit
def test_a_stand_in_says_that_it_is_one(unit: UnitDefinition, standins: StandIns) -> None:
    _, chart = release_of(unit)
    about = yaml.safe_load((standins.mirror / chart.name / "Chart.yaml").read_text())
    assert (about["name"], about["version"], about["appVersion"]) == (
        chart.name,
        chart.version,
        chart.app_version,
    )
    assert "stand-in" in about["description"]
    assert about["annotations"] == {STAND_IN: "true"}


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def test_the_mirror_of_stand_ins_is_built_alike_and_again_over_itself(tmp_path: Path) -> None:
    first = build_mirror(tmp_path / "one")
    before = dict(_contents(first))
    assert before == dict(_contents(build_mirror(tmp_path / "two")))
    (first / "traefik" / "templates" / "old.yaml").write_text("left by an older version")
    assert dict(_contents(build_mirror(first))) == before


def test_a_chart_without_a_stand_in_is_refused(tmp_path: Path) -> None:
    unknown = ChartReference(
        name="redis",
        repository="https://charts.example.com",
        version="1.0.0",
        app_version="7",
        license="BSD-3-Clause",
    )
    with pytest.raises(SandboxError, match="no stand-in for the chart redis"):
        build_mirror(tmp_path, [unknown])


@each_unit
def test_the_definitions_of_a_stand_in_are_of_the_groups_that_the_unit_names(
    unit: UnitDefinition, standins: StandIns
) -> None:
    objects = standins.all(unit)
    found = {o["spec"]["group"] for o in objects if o["kind"] == "CustomResourceDefinition"}
    assert found <= set(release_of(unit)[0].crd_groups)
    assert bool(found) == bool(release_of(unit)[0].crd_groups)


@each_unit
def test_what_a_unit_exposes_is_all_that_its_stand_in_exposes(
    unit: UnitDefinition, standins: StandIns
) -> None:
    objects = standins.all(unit)
    balancers = {
        o["metadata"]["name"]
        for o in objects
        if o["kind"] == "Service" and o["spec"]["type"] != "ClusterIP"
    }
    ingresses = {o["metadata"]["name"] for o in objects if o["kind"] == "Ingress"}
    release, _ = release_of(unit)
    assert {name.partition(":")[0] for name in release.exposes} == balancers | ingresses
    assert release.load_balancer in (balancers or {None})


@each_unit
def test_the_pods_of_a_stand_in_ask_for_resources(unit: UnitDefinition, standins: StandIns) -> None:
    """What we set reaches the pods: each container has requests and a memory limit."""
    for found, template in pod_specs(standins.all(unit)):
        for container in template["spec"]["containers"]:
            resources = container.get("resources", {})
            assert {"cpu", "memory"} <= set(resources.get("requests", {})), label(found)
            assert "memory" in resources.get("limits", {}), label(found)


@pytest.mark.parametrize("name", sorted(ROLES))
def test_the_service_account_is_the_one_that_the_role_trusts(name: str) -> None:
    """Nobody else may take the role: a renamed account would stand there without rights."""
    module, below = ROLES[name]
    unit = next(u for u in UNITS if u.name == name)
    values = deployed_values(unit)
    account = (values[below] if below else values)["serviceAccount"]["name"]
    variables = module_variables(data_root() / "terraform" / "aws" / module)
    assert variables["service_account_name"].default == account
    assert variables["kubernetes_namespace"].default == release_of(unit)[0].namespace


def test_the_models_account_is_the_one_that_the_role_trusts() -> None:
    chart = data_root() / "charts" / "seldon_workspace"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    unit = yaml.safe_load((chart / "unit.yaml").read_text())
    variables = module_variables(data_root() / "terraform" / "aws" / "model_deployer_seldon_role")
    assert variables["service_account_name"].default == values["serviceAccount"]["name"]
    assert variables["kubernetes_namespace"].default == unit["helm"]["namespace"]


def test_the_storage_class_that_others_are_told_of_is_made(standins: StandIns) -> None:
    unit = next(u for u in UNITS if u.name == "aws_ebs_csi_driver")
    name = release_of(unit)[0].outputs["storage_class"]
    made = standins.objects("aws_ebs_csi_driver")[f"StorageClass/{name}"]
    assert made["parameters"] == {"type": "gp3", "encrypted": "true"}
    assert made["reclaimPolicy"] == "Delete"
    assert made["metadata"]["annotations"] == {
        "storageclass.kubernetes.io/is-default-class": "true"
    }


def test_what_the_controllers_of_stand_ins_make_carries_the_marks(standins: StandIns) -> None:
    balancer = standins.objects("aws_load_balancer_controller")
    volumes = standins.objects("aws_ebs_csi_driver")
    service = standins.objects("ingress_traefik")["Service/traefik"]
    annotations = service["metadata"]["annotations"]
    for tags in (
        _flag(balancer["Deployment/aws-load-balancer-controller"], "--default-tags"),
        _flag(volumes["Deployment/ebs-csi-controller"], "--extra-tags"),
        annotations["service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags"],
    ):
        pairs = dict(pair.split("=", 1) for pair in tags.split(","))
        assert pairs["team"] == "tests"
        assert pairs["mlstacks-stack"] == "s234567abcdef"
        assert pairs["mlstacks-install"] == "i234567abcdef"


def _flag(found: Object, flag: str) -> str:
    [value] = [a.split("=", 1)[1] for a in _arguments(found) if a.startswith(f"{flag}=")]
    return value


@pytest.mark.parametrize(
    ("unit", "provider"), [("ingress_traefik", "aws"), ("ingress_traefik_k3d", "k3d")]
)
def test_the_ingress_has_no_dashboard_and_sends_everybody_to_tls(
    unit: str, provider: str, standins: StandIns
) -> None:
    objects = standins.objects(unit, provider)
    arguments = _arguments(objects["Deployment/traefik"])
    assert not [a for a in arguments if a.startswith("--api")]
    assert not [name for name in objects if name.startswith("IngressRoute/")]
    assert "--entryPoints.web.http.redirections.entryPoint.scheme=https" in arguments
    ports = {port["name"] for port in objects["Service/traefik"]["spec"]["ports"]}
    assert ports == {"web", "websecure"}


def test_the_gateway_of_the_models_is_not_public(standins: StandIns) -> None:
    """Model servers ask for no credentials."""
    service = standins.objects("istio_gateway")["Service/istio-gateway"]
    annotations = service["metadata"]["annotations"]
    assert annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"] == "internal"


def test_no_two_services_want_one_port_of_k3ds_only_load_balancer(standins: StandIns) -> None:
    """Its ports are those of the nodes: the second Service waits for an address for ever."""
    wanted: dict[int, str] = {}
    for unit in UNITS:
        if unit.provider == "k3d":
            for name, found in standins.objects(unit.name, "k3d").items():
                if found["kind"] == "Service" and found["spec"].get("type") == "LoadBalancer":
                    for port in found["spec"]["ports"]:
                        other = wanted.setdefault(port["port"], f"{unit.name} {name}")
                        assert other == f"{unit.name} {name}", f"{other} has {port['port']} too"
    assert {80, 443} <= set(wanted)


@pytest.mark.parametrize(
    ("unit", "provider"), [("istio_gateway", "aws"), ("istio_gateway_k3d", "k3d")]
)
def test_the_gateways_exports_tell_the_port_that_its_service_has(
    unit: str, provider: str, standins: StandIns
) -> None:
    service = standins.objects(unit, provider)["Service/istio-gateway"]
    [port] = [p["port"] for p in service["spec"]["ports"] if p["name"] == "http2"]
    release, _ = release_of(next(u for u in UNITS if (u.name, u.provider) == (unit, provider)))
    assert release.outputs["port"] == str(port)
    suffix = "" if port == 80 else f":{port}"
    assert release.outputs["endpoint"] == "{load_balancer}" + suffix


def test_the_zenml_server_takes_its_secrets_from_ours_and_nobody_can_claim_it(
    standins: StandIns,
) -> None:
    deployment = standins.objects("mlops_platform_zenml")["Deployment/zenml-server"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    unit = next(u for u in UNITS if u.name == "mlops_platform_zenml")
    [secret] = release_of(unit)[0].secrets
    taken = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for entry in environment.values()
        if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == secret.name
    }
    assert taken == set(secret.keys) - {"database-password"}
    # What activates the server stands with the administrator's password: never one alone.
    activation = environment["ZENML_SERVER_AUTO_ACTIVATE"]["valueFrom"]["secretKeyRef"]
    assert secret.keys[activation["key"]].value == "true"
    assert environment["ZENML_SERVER_AUTH_SCHEME"]["value"] == "OAUTH2_PASSWORD_BEARER"
    assert environment["ZENML_ANALYTICS_OPT_IN"]["value"] == "false"
    assert "ZENML_SERVER_CORS_ALLOW_ORIGINS" not in environment


def test_a_database_of_ones_own_is_the_charts_and_takes_its_password_from_the_secret(
    standins: StandIns,
) -> None:
    unit = next(u for u in UNITS if u.name == "mlops_platform_zenml")
    values = deployed_values(unit)
    values["zenml"]["database"]["url"] = "mysql://zenml@db:3306/zenml"
    found = {label(o): o for o in load_objects(standins.render(unit, values=values))}
    assert not [name for name in found if name.startswith("PersistentVolumeClaim/")]
    job = found["Job/zenml-server-db-migration"]
    for owner in (job, found["Deployment/zenml-server"]):
        [container] = owner["spec"]["template"]["spec"]["containers"]
        environment = {entry["name"]: entry for entry in container["env"]}
        assert environment["ZENML_STORE_URL"]["value"] == "mysql://zenml@db:3306/zenml"
        password = environment["ZENML_STORE_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert password == {"name": "zenml-server-credentials", "key": "database-password"}
    # The job would make an administrator without a password.
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert "ZENML_SERVER_AUTO_ACTIVATE" not in {entry["name"] for entry in container["env"]}
    without = standins.objects("mlops_platform_zenml")
    assert "PersistentVolumeClaim/zenml-server-config" in without
    assert "Job/zenml-server-db-migration" not in without


def test_argo_has_no_user_interface_and_no_rights_outside_of_its_namespace(
    standins: StandIns,
) -> None:
    kinds = {name.split("/")[0] for name in standins.objects("argo_workflows")}
    assert not {"ClusterRole", "ClusterRoleBinding", "Service", "Ingress"} & kinds
