"""Who may use an EKS cluster: bearer tokens that are presigned calls of AWS STS.

The token is the URL of a GetCallerIdentity call, signed together with the cluster's name in the
header ``x-k8s-aws-id``. The real API server lets STS check the signature; here it is computed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from .errors import unauthorized

__all__ = ["TOKEN_LIFE", "TOKEN_PREFIX", "check_eks_token"]

TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105 - names the format
TOKEN_LIFE = timedelta(minutes=15)

_CLUSTER_HEADER = "x-k8s-aws-id"
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()


def check_eks_token(
    authorization: str, cluster: str, secrets: Mapping[str, str], now: datetime
) -> str:
    """Return the access key id that signed the bearer token in an ``Authorization`` header.

    ``secrets`` are the secret keys by access key id. Raises :class:`ApiError` (401) when the
    token isn't one, is for another cluster, signed by somebody else, or older than
    :data:`TOKEN_LIFE`.
    """
    word, _, token = authorization.partition(" ")
    if word != "Bearer" or not token.startswith(TOKEN_PREFIX):
        raise unauthorized()
    url = _decode(token.removeprefix(TOKEN_PREFIX))
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    access_key, _, scope = query.get("X-Amz-Credential", "").partition("/")
    signed = query.get("X-Amz-SignedHeaders", "").split(";")
    if (
        query.get("Action") != "GetCallerIdentity"
        or access_key not in secrets
        or _CLUSTER_HEADER not in signed
    ):
        raise unauthorized()
    made = _made_at(query.get("X-Amz-Date", ""))
    if not made - TOKEN_LIFE <= now <= made + TOKEN_LIFE:
        raise unauthorized()
    headers = {"host": url.netloc, _CLUSTER_HEADER: cluster}
    wanted = _signature(
        url, query, {name: headers.get(name, "") for name in signed}, scope, secrets
    )
    if not hmac.compare_digest(wanted, query.get("X-Amz-Signature", "")):
        raise unauthorized()
    return access_key


def _decode(text: str) -> SplitResult:
    try:
        padded = text + "=" * (-len(text) % 4)
        return urlsplit(base64.urlsafe_b64decode(padded).decode())
    except (binascii.Error, ValueError) as error:
        raise unauthorized() from error


def _made_at(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise unauthorized() from error


def _signature(
    url: SplitResult,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    scope: str,
    secrets: Mapping[str, str],
) -> str:
    """Return the signature (AWS version 4) that the URL must have."""
    listed = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(query.items())
        if name != "X-Amz-Signature"
    )
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    request = "\n".join(
        ["GET", url.path or "/", listed, lines, ";".join(sorted(headers)), _EMPTY_HASH]
    )
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, hashed])
    secret = secrets[query["X-Amz-Credential"].partition("/")[0]]
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
