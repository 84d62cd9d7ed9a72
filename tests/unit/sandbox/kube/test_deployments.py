"""Deployments and their pods become what real ones would, and what can be wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.context import Options
from mlstacks_dagster.sandbox.kube.errors import ApiError
from mlstacks_dagster.sandbox.kube.events import EVENTS_KEPT
from tests.unit.sandbox.kube.api import (
    APPS,
    CORE,
    Api,
    Obj,
    deployment,
    pod_template,
)
from tests.unit.sandbox.kube.running import (
    CRASH,
    GOOD,
    NEVER,
    PODS,
    STS,
    WEB,
    a_stateful_set,
    conditions,
    reasons,
    waiting,
    with_image,
)


class TestDeployments:
    def test_it_becomes_available_once_its_containers_run(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(replicas=2))
        api.settle(0)
        assert conditions(api.get(WEB))["Available"] == "False"
        api.settle()
        status = api.get(WEB)["status"]
        assert conditions(api.get(WEB)) == {"Available": "True", "Progressing": "True"}
        assert reasons(api.get(WEB))["Progressing"] == "NewReplicaSetAvailable"
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        assert [status[name] for name in counts] == [2, 2, 2, 2]
        assert "unavailableReplicas" not in status
        assert status["observedGeneration"] == 1

    def test_its_pods_belong_to_its_replica_set(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment())
        api.settle()
        (replica_set,) = api.get(f"{APPS}/replicasets")["items"]
        (pod,) = api.get(PODS)["items"]
        assert replica_set["metadata"]["ownerReferences"][0]["name"] == "web"
        owner = pod["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"]) == ("ReplicaSet", replica_set["metadata"]["uid"])
        labels = pod["metadata"]["labels"]
        assert labels["app"] == "web"
        assert replica_set["metadata"]["name"] == f"web-{labels['pod-template-hash']}"
        assert pod["status"]["phase"] == "Running"
        assert pod["spec"]["nodeName"]

    def test_it_scales(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment())
        for replicas in (3, 1, 0):
            scale = api.put(f"{WEB}/scale", {"spec": {"replicas": replicas}})
            assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", replicas)
            api.settle()
            assert len(api.names(PODS)) == replicas
            assert api.get(f"{WEB}/scale")["status"]["replicas"] == replicas

    @pytest.mark.parametrize("replicas", [-1, "two", True, None])
    def test_it_scales_to_numbers_only(self, api: Api, replicas: Any) -> None:
        api.post(f"{APPS}/deployments", deployment())
        with pytest.raises(ApiError) as caught:
            api.put(f"{WEB}/scale", {"spec": {"replicas": replicas}})
        assert caught.value.code == 400

    def test_the_old_pods_stay_until_the_new_ones_are_ready(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment())
        api.settle()
        (old,) = api.names(PODS)
        api.patch(WEB, with_image(NEVER))
        api.settle(60)
        pods = {p["metadata"]["name"]: p for p in api.get(PODS)["items"]}
        assert len(pods) == 2
        assert pods[old]["status"]["phase"] == "Running"
        (new,) = [pod for name, pod in pods.items() if name != old]
        assert waiting(new) == "ImagePullBackOff"
        status = api.get(WEB)["status"]
        assert conditions(api.get(WEB))["Available"] == "True"
        assert (status["replicas"], status["updatedReplicas"], status["readyReplicas"]) == (2, 1, 1)

    def test_a_good_template_heals_it(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(image=NEVER))
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "False"
        api.patch(WEB, with_image(GOOD))
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "True"
        assert len(api.names(PODS)) == 1

    def test_going_back_takes_the_old_replica_set_again(self, api: Api) -> None:
        for image in (GOOD, "example.org/app:2", GOOD):
            if api.names(f"{APPS}/deployments"):
                api.patch(WEB, with_image(image))
            else:
                api.post(f"{APPS}/deployments", deployment(image=image))
            api.settle()
        sets = api.get(f"{APPS}/replicasets")["items"]
        assert sorted(rs["spec"]["replicas"] for rs in sets) == [0, 1]
        (active,) = [rs for rs in sets if rs["spec"]["replicas"]]
        assert active["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    def test_only_some_old_replica_sets_are_kept(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(revisionHistoryLimit=2))
        for number in range(5):
            api.settle()
            api.patch(WEB, with_image(f"example.org/app:{number + 2}"))
        api.settle()
        assert len(api.names(f"{APPS}/replicasets")) == 3

    def test_recreate_ends_the_old_pods_first(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(strategy={"type": "Recreate"}))
        api.settle()
        api.patch(WEB, with_image(NEVER))
        api.settle()
        (pod,) = api.get(PODS)["items"]
        assert waiting(pod) == "ImagePullBackOff"
        assert conditions(api.get(WEB))["Available"] == "False"

    def test_it_gives_up_after_its_deadline(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(image=NEVER, progressDeadlineSeconds=30))
        api.settle(20)
        assert conditions(api.get(WEB))["Progressing"] == "True"
        api.settle(20)
        assert conditions(api.get(WEB))["Progressing"] == "False"
        assert reasons(api.get(WEB))["Progressing"] == "ProgressDeadlineExceeded"

    def test_a_deleted_pod_is_replaced(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment())
        api.settle()
        (name,) = api.names(PODS)
        api.delete(f"{PODS}/{name}")
        api.settle()
        assert len(api.names(PODS)) == 1
        assert api.names(PODS) != [name]

    def test_an_evicted_pod_is_replaced(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment())
        api.settle()
        (name,) = api.names(PODS)
        assert api.send("POST", f"{PODS}/{name}/eviction", {}).code == 201
        api.settle()
        assert api.names(PODS) != [name]

    def test_containers_start_when_they_are_told_to(self) -> None:
        api = Api(options=Options(ready_seconds=30))
        api.post(f"{APPS}/deployments", deployment())
        api.settle(29)
        assert waiting(api.get(PODS)["items"][0]) == "ContainerCreating"
        assert conditions(api.get(WEB))["Available"] == "False"
        api.settle(2)
        assert conditions(api.get(WEB))["Available"] == "True"

    def test_which_images_never_start_is_an_option(self) -> None:
        api = Api(options=Options(never_ready="^bad/"))
        api.post(f"{APPS}/deployments", deployment(image="bad/app:1"))
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "False"
        api.patch(WEB, with_image(NEVER))
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "True"


class TestTrouble:
    def test_an_image_that_cant_be_pulled_says_so(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(image=NEVER))
        api.settle()
        (pod,) = api.get(PODS)["items"]
        state = pod["status"]["containerStatuses"][0]["state"]["waiting"]
        assert state == {
            "reason": "ImagePullBackOff",
            "message": f'Back-off pulling image "{NEVER}"',
        }
        assert pod["status"]["phase"] == "Pending"
        assert api.reasons()["Failed"] == f'Back-off pulling image "{NEVER}"'

    def test_a_container_that_ends_at_once_says_so(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(image=CRASH))
        api.settle()
        (pod,) = api.get(PODS)["items"]
        assert waiting(pod) == "CrashLoopBackOff"
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
        assert "restarting failed container=app" in api.reasons()["BackOff"]

    def test_an_init_container_holds_the_pod_back(self, api: Api) -> None:
        template = pod_template(initContainers=[{"name": "init", "image": NEVER}])
        api.post(f"{APPS}/deployments", deployment(template=template))
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "False"

    @pytest.mark.parametrize(
        ("spec", "missing"),
        [
            ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, 'secret "s" not found'),
            ({"volumes": [{"name": "v", "configMap": {"name": "s"}}]}, 'configmap "s" not found'),
            (
                {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]},
                'secret "s" not found',
            ),
            ({"container": {"envFrom": [{"secretRef": {"name": "s"}}]}}, 'secret "s" not found'),
            (
                {"container": {"env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}},
                'secret "s" not found',
            ),
            (
                {"container": {"env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}}]}},
                'configmap "s" not found',
            ),
        ],
    )  # fmt: skip
    def test_a_pod_waits_for_what_it_refers_to(self, api: Api, spec: Obj, missing: str) -> None:
        api.post(f"{APPS}/deployments", deployment(template=pod_template(**spec)))
        api.settle()
        (pod,) = api.get(PODS)["items"]
        assert waiting(pod) == "CreateContainerConfigError"
        assert api.reasons()["Failed"] == f"Error: {missing}"
        for kind in ("secrets", "configmaps"):
            api.post(f"{CORE}/{kind}", {"metadata": {"name": "s"}, "data": {"k": "eA=="}})
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "True"

    @pytest.mark.parametrize(
        "spec",
        [
            {"volumes": [{"name": "v", "secret": {"secretName": "s", "optional": True}}]},
            {"container": {"envFrom": [{"secretRef": {"name": "s", "optional": True}}]}},
            {"container": {"env": [{"name": "A", "valueFrom": {
                "secretKeyRef": {"name": "s", "key": "k", "optional": True}}}]}},
        ],
    )  # fmt: skip
    def test_what_is_optional_may_be_missing(self, api: Api, spec: Obj) -> None:
        api.post(f"{APPS}/deployments", deployment(template=pod_template(**spec)))
        api.settle()
        assert conditions(api.get(WEB))["Available"] == "True"

    @pytest.mark.parametrize(
        "spec",
        [
            {"container": {"env": [{"name": "A", "valueFrom": {
                "secretKeyRef": {"name": "s", "key": "other"}}}]}},
            {"volumes": [{"name": "v", "secret": {
                "secretName": "s", "items": [{"key": "other", "path": "p"}]}}]},
        ],
    )  # fmt: skip
    def test_a_missing_key_is_missing_too(self, api: Api, spec: Obj) -> None:
        api.post(f"{CORE}/secrets", {"metadata": {"name": "s"}, "data": {"k": "eA=="}})
        api.post(f"{APPS}/deployments", deployment(template=pod_template(**spec)))
        api.settle()
        assert "couldn't find key other in Secret default/s" in api.reasons()["Failed"]

    def test_no_pod_is_made_for_an_account_that_isnt_there(self, api: Api) -> None:
        template = pod_template(serviceAccountName="missing")
        api.post(f"{APPS}/deployments", deployment(template=template))
        api.post(STS, a_stateful_set(template=template))
        api.settle()
        assert api.names(PODS) == []
        assert 'serviceaccount "missing" not found' in api.reasons()["FailedCreate"]
        api.post(f"{CORE}/serviceaccounts", {"metadata": {"name": "missing"}})
        api.settle()
        assert len(api.names(PODS)) == 2

    def test_a_pod_waits_for_its_claim(self, api: Api) -> None:
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
        api.post(f"{APPS}/deployments", deployment(template=pod_template(volumes=volumes)))
        api.settle()
        (pod,) = api.get(PODS)["items"]
        assert conditions(pod)["PodScheduled"] == "False"
        assert api.reasons()["FailedScheduling"] == 'persistentvolumeclaim "data" not found'

    def test_the_same_event_is_counted_and_old_ones_are_forgotten(self, api: Api) -> None:
        for number in range(EVENTS_KEPT + 20):
            image = f"example.org/{number}:never-ready"
            obj = {"metadata": {"name": f"p{number}"}, "spec": pod_template(image)["spec"]}
            api.post(PODS, obj)
        api.settle()
        assert len(api.names(f"{CORE}/events")) == EVENTS_KEPT
        assert not any("example.org/0:" in e for e in api.reasons().values())
