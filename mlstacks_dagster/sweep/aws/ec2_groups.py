"""Security groups, which hold each other by their rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlstacks_dagster.sweep.aws.ec2_listing import (
    MADE_PROOFS,
    Listing,
    by,
    in_vpc,
)
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, batches
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_GUARDDUTY = "GuardDutyManagedSecurityGroup-"
_IDS_PER_CALL = 200
_RULES = (
    ("IpPermissions", "revoke_security_group_ingress", "ip-permission.group-id"),
    ("IpPermissionsEgress", "revoke_security_group_egress", "egress.ip-permission.group-id"),
)


def _find(look: Look) -> Iterator[Item]:
    """Yield the groups once all are read: any may name another. Rules aren't kept."""
    users: dict[str, set[str]] = defaultdict(set)
    found = [
        item for raw in _GROUPS.raws(look) for item in _items(look, [_noted(look, raw, users)], {})
    ]
    for item in found:
        named = look.refs("ec2:security-group", sorted(users.get(item.ref.id, ())))
        yield item.model_copy(update={"used_by": named})


def _noted(look: Look, group: Raw, users: dict[str, set[str]]) -> Raw:
    """Write down which others a group's rules name."""
    for named in _named(look, group):
        users[named].add(group["GroupId"])
    return group


def _read(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for some in batches(list(ids), _IDS_PER_CALL):
        groups = list(_GROUPS.raws(look, by("group-id", some)))
        others = [g for _, _, name in _RULES for g in _GROUPS.raws(look, by(name, some))]
        yield from _items(look, groups, _referrers(look, [*groups, *others]))


def _referrers(look: Look, groups: Iterable[Raw]) -> Mapping[str, set[str]]:
    """Return for each group the others whose rules name it."""
    found: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        _noted(look, group, found)
    return found


def _named(look: Look, group: Raw) -> set[str]:
    """Return the other groups of this account that a group's rules name."""
    return {
        pair["GroupId"]
        for key, _, _ in _RULES
        for rule in group.get(key, ())
        for pair in rule.get("UserIdGroupPairs", ())
        if pair.get("GroupId") not in (None, group["GroupId"])
        and pair.get("UserId") in (None, look.account)
    }


def _items(look: Look, groups: Iterable[Raw], users: Mapping[str, set[str]]) -> Iterator[Item]:
    for raw in groups:
        name = raw["GroupName"]
        if name == "default":
            continue  # comes and goes with its VPC
        place = in_vpc(look, raw, name == f"{_GUARDDUTY}{raw.get('VpcId')}")
        yield look.item(
            "ec2:security-group",
            raw["GroupId"],
            name=name,
            tags=raw.get("Tags", ()),
            inside=place["inside"],
            uses=(
                *place["uses"],
                *look.refs("ec2:security-group", sorted(_named(look, raw))),
            ),
            used_by=look.refs("ec2:security-group", sorted(users.get(raw["GroupId"], ()))),
            facts={"description": raw.get("Description")},
        )


def _delete(look: Look, item: Item) -> str | None:
    """Take away its own rules about other groups, which hold those, then delete it.

    Not while an interface has it: then its rules matter to somebody.
    """
    revokes = [
        (operation, others)
        for raw in _GROUPS.raws(look, by("group-id", [item.ref.id]))
        for key, operation, _ in _RULES
        if (others := [o for rule in raw.get(key, ()) if (o := _about_others(rule, item.ref.id))])
    ]
    if revokes and (users := _interfaces(look, item.ref.id)):
        return f"in use by {', '.join(users[:3])}"
    for operation, rules in revokes:
        look.call_unless_gone("ec2", operation, GroupId=item.ref.id, IpPermissions=rules)
    look.call("ec2", "delete_security_group", GroupId=item.ref.id)
    return None


def _interfaces(look: Look, group: str) -> list[str]:
    found = look.pages(
        "ec2",
        "describe_network_interfaces",
        "NetworkInterfaces",
        1000,
        Filters=by("group-id", [group]),
    )
    return [raw["NetworkInterfaceId"] for raw in found]


def _about_others(rule: Raw, own: str) -> dict[str, Any] | None:
    """Return the part of a rule that is about other groups; None: there is none."""
    pairs = [
        {k: v for k, v in pair.items() if k in ("GroupId", "UserId")}
        for pair in rule.get("UserIdGroupPairs", ())
        if pair.get("GroupId") not in (None, own)
    ]
    if not pairs:
        return None
    kept = {k: rule[k] for k in ("IpProtocol", "FromPort", "ToPort") if k in rule}
    return {**kept, "UserIdGroupPairs": pairs}


def _unused(_look: Look, _raw: Raw) -> Item | None:
    return None


_GROUPS = Listing("describe_security_groups", "SecurityGroups", 1000, _unused, "group-id")

HANDLERS = (
    Handler(
        Kind(
            "ec2:security-group",
            "Security group",
            55,
            proofs=MADE_PROOFS,
            structural=True,
            held_by=(
                "ec2:instance",
                "ec2:network-interface",
                "ec2:vpc-endpoint",
                "eks:cluster",
                "elb:load-balancer",
                "elbv2:load-balancer",
            ),
        ),
        _find,
        _delete,
        _read,
        codes={"InvalidGroup.InUse": "busy", "CannotDelete": "refused"},
    ),
)
