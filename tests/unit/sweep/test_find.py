"""Each finder against the emulator: absent, ours, somebody else's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.find import (
    FINDERS,
    REPEATABLE,
    FindContext,
    Found,
    Wanted,
    find_existing,
    verdict,
    wait_until_settled,
)
from tests.unit.sweep.makers import MARKED, NAMED, NOT_IN_MOTO, PARTS, tag_list

ALL = {**NAMED, **MARKED, **PARTS}


def marks_of(stack_id: str, install: str = "inst1", unit: str = "network") -> dict[str, str]:
    return {"mlstacks-install": install, "mlstacks-stack": stack_id, "mlstacks-component": unit}


def look(ctx: FindContext, kind: str, after: dict[str, Any]) -> Found | None:
    result = find_existing([Wanted(f"{kind}.x", kind, after)], ctx)
    assert not result.waiting
    assert not result.unknown
    return result.found[0][1] if result.found else None


def test_every_finder_is_tried_on_the_emulator_or_listed_as_unknown_to_it() -> None:
    assert set(ALL) | NOT_IN_MOTO == set(FINDERS)


def test_no_type_is_both_findable_and_repeatable() -> None:
    assert not set(FINDERS) & set(REPEATABLE)


@pytest.mark.parametrize("kind", sorted(ALL))
def test_what_was_never_made_is_absent_and_then_found_as_ours(
    kind: str, account: Any, stack_id: str
) -> None:
    ctx = account.context(stack_id)
    after, make = ALL[kind](account, f"ml-{stack_id}-x", marks_of(stack_id))
    assert look(ctx, kind, after) is None

    import_id = make()

    found = look(ctx, kind, after)
    assert found is not None
    assert found.import_id == import_id
    assert re.fullmatch(FINDERS[kind].import_format, found.import_id)
    want = Wanted("a", kind, after)
    assert verdict(found, want, ctx.marks, absent_before=False, began_at=None) == "ours"


@pytest.mark.parametrize("kind", sorted({**NAMED, **PARTS}))
@pytest.mark.parametrize("whose", ["stack", "install", "nobody"])
def test_what_somebody_else_made_is_found_as_foreign(
    kind: str, whose: str, account: Any, stack_id: str
) -> None:
    others = {
        "stack": marks_of("sother"),
        "install": marks_of(stack_id, install="inst2"),
        "nobody": {"team": "data"},
    }[whose]
    after, make = ALL[kind](account, f"ml-{stack_id}-x", others)
    make()
    ctx = account.context(stack_id)

    found = look(ctx, kind, after)

    assert found is not None
    want = Wanted("a", kind, after)
    # EKS makes the log group of a cluster again, unmarked; its name holds the stack id.
    expected = "ours" if (kind, whose) == ("aws_cloudwatch_log_group", "nobody") else "foreign"
    assert verdict(found, want, ctx.marks, absent_before=False, began_at=None) == expected


@pytest.mark.parametrize("kind", sorted(NAMED))
def test_another_component_of_the_same_stack_is_foreign(
    kind: str, account: Any, stack_id: str
) -> None:
    after, make = NAMED[kind](account, f"ml-{stack_id}-x", marks_of(stack_id, unit="cluster"))
    make()
    ctx = account.context(stack_id)

    found = look(ctx, kind, after)

    assert found is not None
    want = Wanted("a", kind, after)
    assert verdict(found, want, ctx.marks, absent_before=True, began_at=0) == "foreign"


@pytest.mark.parametrize("kind", sorted(MARKED))
def test_a_thing_of_another_stack_or_unit_with_our_name_tag_is_not_ours(
    kind: str, account: Any, stack_id: str
) -> None:
    name = f"ml-{stack_id}-x"
    for others in (marks_of("sother"), marks_of(stack_id, unit="cluster"), {}):
        after, make = MARKED[kind](account, name, others)
        make()
        assert look(account.context(stack_id), kind, after) is None


@pytest.mark.parametrize("kind", sorted(MARKED))
def test_a_thing_of_another_installation_is_foreign(kind: str, account: Any, stack_id: str) -> None:
    after, make = MARKED[kind](account, "n", marks_of(stack_id, install="inst2"))
    make()
    ctx = account.context(stack_id)

    found = look(ctx, kind, after)

    assert found is not None
    want = Wanted("a", kind, after)
    assert verdict(found, want, ctx.marks, absent_before=True, began_at=0) == "foreign"


def test_an_unmarked_bucket_has_its_creation_time_and_is_ours_only_if_it_was_absent(
    account: Any, stack_id: str
) -> None:
    after, make = NAMED["aws_s3_bucket"](account, f"ml-{stack_id}-x", {})
    make()
    ctx = account.context(stack_id)
    found = look(ctx, "aws_s3_bucket", after)
    assert found is not None
    assert found.created_at is not None
    made = int(found.created_at.timestamp())
    want = Wanted("a", "aws_s3_bucket", after)

    assert verdict(found, want, ctx.marks, absent_before=True, began_at=made) == "ours"
    assert verdict(found, want, ctx.marks, absent_before=False, began_at=made) == "foreign"
    assert verdict(found, want, ctx.marks, absent_before=True, began_at=made + 301) == "foreign"


def test_two_things_for_one_wanted_are_reported_with_both_ids(account: Any, stack_id: str) -> None:
    after, make = MARKED["aws_vpc"](account, "twice", marks_of(stack_id))
    first, second = make(), make()

    with pytest.raises(MlstacksError) as caught:
        look(account.context(stack_id), "aws_vpc", after)

    assert first in str(caught.value)
    assert second in str(caught.value)


def test_one_thing_for_two_wanted_is_reported_with_both_addresses(
    account: Any, stack_id: str
) -> None:
    after, make = MARKED["aws_vpc"](account, "once", marks_of(stack_id))
    make()
    wants = [Wanted(f"aws_vpc.v[{n}]", "aws_vpc", after) for n in range(2)]

    with pytest.raises(MlstacksError, match=r"aws_vpc\.v\[0\] and aws_vpc\.v\[1\]"):
        find_existing(wants, account.context(stack_id))


def test_what_the_state_holds_already_is_no_match_for_something_else(
    account: Any, stack_id: str
) -> None:
    after, make = MARKED["aws_vpc"](account, "kept", marks_of(stack_id))
    identifier = make()
    ctx = FindContext(
        "us-east-1",
        account.wiring,
        {},
        "inst1",
        stack_id,
        "network",
        in_state=frozenset({identifier}),
    )
    assert look(ctx, "aws_vpc", after) is None


def test_nameless_things_match_only_when_there_is_one_of_them(account: Any, stack_id: str) -> None:
    made = account.client("ec2").allocate_address(
        Domain="vpc",
        TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tag_list(marks_of(stack_id))}],
    )["AllocationId"]
    want = Wanted("aws_eip.a", "aws_eip", {"tags_all": marks_of(stack_id)})
    ctx = account.context(stack_id)

    assert find_existing([want], ctx).found[0][1].import_id == made
    with pytest.raises(MlstacksError, match="Name tag"):
        find_existing([want, Wanted("aws_eip.b", "aws_eip", want.after)], ctx)


def test_the_default_security_group_is_not_taken_for_a_group_of_ours(
    account: Any, stack_id: str
) -> None:
    ec2 = account.client("ec2")
    after, _ = MARKED["aws_security_group"](account, "default-like", marks_of(stack_id))
    filters = [{"Name": "vpc-id", "Values": [after["vpc_id"]]}]
    default = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    ec2.create_tags(
        Resources=[default], Tags=tag_list({**marks_of(stack_id), "Name": "default-like"})
    )
    after.pop("name")
    assert look(account.context(stack_id), "aws_security_group", after) is None


def test_an_association_with_another_table_is_found_since_ours_would_be_refused(
    account: Any, stack_id: str
) -> None:
    after, make = PARTS["aws_route_table_association"](account, "other", {"team": "data"})
    theirs = make()
    planned = {"subnet_id": after["subnet_id"], "route_table_id": "rtb-0123"}
    ctx = account.context(stack_id)

    found = look(ctx, "aws_route_table_association", planned)

    assert found is not None
    assert found.import_id == theirs
    want = Wanted("a", "aws_route_table_association", planned)
    assert verdict(found, want, ctx.marks, absent_before=True, began_at=0) == "foreign"


@pytest.mark.parametrize("peer", ["self", "source", "all"])
def test_security_group_rules_of_every_shape_get_the_providers_import_id(
    peer: str, account: Any, stack_id: str
) -> None:
    ec2 = account.client("ec2")
    after, _ = PARTS["aws_security_group_rule"](account, f"g-{peer}", marks_of(stack_id))
    group = after["security_group_id"]
    base = {"security_group_id": group, "type": "ingress", "cidr_blocks": None}
    if peer == "all":
        planned = {**base, "protocol": "-1", "from_port": 0, "to_port": 0}
        planned |= {"cidr_blocks": ["0.0.0.0/0"]}
        permission = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        expected = f"{group}_ingress_all_0_0_0.0.0.0/0"
    else:
        planned = {**base, "protocol": "6", "from_port": 1, "to_port": 2}
        planned |= {"self": True} if peer == "self" else {"source_security_group_id": group}
        pairs = [{"GroupId": group}]
        permission = {
            "IpProtocol": "tcp",
            "FromPort": 1,
            "ToPort": 2,
            "UserIdGroupPairs": pairs,
        }
        expected = f"{group}_ingress_tcp_1_2_" + ("self" if peer == "self" else group)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])

    found = look(account.context(stack_id), "aws_security_group_rule", planned)

    assert found is not None
    assert found.import_id == expected


def test_parts_whose_parent_is_not_known_yet_wait(account: Any, stack_id: str) -> None:
    wants = [
        Wanted("aws_route.r", "aws_route", {"destination_cidr_block": "0.0.0.0/0"}),
        Wanted("aws_route_table_association.a", "aws_route_table_association", {}),
        Wanted("aws_iam_openid_connect_provider.o", "aws_iam_openid_connect_provider", {}),
        Wanted("aws_subnet.s", "aws_subnet", {"tags_all": {"Name": "s"}}),
    ]
    result = find_existing(wants, account.context(stack_id))
    assert set(result.waiting) == {w.address for w in wants}
    assert not result.found
    assert not result.absent


def test_each_pass_finds_the_parts_of_what_the_pass_before_made_known(
    account: Any, stack_id: str
) -> None:
    table_after, make_table = MARKED["aws_route_table"](account, "t", marks_of(stack_id))
    table = make_table()
    ec2 = account.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ctx = account.context(stack_id)
    route = Wanted("aws_route.r", "aws_route", {"destination_cidr_block": "0.0.0.0/0"})

    first = find_existing([Wanted("aws_route_table.t", "aws_route_table", table_after), route], ctx)
    assert [w.address for w, _ in first.found] == ["aws_route_table.t"]
    assert first.waiting == ("aws_route.r",)

    known = {**route.after, "route_table_id": first.found[0][1].resource_id}
    second = find_existing([Wanted(route.address, route.type, known)], ctx)
    assert second.found[0][1].import_id == f"{table}_0.0.0.0/0"


def test_types_without_a_finder_are_named_and_repeatable_ones_are_not() -> None:
    def no_client(*_: object) -> None:
        raise AssertionError("nothing may be asked")

    ctx = FindContext("us-east-1", None, {}, "i", "s", "u", client_factory=no_client)  # type: ignore[arg-type]
    result = find_existing(
        [Wanted("a.b", "acme_thing", {}), Wanted("c.d", "aws_s3_bucket_policy", {})], ctx
    )
    assert result.unknown == ("a.b",)
    assert not result.found
    assert not result.absent


def test_nothing_is_asked_when_nothing_is_wanted() -> None:
    def no_client(*_: object) -> None:
        raise AssertionError("nothing may be asked")

    ctx = FindContext("us-east-1", None, {}, "i", "s", "u", client_factory=no_client)  # type: ignore[arg-type]
    assert find_existing([], ctx).found == ()


def test_ten_subnets_cost_one_call(account: Any, stack_id: str) -> None:
    ctx = account.context(stack_id)
    calls: list[str] = []
    ctx.client("ec2").meta.events.register(
        "before-call.ec2", lambda model, **_: calls.append(model.name)
    )
    wants = [
        Wanted(f"aws_subnet.s[{n}]", "aws_subnet", {"vpc_id": "vpc-1", "tags": {"Name": f"s{n}"}})
        for n in range(10)
    ]
    assert len(find_existing(wants, ctx).absent) == 10
    assert calls == ["DescribeSubnets"]


def test_waiting_ends_when_nothing_is_pending_and_gives_up_after_its_patience() -> None:
    from tests.unit.sweep.fake_aws import FakeAws, json_answer

    statuses = iter(["CREATING", "CREATING", "ACTIVE"])

    def answer(_: object) -> Any:
        cluster = {"name": "c", "arn": "arn:aws:eks:r:1:cluster/c", "status": next(statuses)}
        return json_answer({"cluster": cluster})

    slept: list[float] = []
    said: list[str] = []
    want = Wanted("aws_eks_cluster.c", "aws_eks_cluster", {"name": "c"})
    with FakeAws(answer) as aws:
        ctx = FindContext("us-east-1", aws.wiring(), {}, "i", "s", "u")
        result = wait_until_settled(
            [want], ctx, sleep=slept.append, on_progress=said.append, clock=lambda: 0.0
        )
        assert result.found[0][1].status == "ready"
        assert slept == [15.0, 15.0]
        assert "aws_eks_cluster.c" in said[0]

        statuses = iter(["CREATING"] * 9)
        ticks = iter(range(0, 1000, 30))
        with pytest.raises(MlstacksError, match="still being made or removed after 60 s"):
            wait_until_settled(
                [want], ctx, sleep=slept.append, clock=lambda: float(next(ticks)), patience=60
            )
