"""Recovery: does a resource that a plan would create exist already, and is it ours?

A Terraform that was killed between "the cloud made it" and "the state says so" leaves things
that nobody knows. Before a saved plan is applied, each planned create is looked for. The caller
imports what is ours, plans again and looks again, until a look finds nothing: parents first,
since the parts of a thing can be looked for only when its id is known.

Everything fails closed: a denied, throttled or failed call is an error, never "absent".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws_find_ec2 import EC2_FINDERS
from mlstacks_dagster.sweep.aws_find_named import NAMED_FINDERS
from mlstacks_dagster.sweep.aws_find_rules import RULE_FINDERS
from mlstacks_dagster.sweep.contracts import (
    FindContext,
    Finder,
    FindResult,
    Found,
    Progress,
    Wanted,
)
from mlstacks_dagster.sweep.marks import INSTALL, STACK, has_marks, same_owner
from mlstacks_dagster.sweep.repeatable import REPEATABLE

__all__ = [
    "FINDERS",
    "REPEATABLE",
    "FindContext",
    "FindResult",
    "Finder",
    "Found",
    "Wanted",
    "find_existing",
    "verdict",
    "wait_until_settled",
]

FINDERS: Mapping[str, Finder] = {**EC2_FINDERS, **NAMED_FINDERS, **RULE_FINDERS}
"""How to find existing resources, by resource type."""

_CLOCK_LEEWAY_SECONDS = 300
_COMES_BACK = "aws_cloudwatch_log_group"
_POLL_SECONDS = 15.0
_PATIENCE_SECONDS = 2400.0


def find_existing(wanted: Iterable[Wanted], ctx: FindContext) -> FindResult:
    """Look in the cloud for each planned create; one listing serves all of a type.

    Nothing is called when nothing is wanted. Raises :class:`TransientCommandError` or
    :class:`MlstacksError` when a call fails, and :class:`MlstacksError` with all ids when more
    than one thing matches a wanted one.
    """
    look = ctx.fresh()
    by_type: dict[str, list[Wanted]] = {}
    for want in wanted:
        by_type.setdefault(want.type, []).append(want)
    found: list[tuple[Wanted, Found]] = []
    waiting: list[str] = []
    absent: list[str] = []
    unknown: list[str] = []
    for kind, wants in by_type.items():
        if kind in REPEATABLE:
            continue
        finder = FINDERS.get(kind)
        if finder is None:
            unknown += [want.address for want in wants]
            continue
        ready = [want for want in wants if finder.can_look(want)]
        waiting += [want.address for want in wants if want not in ready]
        matches = finder.find(look, ready) if ready else {}
        for want in ready:
            match = matches.get(want.address)
            if match is None or match.resource_id in ctx.in_state:
                absent.append(want.address)
            else:
                found.append((want, match))
    _no_double_claims(found)
    return FindResult(tuple(found), tuple(waiting), tuple(absent), tuple(unknown))


def _no_double_claims(found: Iterable[tuple[Wanted, Found]]) -> None:
    claims: dict[tuple[str, str], str] = {}
    for want, match in found:
        first = claims.setdefault((want.type, match.import_id), want.address)
        if first != want.address:
            raise MlstacksError(
                f"{first} and {want.address} would both be {match.resource_id}",
                remedy="give each of them a name or Name tag of its own",
            )


def verdict(
    found: Found,
    wanted: Wanted,
    marks: Mapping[str, str],
    absent_before: bool,
    began_at: int | None,
) -> Literal["ours", "foreign"]:
    """Decide whose a found resource is; in doubt it is ``foreign``. A pure function.

    ``marks`` are this unit's (:attr:`FindContext.marks`). ``absent_before``: the ledger says
    that we looked, that it was absent, and that we then began to create it, at Unix time
    ``began_at`` in seconds. Ours is what carries the marks of this installation, stack and
    component; a part that can't be tagged, when its parent is of this installation and stack;
    a log group without any mark whose name holds the stack id, which is never reused (EKS makes
    its log group again after it was deleted); and a thing without any mark, found by its unique
    name, that was absent before and isn't older than our beginning.
    """
    if found.tags is None:
        return "foreign"
    if found.inherited:
        return "ours" if same_owner(found.tags, marks, (INSTALL, STACK)) else "foreign"
    if same_owner(found.tags, marks):
        return "ours"
    return (
        "ours" if _unmarked_but_ours(found, wanted, marks, absent_before, began_at) else "foreign"
    )


def _unmarked_but_ours(
    found: Found,
    wanted: Wanted,
    marks: Mapping[str, str],
    absent_before: bool,
    began_at: int | None,
) -> bool:
    by_name = wanted.type in NAMED_FINDERS or wanted.type == "aws_launch_template"
    if found.tags is None or has_marks(found.tags) or not by_name:
        return False
    if wanted.type == _COMES_BACK and marks[STACK] in found.import_id:
        return True
    if not absent_before or began_at is None:
        return False
    created = None if found.created_at is None else found.created_at.timestamp()
    return created is None or created >= began_at - _CLOCK_LEEWAY_SECONDS


def wait_until_settled(
    wanted: Iterable[Wanted],
    ctx: FindContext,
    *,
    on_progress: Progress = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    patience: float = _PATIENCE_SECONDS,
) -> FindResult:
    """Like :func:`find_existing`, but wait for what is still being made or removed.

    A cluster whose creation a killed run had begun takes minutes; imported before it is ready
    it would look finished. Polls every 15 s for at most ``patience`` seconds, then raises
    :class:`MlstacksError` with what is still pending.
    """
    wants = tuple(wanted)
    deadline = clock() + patience
    while True:
        result = find_existing(wants, ctx)
        pending = [f"{w.address} ({f.resource_id})" for w, f in result.found if _pending(f)]
        if not pending:
            return result
        if clock() >= deadline:
            raise MlstacksError(
                f"still being made or removed after {patience:.0f} s: {', '.join(pending)}",
                remedy="look at them in the AWS console; then run the same command again",
            )
        on_progress(f"waiting for {', '.join(pending)}")
        sleep(_POLL_SECONDS)


def _pending(found: Found) -> bool:
    return found.status == "pending"
