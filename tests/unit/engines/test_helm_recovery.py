"""What a half-done release needs, decided from its history alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.engines.helm_recovery import (
    Revision,
    decide,
    is_stale,
    last_good,
    newest,
    parse_history,
)

STATES = (
    "deployed",
    "superseded",
    "failed",
    "pending-install",
    "pending-upgrade",
    "pending-rollback",
    "uninstalling",
    "unknown",
)


def history(*states: str) -> tuple[Revision, ...]:
    return tuple(Revision(number, state) for number, state in enumerate(states, 1))


@pytest.mark.parametrize(
    ("states", "action", "revision"),
    [
        ((), "none", None),
        (("deployed",), "none", None),
        (("superseded", "superseded", "deployed"), "none", None),
        (("failed",), "none", None),
        (("deployed", "failed"), "none", None),
        (("pending-install",), "uninstall", None),
        (("failed", "pending-upgrade"), "uninstall", None),
        (("deployed", "pending-upgrade"), "rollback", 1),
        (("superseded", "deployed", "failed", "pending-upgrade"), "rollback", 2),
        (("superseded", "deployed", "failed", "pending-rollback"), "rollback", 2),
        (("superseded", "superseded", "pending-rollback"), "rollback", 2),
        (("deployed", "uninstalling"), "uninstall", None),
        (("uninstalling",), "uninstall", None),
        (("unknown",), "none", None),
    ],
)
def test_each_state_has_its_remedy(states, action, revision):
    found = decide(history(*states))
    assert (found.action, found.revision) == (action, revision)
    assert (found.reason == "") == (action == "none")


@given(st.lists(st.sampled_from(STATES), max_size=6))
def test_a_rollback_never_goes_to_a_revision_that_was_not_good(states):
    found = decide(history(*states))
    if found.action == "rollback":
        assert states[found.revision - 1] in ("deployed", "superseded")
    if states and states[-1] in ("pending-install", "pending-upgrade", "pending-rollback"):
        assert found.action != "none"


def test_a_failed_revision_that_a_failed_rollback_renamed_is_not_taken_for_good():
    found = (
        Revision(1, "superseded", description="Install complete"),
        Revision(2, "superseded", description='Upgrade "web" failed: not ready'),
        Revision(3, "pending-rollback", description="Preparing upgrade"),
    )
    assert last_good(found) == found[0]
    assert decide(found).revision == 1


def test_the_deployed_revision_wins_over_younger_ones():
    found = history("deployed", "superseded", "failed")
    assert last_good(found) == found[0]
    assert newest(found) == found[2]
    assert newest(()) is None
    assert last_good(history("failed")) is None


def test_a_pending_release_is_stale_when_our_own_killed_command_explains_it():
    pending = Revision(1, "pending-install", updated=1000.0)
    assert is_stale(pending, [(999.0, 1005.0)], now=1006.0, timeout=600.0)
    assert not is_stale(pending, [(900.0, 990.0)], now=1006.0, timeout=600.0)
    assert not is_stale(pending, [], now=1600.0, timeout=600.0)
    assert is_stale(pending, [], now=1601.0, timeout=600.0)
    assert not is_stale(Revision(1, "failed"), [(0.0, 9e9)], now=9e9, timeout=0.0)


def test_a_history_is_read_oldest_first():
    lines = [
        {"revision": 2, "status": "failed", "updated": "2026-11-23T23:40:14.123456789Z"},
        {
            "revision": 1,
            "status": "superseded",
            "updated": "2026-11-23T23:40:14+01:00",
            "description": "Install complete",
        },
    ]
    first, second = parse_history(json.dumps(lines))
    assert (first.number, first.description) == (1, "Install complete")
    assert second.updated == pytest.approx(1795477214.123456)
    assert second.updated - first.updated == pytest.approx(3600.123456)
    assert not second.pending


def test_a_time_that_is_not_understood_makes_a_revision_old_not_an_error():
    (found,) = parse_history('[{"revision": 1, "status": "pending-install", "updated": "soon"}]')
    assert found.updated == 0.0
    assert is_stale(found, [], now=1e9, timeout=600.0)


@pytest.mark.parametrize("text", ["", "{}{", "[{}]", '[{"revision": "x", "status": "y"}]'])
def test_what_is_no_history_raises(text):
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_history(text)
