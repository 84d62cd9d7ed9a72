"""Whatever a module of ours makes can be taken back after a kill."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlstacks_dagster.settings import data_root
from mlstacks_dagster.sweep.find import FINDERS, REPEATABLE

_RESOURCE = re.compile(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_MODULES = data_root() / "terraform" / "aws"

# Examples from the provider's documentation: registry.terraform.io/providers/hashicorp/aws,
# page of each resource, section Import.
DOCUMENTED_IMPORT_IDS = {
    "aws_cloudwatch_log_group": ["/aws/example/log-group", "yada"],
    "aws_ecr_repository": ["test-service", "team/service"],
    "aws_eip": ["eipalloc-00a10e96"],
    "aws_eks_access_entry": [
        "my_cluster_name:arn:aws:iam::123456789012:role/my-role",
        "my-cluster:arn:aws-us-gov:iam::123456789012:user/me",
    ],
    "aws_eks_addon": ["my_cluster_name:vpc-cni"],
    "aws_eks_cluster": ["my_cluster"],
    "aws_eks_node_group": ["my_cluster:my_node_group"],
    "aws_eks_pod_identity_association": ["my-cluster,a-12345678"],
    "aws_iam_instance_profile": ["app-instance-profile-1"],
    "aws_iam_openid_connect_provider": [
        "arn:aws:iam::123456789012:oidc-provider/accounts.google.com"
    ],
    "aws_iam_policy": ["arn:aws:iam::123456789012:policy/UsersManageOwnCredentials"],
    "aws_iam_role": ["developer_name"],
    "aws_internet_gateway": ["igw-c0a643a9"],
    "aws_launch_template": ["lt-12345678"],
    "aws_nat_gateway": ["nat-05dba92075d71c408"],
    "aws_route": [
        "rtb-656c65616e6f72_10.42.0.0/16",
        "rtb-656c65616e6f72_2620:0:2d0:200::8/125",
        "rtb-656c65616e6f72_pl-0570a1d2d725c16be",
    ],
    "aws_route_table": ["rtb-4e616f6d69"],
    "aws_route_table_association": ["subnet-6777656e646f6c796e/rtb-656c65616e6f72"],
    "aws_s3_bucket": ["bucket-name"],
    "aws_security_group": ["sg-903004f8"],
    "aws_security_group_rule": [
        "sg-6e616f6d69_ingress_tcp_8000_8000_10.0.3.0/24",
        "sg-4973616163_ingress_all_100_121_10.1.0.0/16_2001:db8::/48_10.2.0.0/16",
        "sg-7472697374616e_ingress_tcp_8000_8000_self",
        "sg-7472697374616e_egress_tcp_443_443_sg-6e616f6d69",
        "sg-6973616163_ingress_icmp_-1_-1_10.0.0.0/8",
    ],
    "aws_subnet": ["subnet-9d4a7b6c"],
    "aws_vpc": ["vpc-a01106c2"],
    "aws_vpc_endpoint": ["vpce-3ecf2a57"],
    "aws_vpc_security_group_egress_rule": ["sgr-02108b27edd666983"],
    "aws_vpc_security_group_ingress_rule": ["sgr-02108b27edd666983"],
}


def resources() -> list[tuple[Path, str, str, str]]:
    """Return file, type, label and body of each resource block of the AWS modules."""
    return [
        (path, *match.groups())
        for path in sorted(_MODULES.glob("*/*.tf"))
        for match in _RESOURCE.finditer(path.read_text())
    ]


def used_types() -> list[str]:
    return sorted({kind for _, kind, _, _ in resources()})


def test_the_modules_are_found() -> None:
    assert {"aws_vpc", "aws_s3_bucket", "aws_iam_role"} <= set(used_types())


@pytest.mark.parametrize("kind", used_types())
def test_each_resource_type_has_a_finder_or_a_reason_why_it_needs_none(kind: str) -> None:
    assert (kind in FINDERS) != (kind in REPEATABLE), (
        f"{kind}: write a finder in sweep/, or give the reason in sweep/repeatable.py"
    )


@pytest.mark.parametrize("kind", sorted(FINDERS))
def test_documented_import_ids_have_the_form_that_the_finder_promises(kind: str) -> None:
    for example in DOCUMENTED_IMPORT_IDS[kind]:
        assert re.fullmatch(FINDERS[kind].import_format, example)


def test_every_reason_says_something() -> None:
    assert all(len(reason) > 10 for reason in REPEATABLE.values())


@pytest.mark.parametrize(
    ("path", "kind", "label", "body"),
    [row for row in resources() if row[1] in FINDERS and not row[0].name.endswith("_override.tf")],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else "",
)
def test_what_is_found_by_name_is_named_in_the_module(
    path: Path, kind: str, label: str, body: str
) -> None:
    """Generated names can't be looked for; things without a name of their own need a Name tag."""
    where = f"{path.name}: {kind}.{label}"
    assert not re.search(r"^\s*\w*name_prefix\s*=|^\s*bucket_prefix\s*=", body, re.MULTILINE), where
    if FINDERS[kind].find is FINDERS["aws_vpc"].find:
        assert re.search(r"^\s*Name\s*=", body, re.MULTILINE), f"{where} has no Name tag"
