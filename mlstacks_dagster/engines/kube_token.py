"""Tokens for cluster APIs: EKS by a presigned STS request, GKE by google-auth.

Helm starts this module as a credential plugin at each call, so it must answer at once: nothing
heavy is imported at the top, and the signature needs no SDK (botocore takes half a second).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from mlstacks_dagster.errors import InputError, MlstacksError
from mlstacks_dagster.settings import process_environment

__all__ = ["eks_token", "exec_credential", "gke_token", "main", "token_for"]

_PREFIX = "k8s-aws-v1."
_PRESIGN_SECONDS = 60
_VALID = timedelta(minutes=14)  # the API takes it for 15
_ALGORITHM = "AWS4-HMAC-SHA256"
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eusc-": "amazonaws.eu",
}
_GOOGLE_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class _Keys(NamedTuple):
    access: str
    secret: str
    token: str | None


def eks_token(
    cluster_name: str, region: str, environment: Mapping[str, str], now: datetime
) -> tuple[str, datetime]:
    """Return a bearer token for an EKS cluster, and when to replace it. No network is used.

    Keys in ``environment`` win; otherwise the AWS SDK looks where it always does (profile, SSO,
    role of the machine). ``AWS_ENDPOINT_URL`` there names an emulator. ``now`` is aware.
    Raises :class:`MlstacksError` when there are no credentials.
    """
    endpoint = environment.get("AWS_ENDPOINT_URL_STS") or environment.get("AWS_ENDPOINT_URL")
    host = (endpoint or f"https://sts.{region}.{_suffix(region)}").rstrip("/")
    url = _presigned(host, cluster_name, region, _aws_keys(environment), now.astimezone(UTC))
    encoded = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return _PREFIX + encoded, now + _VALID


def gke_token() -> tuple[str, datetime]:
    """Return an access token of Google's default credentials, and when it expires.

    Raises :class:`MlstacksError` when there are no credentials or Google refuses them.
    """
    import google.auth  # noqa: PLC0415
    import google.auth.exceptions  # noqa: PLC0415
    import urllib3  # noqa: PLC0415
    from google.auth.transport.urllib3 import Request  # noqa: PLC0415

    try:
        found, _ = google.auth.default(scopes=_GOOGLE_SCOPES)
        credentials: Any = found
        transport: Any = Request
        credentials.refresh(transport(urllib3.PoolManager()))
    except google.auth.exceptions.GoogleAuthError as error:
        raise MlstacksError(
            f"no Google credentials for the cluster: {error}",
            remedy="set GOOGLE_APPLICATION_CREDENTIALS, or: gcloud auth application-default login",
        ) from error
    return str(credentials.token), credentials.expiry.replace(tzinfo=UTC)


def exec_credential(token: str, expiry: datetime) -> dict[str, Any]:
    """Return what a credential plugin prints: an ``ExecCredential`` of the v1 API."""
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "token": token,
            "expirationTimestamp": expiry.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def token_for(
    kind: str, cluster: str, region: str, environment: Mapping[str, str], now: datetime
) -> tuple[str, datetime]:
    """Return the token for a cluster of ``kind`` (``eks`` or ``gke``), and its expiry.

    Raises :class:`InputError` for another kind, :class:`MlstacksError` without credentials.
    """
    if kind == "eks":
        return eks_token(cluster, region, environment, now)
    if kind == "gke":
        return gke_token()
    raise InputError(f"kube-token: unknown kind of cluster {kind!r}", remedy="eks or gke")


def _suffix(region: str) -> str:
    return next(
        (s for prefix, s in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com"
    )


def _presigned(host: str, cluster: str, region: str, keys: _Keys, now: datetime) -> str:
    """Return a ``GetCallerIdentity`` URL signed for ``cluster`` (AWS Signature Version 4)."""
    scope = f"{now:%Y%m%d}/{region}/sts/aws4_request"
    query = {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access}/{scope}",
        "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(_PRESIGN_SECONDS),
        "X-Amz-SignedHeaders": "host;x-k8s-aws-id",
    }
    if keys.token:
        query["X-Amz-Security-Token"] = keys.token
    text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    headers = f"host:{urlsplit(host).netloc}\nx-k8s-aws-id:{cluster}\n"
    canonical = f"GET\n/\n{text}\n{headers}\nhost;x-k8s-aws-id\n{hashlib.sha256(b'').hexdigest()}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{now:%Y%m%dT%H%M%SZ}\n{scope}\n{digest}"
    key = f"AWS4{keys.secret}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{host}/?{text}&X-Amz-Signature={key.hex()}"


def _aws_keys(environment: Mapping[str, str]) -> _Keys:
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return _Keys(key, secret, environment.get("AWS_SESSION_TOKEN"))
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    try:
        credentials = Session(profile=environment.get("AWS_PROFILE")).get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
    except BotoCoreError as error:
        raise _no_aws(str(error)) from error
    if frozen is None:
        raise _no_aws("none were found")
    return _Keys(frozen.access_key, frozen.secret_key, frozen.token)


def _no_aws(why: str) -> MlstacksError:
    return MlstacksError(
        f"no AWS credentials for the cluster: {why}",
        remedy="log in again, or check AWS_PROFILE and AWS_ACCESS_KEY_ID",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print an ``ExecCredential`` for ``--kind``, ``--cluster``, ``--region``; the exit code."""
    parser = argparse.ArgumentParser("kube-token", description="Print a token for a cluster's API.")
    parser.add_argument("--kind", required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--region", default="")
    asked = parser.parse_args(argv)
    try:
        made = token_for(
            asked.kind, asked.cluster, asked.region, process_environment(), datetime.now(UTC)
        )
    except MlstacksError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(exec_credential(*made)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
