"""Whose account it is, and that each call goes to the region that it is meant for."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws.connect import SharedClients, connect
from mlstacks_dagster.sweep.aws_session import AwsSession, Client
from tests.unit.sweep.aws.conftest import ACCOUNT, Emulator
from tests.unit.sweep.fake_aws import Answer, FakeAws, Request, error_answer

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAUNIT", "AWS_SECRET_ACCESS_KEY": "secret"}
XML = {"content-type": "text/xml"}


def account(request: Request) -> Answer:
    """Answer as an account with an alias and two regions; everything else fails."""
    if "GetCallerIdentity" in request.body:
        inner = f"<GetCallerIdentityResult><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
        return 200, f"<GetCallerIdentityResponse>{inner}</GetCallerIdentityResponse>", XML
    if "ListAccountAliases" in request.body:
        inner = (
            "<AccountAliases><member>team</member></AccountAliases><IsTruncated>false</IsTruncated>"
        )
        result = f"<ListAccountAliasesResult>{inner}</ListAccountAliasesResult>"
        return 200, f"<ListAccountAliasesResponse>{result}</ListAccountAliasesResponse>", XML
    if "DescribeRegions" in request.body:
        names = ("eu-west-1", "ap-south-1")
        inner = "".join(f"<item><regionName>{name}</regionName></item>" for name in names)
        body = (
            f"<DescribeRegionsResponse><regionInfo>{inner}</regionInfo></DescribeRegionsResponse>"
        )
        return 200, body, XML
    return 500, "<!doctype html><h1>Internal Server Error</h1>", {"content-type": "text/html"}


class NotSentError(Exception):
    """Instead of an answer."""


class Offline(AwsSession):
    """Real clients whose requests are noted instead of sent."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring, KEYS, max_attempts=1)
        self.sent: list[tuple[str, str]] = []

    def client(self, service: str, region: str) -> Client:
        client = super().client(service, region)
        client.meta.events.register_last("before-send", self._note)
        return client

    def _note(self, request: Any, **_: Any) -> None:
        signature = request.headers["Authorization"]
        text = signature.decode() if isinstance(signature, bytes) else signature
        self.sent.append((request.url, text.split("/")[2]))
        raise NotSentError


def test_account_alias_and_regions_are_found() -> None:
    with FakeAws(account) as aws:
        scope = connect(aws.wiring(), {}, home_region="eu-west-1").scope
    assert (scope.provider, scope.account, scope.alias) == ("aws", ACCOUNT, "team")
    assert scope.regions == ("ap-south-1", "eu-west-1")


def test_an_alias_that_may_not_be_read_is_none() -> None:
    def answer(request: Request) -> Answer:
        denied = "ListAccountAliases" in request.body
        return error_answer(request, "AccessDenied", 403) if denied else account(request)

    with FakeAws(answer) as aws:
        cloud = connect(aws.wiring(), {}, home_region="eu-west-1", regions=["eu-west-1"])
    assert (cloud.scope.alias, cloud.scope.regions) == ("", ("eu-west-1",))


def test_credentials_that_are_refused_are_a_clear_error() -> None:
    inner = "<Error><Code>InvalidClientTokenId</Code><Message>no</Message></Error>"
    body = f"<ErrorResponse>{inner}</ErrorResponse>"
    with (
        FakeAws(lambda _request: (403, body, XML)) as aws,
        pytest.raises(MlstacksError, match="whose credentials"),
    ):
        connect(aws.wiring(), {}, home_region="eu-west-1")


def test_an_answer_that_cannot_be_understood_is_a_failure() -> None:
    with FakeAws(account) as aws:
        wiring = aws.wiring()
        cloud = connect(
            wiring, {}, home_region="eu-west-1", regions=["eu-west-1"], sleep=lambda _s: None
        )
        snapshot = cloud.snapshot(["ec2:volume", "iam:role"])
    assert [row.status for row in snapshot.coverage] == ["failed", "failed"]


def test_no_real_credential_reaches_an_emulator() -> None:
    with FakeAws(account) as aws:
        connect(aws.wiring(), KEYS, home_region="eu-west-1")
        assert {request.key for request in aws.requests} == {"sandbox"}


@pytest.mark.parametrize(
    ("service", "operation", "host"),
    [
        ("ec2", "describe_vpcs", "ec2.{}.amazonaws.com"),
        ("eks", "list_clusters", "eks.{}.amazonaws.com"),
        ("elb", "describe_load_balancers", "elasticloadbalancing.{}.amazonaws.com"),
        ("s3", "list_buckets", "s3.{}.amazonaws.com"),
        ("sagemaker", "list_domains", "api.sagemaker.{}.amazonaws.com"),
        ("resourcegroupstaggingapi", "get_resources", "tagging.{}.amazonaws.com"),
    ],
)
def test_one_client_serves_all_regions(service: str, operation: str, host: str) -> None:
    session = Offline(CLOUD)
    clients = SharedClients(session, "eu-west-1")
    regions = ["us-west-2", "eu-west-1", "ap-south-1", "us-west-2"]
    for region in regions:
        with pytest.raises(NotSentError):
            getattr(clients(service, region), operation)()
    assert [signed for _, signed in session.sent] == regions
    for (url, _), region in zip(session.sent, regions, strict=True):
        assert url.startswith(f"https://{host.format(region)}/")


def test_a_service_that_is_asked_often_has_a_client_for_few_regions() -> None:
    """One that keeps a connection to each; others would take longer to make than they save."""
    clients = SharedClients(Offline(CLOUD), "eu-west-1")
    regions = [f"eu-fake-{number}" for number in range(17)]

    def behind(service: str) -> list[int]:
        return [id(clients(service, region)._shared.client) for region in regions]

    assert [behind("eks").count(client) for client in dict.fromkeys(behind("eks"))] == [17]
    assert [behind("ec2").count(client) for client in dict.fromkeys(behind("ec2"))] == [8, 8, 1]


def test_what_is_global_goes_to_its_own_endpoint() -> None:
    session = Offline(CLOUD)
    with pytest.raises(NotSentError):
        SharedClients(session, "eu-west-1")("iam", "eu-west-1").list_account_aliases()
    assert session.sent == [("https://iam.amazonaws.com/", "us-east-1")]


def test_threads_do_not_mix_up_their_regions() -> None:
    session = Offline(CLOUD)
    clients = SharedClients(session, "eu-west-1")
    regions = [f"eu-fake-{1 + number % 17}" for number in range(170)]

    def ask(region: str) -> None:
        with pytest.raises(NotSentError):
            clients("eks", region).list_clusters()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, regions))
    assert sorted(signed for _, signed in session.sent) == sorted(regions)
    assert all(f".{signed}." in url for url, signed in session.sent)


def test_a_call_without_a_region_is_not_sent() -> None:
    """As one that bypasses what names the region."""
    session = Offline(CLOUD)
    shared = SharedClients(session, "eu-west-1")("eks", "us-west-2")._shared.client
    with pytest.raises(MlstacksError, match="no region"):
        shared.list_clusters()
    assert session.sent == []


def test_the_emulated_account_is_its_own(emulator: Emulator) -> None:
    cloud = connect(emulator.wiring, {}, home_region=emulator.region)
    assert cloud.scope.account == ACCOUNT
    assert emulator.region in cloud.scope.regions


def test_importing_the_room_loads_no_cloud_sdk() -> None:
    code = (
        "import sys, mlstacks_dagster.sweep.aws.connect;"
        "print([m for m in sys.modules if m.split('.')[0] in ('boto3', 'botocore')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
