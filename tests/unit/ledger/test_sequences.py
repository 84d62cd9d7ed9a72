"""Any order of begin, planned, finish and crash, compared with a model of a few lines."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.ledger import Ledger, PlannedItem, ResourceItem
from tests.unit.ledger.helpers import Clock, begin, make_plan

ADDRESSES = st.sets(st.sampled_from(["a.1", "a.2", "a.3"]))


class UnitLife(RuleBasedStateMachine):
    """One unit; the model holds what a reader of the docs would expect."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.url = f"sqlite:///{Path(self.folder.name) / 'ledger.db'}"
        self.ledger = Ledger.open(self.url, self.clock)
        plan = make_plan()
        self.stack_id = self.ledger.register_stack(plan, target="cloud", expires_at=None).stack_id
        self.begun = False
        self.open: tuple[int, str, str] | None = None
        self.closed: set[int] = set()
        self.clean = True
        self.absent: dict[str, bool] = {}
        self.present: set[str] = set()
        self.applied_hash: str | None = None

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(kind=st.sampled_from(["deploy", "destroy"]), input_hash=st.sampled_from(["h1", "h2"]))
    def start(self, kind: str, input_hash: str) -> None:
        self.clock.tick()
        operation = begin(self.ledger, self.stack_id, kind=kind, input_hash=input_hash)
        assert (operation.previous is not None) == self.begun
        if operation.previous is not None:
            assert operation.previous.clean == self.clean
            assert operation.previous.outcome is not None
        if self.open is not None:
            self.closed.add(self.open[0])
        self.begun, self.clean = True, False
        self.open = (operation.id, kind, input_hash)

    @precondition(lambda self: self.open is not None)
    @rule(items=st.dictionaries(st.sampled_from(["a.1", "a.2", "a.3"]), st.booleans()))
    def plan(self, items: dict[str, bool]) -> None:
        assert self.open is not None
        planned = [PlannedItem(address, "a", absent) for address, absent in items.items()]
        self.ledger.planned(self.open[0], planned)
        for address, absent in items.items():
            self.absent[address] = self.absent.get(address, False) or absent

    @precondition(lambda self: self.open is not None)
    @rule(outcome=st.sampled_from(["ok", "failed", "interrupted"]), exist=ADDRESSES)
    def end(self, outcome: str, exist: set[str]) -> None:
        assert self.open is not None
        number, kind, input_hash = self.open
        gone = kind == "destroy" and outcome == "ok"
        resources = None if gone else [ResourceItem(address, "a") for address in exist]
        self.ledger.finish(number, outcome, summary={}, resources=resources)  # type: ignore[arg-type]
        self.closed.add(number)
        self.open = None
        self.present = set() if gone else exist
        if outcome == "ok":
            self.clean, self.absent = True, {}
            self.applied_hash = None if kind == "destroy" else input_hash

    @precondition(lambda self: self.begun)
    @rule(outcome=st.sampled_from(["ok", "failed", None]))
    def check_drift(self, outcome: str | None) -> None:
        operation = begin(self.ledger, self.stack_id, kind="drift")
        if outcome is not None:
            self.ledger.finish(operation.id, outcome, summary={})  # type: ignore[arg-type]

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def finish_again(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.closed)))
        try:
            self.ledger.finish(number, "ok", summary={}, resources=[])
        except LedgerError:
            return
        raise AssertionError("a closed operation was finished again")

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.url, self.clock)

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        ledger, stack_id = self.ledger, self.stack_id
        assert ledger.unclean(stack_id, "network") == (self.begun and not self.clean)
        planned = ledger.planned_items(stack_id, "network")
        assert {a: item.absent_before for a, item in planned.items()} == self.absent
        assert {r.address for r in ledger.resources(stack_id)} == self.present
        unit = ledger.unit(stack_id, "network")
        assert (unit is not None) == self.begun
        if unit is None:
            return
        assert unit.input_hash == self.applied_hash
        assert unit.resource_count == len(self.present)
        if self.open is not None:
            assert unit.status in ("intended", "applying", "destroying")
        elif self.clean:
            assert unit.status in ("applied", "destroyed")
        else:
            assert unit.status == "failed"

    @invariant()
    def a_stack_closes_only_without_a_living_unit(self) -> None:
        unit = self.ledger.unit(self.stack_id, "network")
        if unit is not None and unit.exists:
            assert not self.ledger.destroy_finished(self.stack_id)


UnitLife.TestCase.settings = settings(max_examples=20, stateful_step_count=20)
TestUnitLife = UnitLife.TestCase
