"""Deployments, StatefulSets, DaemonSets, Jobs and their pods become what real ones would."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.context import Options
from mlstacks_dagster.sandbox.kube.errors import ApiError
from mlstacks_dagster.sandbox.kube.events import EVENTS_KEPT
from tests.unit.sandbox.kube.api import (
    APPS,
    BATCH,
    CORE,
    MERGE,
    Api,
    Obj,
    deployment,
    pod_template,
)

GOOD, NEVER, CRASH = (
    "example.org/app:1",
    "example.org/app:never-ready",
    "example.org/app:always-fails",
)
WEB = f"{APPS}/deployments/web"
STS = f"{APPS}/statefulsets"
PODS = f"{CORE}/pods"


def _image(image: str) -> Obj:
    containers = [{"name": "app", "image": image}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def _conditions(obj: Obj) -> dict[str, str]:
    return {c["type"]: c["status"] for c in obj["status"].get("conditions", ())}


def _reasons(obj: Obj) -> dict[str, str]:
    return {c["type"]: c.get("reason", "") for c in obj["status"].get("conditions", ())}


def _waiting(pod: Obj) -> str:
    return str(pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason"))


def _stateful_set(image: str = GOOD, *, claims: bool = False, **spec: Any) -> Obj:
    obj = {**deployment(image=image, serviceName="web", **spec), "kind": "StatefulSet"}
    if claims:
        template = {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        obj["spec"]["volumeClaimTemplates"] = [template]
    return obj


def _job(image: str = GOOD, **spec: Any) -> Obj:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"template": pod_template(image, restartPolicy="Never"), **spec},
    }


def _pod(**spec: Any) -> Obj:
    return {"metadata": {"name": "p"}, "spec": pod_template(**spec)["spec"]}


class TestDeployments:
    def test_it_becomes_available_once_its_containers_run(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(replicas=2))
        api.settle(0)
        assert _conditions(api.get(WEB))["Available"] == "False"
        api.settle()
        status = api.get(WEB)["status"]
        assert _conditions(api.get(WEB)) == {"Available": "True", "Progressing": "True"}
        assert _reasons(api.get(WEB))["Progressing"] == "NewReplicaSetAvailable"
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
        api.patch(WEB, _image(NEVER))
        api.settle(60)
        pods = {p["metadata"]["name"]: p for p in api.get(PODS)["items"]}
        assert len(pods) == 2
        assert pods[old]["status"]["phase"] == "Running"
        (new,) = [pod for name, pod in pods.items() if name != old]
        assert _waiting(new) == "ImagePullBackOff"
        status = api.get(WEB)["status"]
        assert _conditions(api.get(WEB))["Available"] == "True"
        assert (status["replicas"], status["updatedReplicas"], status["readyReplicas"]) == (2, 1, 1)

    def test_a_good_template_heals_it(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(image=NEVER))
        api.settle()
        assert _conditions(api.get(WEB))["Available"] == "False"
        api.patch(WEB, _image(GOOD))
        api.settle()
        assert _conditions(api.get(WEB))["Available"] == "True"
        assert len(api.names(PODS)) == 1

    def test_going_back_takes_the_old_replica_set_again(self, api: Api) -> None:
        for image in (GOOD, "example.org/app:2", GOOD):
            if api.names(f"{APPS}/deployments"):
                api.patch(WEB, _image(image))
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
            api.patch(WEB, _image(f"example.org/app:{number + 2}"))
        api.settle()
        assert len(api.names(f"{APPS}/replicasets")) == 3

    def test_recreate_ends_the_old_pods_first(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(strategy={"type": "Recreate"}))
        api.settle()
        api.patch(WEB, _image(NEVER))
        api.settle()
        (pod,) = api.get(PODS)["items"]
        assert _waiting(pod) == "ImagePullBackOff"
        assert _conditions(api.get(WEB))["Available"] == "False"

    def test_it_gives_up_after_its_deadline(self, api: Api) -> None:
        api.post(f"{APPS}/deployments", deployment(image=NEVER, progressDeadlineSeconds=30))
        api.settle(20)
        assert _conditions(api.get(WEB))["Progressing"] == "True"
        api.settle(20)
        assert _conditions(api.get(WEB))["Progressing"] == "False"
        assert _reasons(api.get(WEB))["Progressing"] == "ProgressDeadlineExceeded"

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
        assert _waiting(api.get(PODS)["items"][0]) == "ContainerCreating"
        assert _conditions(api.get(WEB))["Available"] == "False"
        api.settle(2)
        assert _conditions(api.get(WEB))["Available"] == "True"

    def test_which_images_never_start_is_an_option(self) -> None:
        api = Api(options=Options(never_ready="^bad/"))
        api.post(f"{APPS}/deployments", deployment(image="bad/app:1"))
        api.settle()
        assert _conditions(api.get(WEB))["Available"] == "False"
        api.patch(WEB, _image(NEVER))
        api.settle()
        assert _conditions(api.get(WEB))["Available"] == "True"


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
        assert _waiting(pod) == "CrashLoopBackOff"
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
        assert "restarting failed container=app" in api.reasons()["BackOff"]

    def test_an_init_container_holds_the_pod_back(self, api: Api) -> None:
        template = pod_template(initContainers=[{"name": "init", "image": NEVER}])
        api.post(f"{APPS}/deployments", deployment(template=template))
        api.settle()
        assert _conditions(api.get(WEB))["Available"] == "False"

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
        assert _waiting(pod) == "CreateContainerConfigError"
        assert api.reasons()["Failed"] == f"Error: {missing}"
        for kind in ("secrets", "configmaps"):
            api.post(f"{CORE}/{kind}", {"metadata": {"name": "s"}, "data": {"k": "eA=="}})
        api.settle()
        assert _conditions(api.get(WEB))["Available"] == "True"

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
        assert _conditions(api.get(WEB))["Available"] == "True"

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
        api.post(STS, _stateful_set(template=template))
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
        assert _conditions(pod)["PodScheduled"] == "False"
        assert api.reasons()["FailedScheduling"] == 'persistentvolumeclaim "data" not found'

    def test_the_same_event_is_counted_and_old_ones_are_forgotten(self, api: Api) -> None:
        for number in range(EVENTS_KEPT + 20):
            image = f"example.org/{number}:never-ready"
            obj = {"metadata": {"name": f"p{number}"}, "spec": pod_template(image)["spec"]}
            api.post(PODS, obj)
        api.settle()
        assert len(api.names(f"{CORE}/events")) == EVENTS_KEPT
        assert not any("example.org/0:" in e for e in api.reasons().values())


class TestStatefulSets:
    def test_its_pods_have_numbers_and_claims(self, api: Api) -> None:
        api.post(STS, _stateful_set(claims=True, replicas=2))
        api.settle()
        assert api.names(PODS) == ["web-0", "web-1"]
        assert api.names(f"{CORE}/persistentvolumeclaims") == ["data-web-0", "data-web-1"]
        status = api.get(f"{STS}/web")["status"]
        counts = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")
        assert [status[name] for name in counts] == [2, 2, 2, 2]
        assert status["currentRevision"] == status["updateRevision"]

    def test_its_claims_outlive_it(self, api: Api) -> None:
        api.post(STS, _stateful_set(claims=True))
        api.settle()
        api.delete(f"{STS}/web")
        api.settle()
        assert api.names(PODS) == []
        assert api.names(f"{CORE}/persistentvolumeclaims") == ["data-web-0"]

    def test_its_claims_go_with_it_when_it_says_so(self, api: Api) -> None:
        policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
        api.post(STS, _stateful_set(claims=True, persistentVolumeClaimRetentionPolicy=policy))
        api.settle()
        api.delete(f"{STS}/web")
        api.settle()
        assert api.names(f"{CORE}/persistentvolumeclaims") == []

    def test_it_scales_down_from_the_end(self, api: Api) -> None:
        api.post(STS, _stateful_set(replicas=3))
        api.settle()
        api.patch(f"{STS}/web", {"spec": {"replicas": 1}}, MERGE)
        api.settle()
        assert api.names(PODS) == ["web-0"]

    def test_a_bad_template_stops_at_the_last_pod(self, api: Api) -> None:
        api.post(STS, _stateful_set(replicas=3))
        api.settle()
        api.patch(f"{STS}/web", _image(NEVER))
        api.settle(60)
        images = {
            p["metadata"]["name"]: p["spec"]["containers"][0]["image"]
            for p in api.get(PODS)["items"]
        }
        assert images == {"web-0": GOOD, "web-1": GOOD, "web-2": NEVER}
        status = api.get(f"{STS}/web")["status"]
        assert (status["readyReplicas"], status["updatedReplicas"]) == (2, 1)
        assert status["currentRevision"] != status["updateRevision"]

    def test_a_new_template_reaches_all_pods(self, api: Api) -> None:
        api.post(STS, _stateful_set(replicas=3))
        api.settle()
        api.patch(f"{STS}/web", _image("example.org/app:2"))
        api.settle(60)
        images = {p["spec"]["containers"][0]["image"] for p in api.get(PODS)["items"]}
        assert images == {"example.org/app:2"}
        status = api.get(f"{STS}/web")["status"]
        assert status["currentRevision"] == status["updateRevision"]


class TestDaemonSets:
    def test_it_has_one_pod_on_the_one_node(self, api: Api) -> None:
        api.post(f"{APPS}/daemonsets", {**deployment(), "kind": "DaemonSet"})
        api.settle()
        status = api.get(f"{APPS}/daemonsets/web")["status"]
        assert (status["desiredNumberScheduled"], status["numberReady"]) == (1, 1)
        assert len(api.names(PODS)) == 1

    def test_a_new_template_replaces_its_pod(self, api: Api) -> None:
        api.post(f"{APPS}/daemonsets", {**deployment(), "kind": "DaemonSet"})
        api.settle()
        api.patch(f"{APPS}/daemonsets/web", _image(NEVER))
        api.settle()
        status = api.get(f"{APPS}/daemonsets/web")["status"]
        assert (status["numberReady"], status["updatedNumberScheduled"]) == (0, 1)


class TestJobs:
    def test_it_completes(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", _job())
        api.settle(0)
        assert api.get(f"{BATCH}/jobs/job")["status"]["active"] == 1
        api.settle()
        job = api.get(f"{BATCH}/jobs/job")
        assert _conditions(job) == {"SuccessCriteriaMet": "True", "Complete": "True"}
        assert job["status"]["succeeded"] == 1
        (pod,) = api.get(PODS)["items"]
        assert pod["status"]["phase"] == "Succeeded"
        assert pod["metadata"]["labels"]["job-name"] == "job"

    def test_a_failing_container_fails_it(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", _job(CRASH))
        api.settle()
        job = api.get(f"{BATCH}/jobs/job")
        assert _conditions(job)["Failed"] == "True"
        assert _reasons(job)["Failed"] == "BackoffLimitExceeded"
        assert api.get(PODS)["items"][0]["status"]["phase"] == "Failed"

    def test_an_image_that_cant_be_pulled_lets_it_wait(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", _job(NEVER))
        api.settle(60)
        assert "conditions" not in api.get(f"{BATCH}/jobs/job")["status"]

    def test_it_runs_as_often_as_it_says(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", _job(completions=3, parallelism=3))
        api.settle()
        assert api.get(f"{BATCH}/jobs/job")["status"]["succeeded"] == 3
        assert len(api.names(PODS)) == 3

    def test_a_suspended_one_waits(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", _job(suspend=True))
        api.settle()
        assert api.names(PODS) == []
        api.patch(f"{BATCH}/jobs/job", {"spec": {"suspend": False}}, MERGE)
        api.settle()
        assert _conditions(api.get(f"{BATCH}/jobs/job"))["Complete"] == "True"

    def test_it_goes_when_its_time_is_over(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", _job(ttlSecondsAfterFinished=30))
        api.settle(20)
        assert api.names(f"{BATCH}/jobs") == ["job"]
        api.settle(20)
        assert api.names(f"{BATCH}/jobs") == api.names(PODS) == []


class TestPods:
    def test_one_that_restarts_runs_on(self, api: Api) -> None:
        api.post(PODS, _pod())
        api.settle()
        assert api.get(f"{PODS}/p")["status"]["phase"] == "Running"

    def test_one_that_doesnt_restart_succeeds(self, api: Api) -> None:
        api.post(PODS, _pod(restartPolicy="Never"))
        api.settle()
        pod = api.get(f"{PODS}/p")
        assert pod["status"]["phase"] == "Succeeded"
        state = pod["status"]["containerStatuses"][0]["state"]
        assert state["terminated"]["exitCode"] == 0

    def test_its_log_says_that_nothing_ran(self, api: Api) -> None:
        api.post(PODS, _pod())
        api.settle()
        reply = api.send("GET", f"{PODS}/p/log?container=app")
        assert b"emulated: container 'app' of pod 'p' never ran" in reply.body()
        assert reply.content_type == "text/plain"

    def test_there_is_no_log_of_what_isnt_there_or_waits(self, api: Api) -> None:
        api.post(PODS, _pod(image=NEVER))
        api.settle()
        with pytest.raises(ApiError, match="container other is not valid"):
            api.send("GET", f"{PODS}/p/log?container=other")
        with pytest.raises(ApiError, match="waiting to start: ImagePullBackOff"):
            api.send("GET", f"{PODS}/p/log")

    @pytest.mark.parametrize("what", ["exec", "portforward", "attach", "proxy"])
    def test_nothing_runs_in_it(self, api: Api, what: str) -> None:
        api.post(PODS, _pod())
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
    assert _conditions(api.get(f"{url}/x"))[condition] == "True"


def test_nothing_moves_in_a_cluster_that_is_gone(api: Api) -> None:
    api.post(f"{APPS}/deployments", deployment())
    api.cluster.close()
    api.settle()
    assert api.names(PODS) == []
