"""StatefulSets, DaemonSets, Jobs and their pods become what real ones would."""

from __future__ import annotations

from tests.unit.sandbox.kube.api import (
    APPS,
    BATCH,
    CORE,
    MERGE,
    Api,
    deployment,
)
from tests.unit.sandbox.kube.running import (
    CRASH,
    GOOD,
    NEVER,
    PODS,
    STS,
    a_job,
    a_stateful_set,
    conditions,
    reasons,
    with_image,
)


class TestStatefulSets:
    def test_its_pods_have_numbers_and_claims(self, api: Api) -> None:
        api.post(STS, a_stateful_set(claims=True, replicas=2))
        api.settle()
        assert api.names(PODS) == ["web-0", "web-1"]
        assert api.names(f"{CORE}/persistentvolumeclaims") == ["data-web-0", "data-web-1"]
        status = api.get(f"{STS}/web")["status"]
        counts = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")
        assert [status[name] for name in counts] == [2, 2, 2, 2]
        assert status["currentRevision"] == status["updateRevision"]

    def test_its_claims_outlive_it(self, api: Api) -> None:
        api.post(STS, a_stateful_set(claims=True))
        api.settle()
        api.delete(f"{STS}/web")
        api.settle()
        assert api.names(PODS) == []
        assert api.names(f"{CORE}/persistentvolumeclaims") == ["data-web-0"]

    def test_its_claims_go_with_it_when_it_says_so(self, api: Api) -> None:
        policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
        api.post(STS, a_stateful_set(claims=True, persistentVolumeClaimRetentionPolicy=policy))
        api.settle()
        api.delete(f"{STS}/web")
        api.settle()
        assert api.names(f"{CORE}/persistentvolumeclaims") == []

    def test_it_scales_down_from_the_end(self, api: Api) -> None:
        api.post(STS, a_stateful_set(replicas=3))
        api.settle()
        api.patch(f"{STS}/web", {"spec": {"replicas": 1}}, MERGE)
        api.settle()
        assert api.names(PODS) == ["web-0"]

    def test_a_bad_template_stops_at_the_last_pod(self, api: Api) -> None:
        api.post(STS, a_stateful_set(replicas=3))
        api.settle()
        api.patch(f"{STS}/web", with_image(NEVER))
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
        api.post(STS, a_stateful_set(replicas=3))
        api.settle()
        api.patch(f"{STS}/web", with_image("example.org/app:2"))
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
        api.patch(f"{APPS}/daemonsets/web", with_image(NEVER))
        api.settle()
        status = api.get(f"{APPS}/daemonsets/web")["status"]
        assert (status["numberReady"], status["updatedNumberScheduled"]) == (0, 1)


class TestJobs:
    def test_it_completes(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", a_job())
        api.settle(0)
        assert api.get(f"{BATCH}/jobs/job")["status"]["active"] == 1
        api.settle()
        job = api.get(f"{BATCH}/jobs/job")
        assert conditions(job) == {"SuccessCriteriaMet": "True", "Complete": "True"}
        assert job["status"]["succeeded"] == 1
        (pod,) = api.get(PODS)["items"]
        assert pod["status"]["phase"] == "Succeeded"
        assert pod["metadata"]["labels"]["job-name"] == "job"

    def test_a_failing_container_fails_it(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", a_job(CRASH))
        api.settle()
        job = api.get(f"{BATCH}/jobs/job")
        assert conditions(job)["Failed"] == "True"
        assert reasons(job)["Failed"] == "BackoffLimitExceeded"
        assert api.get(PODS)["items"][0]["status"]["phase"] == "Failed"

    def test_an_image_that_cant_be_pulled_lets_it_wait(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", a_job(NEVER))
        api.settle(60)
        assert "conditions" not in api.get(f"{BATCH}/jobs/job")["status"]

    def test_it_runs_as_often_as_it_says(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", a_job(completions=3, parallelism=3))
        api.settle()
        assert api.get(f"{BATCH}/jobs/job")["status"]["succeeded"] == 3
        assert len(api.names(PODS)) == 3

    def test_a_suspended_one_waits(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", a_job(suspend=True))
        api.settle()
        assert api.names(PODS) == []
        api.patch(f"{BATCH}/jobs/job", {"spec": {"suspend": False}}, MERGE)
        api.settle()
        assert conditions(api.get(f"{BATCH}/jobs/job"))["Complete"] == "True"

    def test_it_goes_when_its_time_is_over(self, api: Api) -> None:
        api.post(f"{BATCH}/jobs", a_job(ttlSecondsAfterFinished=30))
        api.settle(20)
        assert api.names(f"{BATCH}/jobs") == ["job"]
        api.settle(20)
        assert api.names(f"{BATCH}/jobs") == api.names(PODS) == []
