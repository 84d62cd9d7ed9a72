"""Bearer tokens of EKS: who signed, for which cluster, and when."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mlstacks_dagster.engines.kube_token import eks_token
from mlstacks_dagster.sandbox.kube.auth import TOKEN_LIFE, TOKEN_PREFIX, check_eks_token
from mlstacks_dagster.sandbox.kube.errors import ApiError

SECRETS = {"known": "secret"}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "known",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4000",
}
NOW = datetime.now(UTC)


def _ours(cluster: str = "ml-1", **environment: str) -> str:
    return eks_token(cluster, "eu-north-1", {**ENVIRONMENT, **environment}, NOW)[0]


def _botocores(
    cluster: str = "ml-1", secret: str = "secret", action: str = "GetCallerIdentity"
) -> str:
    """Sign with the SDK, which our own token command doesn't use."""
    request = AWSRequest(
        method="GET",
        url=f"https://sts.eu-north-1.amazonaws.com/?Action={action}&Version=2011-06-15",
        headers={"x-k8s-aws-id": cluster},
    )
    SigV4QueryAuth(Credentials("known", secret), "sts", "eu-north-1", expires=60).add_auth(request)
    return TOKEN_PREFIX + base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")


@pytest.mark.parametrize("token", [_ours(), _botocores()])
def test_a_signed_token_is_taken(token: str) -> None:
    assert check_eks_token(f"Bearer {token}", "ml-1", SECRETS, NOW) == "known"


def _without(part: str) -> str:
    url = base64.urlsafe_b64decode(_botocores().removeprefix(TOKEN_PREFIX) + "==").decode()
    changed = "&".join(p for p in url.split("&") if not p.startswith(part))
    return TOKEN_PREFIX + base64.urlsafe_b64encode(changed.encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        TOKEN_PREFIX + "###",
        TOKEN_PREFIX,
        _ours("other-cluster"),
        _ours(AWS_ACCESS_KEY_ID="unknown"),
        _ours(AWS_SECRET_ACCESS_KEY="wrong"),
        _botocores("other-cluster"),
        _botocores(secret="wrong"),
        _botocores(action="GetSessionToken"),
        _without("X-Amz-Date"),
        _without("X-Amz-Signature"),
        _without("X-Amz-Credential"),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_eks_token(f"Bearer {token}", "ml-1", SECRETS, NOW)
    assert (caught.value.code, caught.value.reason) == (401, "Unauthorized")


def test_a_token_needs_the_word_bearer() -> None:
    with pytest.raises(ApiError):
        check_eks_token(f"Basic {_ours()}", "ml-1", SECRETS, NOW)


@pytest.mark.parametrize(
    ("age", "taken"),
    [
        (TOKEN_LIFE - timedelta(seconds=2), True),
        (TOKEN_LIFE + timedelta(seconds=2), False),
        (-TOKEN_LIFE - timedelta(seconds=2), False),
    ],
)
def test_a_token_lives_for_a_quarter_of_an_hour(age: timedelta, taken: bool) -> None:
    token = f"Bearer {_ours()}"
    if taken:
        assert check_eks_token(token, "ml-1", SECRETS, NOW + age)
    else:
        with pytest.raises(ApiError):
            check_eks_token(token, "ml-1", SECRETS, NOW + age)
