"""The clusters of the sandbox: those that moto's EKS has, and local ones made on demand.

``/clusters/<region>/<name>`` is the API of an EKS cluster while moto has it; who deletes the
cluster there, deletes all its objects, and leaves what its controllers made in the cloud.
``/clusters/local/<name>`` is a cluster without a cloud, such as k3d makes.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from .auth import check_eks_token
from .aws import AwsCloud
from .calls import Request
from .cluster import Cluster
from .context import Options
from .errors import ApiError, bad_request, unauthorized
from .faults import Fault
from .schemas import DEFAULT_VERSION, available_versions
from .serving import LoopScheduler

__all__ = ["FAULTS_PATH", "LOCAL_REGION", "SandboxClusters"]

LOCAL_REGION = "local"

# POST a Fault here (below a cluster's URL), DELETE to clear; for tests against the sandbox.
FAULTS_PATH = "/_emulator/faults"

_PATH = re.compile(r"/clusters/(?P<region>[\w-]+)/(?P<name>[\w-]+)(?P<rest>/.*)?")


@dataclass(frozen=True)
class _Hosted:
    cluster: Cluster
    # Moto's own object: a cluster of the same name made later is another one.
    eks: Any


class SandboxClusters:
    """Finds the cluster of a request; lives on the server's thread."""

    def __init__(
        self,
        scheduler: LoopScheduler,
        *,
        local_token: str,
        access_keys: dict[str, str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._scheduler = scheduler
        self._local_token = local_token
        self._access_keys = access_keys
        self._clock = clock
        self._hosted: dict[tuple[str, str], _Hosted] = {}

    def find(self, request: Request) -> tuple[Cluster, Request]:
        """Return the cluster, and the request as that sees it; raises :class:`ApiError`."""
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise ApiError(404, "NotFound", "no cluster has this URL")
        region, name = found["region"], found["name"]
        hosted = self._local(name) if region == LOCAL_REGION else self._eks(region, name)
        if hosted is None:
            raise ApiError(404, "NotFound", f"the cluster {name} in {region} doesn't exist")
        self._check_token(region, name, request)
        inner = replace(request, path=found["rest"] or "/")
        if inner.path == FAULTS_PATH:
            raise _control(hosted.cluster, inner)
        return hosted.cluster, inner

    def drop(self, region: str, name: str) -> None:
        """Forget a cluster and its objects."""
        hosted = self._hosted.pop((region, name), None)
        if hosted is not None:
            hosted.cluster.close()

    def _check_token(self, region: str, name: str, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if region != LOCAL_REGION:
            check_eks_token(given, name, self._access_keys, self._clock())
        elif not secrets.compare_digest(given, f"Bearer {self._local_token}"):
            raise unauthorized()

    def _local(self, name: str) -> _Hosted:
        key = (LOCAL_REGION, name)
        if key not in self._hosted:
            self._hosted[key] = _Hosted(self._make(LOCAL_REGION, name, DEFAULT_VERSION, None), None)
        return self._hosted[key]

    def _eks(self, region: str, name: str) -> _Hosted | None:
        account, eks = next(_moto_clusters(region, name), ("", None))
        key = (region, name)
        hosted = self._hosted.get(key)
        if hosted is not None and hosted.eks is not eks:
            self.drop(region, name)
            hosted = None
        if eks is None:
            return None
        if hosted is None:
            cloud = AwsCloud(eks, account, region)
            hosted = _Hosted(self._make(region, name, _nearest(eks.version), cloud), eks)
            self._hosted[key] = hosted
        return hosted

    def _make(self, region: str, name: str, version: str, cloud: AwsCloud | None) -> Cluster:
        return Cluster(
            name,
            version,
            scheduler=self._scheduler,
            clock=self._clock,
            options=Options(region="" if cloud is None else region),
            base=f"/clusters/{region}/{name}",
            cloud=cloud,
        )


def _moto_clusters(region: str, name: str) -> Iterator[tuple[str, Any]]:
    from moto.eks.models import eks_backends  # noqa: PLC0415 - as slow as all of moto

    for account, regions in list(eks_backends.items()):
        # Not [region]: that makes a backend, or fails for a region that moto doesn't know.
        backend = regions.get(region)
        if backend is not None and name in backend.clusters:
            yield account, backend.clusters[name]


def _nearest(version: str) -> str:
    """Return the version with schemas that is nearest to a cluster's."""
    minor = int(version.split(".")[1])
    return min(available_versions(), key=lambda known: abs(int(known.split(".")[1]) - minor))


def _control(cluster: Cluster, request: Request) -> ApiError:
    """Arm or clear faults; the answer is a ``Status`` with the code 200, raised as one."""
    if request.method == "DELETE":
        cluster.faults.clear()
    else:
        try:
            cluster.faults.add(Fault.model_validate(json.loads(request.body or b"{}")))
        except ValueError as error:
            raise bad_request(str(error)) from error
    return ApiError(200, "", "done")
