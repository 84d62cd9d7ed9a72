"""Every chart of ours: whole, closed, the same at each rendering, and right for Kubernetes.

The real Helm renders each case in ``ci/``; Kubernetes' own schemas judge what comes out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.contract.chart_tools import (
    CHANGING_FUNCTIONS,
    MARKS,
    NEWEST,
    OLDEST,
    Case,
    Helm,
    cases,
    kubernetes_schemas,
    label,
    load_objects,
    open_places,
    own_charts,
)

CHART_LABELS = ("name", "instance", "version", "part-of", "managed-by")
CUSTOM_KINDS = {
    "ClusterIssuer",
    "Gateway",
    "TektonConfig",
}
FILES = ("Chart.yaml", "values.yaml", "values.schema.json", "README.md")

each_chart = pytest.mark.parametrize("chart", [pytest.param(c, id=c.name) for c in own_charts()])
each_case = pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in cases()])


def _schema(chart: Path) -> dict[str, Any]:
    return json.loads((chart / "values.schema.json").read_text())


def _values(chart: Path) -> dict[str, Any]:
    return yaml.safe_load((chart / "values.yaml").read_text())


def test_there_are_charts_of_ours() -> None:
    assert len(own_charts()) >= 6
    assert len(cases()) >= 2 * 6


@each_chart
def test_a_chart_has_everything_that_belongs_to_it(chart: Path) -> None:
    missing = [name for name in FILES if not (chart / name).is_file()]
    assert missing == []
    assert len(list(chart.glob("ci/*-values.yaml"))) >= 2
    assert (chart / "ci" / "default-values.yaml").is_file()
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert about["apiVersion"] == "v2"
    assert {"name", "description", "version", "appVersion", "kubeVersion"} <= set(about)
    assert "dependencies" not in about, "a chart of ours renders without fetching anything"


@each_chart
def test_nothing_in_a_chart_differs_from_one_rendering_to_the_next(chart: Path) -> None:
    found = {
        f"{path.name}: {word.strip()}"
        for path in (chart / "templates").rglob("*")
        if path.is_file()
        for word in CHANGING_FUNCTIONS
        if word in path.read_text()
    }
    assert found == set()


@each_chart
def test_the_values_schema_of_a_chart_is_closed_everywhere(chart: Path) -> None:
    schema = _schema(chart)
    Draft202012Validator.check_schema(schema)
    assert list(open_places(schema)) == []


def test_an_open_schema_would_be_found() -> None:
    inside = {"type": "object", "additionalProperties": False, "properties": {"b": {}}}
    schema = {
        "type": "object",
        "properties": {"a": inside, "c": {"type": "object"}, "d": {"type": "array"}},
    }
    assert set(open_places(schema)) == {
        "the top: takes any key",
        "a.b: no type",
        "c: takes any key",
        "d: items of any kind",
    }


def _paths(values: dict[str, Any], schema: dict[str, Any], place: str = "") -> set[str]:
    """Return the paths of settings: of values, or of a schema when ``values`` is one too."""
    found: set[str] = set()
    for key, inner in schema.get("properties", {}).items():
        path = f"{place}.{key}".lstrip(".")
        found.add(path)
        if "properties" in inner:
            found |= _paths(values, inner, path)
    return found


def _given(values: Any, schema: dict[str, Any], place: str = "") -> set[str]:
    found: set[str] = set()
    for key, inner in schema.get("properties", {}).items():
        if isinstance(values, dict) and key in values:
            path = f"{place}.{key}".lstrip(".")
            found |= {path} | _given(values[key], inner, path)
    return found


@each_chart
def test_each_setting_of_a_chart_has_a_default_and_no_more(chart: Path) -> None:
    schema, values = _schema(chart), _values(chart)
    assert list(Draft202012Validator(schema).iter_errors(values)) == []
    settings = _paths(values, schema)
    free = {p for p in settings if p.rsplit(".", 1)[-1] in {"cpu", "memory", "ephemeral-storage"}}
    free |= {p for p in settings if p.endswith((".requests", ".limits"))}
    assert settings - _given(values, schema) - free == set()


@each_case
def test_strict_lint_has_nothing_to_say(case: Case, helm: Helm) -> None:
    done = helm.lint(case.chart, case.values)
    assert done.returncode == 0, done.stdout + done.stderr


@each_case
def test_a_case_renders_to_the_same_bytes_twice(case: Case, helm: Helm) -> None:
    first = helm.render(case)
    assert load_objects(first), "it renders nothing"
    assert helm.render(case) == first


@each_case
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(case: Case, version: str, helm: Helm) -> None:
    schemas = kubernetes_schemas(version)
    problems: list[str] = []
    unknown: set[str] = set()
    for found in load_objects(helm.render(case, version)):
        said = schemas.problems(found)
        if said is None:
            unknown.add(found["kind"])
        problems += said or []
    assert problems == []
    assert unknown <= CUSTOM_KINDS, "kinds that are neither Kubernetes' nor expected"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_misspelt_field_would_be_found(version: str) -> None:
    container = {"name": "a", "image": "b:1", "port": []}
    found = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": [container]}},
        },
    }
    problems = kubernetes_schemas(version).problems(found)
    assert problems is not None
    assert any("'port' was unexpected" in problem for problem in problems)


@each_case
def test_every_object_says_whose_it_is(case: Case, helm: Helm) -> None:
    for found in helm.objects(case):
        labels = found["metadata"].get("labels", {})
        missing = {key for key, value in MARKS.items() if labels.get(key) != value}
        missing |= {k for k in CHART_LABELS if f"app.kubernetes.io/{k}" not in labels}
        assert missing == set(), label(found)


@each_case
def test_selectors_hold_no_label_that_changes(case: Case, helm: Helm) -> None:
    """Selectors can't be changed later, so they hold neither marks nor versions."""
    for found in helm.objects(case):
        selector = found.get("spec", {}).get("selector") or {}
        labels = selector.get("matchLabels", selector)
        assert not set(labels) & {*MARKS, "app.kubernetes.io/version"}, label(found)


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(_texts, value))
    return {str(value)}


@each_case
def test_no_object_names_a_namespace_of_its_own(case: Case, helm: Helm) -> None:
    """Only who has a right may be of another namespace, and then a value says which."""
    named = _texts(_values(case.chart)) | _texts(yaml.safe_load(case.values.read_text()))
    for found in helm.objects(case):
        assert found["kind"] != "Namespace"
        assert found["metadata"].get("namespace", "here") == "here", label(found)
        for subject in found.get("subjects", ()):
            assert subject.get("namespace", "here") in {"here", *named}, label(found)


@each_case
def test_no_two_objects_have_one_name(case: Case, helm: Helm) -> None:
    names = [label(found) for found in helm.objects(case)]
    assert sorted(set(names)) == sorted(names)


@each_chart
def test_an_unknown_value_is_refused(chart: Path, helm: Helm, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("notAThing: 1\n")
    done = helm.template(chart, (chart / "ci" / "default-values.yaml", wrong))
    assert done.returncode != 0
    assert "notAThing" in done.stderr
