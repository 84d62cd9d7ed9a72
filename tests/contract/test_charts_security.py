"""What every chart of ours holds to, whatever is in it: no root, no open door, no secret."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.contract.chart_tools import (
    Case,
    Helm,
    Object,
    cases,
    containers,
    label,
    own_charts,
    pod_specs,
)

NO_PROBES = "mlstacks-dagster/no-probes"
PROBES = ("readinessProbe", "livenessProbe")
HOST_THINGS = ("hostNetwork", "hostPID", "hostIPC")
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
SECRET_WORD = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|ACCESS_?KEY|DATABASE_URL", re.I)
IMAGE = re.compile(r"[^\s:@]+(:[0-9]+)?(/[^\s:@]+)+:(?P<tag>[\w.-]+)(@sha256:[0-9a-f]{64})?")

each_case = pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in cases()])


def _pods(case: Case, helm: Helm) -> list[tuple[str, Object, Object]]:
    return [(label(found), found, template) for found, template in pod_specs(helm.objects(case))]


def test_there_are_charts_with_pods(helm: Helm) -> None:
    assert {case.chart.name for case in cases() if _pods(case, helm)} >= {
        "artifact_store_minio",
        "experiment_tracker_mlflow",
        "orchestrator_kubeflow",
    }
    assert own_charts()


@each_case
def test_pods_run_without_root(case: Case, helm: Helm) -> None:
    for name, _, template in _pods(case, helm):
        security = template["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name


@each_case
def test_containers_can_write_nothing_and_gain_nothing(case: Case, helm: Helm) -> None:
    for name, _, template in _pods(case, helm):
        for container in containers(template):
            security = container["securityContext"]
            where = f"{name} {container['name']}"
            assert security["readOnlyRootFilesystem"] is True, where
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["runAsNonRoot"] is True, where
            assert security["capabilities"] == {"drop": ["ALL"]}, where
            assert not security.get("privileged"), where


@each_case
def test_containers_say_what_they_need(case: Case, helm: Helm) -> None:
    for name, _, template in _pods(case, helm):
        for container in containers(template):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), f"{name} {container['name']}"
            assert "memory" in resources["limits"], f"{name} {container['name']}"


@each_case
def test_containers_are_probed_or_say_why_not(case: Case, helm: Helm) -> None:
    for name, found, template in _pods(case, helm):
        reason = found["metadata"].get("annotations", {}).get(NO_PROBES)
        for container in template["spec"]["containers"]:
            probes = [probe for probe in PROBES if probe in container]
            if reason:
                assert "ports" not in container, f"{name} answers somebody, so it can be probed"
            else:
                assert probes == list(PROBES), f"{name} {container['name']}"


@each_case
def test_pods_take_nothing_from_their_node(case: Case, helm: Helm) -> None:
    for name, _, template in _pods(case, helm):
        assert not [thing for thing in HOST_THINGS if template["spec"].get(thing)], name
        for volume in template["spec"].get("volumes", ()):
            assert set(volume) - {"name"} <= VOLUMES, f"{name} {volume['name']}"
        for container in containers(template):
            assert not [p for p in container.get("ports", ()) if "hostPort" in p], name


@each_case
def test_only_pods_with_rights_get_a_token(case: Case, helm: Helm) -> None:
    objects = helm.objects(case)
    bound = {
        subject["name"]
        for found in objects
        if found["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in found["subjects"]
    }
    for name, _, template in _pods(case, helm):
        wanted = template["spec"]["automountServiceAccountToken"]
        assert wanted is (template["spec"]["serviceAccountName"] in bound), name
    for found in objects:
        if found["kind"] == "ServiceAccount":
            wanted = found["automountServiceAccountToken"]
            assert wanted is (found["metadata"]["name"] in bound), label(found)


@each_case
def test_rights_name_what_they_are_for(case: Case, helm: Helm) -> None:
    for found in helm.objects(case):
        assert found["kind"] not in ("ClusterRole", "ClusterRoleBinding"), label(found)
        for rule in found.get("rules", ()) if found["kind"] == "Role" else ():
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], label(found)
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), label(found)


@each_case
def test_images_are_pinned(case: Case, helm: Helm) -> None:
    for name, _, template in _pods(case, helm):
        for container in containers(template):
            match = IMAGE.fullmatch(container["image"])
            assert match, f"{name}: {container['image']}"
            assert match["tag"] not in ("latest", "main", "master"), name
            assert re.search(r"[0-9]", match["tag"]), f"{name}: {match['tag']} is no version"


@each_case
def test_no_secret_is_in_what_helm_keeps(case: Case, helm: Helm) -> None:
    for found in helm.objects(case):
        assert found["kind"] != "Secret", "the program makes Secrets; charts name them"
    for name, _, template in _pods(case, helm):
        for container in containers(template):
            for variable in container.get("env", ()):
                if SECRET_WORD.search(variable["name"]):
                    assert not variable.get("value"), f"{name} {variable['name']}"
            words = [*container.get("command", ()), *container.get("args", ())]
            assert not [w for w in words if re.search(r"\$\(|[-_]password=(?!ON$)", w)], name


@each_case
def test_nothing_is_open_to_the_world(case: Case, helm: Helm) -> None:
    for found in helm.objects(case):
        if found["kind"] == "Service":
            assert found["spec"].get("type", "ClusterIP") == "ClusterIP", label(found)
            assert not found["spec"].get("externalIPs"), label(found)
        if found["kind"] == "Ingress":
            assert not case.is_default, f"{label(found)} comes without being asked for"
            hosts = {rule["host"] for rule in found["spec"]["rules"]}
            covered = {host for tls in found["spec"]["tls"] for host in tls["hosts"]}
            assert hosts <= covered, f"{label(found)} answers without TLS"


def _selects(policy: Object, labels: dict[str, Any]) -> bool:
    wanted = policy["spec"]["podSelector"].get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


@each_case
def test_a_network_policy_guards_every_pod(case: Case, helm: Helm) -> None:
    objects = helm.objects(case)
    policies = [found for found in objects if found["kind"] == "NetworkPolicy"]
    for name, _, template in _pods(case, helm):
        labels = template["metadata"]["labels"]
        guards = [policy for policy in policies if _selects(policy, labels)]
        assert guards, name
        for policy in guards:
            assert "Ingress" in policy["spec"]["policyTypes"], name
            for rule in policy["spec"].get("ingress", ()):
                assert rule.get("from"), f"{label(policy)} lets everybody in"
                assert not [peer for peer in rule["from"] if "ipBlock" in peer], label(policy)


@each_case
def test_services_lead_to_a_port_of_their_pods(case: Case, helm: Helm) -> None:
    objects = helm.objects(case)
    for found in objects:
        if found["kind"] != "Service":
            continue
        wanted = found["spec"]["selector"]
        ports = {
            port["name"]
            for _, _, template in _pods(case, helm)
            if wanted.items() <= template["metadata"]["labels"].items()
            for container in template["spec"]["containers"]
            for port in container.get("ports", ())
        }
        for port in found["spec"]["ports"]:
            assert port["targetPort"] in ports, f"{label(found)} {port['name']}"


@each_case
def test_volumes_go_with_the_release(case: Case, helm: Helm) -> None:
    """A claim template's volumes stay behind after an uninstall; our claims don't."""
    for found in helm.objects(case):
        assert "volumeClaimTemplates" not in found.get("spec", {}), label(found)
        policy = found["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert policy is None, f"{label(found)} would stay behind"
        hook = found["metadata"].get("annotations", {}).get("helm.sh/hook")
        assert hook is None, f"{label(found)} is a hook, which uninstall doesn't know"
