"""A live stack whose cluster is gone: what it left is shown, and never deleted."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, Policy, StackFact
from tests.unit.sweep.inventory.fake_cloud import FakeCloud
from tests.unit.sweep.inventory.test_execute import LIVE, NOW, item

NAME = f"ml-{LIVE}"
MARKS = {"mlstacks-install": "me", "mlstacks-stack": LIVE}
CARELESS = Policy(grace=0.0, data_grace=0.0, min_sweeps=1, include_data=True)


def decided(
    tags: dict[str, str] | None = None,
    names: tuple[str, ...] = (NAME,),
    regions: tuple[str, ...] = ("r1",),
    held: frozenset[str] = frozenset(),
    states: dict[str, bool | None] | None = None,
    **stack: Any,
) -> SweepPlan:
    """Plan for one load balancer that names clusters."""
    facts = tuple(ClusterFact(account="111", region=region, name=NAME) for region in regions)
    live = StackFact(stack_id=LIVE, name="live", live=True, clusters=facts, **stack)
    known = Knowledge(install="me", stacks={LIVE: live}, held=held, clusters=states or {})
    cloud = FakeCloud([item("elb:balancer", "lb", tags or {}, clusters=names)])
    return make_plan(cloud.snapshot(), cloud.kinds, known, CARELESS, NOW)


@pytest.mark.parametrize("tags", [{}, MARKS, {**MARKS, "mlstacks-protect": "true"}])
@pytest.mark.parametrize("protect", [False, True])
def test_what_a_vanished_cluster_left_is_shown(tags: dict[str, str], protect: bool) -> None:
    plan = decided(tags, protect=protect)
    assert (plan.entries, plan.verdict) == ((), "leftovers")
    [left] = plan.others
    assert (left.verdict.decision, left.verdict.stack_id) == ("report", LIVE)
    assert "its cluster is gone though its stack is live" in left.verdict.reason


@pytest.mark.parametrize(
    "case",
    [
        {"states": {f"r1/{NAME}": True}},
        {"states": {f"r1/{NAME}": None}},
        {"states": {"r1/*": None}},
        {"regions": ("r1", "r2"), "states": {f"r2/{NAME}": True}},
        {"regions": ("r1", "not-looked-at")},
        {"busy": True},
        {"held": frozenset({"lb"})},
        {"tags": MARKS, "names": ()},
        {"tags": MARKS, "names": ("somebody's",)},
        {"tags": MARKS, "names": (NAME, "somebody's")},
        {"tags": MARKS, "names": (), "protect": True},
    ],
)
def test_a_live_stack_is_in_order_while_its_cluster_may_run_or_be_made(case: Any) -> None:
    plan = decided(**case)
    assert (plan.verdict, plan.others) == ("clean", ())
