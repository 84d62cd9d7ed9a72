"""AWS clients that see the same account as the unit's Terraform, and errors in our own words.

Credentials, region and endpoint are taken from values (the wiring and the environment that the
unit's process gets), so ``os.environ`` is never changed. With an emulator's wiring no real
credential can be used: not from the environment, not from a profile, not from a machine's role.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import MlstacksError, TransientCommandError

__all__ = ["AwsSession", "Client", "aws_calls", "aws_client", "client_error", "error_code"]

Client = Any  # botocore makes its client classes at run time
"""A botocore client of any service."""

_CONNECT_TIMEOUT_SECONDS = 10
_READ_TIMEOUT_SECONDS = 60
_DEFAULT_MAX_ATTEMPTS = 6
_EMULATOR_CREDENTIAL = "sandbox"

_TRANSIENT_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServerException",
        "ServiceFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "Unavailable",
    }
)
_DENIED_CODES = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",
        "Forbidden",
        "UnauthorizedOperation",
    }
)
_CREDENTIAL_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


def aws_client(
    service: str, region: str, wiring: Wiring, environment: Mapping[str, str] | None = None
) -> Client:
    """Return a botocore client for ``service`` in ``region``.

    ``environment`` is what the unit's Terraform gets; the wiring's own values win over it. The
    usual names are understood: access keys, ``AWS_PROFILE``, the two configuration files,
    ``AWS_ENDPOINT_URL``, ``AWS_CA_BUNDLE``, ``AWS_MAX_ATTEMPTS``. When none names credentials,
    botocore's remaining sources apply (web identity, container, instance role), except with an
    emulator. Raises :class:`MlstacksError` when the profile or a file can't be used.
    """
    return AwsSession(wiring, environment).client(service, region)


class AwsSession:
    """Makes clients of one account: credentials are found once for all of them.

    Arguments as of :func:`aws_client`; ``max_attempts`` of each call wins over
    ``AWS_MAX_ATTEMPTS``; a client keeps up to ``connections`` to a host. May be used from
    several threads.
    """

    def __init__(
        self,
        wiring: Wiring,
        environment: Mapping[str, str] | None = None,
        max_attempts: int | None = None,
        connections: int = 10,
    ) -> None:
        self._wiring, self._connections = wiring, connections
        self._env = {**(environment or {}), **wiring.environment}
        if max_attempts is not None:
            self._env["AWS_MAX_ATTEMPTS"] = str(max_attempts)
        self._lock = threading.Lock()
        self._session: Any = None

    def client(self, service: str, region: str) -> Client:
        """Make a client of ``service`` in ``region``. Raises :class:`MlstacksError`."""
        emulated = self._wiring.endpoint_url is not None
        with self._lock, aws_calls(f"preparing a client for {service}", region):
            if self._session is None:
                self._session = _emulator_session() if emulated else _cloud_session(self._env)
            values = self._emulator_values() if emulated else self._cloud_values(service)
            return self._session.create_client(service, region_name=region, **values)

    def _emulator_values(self) -> dict[str, Any]:
        own = self._wiring.environment
        retries = {k: v for k, v in self._env.items() if k == "AWS_MAX_ATTEMPTS"}
        return {
            "endpoint_url": self._wiring.endpoint_url,
            "aws_access_key_id": own.get("AWS_ACCESS_KEY_ID", _EMULATOR_CREDENTIAL),
            "aws_secret_access_key": own.get("AWS_SECRET_ACCESS_KEY", _EMULATOR_CREDENTIAL),
            "config": self._config(retries, proxies={}, s3={"addressing_style": "path"}),
        }

    def _cloud_values(self, service: str) -> dict[str, Any]:
        env = self._env
        specific = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
        return {
            "endpoint_url": env.get(specific) or env.get("AWS_ENDPOINT_URL") or None,
            "aws_access_key_id": env.get("AWS_ACCESS_KEY_ID") or None,
            "aws_secret_access_key": env.get("AWS_SECRET_ACCESS_KEY") or None,
            "aws_session_token": env.get("AWS_SESSION_TOKEN") or None,
            "config": self._config(env),
        }

    def _config(self, env: Mapping[str, str], **more: Any) -> Any:
        return _config(env, max_pool_connections=self._connections, **more)


def _emulator_session() -> Any:
    return _session(
        profile=None, config_file=os.devnull, credentials_file=os.devnull, ca_bundle=None
    )


def _cloud_session(env: Mapping[str, str]) -> Any:
    overrides = {
        key: env[name]
        for key, name in (
            ("config_file", "AWS_CONFIG_FILE"),
            ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE"),
            ("ca_bundle", "AWS_CA_BUNDLE"),
        )
        if env.get(name)
    }
    profile = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or None
    return _session(profile=profile, **overrides)


def _session(**values: str | None) -> Any:
    """Make a session whose settings are ours, not those of the process environment."""
    from botocore.session import Session  # noqa: PLC0415 - slow to load

    session = Session()
    session.register_component("data_loader", _loader())
    store = session.get_component("config_store")
    for name, value in values.items():
        store.set_config_variable(name, value)
    session.get_component("credential_provider").remove("env")
    return session


@cache
def _loader() -> Any:
    """Return the reader of service descriptions; EC2's alone takes most of a second to parse."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - slow to load

    return create_loader()


def _config(env: Mapping[str, str], **more: Any) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - slow to load

    attempts = env.get("AWS_MAX_ATTEMPTS", "")
    return Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_READ_TIMEOUT_SECONDS,
        retries={
            "mode": "standard",
            "total_max_attempts": (
                int(attempts) if attempts.isdecimal() and int(attempts) else _DEFAULT_MAX_ATTEMPTS
            ),
        },
        user_agent="mlstacks-dagster",  # botocore puts its own together anew for each call
        **more,
    )


def client_error() -> type[Exception]:
    """Return botocore's ``ClientError``, the class of every answer that is an error."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to load

    error: type[Exception] = ClientError
    return error


def error_code(error: Exception) -> str:
    """Return AWS's code of a ``ClientError`` (such as ``NoSuchBucket``), else an empty string."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def aws_calls(doing: str, region: str) -> Iterator[None]:
    """Turn botocore's errors of the block into ours; ``doing`` and ``region`` say where.

    Raises :class:`TransientCommandError` when the same call may succeed later, and
    :class:`MlstacksError` for all others. No error is ever taken for "it doesn't exist".
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to load

    try:
        yield
    except ClientError as error:
        raise _translated(error, doing, region) from error
    except BotoCoreError as error:
        raise _unsent(error, doing, region) from error


def _translated(error: Exception, doing: str, region: str) -> MlstacksError:
    code = error_code(error)
    said = f"AWS failed while {doing} in {region}: {error}"
    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _TRANSIENT_CODES or status in (429, 502, 503, 504):
        return TransientCommandError(said, remedy="run the same command again in a minute")
    if code in _DENIED_CODES:
        operation = getattr(error, "operation_name", "the call")
        return MlstacksError(
            said, remedy=f"allow {operation} to the credentials in use, then run again"
        )
    if code in _CREDENTIAL_CODES:
        return MlstacksError(said, remedy="renew or correct the AWS credentials, then run again")
    return MlstacksError(said, remedy="see AWS's message; nothing was changed by this call")


def _unsent(error: Exception, doing: str, region: str) -> MlstacksError:
    from botocore import exceptions as aws  # noqa: PLC0415 - slow to load

    said = f"AWS could not be asked while {doing} in {region}: {error}"
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return TransientCommandError(said, remedy="check the network, then run again")
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError)):
        return MlstacksError(
            said, remedy="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return MlstacksError(said, remedy="check the AWS profile and configuration files")
