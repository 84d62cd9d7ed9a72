"""A Terraform in miniature: real state files, plans from wishes, creates in the account."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.terraform import OutputValue, PlannedChange, PlanResult, StateResource
from mlstacks_dagster.engines.tf_events import Event, OnEvent
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from tests.unit.lifecycle.cloud import Cloud

_REFERENCE = "@"


@dataclass(frozen=True)
class Wish:
    """A resource that a module declares.

    In ``values`` a text is formatted with the module's variables; ``@ADDRESS`` stands for the
    id of another resource, unknown until that one exists.
    """

    address: str
    values: Mapping[str, str]
    marked: bool = True

    @property
    def type(self) -> str:
        return self.address.split(".")[0]


def _name(after: Mapping[str, Any]) -> str | None:
    if "node_group_name" in after:
        cluster = after.get("cluster_name")
        return f"{cluster}:{after['node_group_name']}" if cluster else None
    return after.get("bucket") or after.get("name")


def ignore(_: Event) -> None:
    pass


@dataclass
class FakeEngine:
    """What ``stage`` to ``drift`` did is in ``calls``; ``before`` is asked before each."""

    cloud: Cloud
    wishes: dict[str, list[Wish]] = field(default_factory=dict)
    outputs_of: dict[str, dict[str, OutputValue]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    requests: list[UnitRequest] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda verb: None
    forgets_imports: bool = False
    keeps_on_destroy: bool = False
    killed_after: str | None = None
    seconds: float = 1.5
    tool_name: str = "fake 1.0"

    def stage(self, request: UnitRequest, on_event: OnEvent = ignore) -> Workspace:
        self._do("stage", request.unit)
        self.requests.append(request)
        request.work_dir.mkdir(parents=True, exist_ok=True)
        return Workspace(request, request.work_dir / "cli.tfrc", "fingerprint")

    def init(self, workspace: Workspace, on_event: OnEvent = ignore) -> bool:
        self._do("init", workspace.unit)
        return True

    def plan(
        self,
        workspace: Workspace,
        *,
        destroy: bool = False,
        imports: Mapping[str, str] | None = None,
        only_imports: bool = False,
        on_event: OnEvent = ignore,
    ) -> PlanResult:
        self._do("plan -destroy" if destroy else "plan", workspace.unit)
        state = self._refreshed(workspace)
        if destroy:
            return PlanResult(has_changes=bool(state), destroy=len(state))
        self.imports = dict(imports or {})
        if self.forgets_imports:
            self.imports = {}
        self._import(workspace, state)
        changes = () if only_imports else tuple(self._changes(workspace, state))
        creates = sum(change.is_create for change in changes)
        return PlanResult(
            has_changes=bool(changes or self.imports),
            add=creates,
            change=len(changes) - creates,
            changes=changes,
            planfile=workspace.planfile,
        )

    def drift(self, workspace: Workspace, on_event: OnEvent = ignore) -> PlanResult:
        self._do("drift", workspace.unit)
        changes = tuple(self._changes(workspace, self._refreshed(workspace)))
        return PlanResult(has_changes=bool(changes), changes=changes)

    def apply(self, workspace: Workspace, plan: PlanResult, on_event: OnEvent = ignore) -> None:
        self._do("apply", workspace.unit)
        state = self._refreshed(workspace)
        if plan.planfile is None:
            self._destroy(workspace, state)
            return
        self._import(workspace, state)
        self.imported += self.imports
        self._write(workspace, state)
        left = len(plan.changes)
        while left:
            change = next(c for c in self._changes(workspace, state) if _name(c.after))
            name = str(_name(change.after))
            self.cloud.put(change.type, name, change.after.get("tags_all"))
            if change.address == self.killed_after:
                raise KeyboardInterrupt
            state[change.address] = {"id": name, "values": dict(change.after)}
            self._write(workspace, state)
            left -= 1
            on_event(
                Event(f"{change.address} made", "progress", len(plan.changes) - left, plan.total)
            )

    def _import(self, workspace: Workspace, state: dict[str, Any]) -> None:
        for wish in self.wishes.get(workspace.unit, []):
            if wish.address in self.imports:
                after = self._after(workspace, wish, state)
                state[wish.address] = {"id": self.imports[wish.address], "values": after}

    def outputs(self, workspace: Workspace) -> dict[str, OutputValue]:
        self._do("outputs", workspace.unit)
        return dict(self.outputs_of.get(workspace.unit, {}))

    def resources(self, workspace: Workspace) -> list[StateResource]:
        return [
            StateResource(address, address.split(".")[0], address.split(".")[1], id=item["id"])
            for address, item in self._read(workspace).items()
        ]

    def _do(self, verb: str, unit: str) -> None:
        self.calls.append(f"{verb} {unit}")
        self.before(verb)

    def _changes(self, workspace: Workspace, state: Mapping[str, Any]) -> list[PlannedChange]:
        changes = []
        for wish in self.wishes.get(workspace.unit, []):
            after = self._after(workspace, wish, state)
            known = state.get(wish.address)
            if known is not None and known["values"] == after:
                continue
            action = "create" if known is None else "update"
            _, name = wish.address.split(".")
            changes.append(PlannedChange(wish.address, wish.type, name, (action,), after=after))
        return changes

    def _after(self, workspace: Workspace, wish: Wish, state: Mapping[str, Any]) -> dict[str, Any]:
        variables = workspace.request.variables
        after: dict[str, Any] = {"tags_all": dict(variables["tags"]) if wish.marked else {}}
        for key, text in wish.values.items():
            if not text.startswith(_REFERENCE):
                after[key] = text.format(**variables)
            elif text[1:] in state:
                after[key] = state[text[1:]]["id"]
        return after

    def _destroy(self, workspace: Workspace, state: dict[str, Any]) -> None:
        for address, item in list(state.items()):
            if self.keeps_on_destroy:
                continue
            thing = self.cloud.things[address.split(".")[0], item["id"]]
            assert not thing.contents, f"{item['id']} isn't empty"
            del self.cloud.things[address.split(".")[0], item["id"]]
            del state[address]
        self._write(workspace, state)

    def _refreshed(self, workspace: Workspace) -> dict[str, Any]:
        return {
            address: item
            for address, item in self._read(workspace).items()
            if (address.split(".")[0], item["id"]) in self.cloud.things
        }

    def _file(self, workspace: Workspace) -> Path:
        return Path(workspace.request.backend["local"]["path"])

    def _read(self, workspace: Workspace) -> dict[str, Any]:
        path = self._file(workspace)
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def _write(self, workspace: Workspace, state: Mapping[str, Any]) -> None:
        path = self._file(workspace)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(state))
