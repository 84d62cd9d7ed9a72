"""States: what is in them, their locks, and damaged files that must not be overwritten."""

import json
import stat
from pathlib import Path

import pytest

from mlstacks_dagster.engines.process import Settled
from mlstacks_dagster.engines.tf_recovery import Crashes, is_ours
from mlstacks_dagster.engines.tf_state import (
    LockInfo,
    StateResource,
    StateSnapshot,
    check_state_file,
    parse_lock,
    parse_state,
    restore_cut_off_state,
)
from mlstacks_dagster.errors import StateError

STATE = {
    "version": 4,
    "serial": 7,
    "lineage": "abc",
    "outputs": {
        "name": {"value": "b", "type": "string"},
        "password": {"value": "hunter22", "type": "string", "sensitive": True},
    },
    "resources": [
        {"mode": "data", "type": "aws_region", "name": "r", "instances": [{"attributes": {}}]},
        {
            "mode": "managed",
            "type": "aws_subnet",
            "name": "s",
            "instances": [
                {"index_key": 0, "attributes": {"id": "subnet-1", "arn": "arn:1"}},
                {"index_key": "b", "status": "tainted", "attributes": {"id": None}},
            ],
        },
        {
            "module": "module.m",
            "mode": "managed",
            "type": "aws_vpc",
            "name": "v",
            "instances": [{"attributes": {"id": "vpc-1"}}],
        },
    ],
}


def test_outputs_and_managed_resources_are_read():
    snapshot = parse_state(json.dumps(STATE))
    assert snapshot.serial == 7
    assert snapshot.outputs["password"].sensitive
    assert snapshot.outputs["name"].value == "b"
    assert snapshot.resources == (
        StateResource("aws_subnet.s[0]", "aws_subnet", "s", "subnet-1", "arn:1"),
        StateResource('aws_subnet.s["b"]', "aws_subnet", "s", tainted=True),
        StateResource("module.m.aws_vpc.v", "aws_vpc", "v", "vpc-1"),
    )
    assert "hunter22" not in repr(snapshot)


def test_an_empty_state_has_nothing():
    assert parse_state("\n") == StateSnapshot()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"serial": 1, "lineage": "x", "resources": 3}'])
def test_anything_else_is_a_state_error(text):
    with pytest.raises(StateError):
        parse_state(text)


def test_a_text_without_a_lock_gives_none():
    assert parse_lock("Error message: access denied") is None


def test_a_lock_with_an_odd_time_is_still_read():
    lock = parse_lock("Lock Info:\n  ID:  x\n  Created: yesterday\n")
    assert lock is not None
    assert (lock.id, lock.created) == ("x", 0.0)


class Folder:
    """A folder with a state and perhaps its backup."""

    def __init__(self, path: Path) -> None:
        self.state = path / "terraform.tfstate"
        self.backup = path / "terraform.tfstate.backup"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


GOOD = json.dumps({"version": 4, "serial": 1})


def test_no_state_and_an_empty_first_state_are_in_order(folder):
    check_state_file(folder.state)
    folder.state.touch()
    check_state_file(folder.state)


@pytest.mark.parametrize("content", [GOOD[:9], "<html>", '{"serial": 1}', "[1]"])
def test_a_damaged_state_is_named_with_its_backup_and_left_untouched(folder, content):
    folder.state.write_text(content)
    folder.backup.write_text(GOOD)
    with pytest.raises(StateError) as caught:
        check_state_file(folder.state)
    assert f"cp {folder.backup} {folder.state}" in str(caught.value)
    assert folder.state.read_text() == content
    assert folder.backup.read_text() == GOOD


def test_an_empty_state_beside_a_backup_is_damage(folder):
    folder.state.touch()
    folder.backup.write_text(GOOD)
    with pytest.raises(StateError, match="empty"):
        check_state_file(folder.state)


def test_a_backup_that_is_damaged_too_is_not_recommended(folder):
    folder.state.write_text("{")
    folder.backup.write_text("{")
    with pytest.raises(StateError) as caught:
        check_state_file(folder.state)
    assert "cp " not in str(caught.value)


def test_a_write_that_was_cut_off_is_undone_and_the_rest_kept(folder):
    folder.state.write_text(GOOD[:5])
    folder.backup.write_text(GOOD)
    aside = restore_cut_off_state(folder.state, 1234.5)
    assert folder.state.read_text() == GOOD
    assert stat.S_IMODE(folder.state.stat().st_mode) == 0o600
    assert aside is not None
    assert (aside.name, aside.read_text()) == ("terraform.tfstate.corrupt-1234", GOOD[:5])


def test_a_first_write_that_was_cut_off_leaves_no_state(folder):
    folder.state.write_text("{")
    assert restore_cut_off_state(folder.state, 1.0) is not None
    assert not folder.state.exists()


def test_a_state_in_order_is_not_restored(folder):
    folder.state.write_text(GOOD)
    folder.backup.write_text(json.dumps({"version": 4, "serial": 0}))
    assert restore_cut_off_state(folder.state, 1.0) is None
    assert folder.state.read_text() == GOOD


def crashed(path: Path, start: float, end: float) -> Crashes:
    crashes = Crashes(path)
    crashes.note(Settled(verb="apply", found=True, started=start, at=end))
    return crashes


@pytest.mark.parametrize(
    ("who", "created", "ours"),
    [
        ("me@here", 150.0, True),
        ("me@here", 90.0, False),
        ("me@here", 260.0, False),
        ("you@here", 150.0, False),
        ("me@there", 150.0, False),
        ("me@here", 0.0, False),
    ],
)
def test_only_a_lock_of_a_command_that_we_know_to_be_dead_is_ours(tmp_path, who, created, ours):
    crashes = crashed(tmp_path, 100.0, 200.0)
    assert is_ours(crashes, LockInfo("id", who=who, created=created), "me@here") is ours


def test_without_a_crash_no_lock_is_ours(tmp_path):
    crashes = crashed(tmp_path, 100.0, 200.0)
    crashes.forget()
    assert not is_ours(crashes, LockInfo("id", who="me@here", created=150.0), "me@here")
