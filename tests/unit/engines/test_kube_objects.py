"""Names of objects read out of manifests, without their values."""

import pytest

from mlstacks_dagster.engines.kube_objects import (
    KnownObject,
    ObjectRef,
    documents,
    known_from_json,
    known_objects,
    known_to_json,
    merged,
)

MANIFEST = """
apiVersion: v1
kind: Secret
metadata: {name: given, annotations: {helm.sh/resource-policy: keep}}
stringData: {password: hidden-word}
---
# only a comment
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: other}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {volumeClaimTemplates: [{metadata: {name: data}}, {metadata: {name: wal}}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: post-install}}
"""


def test_names_kinds_and_what_happens_to_them_are_read():
    found = {o.ref.name: o for o in known_objects(MANIFEST, "demo")}
    assert found["given"] == KnownObject(ObjectRef("v1", "Secret", "given", "demo"), keep=True)
    assert found["a"].ref.namespace == "other"
    assert found["b"].ref.namespace == "demo"
    assert found["db"].claims == ("data-db-", "wal-db-")
    assert found["migrate"].hook
    assert not found["db"].hook


def test_no_value_is_written_down_and_all_is_read_again():
    found = known_objects(MANIFEST, "demo")
    text = known_to_json(found)
    assert "hidden-word" not in text
    assert known_from_json(text) == found


@pytest.mark.parametrize("text", ["", "[]", '{"objects": [{}]}', '{"objects": [{"ref": 1}]}'])
def test_a_damaged_file_raises(text):
    with pytest.raises((ValueError, KeyError, TypeError)):
        known_from_json(text)


def test_an_object_counts_once_whatever_its_api_version():
    old = KnownObject(ObjectRef("policy/v1beta1", "PodDisruptionBudget", "x", "demo"))
    new = KnownObject(ObjectRef("policy/v1", "PodDisruptionBudget", "x", "demo"), keep=True)
    assert merged([old], [new]) == (new,)


def test_claims_of_all_revisions_are_remembered():
    ref = ObjectRef("apps/v1", "StatefulSet", "db", "demo")
    (found,) = merged([KnownObject(ref, claims=("a-db-",))], [KnownObject(ref, claims=("b-db-",))])
    assert found.claims == ("a-db-", "b-db-")


def test_what_was_there_first_is_remembered_as_it_was_first_seen():
    ref = ObjectRef("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.org")
    ours, theirs = KnownObject(ref, keep=True), KnownObject(ref, keep=True, before=True)
    assert merged([ours], [theirs]) == (ours,)
    assert merged([theirs], [ours]) == (theirs,)
    assert known_from_json(known_to_json([ours, theirs])) == (ours, theirs)
    old = known_to_json([ours]).replace('"before"', '"unknown"')
    assert known_from_json(old) == (theirs,), "an older version's note does not tell"


def test_objects_are_shown_as_people_write_them():
    assert str(ObjectRef("apps/v1", "Deployment", "web", "demo")) == "Deployment demo/web"
    assert str(ObjectRef("v1", "Namespace", "demo")) == "Namespace demo"
    assert ObjectRef("apps/v1", "Deployment", "web").group == "apps"
    assert ObjectRef("v1", "Pod", "web").group == ""


def test_what_has_no_kind_is_no_object():
    assert list(documents("a: 1\n---\n---\n- x\n---\nkind:\n")) == []
