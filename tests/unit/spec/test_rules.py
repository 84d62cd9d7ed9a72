"""Names and values that the clouds refuse, regions, and the nearest known name."""

from __future__ import annotations

import ipaddress
import re
import string

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.spec.matrix import MATRIX
from mlstacks_dagster.spec.regions import AWS_REGIONS, GCP_REGIONS, unknown_region
from mlstacks_dagster.spec.rules import RULES, split_password
from mlstacks_dagster.spec.suggest import did_you_mean, nearest

GOOD_AND_BAD: dict[str, tuple[list[object], list[object]]] = {
    "s3_bucket_name": (
        ["abc", "a.b", "1-2", "quickstart-s3-bucket", "a" * 63, "1.2.3", "a--b", "1.2.3.4.5"],
        [
            "ab", "a" * 64, "Abc", "a_b", "a b", "-ab", "ab-", ".ab", "ab.", "a..b", "1.2.3.4",
            "192.168.5.4", "xn--abc", "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias",
            "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3", "äbc", "abc\n", "", 5, None,
        ],
    ),
    "gcs_bucket_name": (
        ["abc", "a_b", "my-bucket", "example.com", "a" * 63],
        ["ab", "a" * 64, "Abc", "-ab", "goog-x", "my-google", "1.2.3.4", "a..b", "abc\n", 5],
    ),
    "ecr_repository_name": (
        ["ab", "a/b", "team-a/app_1.x", "a__b", "a--b", "a" * 256, "1a"],
        ["a", "A1", "a/", "/a", "a//b", "a-", "a..b", "a___b", "a b", "a" * 257, "ab\n", "", 5],
    ),
    "cidr": (
        ["10.0.0.0/16", "172.16.0.0/20", "192.168.2.0/23", "100.64.0.0/16"],
        [
            "10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/24", "10.0.0.1/16", "10.0.0.0", "10.0.0/16",
            "10.0.0.0/255.255.0.0", "fd00::/64", "127.0.0.0/16", "224.0.0.0/16", "0.0.0.0/16",
            "169.254.0.0/16", "10.0.0.0/16\n", "256.0.0.0/16", "", 5, None, ["10.0.0.0/16"],
        ],
    ),
    "access_cidrs": (
        [
            ["0.0.0.0/0"], ["203.0.113.0/24", "198.51.100.7/32"], "203.0.113.0/24",
            [f"1.2.{i}.0/24" for i in range(40)], ["172.32.0.0/16"],
        ],
        [
            [], ["203.0.113.1/24"], ["x"], [5], "", None, {"a": "b"}, ["203.0.113.0/24", "no"],
            [f"1.2.{i}.0/24" for i in range(41)], ["203.0.113.0/24", "10.1.0.0/16"],
            "192.168.0.0/24", ["172.16.0.0/12"], ["169.254.1.0/24"],
        ],
    ),
    "eks_version": (
        ["1.31", "1.34", "1.50"],
        [
            "1.15", "1.30", "1.51", "1.99", "1.3", "1", "v1.33", "1.33.1", "2.10", "1.033",
            "1.33\n", "latest", "", 1.33, 1, None,
        ],
    ),
    "eks_cluster_name": (
        ["a", "A-1_b", "1a", "a" * 100],
        ["", "-a", "_a", "a.b", "a b", "a" * 101, "ä", "a\n", 5],
    ),
    "kubernetes_name": (
        ["a", "a-b", "1a", "a" * 63],
        ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "a\n", 5],
    ),
    "iam_role_name": (
        ["a", "A_+=,.@-1", "a" * 64],
        ["", "a b", "a/b", "a" * 65, "ä", "a\n", 5],
    ),
    "eks_cluster_arn": (
        [
            "arn:aws:eks:eu-north-1:111122223333:cluster/dev",
            "arn:aws-us-gov:eks:us-gov-west-1:111122223333:cluster/A_1-b",
        ],
        [
            "", "dev", "arn:aws:eks:eu-north-1:111122223333:cluster/", 5,
            "arn:aws:eks:eu-north-1:1111:cluster/dev", "arn:aws:ec2:eu-north-1:111122223333:vpc/a",
            "arn:aws:eks:eu-north-1:111122223333:cluster/dev\n",
        ],
    ),
    "oidc_provider_arn": (
        ["arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-north-1.amazonaws.com/id/ABC123"],
        [
            "", "oidc.eks.eu-north-1.amazonaws.com/id/ABC", "arn:aws:iam::1:oidc-provider/a", 5,
            "arn:aws:iam::111122223333:role/a", "arn:aws:iam::111122223333:oidc-provider/a b",
            "arn:aws:iam::111122223333:oidc-provider/https://a",
        ],
    ),
    "oidc_issuer": (
        ["oidc.eks.eu-north-1.amazonaws.com/id/ABC", "https://oidc.example.com"],
        ["", "http://oidc.example.com", "a b", "a//b", "a/", "a\n", 5],
    ),
    "iam_role_arn": (
        ["arn:aws:iam::111122223333:role/node", "arn:aws:iam::111122223333:role/a/b/node"],
        ["", "node", "arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:user/a", 5],
    ),
    "mysql_url": (
        [
            "mysql://zenml@db:3306/zenml", "mysql://u@db.example.com/zenml",
            "mysql://u@10.0.0.1/zen_ml?ssl=true&ssl_verify_server_cert=true",
        ],
        [
            "", "mysql://db/zenml", "mysql://u@db", "mysql://u@db/", "mysql://u@db/zen-ml",
            "postgresql://u@db/zenml", "sqlite:////a/b.db", "mysql+pymysql://u@db/zenml",
            "mysql://u:p@db/zenml", "mysql://u@db:port/zenml", "mysql://u@db/zenml?timeout=3",
            "mysql://u@db/zenml\n", 5,
        ],
    ),
    "gcp_project_id": (
        ["my-project", "abcdef", "a" * 30, "example.com:my-project"],
        ["short", "a" * 31, "1abcde", "abcde-", "My-project", "my_project", "my-project\n", 5],
    ),
}  # fmt: skip


def test_every_rule_has_its_cases() -> None:
    assert set(GOOD_AND_BAD) == set(RULES)


@pytest.mark.parametrize("name", sorted(GOOD_AND_BAD))
def test_a_rule_takes_the_good_and_names_what_is_wrong_with_the_bad(name: str) -> None:
    good, bad = GOOD_AND_BAD[name]
    assert [v for v in good if RULES[name].check(v) is not None] == []
    assert [v for v in bad if not RULES[name](v)] == []


@pytest.mark.parametrize("name", sorted(RULES))
@given(
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=300)
    | st.lists(st.text(max_size=20), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
)
def test_a_rule_never_crashes(name: str, value: object) -> None:
    words = RULES[name](value)
    assert words is None or len(words) > 10


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("mysql://u:p@h/d", ("mysql://u@h/d", "p")),
        ("mysql://u:p%40%2Fs@h:1/d?a=b", ("mysql://u@h:1/d?a=b", "p@/s")),
        ("mysql://u:a:b/c@h/d", ("mysql://u@h/d", "a:b/c")),
        ("mysql://u:p@ss@h/d", None),
        ("mysql://u:@h/d", None),
        ("mysql://u@h/d", None),
        ("mysql://h/d", None),
        ("u:p@h/d", None),
        ("mysql://u:p p@h/d", None),
        ("mysql://u:p@h/d\n", None),
        (5, None),
    ],
)
def test_a_password_is_taken_out_of_a_url_whole_or_not_at_all(
    url: object, parts: tuple[str, str] | None
) -> None:
    assert split_password(url) == parts


_LABEL = string.ascii_lowercase + string.digits


@given(st.text(alphabet=_LABEL + ".-", max_size=70))
def test_s3_names_agree_with_the_pattern_of_the_provider_and_the_listed_exceptions(
    name: str,
) -> None:
    """An oracle written another way: one look-ahead pattern, then the standard library."""
    fine = re.fullmatch(r"(?!.*\.\.)(?=.{3,63}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])", name) is not None
    looks_like_ip = bool(name) and all(p.isdigit() and len(p) <= 3 for p in name.split("."))
    fine = fine and not (looks_like_ip and name.count(".") == 3)
    prefixed = re.match(r"xn--|sthree-|amzn-s3-demo-", name)
    suffixed = re.search(r"(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)\Z", name)
    assert (RULES["s3_bucket_name"](name) is None) == (fine and not prefixed and not suffixed)


@given(st.ip_addresses(v=4))
def test_an_ip_address_is_no_bucket(address: ipaddress.IPv4Address) -> None:
    assert RULES["s3_bucket_name"](str(address)) is not None


@given(st.ip_addresses(v=4, network="10.0.0.0/8"), st.integers(0, 32))
def test_a_private_network_is_fine_when_its_size_is(
    address: ipaddress.IPv4Address, bits: int
) -> None:
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    assert (RULES["cidr"](str(network)) is None) == (16 <= bits <= 23)


@pytest.mark.parametrize(
    ("rule", "service", "shape"),
    [("ecr_repository_name", "ecr", "RepositoryName"), ("eks_cluster_name", "eks", "ClusterName")],
)
def test_a_rule_agrees_with_the_pattern_that_aws_publishes(
    rule: str, service: str, shape: str
) -> None:
    model = botocore.session.get_session().get_service_model(service).shape_for(shape)
    pattern = re.compile(model.metadata["pattern"])
    shortest, longest = model.metadata["min"], model.metadata["max"]

    pieces = st.sampled_from(["a", "0", "Z", "-", "--", "_", "__", ".", "/", "b1"])

    @given(st.lists(pieces, max_size=8) | st.integers(50, 300).map(lambda n: ["a"] * n))
    def agree(parts: list[str]) -> None:
        name = "".join(parts)
        fine = shortest <= len(name) <= longest and pattern.fullmatch(name) is not None
        assert (RULES[rule](name) is None) == fine, name

    agree()


def test_the_aws_regions_are_those_of_botocore() -> None:
    """Fails when AWS opened a region: add it to spec/regions.py."""
    session = botocore.session.get_session()
    for partition in ("aws", "aws-cn", "aws-us-gov", "aws-eusc"):
        for service in ("eks", "ec2"):
            known = session.get_available_regions(service, partition_name=partition)
            assert [r for r in known if r not in AWS_REGIONS] == [], (partition, service)
    everywhere = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("eks", partition_name=partition)
    }
    assert set(AWS_REGIONS) <= everywhere


def test_region_lists_are_sorted_and_shaped_like_regions() -> None:
    for regions, shape in (
        (AWS_REGIONS, r"[a-z]{2,4}(-gov|-de)?-[a-z]+-\d"),
        (GCP_REGIONS, r"[a-z]+-[a-z]+\d{1,2}"),
    ):
        assert list(regions) == sorted(set(regions))
        assert [r for r in regions if not re.fullmatch(shape, r)] == []
    assert len(GCP_REGIONS) > 40


def test_a_known_region_has_no_remedy_and_k3d_takes_any() -> None:
    assert [r for r in AWS_REGIONS if unknown_region("aws", r)] == []
    assert [r for r in GCP_REGIONS if unknown_region("gcp", r)] == []
    assert unknown_region("k3d", "anywhere") is None
    assert unknown_region("aws", "x", extra=["x"]) is None


@given(st.text(max_size=300))
def test_any_word_is_a_region_or_gets_a_remedy(word: str) -> None:
    remedy = unknown_region("aws", word)
    assert (remedy is None) == (word in AWS_REGIONS)


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("bucket-name", ["bucket_name", "region"], "bucket_name"),
        ("BUCKET_NAME", ["bucket_name", "bucket"], "bucket_name"),
        ("bukcet_name", ["bucket_name", "region"], "bucket_name"),
        ("us-esat-1", ["us-west-1", "us-east-1"], "us-east-1"),
        ("abc", ["cab", "abc"], "abc"),
        ("zzz", ["bucket_name", "region"], None),
        ("x" * 10_000, ["x"], None),
        (5, ["5a", "b"], "5a"),
        ("a", [], None),
    ],
)
def test_the_nearest_name(word: object, known: list[str], expected: str | None) -> None:
    assert nearest(word, known) == expected


def test_a_remedy_names_the_nearest_or_all() -> None:
    assert did_you_mean("regoin", ["region", "tags"]) == "did you mean region?"
    assert did_you_mean("zzz", ["tags", "region"]) == "known: region, tags"
    assert did_you_mean("zzz", []) == ""


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=6))
def test_the_nearest_name_is_always_a_known_one(word: str, known: list[str]) -> None:
    found = nearest(word, known)
    assert found is None or found in known
    if word in known:
        assert found is not None


def test_the_matrix_names_only_lowercase_words() -> None:
    assert [t for t in MATRIX if not all(re.fullmatch("[a-z0-9_]+", w) for w in t)] == []
