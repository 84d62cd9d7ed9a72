"""Pods by themselves, and the small calls around them."""

from __future__ import annotations

import pytest

from mlstacks_dagster.sandbox.kube.errors import ApiError
from tests.unit.sandbox.kube.api import (
    APPS,
    CORE,
    Api,
    Obj,
    deployment,
)
from tests.unit.sandbox.kube.running import (
    NEVER,
    PODS,
    a_pod,
    conditions,
)


class TestPods:
    def test_one_that_restarts_runs_on(self, api: Api) -> None:
        api.post(PODS, a_pod())
        api.settle()
        assert api.get(f"{PODS}/p")["status"]["phase"] == "Running"

    def test_one_that_doesnt_restart_succeeds(self, api: Api) -> None:
        api.post(PODS, a_pod(restartPolicy="Never"))
        api.settle()
        pod = api.get(f"{PODS}/p")
        assert pod["status"]["phase"] == "Succeeded"
        state = pod["status"]["containerStatuses"][0]["state"]
        assert state["terminated"]["exitCode"] == 0

    def test_its_log_says_that_nothing_ran(self, api: Api) -> None:
        api.post(PODS, a_pod())
        api.settle()
        reply = api.send("GET", f"{PODS}/p/log?container=app")
        assert b"emulated: container 'app' of pod 'p' never ran" in reply.body()
        assert reply.content_type == "text/plain"

    def test_there_is_no_log_of_what_isnt_there_or_waits(self, api: Api) -> None:
        api.post(PODS, a_pod(image=NEVER))
        api.settle()
        with pytest.raises(ApiError, match="container other is not valid"):
            api.send("GET", f"{PODS}/p/log?container=other")
        with pytest.raises(ApiError, match="waiting to start: ImagePullBackOff"):
            api.send("GET", f"{PODS}/p/log")

    @pytest.mark.parametrize("what", ["exec", "portforward", "attach", "proxy"])
    def test_nothing_runs_in_it(self, api: Api, what: str) -> None:
        api.post(PODS, a_pod())
        with pytest.raises(ApiError, match="runs no containers"):
            api.send("POST", f"{PODS}/p/{what}")


def test_reviews_allow_everything(api: Api) -> None:
    url = "/apis/authorization.k8s.io/v1"
    review = api.post(f"{url}/selfsubjectaccessreviews", {"spec": {}})
    assert review["status"]["allowed"] is True
    assert api.post(f"{url}/selfsubjectrulesreviews", {})["status"]["resourceRules"]
    me = api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert me["status"]["userInfo"]["username"] == "emulated"
    assert api.post("/apis/authentication.k8s.io/v1/tokenreviews", {})["status"]["authenticated"]


def test_a_service_account_gets_tokens(api: Api) -> None:
    made = api.post(f"{CORE}/serviceaccounts/default/token", {"spec": {}})
    assert made["status"]["token"]
    assert made["status"]["expirationTimestamp"] == "2030-01-01T01:00:05Z"


@pytest.mark.parametrize(
    ("url", "obj", "condition"),
    [
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            {"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}},
            "ScalingActive",
        ),
        (
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            {"spec": {"minAvailable": 1}},
            "DisruptionAllowed",
        ),
        (
            "/apis/apiregistration.k8s.io/v1/apiservices",
            {
                "spec": {
                    "groupPriorityMinimum": 1,
                    "versionPriority": 1,
                    "group": "g",
                    "version": "v1",
                }
            },
            "Available",
        ),
    ],
)
def test_other_kinds_say_that_all_is_well(api: Api, url: str, obj: Obj, condition: str) -> None:
    api.post(url, {"metadata": {"name": "x"}, **obj})
    api.settle()
    assert conditions(api.get(f"{url}/x"))[condition] == "True"


def test_nothing_moves_in_a_cluster_that_is_gone(api: Api) -> None:
    api.post(f"{APPS}/deployments", deployment())
    api.cluster.close()
    api.settle()
    assert api.names(PODS) == []
