"""A call that fails is an error that says what to do; it is never taken for "absent"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import CommandError, MlstacksError, TransientCommandError
from mlstacks_dagster.sweep.aws_session import aws_client
from mlstacks_dagster.sweep.find import (
    FINDERS,
    FindContext,
    FindResult,
    Wanted,
    find_existing,
    verdict,
)
from tests.unit.sweep.fake_aws import Answer, FakeAws, Request, error_answer, json_answer

AFTER: dict[str, dict[str, Any]] = {
    "aws_cloudwatch_log_group": {"name": "/aws/eks/c/cluster"},
    "aws_ecr_repository": {"name": "repository"},
    "aws_eip": {"tags": {"Name": "n"}},
    "aws_eks_access_entry": {"cluster_name": "c", "principal_arn": "arn:aws:iam::1:role/r"},
    "aws_eks_addon": {"cluster_name": "c", "addon_name": "vpc-cni"},
    "aws_eks_cluster": {"name": "c"},
    "aws_eks_node_group": {"cluster_name": "c", "node_group_name": "n"},
    "aws_eks_pod_identity_association": {
        "cluster_name": "c",
        "namespace": "n",
        "service_account": "s",
    },
    "aws_iam_instance_profile": {"name": "p"},
    "aws_iam_openid_connect_provider": {"url": "https://oidc.example.com/id/A"},
    "aws_iam_policy": {"name": "p"},
    "aws_iam_role": {"name": "r"},
    "aws_internet_gateway": {"tags": {"Name": "n"}},
    "aws_launch_template": {"name": "template"},
    "aws_nat_gateway": {"tags": {"Name": "n"}, "subnet_id": "subnet-1"},
    "aws_route": {"route_table_id": "rtb-1", "destination_cidr_block": "0.0.0.0/0"},
    "aws_route_table": {"tags": {"Name": "n"}, "vpc_id": "vpc-1"},
    "aws_route_table_association": {"subnet_id": "subnet-1", "route_table_id": "rtb-1"},
    "aws_s3_bucket": {"bucket": "some-bucket"},
    "aws_security_group": {"tags": {"Name": "n"}, "vpc_id": "vpc-1"},
    "aws_security_group_rule": {
        "security_group_id": "sg-1",
        "type": "ingress",
        "protocol": "tcp",
        "from_port": 1,
        "to_port": 2,
        "cidr_blocks": ["10.0.0.0/8"],
    },
    "aws_subnet": {"tags": {"Name": "n"}, "vpc_id": "vpc-1"},
    "aws_vpc": {"tags": {"Name": "n"}},
    "aws_vpc_endpoint": {"tags": {"Name": "n"}, "vpc_id": "vpc-1"},
    "aws_vpc_security_group_egress_rule": {
        "security_group_id": "sg-1",
        "ip_protocol": "-1",
        "cidr_ipv4": "10.0.0.0/8",
    },
    "aws_vpc_security_group_ingress_rule": {
        "security_group_id": "sg-1",
        "ip_protocol": "-1",
        "cidr_ipv4": "10.0.0.0/8",
    },
}


class Shaky:
    """An AWS whose next answers a test sets, and finders that ask it."""

    def __init__(self, server: FakeAws) -> None:
        self.server = server
        self._clients: dict[str, Any] = {}

    def client(self, service: str, region: str, wiring: Wiring, env: Mapping[str, str]) -> Any:
        if service not in self._clients:
            self._clients[service] = aws_client(service, region, wiring, env)
        return self._clients[service]

    def look(self, kind: str, answer: Callable[[Request], Answer]) -> FindResult:
        self.server.answer = answer
        self.server.requests.clear()
        ctx = FindContext(
            "us-east-1",
            self.server.wiring(),
            {},
            "inst1",
            "s1",
            "cluster",
            client_factory=self.client,
        )
        return find_existing([Wanted(f"{kind}.x", kind, AFTER[kind])], ctx)


@pytest.fixture(scope="module")
def shaky() -> Iterator[Shaky]:
    with FakeAws(lambda r: error_answer(r, "NotSet", 500)) as server:
        yield Shaky(server)


def failing(code: str, status: int) -> Callable[[Request], Answer]:
    return lambda request: error_answer(request, code, status)


@pytest.mark.parametrize("kind", sorted(FINDERS))
def test_a_denied_call_is_an_error_that_names_the_permission(kind: str, shaky: Shaky) -> None:
    with pytest.raises(MlstacksError) as caught:
        shaky.look(kind, failing("AccessDenied", 403))
    assert shaky.server.requests
    assert not isinstance(caught.value, CommandError)
    assert "allow " in caught.value.remedy


@pytest.mark.parametrize("kind", sorted(FINDERS))
def test_a_throttled_call_is_a_transient_error(kind: str, shaky: Shaky) -> None:
    with pytest.raises(TransientCommandError):
        shaky.look(kind, failing("RequestLimitExceeded", 503))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("aws_vpc", "RequestLimitExceeded"),
        ("aws_iam_role", "Throttling"),
        ("aws_eks_cluster", "TooManyRequestsException"),
        ("aws_cloudwatch_log_group", "ThrottlingException"),
    ],
)
def test_throttling_is_known_by_its_code_where_the_status_does_not_say(
    kind: str, code: str, shaky: Shaky
) -> None:
    with pytest.raises(TransientCommandError):
        shaky.look(kind, failing(code, 400))


@pytest.mark.parametrize("kind", sorted(FINDERS))
def test_an_answer_that_makes_no_sense_is_an_error(kind: str, shaky: Shaky) -> None:
    page = (500, "<html><body>Internal Server Error</body></html>", {"content-type": "text/html"})
    with pytest.raises(MlstacksError):
        shaky.look(kind, lambda _: page)


def test_a_server_that_is_not_there_is_a_transient_error() -> None:
    with FakeAws(failing("x", 500)) as gone:
        pass
    with pytest.raises(TransientCommandError, match="could not be asked"):
        Shaky(gone).look("aws_iam_role", gone.answer)


def test_a_failure_on_the_second_page_is_an_error_not_a_shorter_list(shaky: Shaky) -> None:
    def answer(request: Request) -> Answer:
        if "NextToken" in request.body:
            return error_answer(request, "UnauthorizedOperation", 403)
        body = "<DescribeVpcsResponse><vpcSet/><nextToken>more</nextToken></DescribeVpcsResponse>"
        return 200, body, {"content-type": "text/xml"}

    with pytest.raises(MlstacksError, match="UnauthorizedOperation"):
        shaky.look("aws_vpc", answer)
    assert len(shaky.server.requests) == 2


def test_tags_that_may_not_be_read_are_an_error_not_an_untagged_bucket(shaky: Shaky) -> None:
    def answer(request: Request) -> Answer:
        if "tagging" in request.path:
            return error_answer(request, "AccessDenied", 403)
        return 200, "", {}

    with pytest.raises(MlstacksError, match="GetBucketTagging"):
        shaky.look("aws_s3_bucket", answer)


def test_a_bucket_of_another_account_is_an_error_since_nobody_may_look(shaky: Shaky) -> None:
    with pytest.raises(MlstacksError, match="403"):
        shaky.look("aws_s3_bucket", lambda _: (403, "", {}))


MARKS = {"mlstacks-install": "inst1", "mlstacks-stack": "s1", "mlstacks-component": "cluster"}
EKS = [
    (
        "aws_eks_addon",
        {"/clusters/c/addons/vpc-cni": {"addon": {"addonArn": "arn:x", "status": "ACTIVE"}}},
        "addon",
        "c:vpc-cni",
    ),
    (
        "aws_eks_access_entry",
        {
            "/clusters/c/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr": {
                "accessEntry": {"accessEntryArn": "arn:x"}
            }
        },
        "accessEntry",
        "c:arn:aws:iam::1:role/r",
    ),
    (
        "aws_eks_pod_identity_association",
        {
            "/clusters/c/pod-identity-associations?namespace=n&serviceAccount=s": {
                "associations": [{"associationId": "a-1"}]
            },
            "/clusters/c/pod-identity-associations/a-1": {"association": {"associationArn": "x"}},
        },
        "association",
        "c,a-1",
    ),
]


@pytest.mark.parametrize(("kind", "answers", "key", "import_id"), EKS)
@pytest.mark.parametrize("tags", [MARKS, {}, {**MARKS, "mlstacks-stack": "s2"}])
def test_parts_of_a_cluster_that_moto_lacks_are_found_and_judged_by_their_tags(
    kind: str,
    answers: dict[str, Any],
    key: str,
    import_id: str,
    tags: dict[str, str],
    shaky: Shaky,
) -> None:
    def answer(request: Request) -> Answer:
        body = dict(answers[request.path])
        if key in body:
            body[key] = {**body[key], "tags": tags}
        return json_answer(body)

    want, found = shaky.look(kind, answer).found[0]
    assert found.import_id == import_id
    expected = "ours" if tags == MARKS else "foreign"
    assert verdict(found, want, MARKS, absent_before=False, began_at=None) == expected


@pytest.mark.parametrize("kind", [row[0] for row in EKS])
def test_parts_of_a_cluster_that_do_not_exist_are_absent(kind: str, shaky: Shaky) -> None:
    result = shaky.look(kind, failing("ResourceNotFoundException", 404))
    assert result.absent == (f"{kind}.x",)


def test_samples_cover_every_finder() -> None:
    assert set(AFTER) == set(FINDERS)
