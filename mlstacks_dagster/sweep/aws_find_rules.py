"""Finders for security group rules: the old type with a composed id, the new ones by rule id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlstacks_dagster.sweep.aws_find_ec2 import describe_ec2, filtered, tag_map
from mlstacks_dagster.sweep.contracts import FindContext, Finder, Found, Wanted

__all__ = ["RULE_FINDERS"]

_ALL_PROTOCOLS = "-1"


def _group_tags(ctx: FindContext, groups: set[str]) -> dict[str, dict[str, str]]:
    tags = {}
    for filters in filtered("group-id", groups):
        for item in describe_ec2(ctx, "describe_security_groups", "SecurityGroups", filters):
            tags[item["GroupId"]] = tag_map(item.get("Tags"))
    return tags


def _rules(ctx: FindContext, groups: set[str]) -> list[dict[str, Any]]:
    return [
        item
        for filters in filtered("group-id", groups)
        for item in describe_ec2(
            ctx, "describe_security_group_rules", "SecurityGroupRules", filters
        )
    ]


def _span(rule: Mapping[str, Any], protocol: str) -> tuple[int | None, int | None]:
    """Return the ports of a rule; a rule for all protocols has none."""
    return (None, None) if protocol == _ALL_PROTOCOLS else (rule.get("from"), rule.get("to"))


def _seen_key(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes two rules the same for EC2."""
    protocol = str(rule.get("IpProtocol"))
    ports = {"from": rule.get("FromPort"), "to": rule.get("ToPort")}
    other = rule.get("ReferencedGroupInfo", {}).get("GroupId")
    peer = rule.get("CidrIpv4") or rule.get("CidrIpv6") or rule.get("PrefixListId") or other
    return (rule["GroupId"], bool(rule["IsEgress"]), protocol, _span(ports, protocol), peer)


def _protocol(value: object) -> str:
    text = str(value).lower()
    numbers = {"all": _ALL_PROTOCOLS, "6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
    return numbers.get(text, text)


def _wanted_key(want: Wanted, egress: bool, protocol: object, peer: object) -> tuple[Any, ...]:
    name = _protocol(protocol)
    ports = {"from": want.after.get("from_port"), "to": want.after.get("to_port")}
    return (want.after["security_group_id"], egress, name, _span(ports, name), peer)


def _peers(want: Wanted) -> list[str]:
    """Return the other ends of an ``aws_security_group_rule``, in the order of its import id."""
    after = want.after
    if after.get("self"):
        return [str(after["security_group_id"])]
    peers = [
        str(value)
        for name in ("cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids")
        for value in after.get(name) or ()
    ]
    return peers or [str(after["source_security_group_id"])]


def _import_id(want: Wanted) -> str:
    after = want.after
    ends = ["self"] if after.get("self") else _peers(want)
    return "_".join(
        [
            str(after["security_group_id"]),
            str(after["type"]),
            _protocol(after["protocol"]).replace(_ALL_PROTOCOLS, "all"),
            str(after["from_port"]),
            str(after["to_port"]),
            *ends,
        ]
    )


def _find_composed(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
    """One ``aws_security_group_rule`` stands for a rule a peer, made by one call.

    It counts as found when any of them exists, since creating it would fail then.
    """
    groups = {str(w.after["security_group_id"]) for w in wanted}
    tags = _group_tags(ctx, groups)
    seen = {_seen_key(rule) for rule in _rules(ctx, groups)}
    found = {}
    for want in wanted:
        egress, protocol = want.after["type"] == "egress", want.after["protocol"]
        keys = {_wanted_key(want, egress, protocol, peer) for peer in _peers(want)}
        if keys & seen:
            identifier = _import_id(want)
            found[want.address] = Found(
                identifier, identifier, tags.get(want.after["security_group_id"]), inherited=True
            )
    return found


_PEER_ATTRIBUTES = ("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")


def _find_single(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
    groups = {str(w.after["security_group_id"]) for w in wanted}
    seen = {_seen_key(rule): rule for rule in _rules(ctx, groups)}
    parents: dict[str, dict[str, str]] = {}
    found = {}
    for want in wanted:
        peer = next(want.after[name] for name in _PEER_ATTRIBUTES if want.after.get(name))
        egress = want.type == "aws_vpc_security_group_egress_rule"
        rule = seen.get(_wanted_key(want, egress, want.after["ip_protocol"], peer))
        if rule is None or rule["SecurityGroupRuleId"] in ctx.in_state:
            continue
        own = tag_map(rule.get("Tags"))
        if not own:
            parents = parents or _group_tags(ctx, groups)
        identifier = rule["SecurityGroupRuleId"]
        found[want.address] = Found(
            import_id=identifier,
            resource_id=identifier,
            tags=own or parents.get(want.after["security_group_id"]),
            inherited=not own,
        )
    return found


_SINGLE = Finder(
    _find_single,
    ("security_group_id", "|".join(_PEER_ATTRIBUTES)),
    r"sgr-[0-9a-f]+",
)

RULE_FINDERS: Mapping[str, Finder] = {
    "aws_security_group_rule": Finder(
        _find_composed,
        (
            "security_group_id",
            "type",
            "protocol",
            "self|cidr_blocks|ipv6_cidr_blocks|prefix_list_ids|source_security_group_id",
        ),
        r"sg-[0-9a-f]+_(ingress|egress)_[a-z0-9-]+_-?\d+_-?\d+(_\S+)+",
    ),
    "aws_vpc_security_group_egress_rule": _SINGLE,
    "aws_vpc_security_group_ingress_rule": _SINGLE,
}
