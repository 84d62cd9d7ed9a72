"""A unit that Terraform runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.terraform import PlanResult
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.errors import MarksError, MlstacksError
from mlstacks_dagster.ledger.records import Operation
from mlstacks_dagster.lifecycle import inputs
from mlstacks_dagster.lifecycle.kube_session import Cluster
from mlstacks_dagster.lifecycle.models import ResourceRow
from mlstacks_dagster.lifecycle.recover import recover, take_back
from mlstacks_dagster.lifecycle.retained import refuse_data
from mlstacks_dagster.lifecycle.session import Applied, Session
from mlstacks_dagster.lifecycle.tools import Engine
from mlstacks_dagster.sweep.aws_empty import EmptiedResource, empty, holds
from mlstacks_dagster.sweep.marks import missing_marks

__all__ = ["TerraformSession"]

# The Terraform types behind the things that a unit may ask to have emptied first.
_EMPTIED_TYPES = {"s3_bucket": "aws_s3_bucket", "ecr_repository": "aws_ecr_repository"}


class TerraformSession(Session):
    """Stage, init, plan, recover, check the marks, apply; and all of it back."""

    @cached_property
    def variables(self) -> dict[str, Any]:
        """The module's input values, bound outputs of other units included."""
        return inputs.variables(self.unit, self.stack, self.install, self.output_of)

    @cached_property
    def backend(self) -> dict[str, Any]:
        """Terraform's backend block."""
        return inputs.backend(self.settings, self.stack, self.unit, self.wiring)

    @cached_property
    def digest(self) -> str:
        """The module's digest."""
        return inputs.module_digest(self.unit.definition.path)

    @cached_property
    def input_hash(self) -> str:
        """The hash that decides whether there is anything to do."""
        return inputs.input_hash(self.digest, self.variables, self.backend, self.unit, self.wiring)

    @cached_property
    def engine(self) -> Engine:
        """The engine, with its tool found."""
        return self.tools.engine(self.settings)

    @property
    def location(self) -> str:
        """Where the state lies: a path or a URL."""
        kind, block = next(iter(self.backend.items()))
        if kind == "local":
            return str(block["path"])
        if kind == "gcs":
            return f"gs://{block['bucket']}/{block['prefix']}"
        return f"s3://{block['bucket']}/{block['key']}"

    @property
    def tool(self) -> str:
        """The Terraform that is used."""
        return self.engine.tool_name

    @property
    def tool_seconds(self) -> float:
        """What Terraform's processes took, in seconds."""
        return self.engine.seconds

    def is_known(self) -> bool:
        """Tell whether the local state file is there; a bucket's is taken to be."""
        state = self.state_path()
        return state is None or state.exists()

    def apply_unit(self, operation: Operation) -> Applied:
        """Plan, recover what an interrupted run left, check the marks, apply."""
        workspace = self.prepare()
        plan, imports = self._planned(workspace, operation)
        if plan.has_changes:
            self.phase("apply")
            self.engine.apply(workspace, plan, on_event=self.on_event)
        outputs = self.engine.outputs(workspace)
        return Applied(
            add=plan.add,
            change=plan.change,
            destroy=plan.destroy,
            recovered=tuple(imports),
            outputs={k: v.value for k, v in outputs.items() if not v.sensitive},
            sensitive=tuple(k for k, v in outputs.items() if v.sensitive),
            resources=self.rows(workspace),
        )

    def remove_unit(self, operation: Operation, *, unclean: bool) -> tuple[ResourceRow, ...]:
        """Take back what an interrupted run left, empty, destroy, look again."""
        self._drain(operation)
        workspace = self.prepare()
        if unclean:
            self._take_back(workspace, operation)
        before = self.rows(workspace)
        self._empty(before)
        self.phase("plan")
        plan = self.engine.plan(workspace, destroy=True, on_event=self.on_event)
        if plan.has_changes:
            self.phase("destroy")
            self.engine.apply(workspace, plan, on_event=self.on_event)
        left = self.rows(workspace)
        if left:
            names = ", ".join(r.address for r in left)
            raise MlstacksError(
                f"{self.unit.name}: still in the state after destroy: {names}",
                remedy="run the same command again",
            )
        return before

    def differences(self) -> tuple[str, ...] | None:
        """Plan the unit as it was last applied, with a refresh."""
        workspace = self.prepare()
        self.phase("plan")
        plan = self.engine.drift(workspace, on_event=self.on_event)
        if not plan.has_changes:
            return None
        return tuple(
            f"{'/'.join(change.actions)} {change.address}"
            for change in plan.changes
            if change.actions not in (("no-op",), ("read",))
        )

    def prepare(self) -> Workspace:
        """Stage and initialise the module, after an earlier tool of this unit has ended."""
        self.phase("init")
        workspace = self.stage()
        self.engine.init(workspace, on_event=self.on_event)
        return workspace

    def state_path(self) -> Path | None:
        """Return the local state file; None when the state is in a bucket."""
        local = self.backend.get("local")
        return Path(local["path"]) if local else None

    def stage(self) -> Workspace:
        """Stage the module's private copy."""
        return self.engine.stage(
            UnitRequest(
                unit=self.unit.name,
                module=self.unit.definition.path,
                work_dir=self.settings.work_dir(self.stack.stack_id, self.unit.name),
                backend=self.backend,
                variables=self.variables,
                wiring=self.wiring,
                environment=self.environment,
                redactor=Redactor(self.secret_words()),
            ),
            on_event=self.on_event,
        )

    def rows(self, workspace: Workspace) -> tuple[ResourceRow, ...]:
        """Return the resources in the unit's state."""
        return tuple(
            ResourceRow(address=r.address, type=r.type, id=r.id)
            for r in self.engine.resources(workspace)
        )

    def _planned(
        self, workspace: Workspace, operation: Operation
    ) -> tuple[PlanResult, dict[str, str]]:
        self.phase("plan")
        plan = self.engine.plan(workspace, on_event=self.on_event)
        plan, imports = recover(self, workspace, plan, operation)
        lacking = missing_marks(plan.changes, self.marks)
        if lacking:
            raise MarksError(
                f"{self.unit.name}: the plan makes resources without ownership marks:"
                f" {', '.join(lacking)}",
                remedy=f"give the provider in {self.unit.definition.path} default_tags = var.tags",
            )
        self.report.milestone(
            f"{self.unit.name}: plan: {plan.add} to add, {plan.change} to change,"
            f" {plan.destroy} to destroy"
        )
        return plan, imports

    def _take_back(self, workspace: Workspace, operation: Operation) -> None:
        """Import what is ours and not in the state, so that Terraform destroys it too."""
        self.phase("looking for what exists")
        plan = self.engine.plan(workspace, on_event=self.on_event)
        imports = take_back(self, workspace, plan, operation)
        if imports:
            taking = self.engine.plan(
                workspace, imports=imports, only_imports=True, on_event=self.on_event
            )
            self.engine.apply(workspace, taking, on_event=self.on_event)

    def data_held(self) -> tuple[str, ...]:
        """Return buckets and repositories with something in them, and volumes of the cluster."""
        rows = self.ledger.resources(self.stack.stack_id, self.unit.name)
        stored = self._stored(
            [ResourceRow(address=r.address, type=r.type, id=r.resource_id) for r in rows]
        )
        cluster = self._cluster()
        return (*stored, *(cluster.drained_data() if cluster else ()))

    def _stored(self, resources: Iterable[ResourceRow]) -> tuple[str, ...]:
        context = self.find_context()
        found = self._to_empty(resources)
        return tuple(f"{row.type} {row.id}" for r, row in found if holds(r, row.id, context))

    def _cluster(self) -> Cluster | None:
        """Return the cluster that this unit is, if there is one that can hold anything."""
        if not self.unit.definition.teardown.drain:
            return None
        record = self.record()
        if record is None or not record.outputs:
            return None  # it never came up, so nothing ran in it
        cluster = Cluster(self)
        return None if cluster.is_gone() else cluster

    def _drain(self, operation: Operation) -> None:
        """Let the cluster that this unit is give back what it holds in the cloud."""
        cluster = self._cluster()
        if cluster is not None:
            cluster.drain(operation)

    def _to_empty(
        self, resources: Iterable[ResourceRow]
    ) -> Iterator[tuple[EmptiedResource, ResourceRow]]:
        rows = list(resources)
        for wanted in self.unit.definition.teardown.empty:
            for row in rows:
                if row.type == _EMPTIED_TYPES[wanted.resource]:
                    yield wanted.resource, row

    def _empty(self, resources: tuple[ResourceRow, ...]) -> None:
        if self.keeps_data:
            # What an interrupted deploy made, and what was written a moment ago, too.
            refuse_data(self, self._stored(resources))
        context = self.find_context()
        for resource, row in self._to_empty(resources):
            self.phase(f"emptying {row.id}")
            say = partial(self._say_emptied, row.id)
            empty(resource, row.id, context, on_progress=say)

    def _say_emptied(self, name: str, done: int) -> None:
        self.report.line(f"emptying {name}: {done} items deleted")
