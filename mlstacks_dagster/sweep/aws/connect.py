"""An account as the sweep sees it, from a wiring and an environment.

Making one of botocore's clients takes 5 to 20 ms and a few hundred KiB; 27 services in 17
regions would take longer than asking them. So regions share clients, and each call says which
region it is for. A request that wasn't signed for that region isn't sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws.calls import Caller
from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Memo
from mlstacks_dagster.sweep.aws_session import AwsSession, Client, aws_calls
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact

__all__ = ["SharedClients", "connect"]

_CONNECTIONS = 32  # to one host
# EC2 is asked a dozen times in a region, and botocore keeps connections to 10 hosts. What is
# asked once or twice has little to keep: one client does for all regions.
_REGIONS_PER_CLIENT = {"ec2": 8}
_GLOBAL_SERVICES = frozenset({"iam", "route53"})
_region: ContextVar[str] = ContextVar("region", default="")


def connect(
    wiring: Wiring,
    environment: Mapping[str, str],
    *,
    home_region: str,
    regions: Sequence[str] = (),
    clusters: Sequence[ClusterFact] = (),
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> AwsCloud:
    """Return the account that the credentials belong to.

    Credentials and endpoint are found as by
    :func:`~mlstacks_dagster.sweep.aws_session.aws_client`. ``home_region`` answers for what has
    no region; no ``regions`` means all that the account has switched on. An alias that may not
    be read counts as none. Raises :class:`MlstacksError` when the account can't be asked.
    """
    session = AwsSession(wiring, environment, max_attempts=1, connections=_CONNECTIONS)
    make_client = SharedClients(session, home_region)
    caller = Caller(make_client, time.monotonic, sleep)
    with aws_calls("asking whose credentials these are", home_region):
        account = caller.call(home_region, "sts", "get_caller_identity")["Account"]
    with aws_calls("asking for the account's alias", home_region):
        alias = _alias(caller, home_region)
    if not regions:
        with aws_calls("asking for the account's regions", home_region):
            answer = caller.call(home_region, "ec2", "describe_regions")
        regions = sorted(region["RegionName"] for region in answer["Regions"])
    scope = Scope(provider="aws", account=account, alias=alias, regions=tuple(regions))
    return AwsCloud(
        scope, make_client, clusters=clusters, home_region=home_region, clock=clock, sleep=sleep
    )


def _alias(caller: Caller, region: str) -> str:
    try:
        aliases = caller.call(region, "iam", "list_account_aliases")["AccountAliases"]
    except Exception as error:
        if meaning(error) != "denied":
            raise
        return ""
    return str(aliases[0]) if aliases else ""


class SharedClients:
    """Makes clients of a service for many regions out of few of botocore's."""

    def __init__(self, session: AwsSession, home_region: str) -> None:
        self._session, self._home_region = session, home_region
        self._memo = Memo()
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}

    def __call__(self, service: str, region: str) -> Client:
        """Return a client that has nothing but the operations."""
        with self._lock:
            place = self._places.setdefault(region, len(self._places))
        size = _REGIONS_PER_CLIENT.get(service)
        group = place // size if size else 0
        shared = self._memo.once(f"{service}|{group}", lambda: self._make(service))
        return _InRegion(shared, region)

    def _make(self, service: str) -> _Shared:
        client = self._session.client(service, self._home_region)
        events = client.meta.events
        name = client.meta.service_model.service_id.hyphenize()
        events.register(f"provide-client-params.{name}", _sign_for_region)
        events.register(f"before-endpoint-resolution.{name}", _go_to_region)
        events.register(f"before-send.{name}", _guard)
        return _Shared(client)


@dataclass(frozen=True)
class _Shared:
    """One of botocore's clients, and how many calls it can keep a connection for."""

    client: Client
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_CONNECTIONS))


class _InRegion:
    """A shared client's operations, for one region."""

    def __init__(self, shared: _Shared, region: str) -> None:
        self._shared, self._to = shared, region

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self._shared.client, operation)

        def call(**params: Any) -> Any:
            with self._shared.turn:
                token = _region.set(self._to)
                try:
                    return method(**params)
                finally:
                    _region.reset(token)

        return call


def _sign_for_region(context: dict[str, Any], **_: Any) -> None:
    context["client_region"] = _region.get()
    context["signing"] = {"region": _region.get()}


def _go_to_region(builtins: dict[str, Any], **_: Any) -> None:
    builtins["AWS::Region"] = _region.get()


def _guard(request: Any, event_name: str, **_: Any) -> None:
    """Stop a request that isn't for the region it was meant for."""
    signature = request.headers.get("Authorization", b"")
    text = signature.decode() if isinstance(signature, bytes) else str(signature)
    service = event_name.split(".")[1]
    wanted = _region.get()
    if wanted and (service in _GLOBAL_SERVICES or f"/{wanted}/" in text.split(",")[0]):
        return
    raise MlstacksError(
        f"a call of {event_name} was made for {wanted or 'no region'}, but signed for another",
        remedy="report this: it is a fault in mlstacks-dagster, and nothing was sent",
    )
