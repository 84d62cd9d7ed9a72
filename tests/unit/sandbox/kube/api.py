"""An emulated cluster without a server: requests go in, replies come out, time is moved by hand."""

from __future__ import annotations

import copy
import heapq
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mlstacks_dagster.sandbox.kube.calls import Reply, Request
from mlstacks_dagster.sandbox.kube.cloud import Balancer, CloudError, Volume
from mlstacks_dagster.sandbox.kube.cluster import Cluster
from mlstacks_dagster.sandbox.kube.context import Options

Obj = dict[str, Any]

JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


class Time:
    """A clock and a scheduler that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self._tasks: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def later(self, seconds: float, task: Callable[[], None]) -> None:
        due = self.now + timedelta(seconds=seconds)
        heapq.heappush(self._tasks, (due, next(self._numbers), task))

    def pass_(self, seconds: float) -> None:
        """Move the clock, doing on the way what is due."""
        end = self.now + timedelta(seconds=seconds)
        done = 0
        while self._tasks and self._tasks[0][0] <= end:
            self.now, _, task = heapq.heappop(self._tasks)
            task()
            done += 1
            assert done < 10_000, "the controllers never come to rest"
        self.now = end


class FakeCloud:
    """A cloud that only remembers."""

    def __init__(self) -> None:
        self.balancers: dict[str, Balancer] = {}
        self.volumes: dict[str, Volume] = {}
        self.trouble: str | None = None
        self.refused_roles: set[str] = set()

    def ensure_balancer(self, balancer: Balancer) -> str:
        self._check()
        self.balancers[balancer.name] = balancer
        return f"{balancer.name}.example.org"

    def remove_balancer(self, balancer: Balancer) -> None:
        self._check()
        self.balancers.pop(balancer.name, None)

    def remove_group(self, name: str) -> None:
        self._check()

    def create_volume(self, volume: Volume) -> tuple[str, str]:
        self._check()
        name = f"vol-{len(self.volumes)}"
        self.volumes[name] = volume
        return name, "zone-a"

    def delete_volume(self, volume_id: str) -> None:
        self._check()
        self.volumes.pop(volume_id, None)

    def role_problem(self, role_arn: str, namespace: str, account: str) -> str | None:
        return f"{role_arn} is refused" if role_arn in self.refused_roles else None

    def _check(self) -> None:
        if self.trouble:
            raise CloudError(self.trouble)


class Api:
    """One cluster, spoken to as a client speaks to it."""

    def __init__(
        self,
        *,
        cloud: FakeCloud | None = None,
        options: Options | None = None,
        version: str = "1.34",
        agent: str = "tester/1",
    ) -> None:
        self.time = Time()
        self.cluster = Cluster(
            "test",
            version,
            scheduler=self.time,
            clock=lambda: self.time.now,
            options=options,
            cloud=cloud,
        )
        self.agent = agent
        self.settle()

    def settle(self, seconds: float = 5.0) -> None:
        """Let the controllers finish what they are at."""
        self.time.pass_(seconds)

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> Reply:
        parts = urlsplit(url)
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"user-agent": self.agent, "content-type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(method, parts.path, query, given, raw)
        return self.cluster.handler.serve(request, self.cluster.handler.find(request))

    def get(self, url: str, **headers: str) -> Obj:
        return dict(copy.deepcopy(self.send("GET", url, **headers).obj))

    def post(self, url: str, obj: Obj) -> Obj:
        return dict(self.send("POST", url, obj).obj)

    def put(self, url: str, obj: Obj) -> Obj:
        return dict(self.send("PUT", url, obj).obj)

    def patch(self, url: str, body: Any, kind: str = STRATEGIC) -> Obj:
        return dict(self.send("PATCH", url, body, content_type=kind).obj)

    def apply(self, url: str, obj: Obj, manager: str = "one", *, force: bool = False) -> Obj:
        query = f"fieldManager={manager}&force={str(force).lower()}"
        return dict(self.send("PATCH", f"{url}?{query}", obj, content_type=APPLY).obj)

    def delete(self, url: str, options: Obj | None = None) -> Obj:
        return dict(self.send("DELETE", url, options).obj)

    def names(self, url: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.get(url)["items"]]

    def reasons(self, namespace: str = "default") -> dict[str, str]:
        """Return the messages of events by their reason."""
        items = self.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        return {item["reason"]: item["message"] for item in items}


CORE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def config_map(name: str = "cm", **data: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data or {"a": "1"},
    }


def pod_template(image: str = "example.org/app:1", **spec: Any) -> Obj:
    container = {"name": "app", "image": image, **spec.pop("container", {})}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **spec}}


def deployment(name: str = "web", image: str = "example.org/app:1", **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": pod_template(image),
            **spec,
        },
    }


def service(name: str = "web", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}, **spec},
    }


def crd(
    plural: str = "widgets",
    kind: str = "Widget",
    *,
    group: str = "example.org",
    schema: Obj | None = None,
    namespaced: bool = True,
    status: bool = True,
) -> Obj:
    version: Obj = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": schema
            or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
    }
    if status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": plural, "kind": kind},
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [version],
        },
    }
