"""Why a workload is not ready, from what the API says."""

import pytest

from mlstacks_dagster.engines.kube_trouble import (
    first_lines,
    pod_trouble,
    resource_trouble,
    selector_text,
    workload_trouble,
)


def pod(name="web-1", phase="Pending", containers=(), conditions=(), **status):
    return {
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "registry/web:1"}]},
        "status": {
            "phase": phase,
            "containerStatuses": list(containers),
            "conditions": list(conditions),
            **status,
        },
    }


def waiting(reason, message="", **more):
    return {"name": "main", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def test_an_image_that_can_not_be_pulled_is_named():
    found = pod_trouble(pod(containers=[waiting("ImagePullBackOff", "Back-off pulling image")]))
    assert found == ("pod web-1: ImagePullBackOff: image registry/web:1: Back-off pulling image",)


def test_a_crash_says_how_the_container_last_ended():
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    (text,) = pod_trouble(pod(containers=[waiting("CrashLoopBackOff", lastState=ended)]))
    assert "CrashLoopBackOff" in text
    assert "exit code 137 (OOMKilled)" in text


def test_a_container_that_ended_with_an_error_is_told():
    ended = {"name": "main", "state": {"terminated": {"exitCode": 3, "message": "no config"}}}
    assert pod_trouble(pod(containers=[ended])) == (
        "pod web-1: container main ended with exit code 3 (Error): no config",
    )


def test_an_init_container_counts_too():
    found = pod(initContainerStatuses=[waiting("ErrImagePull", image="registry/init:1")])
    assert "registry/init:1" in pod_trouble(found)[0]


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_container_that_is_starting_is_no_trouble_of_its_own(reason):
    found = pod(containers=[waiting(reason)])
    assert pod_trouble(found) == ("pod web-1: Pending",)


def test_a_pod_that_fits_nowhere_says_why():
    full = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available:\n  3 Insufficient memory.",
    }
    assert pod_trouble(pod(conditions=[full])) == (
        "pod web-1: Unschedulable: 0/3 nodes are available: 3 Insufficient memory.",
    )


def test_a_pod_that_runs_but_is_not_ready_is_told():
    not_ready = {"type": "Ready", "status": "False"}
    (text,) = pod_trouble(pod(phase="Running", conditions=[not_ready]))
    assert text == "pod web-1: not ready: its readiness probe fails"


def test_a_ready_or_finished_pod_is_no_trouble():
    ready = {"type": "Ready", "status": "True"}
    assert pod_trouble(pod(phase="Running", conditions=[ready])) == ()
    not_ready = {"type": "Ready", "status": "False", "reason": "PodCompleted"}
    assert pod_trouble(pod(phase="Succeeded", conditions=[not_ready])) == ()


def test_a_workload_whose_pods_can_not_be_made_says_why():
    quota = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota",
    }
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "status": {"conditions": [quota]},
    }
    assert workload_trouble(workload, []) == ("Deployment web: FailedCreate: exceeded quota",)


def test_a_long_message_is_cut():
    (text,) = pod_trouble(pod(containers=[waiting("ErrImagePull", "x" * 900)]))
    assert len(text) < 400
    assert text.endswith("...")


def test_selectors_become_text():
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "old", "operator": "DoesNotExist"},
            {"key": "new", "operator": "Exists"},
            {"key": "x", "operator": "NotIn", "values": ["y"]},
        ],
    }
    text = selector_text({"spec": {"selector": selector}})
    assert text == "app=web,tier in (a,b),!old,new,x notin (y)"
    assert selector_text({}) == ""


def test_only_the_first_causes_are_shown():
    assert first_lines(["a", "b", "c"], limit=2) == "a\nb\n... and 1 more"
    assert first_lines(["a"]) == "a"


def issuer(*conditions):
    metadata = {"name": "letsencrypt"}
    return {
        "kind": "ClusterIssuer",
        "metadata": metadata,
        "status": {"conditions": list(conditions)},
    }


def ready(status, reason="", message=""):
    return {"type": "Ready", "status": status, "reason": reason, "message": message}


def test_a_custom_resource_says_itself_why_it_is_not_ready():
    found = resource_trouble(issuer(ready("False", "ErrRegisterACMEAccount", "bad e-mail")))
    assert found == ("ClusterIssuer letsencrypt: not ready: ErrRegisterACMEAccount: bad e-mail",)
    found = resource_trouble(issuer(ready("Unknown", "Installing")))
    assert found == ("ClusterIssuer letsencrypt: not known to be ready: Installing",)


def test_a_custom_resource_that_is_ready_or_never_tells_has_no_trouble():
    assert resource_trouble(issuer(ready("True"))) == ()
    assert resource_trouble(issuer({"type": "Synced", "status": "False"})) == ()
    assert resource_trouble({"kind": "Thing", "metadata": {"name": "x"}}) == ()
