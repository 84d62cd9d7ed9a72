"""IAM: who holds what, in which order, and all pages."""

from __future__ import annotations

from datetime import UTC, datetime

from mlstacks_dagster.sweep.inventory.model import GLOBAL, Ref
from tests.unit.sweep.aws.plants import Plant, pairs
from tests.unit.sweep.aws.scripted import Scripted
from tests.unit.sweep.aws.services import MARKS, OURS, Bench, bench, clients

__all__ = ["bench", "clients"]


def test_a_policy_is_held_by_the_role_it_is_attached_to(bench: Bench) -> None:
    plant = Plant(bench)
    role = plant.iam_role(f"{OURS}-x", MARKS)
    policy = plant.iam_policy(f"{OURS}-x", MARKS)
    bench.client("iam").attach_role_policy(RoleName=role, PolicyArn=policy)
    item = bench.find("iam:policy")[policy]

    assert item.used_by == (Ref(type="iam:role", region=GLOBAL, id=role),)
    bench.delete_all(bench.find("iam:role")[role])
    assert bench.read("iam:policy", policy)[policy].used_by == ()
    bench.delete_all(item)


def test_a_policy_that_a_user_has_is_held(bench: Bench) -> None:
    iam = bench.client("iam")
    policy = Plant(bench).iam_policy(f"{OURS}-x", MARKS)
    iam.create_user(UserName="somebody")
    iam.attach_user_policy(UserName="somebody", PolicyArn=policy)

    (user,) = bench.find("iam:policy")[policy].used_by

    assert user.type == "iam:principal"


def test_a_role_is_held_by_its_profile_and_goes_after_it(bench: Bench) -> None:
    plant = Plant(bench)
    profile = plant.iam_instance_profile(f"{OURS}-x", MARKS)
    role = bench.find("iam:role")[f"{OURS}-x-node"]
    item = bench.find("iam:instance-profile")[profile]

    assert item.uses == (role.ref,)
    assert bench.word(role) == "busy"
    bench.delete_all(item)
    bench.delete_all(role)
    assert bench.find("iam:role") == {}


def test_a_profile_with_another_name_is_found_by_its_role(bench: Bench) -> None:
    iam = bench.client("iam")
    role = Plant(bench).iam_role("plain", MARKS)
    iam.create_instance_profile(InstanceProfileName="other", Tags=pairs(MARKS))
    iam.add_role_to_instance_profile(InstanceProfileName="other", RoleName=role)

    assert set(bench.find("iam:instance-profile")) == {"other"}


def test_roles_and_policies_of_all_pages_are_seen(bench: Bench) -> None:
    def page(params: dict[str, str]) -> dict[str, object]:
        number = int(params.get("Marker", "0"))
        role = {
            "RoleName": f"{OURS}-{number}",
            "Path": "/",
            "Tags": pairs(MARKS),
            "CreateDate": datetime(2026, 1, 1, tzinfo=UTC),
        }
        more = {"IsTruncated": True, "Marker": str(number + 1)} if number < 2 else {}
        return {"RoleDetailList": [role], "Policies": [], **more}

    fake = Scripted("iam", {"get_account_authorization_details": page})
    bench.fake("iam", fake)

    assert set(bench.find("iam:role")) == {f"{OURS}-{n}" for n in range(3)}
    assert len(fake.calls) == 3


def test_an_account_of_others_roles_costs_one_call(bench: Bench) -> None:
    plant = Plant(bench)
    for number in range(5):
        plant.iam_role(f"others-{number}", {"team": "a"})
    before = bench.caller.calls

    assert bench.find("iam:role") == {}
    assert bench.caller.calls == before + 1
