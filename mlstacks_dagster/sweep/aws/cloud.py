"""An AWS account as the sweep sees it: list, read again, delete, look for clusters."""

from __future__ import annotations

import gc
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws.calls import Caller, ClientMaker
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Memo
from mlstacks_dagster.sweep.aws.registry import HANDLERS
from mlstacks_dagster.sweep.inventory.handlers import DeleteOutcome, Kind, Progress
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Coverage, Item, Ref, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact

__all__ = ["AwsCloud"]

_PREFIX = "ml-"
_OBJECTS_PER_COLLECTION = 50_000
_FRESH_SECONDS = 60.0

Clusters = dict[tuple[str, str], bool | None]


@dataclass
class _Listed:
    """What one type in one region gave."""

    coverage: Coverage
    items: list[Item] = field(default_factory=list)


class AwsCloud:
    """One account; implements :class:`handlers.Cloud`, safe between threads.

    ``make_client`` gives clients that don't retry. ``clusters`` are those that stacks of ours
    have or had. ``home_region`` answers for what has no region; the first of the scope's
    regions unless given. ``clock`` is Unix time in seconds. ``workers`` is how many lists run
    at once.
    """

    def __init__(
        self,
        scope: Scope,
        make_client: ClientMaker,
        *,
        clusters: Sequence[ClusterFact] = (),
        home_region: str = "",
        handlers: Mapping[str, Handler] = HANDLERS,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        workers: int = 32,
    ) -> None:
        self.scope = scope
        self._caller = Caller(make_client, time.monotonic, sleep)
        self._facts = tuple(fact for fact in clusters if fact.account in ("", scope.account))
        self._home = home_region or next(iter(scope.regions), "us-east-1")
        self._handlers = handlers
        self._kinds = {name: handler.kind for name, handler in handlers.items()}
        self._clock = clock
        self._workers = workers
        self._lock = threading.Lock()
        self._seen: tuple[float, Clusters] | None = None

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The types it knows, by name."""
        return self._kinds

    @property
    def calls(self) -> int:
        """How many calls were made so far, repeated ones included."""
        return self._caller.calls

    def snapshot(
        self, types: Iterable[str] | None = None, progress: Progress | None = None
    ) -> Snapshot:
        """List everything (or ``types``), all in parallel; never raises for a failed list.

        ``taken_at`` is when it began.
        """
        with _rarely_collected():
            return self._snapshot(types, progress or (lambda _line: None))

    def _snapshot(self, types: Iterable[str] | None, progress: Progress) -> Snapshot:
        began, started, calls = self._clock(), time.monotonic(), self._caller.calls
        asked = set(self._handlers if types is None else types)
        wanted = [type_ for type_ in self._handlers if type_ in asked]
        memo = Memo()
        pairs = [(type_, region) for type_ in wanted for region in self._regions_of(type_)]
        listed = self._list_all(pairs, memo, progress)
        if "eks:cluster" in wanted:
            self._remember_clusters(memo)
        rows = [one.coverage for one in listed]
        rows += [
            Coverage(type=type_, region="*", status="failed", why="not a known type")
            for type_ in asked - set(wanted)
        ]
        return Snapshot(
            scope=self.scope,
            taken_at=began,
            items=tuple(sorted((i for one in listed for i in one.items), key=_item_order)),
            coverage=tuple(sorted(rows, key=lambda row: (row.type, row.region))),
            calls=self._caller.calls - calls,
            seconds=time.monotonic() - started,
        )

    def read(self, refs: Sequence[Ref]) -> dict[Ref, Item | None]:
        """Read items again, None for those that are gone.

        Asked for many at once where AWS allows. Raises botocore's errors, and
        :class:`MlstacksError` for a type that isn't known.
        """
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for ref in refs:
            groups[ref.type, ref.region].append(ref.id)
        memo = Memo()
        found: dict[Ref, Item | None] = dict.fromkeys(refs)
        for (type_, region), ids in groups.items():
            handler, look = self._handler(type_), self._look(region, memo)
            items = handler.find(look) if handler.read is None else handler.read(look, ids)
            found.update({item.ref: item for item in items if item.ref in found})
        return found

    def delete(self, item: Item) -> DeleteOutcome:
        """Ask for one item's deletion; never raises for what AWS answers.

        An error that nobody foresaw ends the attempt: it is not tried again.
        """
        handler = self._handler(item.ref.type)
        if not handler.kind.deletable:
            return DeleteOutcome("refused", "it can't be deleted, only awaited")
        self._forget_clusters()
        try:
            later = handler.delete(self._look(item.ref.region, Memo()), item)
        except Exception as error:  # noqa: BLE001 - each is an answer about this item
            return _outcome(error, handler)
        return DeleteOutcome("deleted") if later is None else DeleteOutcome("retry", later)

    def running_clusters(self) -> Clusters:
        """Return (region, name) of each EKS cluster; None: not known.

        One that exists runs, in whatever state: its controllers may act until it is gone. A
        snapshot that has just been taken has the answer, for the first who asks.
        """
        with self._lock:
            seen, self._seen = self._seen, None
        if seen is not None and 0 <= self._clock() - seen[0] <= _FRESH_SECONDS:
            return seen[1]
        return self._ask_clusters(Memo())

    def _list_all(
        self, pairs: Sequence[tuple[str, str]], memo: Memo, tell: Progress
    ) -> list[_Listed]:
        left = {type_: len(self._regions_of(type_)) for type_, _ in pairs}
        counts: dict[str, int] = defaultdict(int)
        done = []
        with ThreadPoolExecutor(self._workers, thread_name_prefix="aws-sweep") as pool:
            futures = [pool.submit(self._list, *pair, memo) for pair in pairs]
            for future in as_completed(futures):
                one = future.result()
                done.append(one)
                type_ = one.coverage.type
                counts[type_] += len(one.items)
                left[type_] -= 1
                if not left[type_]:
                    tell(f"{self.scope.account}: {self._kinds[type_].title}: {counts[type_]}")
        return done

    def _list(self, type_: str, region: str, memo: Memo) -> _Listed:
        try:
            items = list(self._handlers[type_].find(self._look(region, memo)))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it wasn't listed
            status = "denied" if meaning(error) == "denied" else "failed"
            why = f"{type(error).__name__}: {error}"
            return _Listed(Coverage(type=type_, region=region, status=status, why=why))
        row = Coverage(type=type_, region=region, status="listed", count=len(items))
        return _Listed(row, items)

    def _ask_clusters(self, memo: Memo) -> Clusters:
        found: Clusters = {}

        def names(region: str) -> Clusters:
            try:
                return dict.fromkeys(
                    ((region, name) for name in self._look(region, memo).cluster_names()), True
                )
            except Exception:  # noqa: BLE001 - not known, whatever the reason
                return {(region, "*"): None}

        with ThreadPoolExecutor(self._workers, thread_name_prefix="aws-clusters") as pool:
            for part in pool.map(names, self.scope.regions):
                found.update(part)
        return found

    def _remember_clusters(self, memo: Memo) -> None:
        found = self._ask_clusters(memo)
        with self._lock:
            self._seen = (self._clock(), found)

    def _forget_clusters(self) -> None:
        with self._lock:
            self._seen = None

    def _regions_of(self, type_: str) -> tuple[str, ...]:
        return (GLOBAL,) if self._kinds[type_].is_global else self.scope.regions

    def _handler(self, type_: str) -> Handler:
        handler = self._handlers.get(type_)
        if handler is None:
            raise MlstacksError(
                f"{type_} is no type of AWS's that is swept",
                remedy="list again with this version of mlstacks-dagster",
            )
        return handler

    def _look(self, region: str, memo: Memo) -> Look:
        return Look(
            caller=self._caller,
            account=self.scope.account,
            region=region,
            asked=self._home if region == GLOBAL else region,
            regions=self.scope.regions,
            prefix=_PREFIX,
            memo=memo,
            clock=self._clock,
            clusters=self._facts,
        )


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Let Python look for cycles more rarely: answers are many objects, and few are in cycles.

    A tenth of a sweep's processor time went into that.
    """
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS_PER_COLLECTION, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _outcome(error: Exception, handler: Handler) -> DeleteOutcome:
    word = meaning(error, handler.codes)
    if word == "gone":
        return DeleteOutcome("deleted", "it was gone already")
    if word in ("busy", "throttled", "passing"):
        return DeleteOutcome("retry", str(error))
    return DeleteOutcome("refused", str(error))


def _item_order(item: Item) -> tuple[str, str, str]:
    return item.ref.type, item.ref.region, item.ref.id
