"""ttl, expires_at, protect, on_failure and state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.spec.models import ClusterLocation, StateLocation
from mlstacks_dagster.spec.options import LAST_MOMENT, MAX_TTL_SECONDS, parse_duration
from tests.unit.spec.writing import NOW, Folder, stack


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("8h", 8 * 3600),
        ("3d", 3 * 86400),
        ("90m", 5400),
        ("1w", 7 * 86400),
        ("1d12h", 36 * 3600),
        ("1w2d3h4m", ((9 * 24 + 3) * 60 + 4) * 60),
        ("0d1m", 60),
    ],
)
def test_a_length_of_time(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0h", "0w0m", "8", "h", "-8h", "8 h", "8H", "1h1d", "1h1h", "8h\n", "1.5h", "٣h", "9999w"],
)
def test_no_length_of_time(text: str) -> None:
    assert parse_duration(text) is None


@given(st.lists(st.integers(0, 99), min_size=4, max_size=4))
def test_a_length_of_time_is_the_sum_of_its_parts(counts: list[int]) -> None:
    text = "".join(f"{n}{u}" for n, u in zip(counts, "wdhm", strict=True))
    w, d, h, m = counts
    total = 60 * (m + 60 * (h + 24 * (d + 7 * w)))
    assert parse_duration(text) == (total if 0 < total <= MAX_TTL_SECONDS else None)


@given(st.text(max_size=30) | st.text(alphabet="0123456789wdhm", max_size=60))
def test_any_text_is_a_length_or_none(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or 0 < seconds <= MAX_TTL_SECONDS


@pytest.mark.parametrize("value", ["soon", 8, 8.5, True, ["8h"], {"hours": 8}, "", "99999999999w"])
def test_a_wrong_ttl_is_an_error_with_examples(folder: Folder, value: object) -> None:
    folder.write("stack.yaml", stack(ttl=value))
    problem = folder.problem()
    assert problem.message.startswith("ttl ")
    assert "8h, 3d, 90m" in problem.remedy
    assert problem.line == 5


@pytest.mark.parametrize(
    "written",
    [
        "2027-01-15T09:00:00Z",
        "2027-01-15T10:00:00+01:00",
        "2027-01-15 09:00:00+00:00",
        "'2027-01-15T09:00:00Z'",
        "'2027-01-15T10:00+01:00'",
        "'20270115T090000Z'",
    ],
)
def test_a_moment_with_a_zone_is_unix_time(folder: Folder, written: str) -> None:
    folder.write(
        "stack.yaml",
        f"spec_version: 1\nspec_type: stack\nname: a\nprovider: aws\nexpires_at: {written}\n",
    )
    assert folder.load().options.expires_at == NOW + 3600


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("2027-01-15T09:00:00", "no time zone"),
        ("'2027-01-15T09:00:00'", "no time zone"),
        ("2027-01-16", "isn't a moment"),
        ("'2027-01-16'", "isn't a moment"),
        ("tomorrow", "isn't a moment"),
        ("1800003600", "isn't a moment"),
        ("'2027-13-15T09:00:00Z'", "isn't a moment"),
        ("2027-01-15T08:00:00Z", "in the past"),
        ("2020-01-01T00:00:00Z", "in the past"),
        ("0001-01-01T00:00:00+23:00", "in the past"),
        ("9999-12-31T23:59:59-23:59", "more than ten years"),
        ("2037-02-15T00:00:00Z", "more than ten years"),
    ],
)
def test_a_wrong_moment_is_an_error(folder: Folder, written: str, says: str) -> None:
    folder.write(
        "stack.yaml",
        f"spec_version: 1\nspec_type: stack\nname: a\nprovider: aws\nexpires_at: {written}\n",
    )
    problem = folder.problem()
    assert says in problem.message
    assert problem.line == 5
    assert problem.remedy


def test_an_end_beyond_all_calendars_keeps_nobody_from_destroying(folder: Folder) -> None:
    folder.write(
        "stack.yaml",
        "spec_version: 1\nspec_type: stack\nname: a\nprovider: aws\n"
        "expires_at: 9999-12-31T23:59:59-23:59\n",
    )
    ends = folder.load(now=None).options.expires_at
    assert ends == LAST_MOMENT
    assert datetime.fromtimestamp(ends, UTC).isoformat() == "9999-12-31T23:59:59+00:00"


def test_ttl_and_expires_at_together_are_an_error(folder: Folder) -> None:
    folder.write("stack.yaml", stack(ttl="8h", expires_at="2030-01-01T00:00:00Z"))
    problem = folder.problem()
    assert problem.message == "both ttl and expires_at are given"
    assert problem.line == 6


def test_brakes_have_safe_defaults(folder: Folder) -> None:
    folder.write("stack.yaml", stack())
    options = folder.load().options
    assert (options.protect, options.on_failure) == (False, "keep")
    folder.write("stack.yaml", stack(protect=True, on_failure="destroy"))
    options = folder.load().options
    assert (options.protect, options.on_failure) == (True, "destroy")


def test_data_goes_with_the_stack_unless_it_is_retained(folder: Folder) -> None:
    folder.write("stack.yaml", stack())
    assert folder.load().options.data == "delete"
    for word in ("delete", "retain"):
        folder.write("stack.yaml", stack(data=word))
        assert folder.load().options.data == word
    for word in ("snapshot", "none", "keep", True):
        folder.write("stack.yaml", stack(data=word))
        assert folder.problem().line == 5, "nobody makes a snapshot, so none is promised"


@pytest.mark.parametrize("value", ["true", "yes please", 1, 0, []])
def test_protect_takes_nothing_but_a_boolean(folder: Folder, value: object) -> None:
    folder.write("stack.yaml", stack(protect=value))
    assert "protect must be true or false" in folder.problem().message


def test_on_failure_takes_two_words(folder: Folder) -> None:
    folder.write("stack.yaml", stack(on_failure="destory"))
    assert folder.problem().remedy == "did you mean destroy?"


@pytest.mark.parametrize(
    ("value", "location"),
    [
        ("s3://my-bucket", StateLocation(kind="s3", bucket="my-bucket")),
        ("s3://my-bucket/", StateLocation(kind="s3", bucket="my-bucket")),
        ("s3://my-bucket/a/b/", StateLocation(kind="s3", bucket="my-bucket", prefix="a/b")),
        ("gs://my_bucket/a", StateLocation(kind="gcs", bucket="my_bucket", prefix="a")),
        (
            {"url": "s3://my-bucket/a", "region": "us-east-1"},
            StateLocation(kind="s3", bucket="my-bucket", prefix="a", region="us-east-1"),
        ),
        ({"url": "gs://my-bucket"}, StateLocation(kind="gcs", bucket="my-bucket")),
        (None, StateLocation()),
    ],
)
def test_the_place_of_the_state(folder: Folder, value: object, location: StateLocation) -> None:
    folder.write("stack.yaml", stack(state=value))
    assert folder.load().options.state == location


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("my-bucket", "isn't a bucket's URL"),
        ("https://my-bucket/x", "s3://bucket/prefix or gs://bucket/prefix"),
        ("S3://my-bucket", "isn't a bucket's URL"),
        ("s3://", "can't exist"),
        ("s3://My-Bucket/x", "only lowercase"),
        ("gs://google-bucket/x", "google"),
        ("s3://my-bucket/a//b", "single slashes"),
        ("s3://my-bucket/../b", "prefix"),
        ("s3://my-bucket/a b", "prefix"),
        ("s3://my-bucket/a\nb", "prefix"),
        (4, "must be a URL or a mapping, not the number 4"),
        (["s3://my-bucket"], "must be a URL or a mapping"),
        ({"region": "us-east-1"}, "url is missing"),
        ({"url": "s3://my-bucket", "Region": "us-east-1"}, "did you mean region?"),
        ({"url": "s3://my-bucket", "region": "us-esat-1"}, "did you mean us-east-1?"),
        ({"url": "gs://my-bucket", "region": "us-east1"}, "takes no region"),
        ({"url": "s3://my-bucket", "region": 1}, "region must be text"),
    ],
)
def test_a_wrong_place_of_the_state(folder: Folder, value: Any, says: str) -> None:
    folder.write("stack.yaml", stack(state=value))
    assert says in str(folder.problem())


ARN = "arn:aws:eks:eu-north-1:111122223333:cluster/dev"
PROVIDER = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-north-1.amazonaws.com/id/ABC"


def kubeconfig(*contexts: tuple[str, str], current: str = "") -> dict[str, Any]:
    entries = [{"name": n, "context": {"cluster": c, "user": "me"}} for n, c in contexts]
    return {"contexts": entries, "current-context": current}


def cluster_of(folder: Folder, **keys: Any) -> ClusterLocation:
    folder.write("stack.yaml", stack(cluster={"kubeconfig": "kubeconfig", **keys}))
    found = folder.load().options.cluster
    assert found is not None
    return found


def test_a_context_of_an_eks_cluster_tells_what_its_arn_tells(folder: Folder) -> None:
    folder.write("kubeconfig", kubeconfig((ARN, ARN), ("short", ARN), ("k", "k3d"), current=ARN))
    for found in (cluster_of(folder), cluster_of(folder, context="short")):
        assert (found.name, found.arn, found.region) == ("dev", ARN, "eu-north-1")
    assert cluster_of(folder).context == ARN, "the current one, so that it can't change later"
    assert cluster_of(folder, context="short").context == "short"
    assert cluster_of(folder, context="k").arn is None
    assert cluster_of(folder, context="k", arn=ARN).name == "dev"


def test_arns_tell_the_names_in_them(folder: Folder) -> None:
    folder.write("kubeconfig", "{}")
    role = "arn:aws:iam::111122223333:role/eks/node"
    found = cluster_of(folder, oidc_provider_arn=PROVIDER, node_role_arn=role, name="dev")
    assert found.oidc_issuer == "oidc.eks.eu-north-1.amazonaws.com/id/ABC"
    assert found.node_role_name == "node"
    issuer = cluster_of(folder, oidc_issuer="https://oidc.example.com/id/A").oidc_issuer
    assert issuer == "oidc.example.com/id/A"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "a: [", "contexts: 5", "contexts: [5, {name: x}]\ncurrent-context: x", "\0",
     "current-context: [x]", "contexts: [{name: x, context: 5}]\ncurrent-context: x"],
)  # fmt: skip
def test_a_broken_kubeconfig_tells_nothing_and_breaks_nothing(folder: Folder, content: str) -> None:
    folder.write("kubeconfig", content)
    found = cluster_of(folder)
    assert (found.name, found.arn) == (None, None)


def test_what_the_cluster_has_already(folder: Folder) -> None:
    folder.write("kubeconfig", "{}")
    found = cluster_of(
        folder, has={"ingress": {"class_name": "nginx"}, "certificate_manager": None}
    )
    assert found.has == {"ingress": {"class_name": "nginx"}, "certificate_manager": {}}


def test_only_eks_clusters_have_arns(folder: Folder) -> None:
    folder.write("kubeconfig", kubeconfig((ARN, ARN), current=ARN))
    cluster = {"kubeconfig": "kubeconfig", "arn": ARN}
    folder.write("stack.yaml", stack(provider="k3d", cluster=cluster))
    assert "arn is for EKS clusters" in str(folder.problem())


def test_an_existing_cluster_is_found_from_the_stack_files_folder(folder: Folder) -> None:
    kubeconfig = folder.write("kubeconfig", "{}")
    folder.write("stack.yaml", stack(cluster={"kubeconfig": "kubeconfig", "context": "dev"}))
    found = folder.load().options.cluster
    assert found is not None
    assert (found.kubeconfig, found.context) == (kubeconfig, "dev")
    assert folder.load().options.state == StateLocation()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("dev", "must be a mapping, not"),
        ({"context": "dev"}, "kubeconfig is missing"),
        ({"kubeconfig": "nowhere"}, "there is no file"),
        ({"kubeconfig": "stack.yaml", "Context": "dev"}, "did you mean context?"),
        ({"kubeconfig": "stack.yaml", "context": 1}, "context must be text"),
        ({"kubeconfig": "~nobody-of-that-name/config"}, "can't be a path"),
        ({"kubeconfig": "a" * 5000}, "name a kubeconfig file"),
        ({"kubeconfig": "a\0b"}, "name a kubeconfig file"),
        ({"kubeconfig": "."}, "there is no file"),
        ({"kubeconfig": "stack.yaml", "name": "a b"}, "a cluster name has 1 to 100"),
        ({"kubeconfig": "stack.yaml", "arn": "dev"}, "arn:aws:eks:REGION:ACCOUNT:cluster/NAME"),
        ({"kubeconfig": "stack.yaml", "region": "eu-nroth-1"}, "did you mean eu-north-1?"),
        ({"kubeconfig": "stack.yaml", "oidc_provider_arn": 5}, "oidc_provider_arn must be text"),
        ({"kubeconfig": "stack.yaml", "oidc_issuer": "a b"}, "an issuer has the form"),
        ({"kubeconfig": "stack.yaml", "node_role_arn": "node"}, "a role's ARN has the form"),
        ({"kubeconfig": "stack.yaml", "node_role_name": "a/b"}, "a role name has"),
        ({"kubeconfig": "stack.yaml", "arn": ARN, "name": "prod"}, "contradicts arn"),
        ({"kubeconfig": "stack.yaml", "arn": ARN, "region": "us-east-1"}, "contradicts arn"),
        ({"kubeconfig": "stack.yaml", "has": ["ingress"]}, "has must be a mapping, not a list"),
        ({"kubeconfig": "stack.yaml", "has": {"ingress": "nginx"}}, "ingress must be a mapping"),
        ({"kubeconfig": "stack.yaml", "has": {"ingress": {"class_name": 1}}}, "must be text"),
    ],
)
def test_what_is_no_existing_cluster(folder: Folder, value: object, says: str) -> None:
    folder.write("stack.yaml", stack(cluster=value))
    assert says in str(folder.problem())
