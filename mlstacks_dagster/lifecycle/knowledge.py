"""What the ledger knows, in the words of the decision about leftovers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.ledger.sweep_book import LedgerFacts
from mlstacks_dagster.ledger.sweeps import Sighting, Thing
from mlstacks_dagster.lifecycle.inputs import name_prefix
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, StackFact
from mlstacks_dagster.sweep.marks import mark_value

__all__ = ["cluster_facts", "gather", "regions_of"]

_EKS = re.compile(r"arn:[\w-]+:eks:(?P<region>[\w-]+):(?P<account>\d+):cluster/(?P<name>[^/]+)")
_GKE = re.compile(
    r"projects/(?P<account>[^/]+)/locations/(?P<region>[^/]+)/clusters/(?P<name>[^/]+)$"
)


def gather(ledger: Ledger, provider: str, account: str) -> Knowledge:
    """Return everything that a decision about ``account`` needs, but the running clusters.

    ``account`` is an AWS account or a Google project; first sightings are that account's.
    """
    facts = ledger.sweeps.facts()
    stacks = ledger.stacks(include_destroyed=True)
    clusters = cluster_facts(stacks, facts, account)
    return Knowledge(
        install=mark_value(ledger.installation().install_id),
        stacks={
            mark_value(stack.stack_id): _fact(stack, facts, clusters.get(stack.stack_id, ()))
            for stack in stacks
        },
        held=facts.held,
        first_seen=_first_seen(ledger.sweeps.sightings(provider, account)),
    )


def cluster_facts(
    stacks: Iterable[StackRecord], facts: LedgerFacts, account: str
) -> dict[str, tuple[ClusterFact, ...]]:
    """Return the clusters that each stack has or had, by stack id.

    A deploy that was cut off may have made a cluster that no state knows: its name is certain
    all the same, since it holds the stack's id, and is expected in every region of the stack where
    no state has it (or has it in a zone). Only one that a state knows was ever asked for its ids,
    unless no state has that name: ids of two clusters would prove nothing.
    """
    uids = _uids(facts.notes)
    known: dict[str, dict[tuple[str, str, str], ClusterFact]] = {}

    def add(stack_id: str, where: Mapping[str, str], *, asked: bool = True) -> None:
        uid = uids.get((stack_id, where["name"]), "") if asked else ""
        fact = ClusterFact(**where, uid=uid)
        of_stack = known.setdefault(stack_id, {})
        of_stack.setdefault((fact.account, fact.region, fact.name), fact)

    for stack_id, _name, where in facts.clusters:
        match = _EKS.fullmatch(where) or _GKE.search(where)
        if match:
            add(stack_id, match.groupdict())
    for stack in stacks:
        name = name_prefix(stack.stack_id)
        stated = [f.region for f in known.get(stack.stack_id, {}).values() if f.name == name]
        for region in regions_of(stack, facts):
            if not any(zone.startswith(f"{region}-") for zone in stated):
                guess = {"account": account, "region": region, "name": name}
                add(stack.stack_id, guess, asked=not stated)
    return {stack_id: tuple(found.values()) for stack_id, found in known.items()}


def regions_of(stack: StackRecord, facts: LedgerFacts) -> tuple[str, ...]:
    """Return the regions where units of a stack are or were, its own first.

    Plans of other versions count as well: they are read as the JSON that they are.
    """
    units = stack.plan_json.get("units")
    planned = [unit.get("region") for unit in units] if isinstance(units, list) else []
    deployed = [region for stack_id, region in facts.regions if stack_id == stack.stack_id]
    return tuple(dict.fromkeys(r for r in (stack.region, *planned, *deployed) if r))


def _fact(stack: StackRecord, facts: LedgerFacts, clusters: tuple[ClusterFact, ...]) -> StackFact:
    return StackFact(
        stack_id=mark_value(stack.stack_id),
        name=stack.name,
        live=stack.live,
        destroyed_at=stack.destroyed_at,
        protect=stack.protect and stack.live,
        busy=stack.stack_id in facts.busy and stack.live,
        clusters=clusters,
    )


def _first_seen(found: Mapping[Thing, Sighting]) -> dict[str, tuple[float, int]]:
    return {"|".join(thing): (float(s.first_seen), s.sweeps) for thing, s in found.items()}


def _uids(notes: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[tuple[str, str], str]:
    """Return the ids of clusters by stack and name, the newest first.

    A note without an id doesn't hide what an earlier one knew.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for stack, note in reversed(list(notes)):
        ids = (note.get(key) for key in ("uid", "ingress_uid", "gke_id"))
        known = found.setdefault((stack, str(note.get("name"))), {})
        known.update(dict.fromkeys(str(each) for each in ids if each))
    return {cluster: " ".join(ids) for cluster, ids in found.items()}
