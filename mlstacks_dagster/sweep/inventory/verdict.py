"""The words of the decision: what we know, and what follows for an item."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ClusterFact", "Code", "Knowledge", "Policy", "StackFact", "Verdict"]

Code = Literal[
    "",
    "blocked",
    "cluster-runs",
    "data",
    "held",
    "implicit",
    "live",
    "other-stack",
    "protect",
    "shared",
    "skew",
    "young",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClusterFact(_Model):
    """A cluster that a stack of ours has or had."""

    account: str
    region: str
    name: str
    uid: str = ""


class StackFact(_Model):
    """What the ledger knows of a stack; a destroyed one stays for ever (a tombstone)."""

    stack_id: str
    name: str
    live: bool
    destroyed_at: float | None = None
    protect: bool = False
    busy: bool = False
    clusters: tuple[ClusterFact, ...] = ()


class Knowledge(_Model):
    """Everything beside the snapshot that a decision needs.

    ``held`` are ids that any state of ours holds, as ``type|region|id`` or bare ids. ``clusters``
    is :meth:`Cloud.running_clusters` as ``region/name``. ``first_seen`` has for each item, as
    ``type|region|id``, when it was first seen and in how many sweeps.
    """

    install: str
    stacks: dict[str, StackFact] = Field(default_factory=dict)
    held: frozenset[str] = frozenset()
    clusters: dict[str, bool | None] = Field(default_factory=dict)
    first_seen: dict[str, tuple[float, int]] = Field(default_factory=dict)


class Policy(_Model):
    """How careful a sweep is. Times are seconds; a verified teardown has no grace.

    A plan of more than ``max_count`` things is refused, and one of more than ``share_from``
    things that would take more than ``max_share`` of all that is ours.
    """

    grace: float = 86_400.0
    data_grace: float = 259_200.0
    min_sweeps: int = 2
    include_data: bool = False
    only_stack: str | None = None
    max_count: int = 200
    max_share: float = 0.5
    share_from: int = 20


class Verdict(_Model):
    """What follows for one item.

    ``orphan``: ours, provably of no live stack, old enough. ``keep``: in use, live, protected,
    or too young. ``unknown``: something needed to decide could not be read. ``report``: perhaps
    ours, never deleted. ``foreign``: not ours. ``proof`` is T1 to T4 of reference: own mark,
    cluster of a tombstone, inside of T1 or T2, name only. ``evidence`` are readable sentences.
    ``code`` says in a word why something is kept: ``live``, ``held`` and ``implicit`` things
    (these come and go with what contains them) are in order, ``other-stack`` was not asked
    for, all others are left over and wait for something.
    """

    decision: Literal["orphan", "keep", "unknown", "report", "foreign"]
    proof: Literal["T1", "T2", "T3", "T4", ""] = ""
    stack_id: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()
    code: Code = ""
