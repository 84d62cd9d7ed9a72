"""What Helm prints of a release, taken apart."""

import pytest

from mlstacks_dagster.engines.helm_record import RECORD_TEMPLATE, parse_record
from mlstacks_dagster.engines.kube_objects import ObjectRef

TEXT = """3
deployed
demo
1.2.3
9.9
==== mlstacks-dagster ====
---
# Source: demo/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}

==== mlstacks-dagster ====
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
"""


def test_a_record_has_the_versions_the_objects_and_the_hooks():
    found = parse_record(TEXT)
    assert (found.revision, found.status, found.chart) == (3, "deployed", "demo")
    assert (found.chart_version, found.app_version) == ("1.2.3", "9.9")
    (config,) = found.objects("demo")
    assert config.ref == ObjectRef("v1", "ConfigMap", "a", "demo")
    (job,) = found.hook_objects("demo")
    assert job.hook


def test_the_checksum_is_of_the_manifest_and_not_of_the_space_around_it():
    other = TEXT.replace("3\ndeployed", "4\nfailed").replace("name: a}\n", "name: a}\n\n")
    assert parse_record(TEXT).manifest_sha256 == parse_record(other).manifest_sha256
    changed = TEXT.replace("name: a}", "name: b}")
    assert parse_record(TEXT).manifest_sha256 != parse_record(changed).manifest_sha256


def test_manifest_and_hooks_are_not_in_its_repr():
    assert "Source" not in repr(parse_record(TEXT))


def test_an_app_version_may_be_missing():
    assert parse_record(TEXT.replace("9.9\n", "\n")).app_version == ""


@pytest.mark.parametrize("text", ["", "1\n2\n", TEXT.replace("3\n", "x\n", 1)])
def test_anything_else_raises(text):
    with pytest.raises(ValueError, match=r"."):
        parse_record(text)


def test_the_template_asks_for_one_line_a_field():
    assert RECORD_TEMPLATE.count('{{"\\n"}}') == 5 + 3 + 2
