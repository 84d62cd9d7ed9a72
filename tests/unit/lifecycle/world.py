"""A home folder, an account and an engine: everything that a unit's life needs, but small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import (
    Binding,
    ComponentKind,
    EmptyBefore,
    Export,
    Plan,
    PlannedUnit,
    Provision,
    Requirement,
    Teardown,
    UnitDefinition,
)
from mlstacks_dagster.engines.terraform import OutputValue
from mlstacks_dagster.ledger.records import StackRecord, UnitRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import api
from mlstacks_dagster.lifecycle.models import (
    DeployOutcome,
    DestroyOutcome,
    DriftOutcome,
    Progress,
    UnitJob,
)
from mlstacks_dagster.lifecycle.tools import Tools
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StackOptions
from tests.unit.lifecycle.cloud import Cloud
from tests.unit.lifecycle.fake_engine import FakeEngine, Wish

_VARIABLES = ("name", "install", "region", "tags", "vpc", "size", "bucket_name")


def write_module(folder: Path) -> Path:
    """Write a module that declares the variables that are known here."""
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text("".join(f'variable "{v}" {{}}\n' for v in _VARIABLES))
    return folder


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.milestones: list[str] = []
        self.progresses: list[Progress] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def milestone(self, text: str) -> None:
        self.milestones.append(text)

    def progress(self, progress: Progress) -> None:
        self.progresses.append(progress)


class World:
    """Three units: ``network`` <- ``cluster`` (needs it), ``bucket`` (after the cluster)."""

    def __init__(self, folder: Path, module: Path) -> None:
        self.folder = folder
        self.module = module
        stacks = folder / "stacks"
        stacks.mkdir()
        home = folder / "home"
        self.settings = Settings(
            home=home,
            stacks_dir=stacks,
            ledger_url=f"sqlite:///{home / 'ledger.db'}",
            lock_timeout=20.0,
        )
        self.cloud = Cloud()
        self.engine = FakeEngine(self.cloud)
        self.heard = Heard()
        self.slept: list[float] = []
        self.tools = Tools(
            engine=lambda _: self.engine, client=self.cloud.client, sleep=self.slept.append
        )
        self.options = StackOptions()
        self.units = [self._network(), self._cluster(), self._bucket()]
        self.runs = 0

    def _network(self) -> PlannedUnit:
        self.engine.wishes["network"] = [Wish("aws_ecr_repository.one", {"name": "{name}/net"})]
        self.engine.outputs_of["network"] = {
            "vpc_id": OutputValue("vpc-1"),
            "password": OutputValue("hidden", sensitive=True),
        }
        return self.unit(
            "network",
            provides=[Provision(capability="network", outputs={"vpc": "vpc_id"})],
            variables={"size": "small"},
        )

    def _cluster(self) -> PlannedUnit:
        self.engine.wishes["cluster"] = [
            Wish("aws_eks_cluster.this", {"name": "{name}-k8s"}),
            Wish(
                "aws_eks_node_group.main",
                {"cluster_name": "@aws_eks_cluster.this", "node_group_name": "main"},
            ),
        ]
        return self.unit(
            "cluster",
            requires=[Requirement(capability="network", bind={"vpc": "vpc"})],
            provides=[Provision(capability="kubernetes_cluster")],
            bindings=(Binding(variable="vpc", unit="network", output="vpc_id"),),
            depends_on=("network",),
        )

    def _bucket(self) -> PlannedUnit:
        self.engine.wishes["bucket"] = [Wish("aws_s3_bucket.this", {"bucket": "{bucket_name}"})]
        self.engine.outputs_of["bucket"] = {"uri": OutputValue("s3://my-data")}
        return self.unit(
            "bucket",
            component=ComponentKind(type="artifact_store", flavor="s3"),
            after=[Requirement(capability="kubernetes_cluster")],
            export=Export(flavor="s3", configuration={"path": "{uri}"}),
            teardown=Teardown(empty=(EmptyBefore(resource="s3_bucket", output="name"),)),
            variables={"bucket_name": "my-data"},
            depends_on=("cluster",),
        )

    def unit(
        self,
        name: str,
        *,
        variables: dict[str, Any] | None = None,
        bindings: tuple[Binding, ...] = (),
        depends_on: tuple[str, ...] = (),
        **definition: Any,
    ) -> PlannedUnit:
        """Make a planned unit; all share one module."""
        return PlannedUnit(
            definition=UnitDefinition(
                name=name,
                title=name,
                description=name,
                provider="aws",
                engine="terraform",
                path=self.module,
                **definition,
            ),
            region="eu-north-1",
            variables=variables or {},
            bindings=bindings,
            depends_on=depends_on,
        )

    def plan(self, name: str = "demo") -> Plan:
        return Plan(
            stack=name,
            provider="aws",
            region="eu-north-1",
            units=tuple(self.units),
            options=self.options,
        )

    def set(self, unit: str, **values: Any) -> None:
        """Change variables of a unit, as an edit of its stack file would."""
        self.units = [
            u.model_copy(update={"variables": {**u.variables, **values}}) if u.name == unit else u
            for u in self.units
        ]

    def job(self, unit: str, *, replan: bool = False, target: str = "cloud") -> UnitJob:
        self.runs += 1
        return UnitJob(
            plan=self.plan(),
            unit=unit,
            run_id=f"run-{self.runs}",
            replan=replan,
            target=target,  # type: ignore[arg-type]
        )

    def deploy(self, *units: str, replan: bool = False) -> DeployOutcome:
        for unit in units:
            done = api.deploy_unit(
                self.job(unit, replan=replan), self.settings, self.heard, self.tools
            )
        return done

    def destroy(self, *units: str) -> DestroyOutcome:
        for unit in units:
            done = api.destroy_unit(self.job(unit), self.settings, self.heard, self.tools)
        return done

    def drift(self, unit: str) -> DriftOutcome:
        return api.drift_unit(self.job(unit), self.settings, self.heard, self.tools)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(self.settings.ledger_url) as ledger:
            yield ledger

    def stack(self) -> StackRecord:
        with self.ledger() as ledger:
            found = ledger.live_stack("demo")
        assert found is not None
        return found

    def record(self, unit: str) -> UnitRecord:
        stack_id = self.stack().stack_id
        with self.ledger() as ledger:
            found = ledger.unit(stack_id, unit)
        assert found is not None
        return found

    def last_outcome(self, unit: str) -> str | None:
        stack_id = self.stack().stack_id
        with self.ledger() as ledger:
            last = ledger.last_operation(stack_id, unit)
        return last.outcome if last else None

    def variables(self) -> dict[str, Any]:
        """Return the variables of the last staged unit."""
        return dict(self.engine.requests[-1].variables)

    def state_file(self, unit: str) -> Path:
        return self.settings.state_dir(self.stack().stack_id, unit) / "terraform.tfstate"

    def marks(self, unit: str) -> dict[str, str]:
        with self.ledger() as ledger:
            install = ledger.installation().install_id
        return {
            "mlstacks-install": install,
            "mlstacks-stack": self.stack().stack_id,
            "mlstacks-component": unit,
        }

    def calls(self) -> list[str]:
        """Return what the engine was asked since the last time."""
        calls, self.engine.calls = self.engine.calls, []
        return calls

    def with_settings(self, **changes: Any) -> None:
        self.settings = replace(self.settings, **changes)


def applied(calls: Iterable[str]) -> list[str]:
    """Return the units that were applied."""
    return [call.removeprefix("apply ") for call in calls if call.startswith("apply ")]
