"""A small account in memory that refuses to delete what is in use, and fails when told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from mlstacks_dagster.sweep.inventory.handlers import DeleteOutcome, Kind, Progress
from mlstacks_dagster.sweep.inventory.model import Coverage, Item, Ref, Scope, Snapshot

KINDS = {
    kind.type: kind
    for kind in (
        Kind("ec2:instance", "instance", 10, usd_per_month=lambda _: 30.0),
        Kind("elb:balancer", "load balancer", 20, usd_per_month=lambda _: 18.0),
        Kind("ec2:eni", "network interface", 30, structural=True),
        Kind("ec2:managed-eni", "a service's network interface", 30, False, False, False),
        Kind("ec2:group", "security group", 40, structural=True),
        Kind("ec2:volume", "volume", 50, data=True),
        Kind("ec2:template", "launch template", 50, held_by=("ec2:instance",)),
        Kind("ec2:vpc", "VPC", 90),
        Kind("eks:cluster", "cluster", 15),
        Kind("iam:role", "role", 80, is_global=True),
    )
}


class FakeCloud:
    """Implements ``Cloud``; ``deleted`` is what was really deleted, in order."""

    def __init__(self, items: Iterable[Item] = (), *, alias: str = "lab", seed: int = 1) -> None:
        self.scope = Scope(provider="aws", account="111", alias=alias, regions=("r1", "r2"))
        self.kinds: Mapping[str, Kind] = KINDS
        self.items = {item.ref: item for item in items}
        self.clusters: dict[tuple[str, str], bool | None] = {}
        self.bad_lists: dict[tuple[str, str], str] = {}
        self.denied: set[Ref] = set()
        self.throttle = 0.0
        self.comes_back: set[Ref] = set()
        self.before_delete: Callable[[Item], None] = lambda _item: None
        self.deleted: list[Ref] = []
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def snapshot(
        self, types: Iterable[str] | None = None, progress: Progress | None = None
    ) -> Snapshot:
        coverage, items = [], []
        for kind in types or self.kinds:
            regions = ("global",) if self.kinds[kind].is_global else self.scope.regions
            for region in regions:
                status = self.bad_lists.get((kind, region), "listed")
                found = [i for r, i in self.items.items() if (r.type, r.region) == (kind, region)]
                if status == "listed":
                    items += found
                coverage.append(Coverage(type=kind, region=region, status=status, count=len(found)))
        return Snapshot(scope=self.scope, taken_at=0, items=tuple(items), coverage=tuple(coverage))

    def read(self, refs: Sequence[Ref]) -> dict[Ref, Item | None]:
        if self._throttled():
            raise ConnectionError("Throttling")
        return {ref: self.items.get(ref) for ref in refs}

    def delete(self, item: Item) -> DeleteOutcome:
        self.before_delete(item)
        if self._throttled():
            return DeleteOutcome("retry", "Throttling")
        if item.ref in self.denied:
            return DeleteOutcome("refused", "AccessDenied")
        with self._lock:
            users = [r for r, i in self.items.items() if item.ref in (*i.uses, *i.inside)]
            users += [u for u in item.used_by if u in self.items]
            if users:
                return DeleteOutcome("retry", f"DependencyViolation: {users[0]}")
            if item.ref not in self.comes_back:
                self.items.pop(item.ref, None)
            self.items = {
                r: i.model_copy(update={"used_by": tuple(u for u in i.used_by if u != item.ref)})
                for r, i in self.items.items()
            }
            self.deleted.append(item.ref)
        return DeleteOutcome("deleted")

    def running_clusters(self) -> dict[tuple[str, str], bool | None]:
        return dict(self.clusters)

    def _throttled(self) -> bool:
        with self._lock:
            return self._random.random() < self.throttle


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
