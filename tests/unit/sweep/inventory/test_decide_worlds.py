"""100,000 random accounts: what the decision deletes, an independent judge must allow.

A failure names its world: ``check_world(NUMBER)`` plays it again.
"""

from __future__ import annotations

from collections import Counter

import pytest

from mlstacks_dagster.sweep.inventory.decide import decide_all
from mlstacks_dagster.sweep.inventory.plan import make_plan
from tests.unit.sweep.inventory.worlds import KINDS, NOW, check, make_world

CHUNKS, WORLDS = 4, 25_000


def check_world(seed: int) -> list[str]:
    """Decide in one world; returns by which proof each thing goes."""
    world = make_world(seed)
    known, policy = world.knowledge, world.policy
    verdicts = decide_all(world.snapshot, KINDS, known, policy, NOW)
    going = {ref for ref, verdict in verdicts.items() if verdict.decision == "orphan"}
    check(world, going)
    if world.bad and seed % 3 == 0:
        plan = make_plan(world.snapshot, KINDS, known, policy, NOW)
        assert plan.verdict == "unverified", f"world {seed}: a list failed"
        assert {entry.ref for entry in plan.entries} == going
    return [verdicts[ref].proof for ref in going]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_world_sees_a_false_deletion_or_a_false_clean(chunk: int) -> None:
    proofs = Counter[str]()
    for number in range(WORLDS):
        proofs.update(check_world(chunk * WORLDS + number))
    assert all(proofs[one] > WORLDS // 500 for one in ("T1", "T2", "T3")), proofs
