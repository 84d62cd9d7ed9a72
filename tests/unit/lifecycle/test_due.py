from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.due import (
    Attempt,
    Ending,
    failed_deploy,
    is_expired,
    next_attempt,
    pause_after,
    run_key,
    warns_from,
)
from mlstacks_dagster.lifecycle.removed import places_of, removed_stacks
from mlstacks_dagster.lifecycle.sightings import Sightings, uptime
from mlstacks_dagster.spec.models import StateLocation

DAY = 86_400
HOUR = 3_600


def record(**changes: Any) -> StackRecord:
    values: dict[str, Any] = {
        "stack_id": "saaaaaaaaaaaa",
        "name": "demo",
        "provider": "aws",
        "region": "eu-north-1",
        "target": "cloud",
        "sandbox_id": None,
        "status": "live",
        "generation": 1,
        "created_at": 1_000_000,
        "destroyed_at": None,
        "expires_at": None,
        "protect": False,
        "on_failure": "keep",
        "state": StateLocation(),
        "source": None,
        "close_reason": None,
        "plan_json": {},
    }
    return StackRecord(**{**values, **changes})


def test_a_stack_is_expired_from_its_end_on_and_not_before() -> None:
    stack = record(expires_at=2_000_000)
    assert not is_expired(stack, 1_999_999)
    assert is_expired(stack, 2_000_000)
    assert not is_expired(record(expires_at=None), 9e9)
    assert not is_expired(record(expires_at=1, status="destroyed"), 9e9)


@pytest.mark.parametrize(
    ("life", "warning"), [(30 * DAY, DAY), (10 * DAY, DAY), (5 * DAY, DAY // 2), (HOUR, 360)]
)
def test_the_warning_comes_a_day_before_or_in_the_last_tenth_of_a_short_life(
    life: int, warning: int
) -> None:
    stack = record(expires_at=1_000_000 + life)
    assert warns_from(stack) == 1_000_000 + life - warning


def test_an_end_before_the_creation_warns_at_the_end() -> None:
    assert warns_from(record(expires_at=5)) == 5


@pytest.mark.parametrize(
    ("endings", "generation", "due"),
    [
        ({1: "failed"}, 1, True),
        ({1: "failed", 2: "failed"}, 2, True),
        ({1: "cancelled", 2: "failed"}, 2, True),
        ({1: "ok", 2: "failed"}, 2, False),
        ({1: "unknown", 2: "failed"}, 2, False),
        ({2: "failed"}, 2, False),
        ({1: "failed", 2: "open"}, 2, False),
        ({1: "failed", 2: "ok"}, 2, False),
        ({1: "cancelled"}, 1, False),
        ({1: "unknown"}, 1, False),
        ({}, 1, False),
    ],
)
def test_only_a_first_deploy_that_failed_asks_for_the_teardown(
    endings: dict[int, Ending], generation: int, due: bool
) -> None:
    assert failed_deploy(record(on_failure="destroy", generation=generation), endings) is due
    assert not failed_deploy(record(on_failure="keep", generation=generation), endings)


def test_a_failed_deploy_of_a_stack_that_is_gone_asks_for_nothing() -> None:
    assert not failed_deploy(record(on_failure="destroy", status="destroyed"), {1: "failed"})


def test_attempts_are_numbered_and_their_pauses_grow_to_six_hours() -> None:
    assert next_attempt([], 0.0) == 1
    first = Attempt(1, ended_at=1000.0)
    assert next_attempt([first], 1000.0) is None
    assert next_attempt([first], 1000.0 + pause_after(first)) == 2
    pauses = [pause_after(Attempt(n, 0.0)) for n in range(1, 60)]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [600.0, 1200.0, 2400.0]
    assert pauses[-1] == 6 * HOUR
    assert pause_after(Attempt(1, 0.0, cancelled=True)) == 6 * HOUR


def test_a_pruned_history_never_gives_a_number_twice() -> None:
    assert next_attempt([Attempt(7, 0.0)], 1e9) == 8


def test_a_clock_that_went_back_does_not_stop_teardowns() -> None:
    assert next_attempt([Attempt(1, ended_at=5e9)], 1000.0) == 2


def test_a_run_key_tells_stack_generation_and_attempt() -> None:
    keys = {
        run_key(record(), 1),
        run_key(record(), 2),
        run_key(record(generation=2), 1),
        run_key(record(stack_id="sbbbbbbbbbbbb"), 1),
    }
    assert len(keys) == 4


def test_sightings_need_an_earlier_evaluation_and_time() -> None:
    first = Sightings.parse(None).see(["a"], 100.0)
    assert not Sightings.parse(None).confirms("a", 100.0, 0)
    assert first.confirms("a", 100.0, 0)
    assert not first.confirms("a", 699.0, 600)
    assert first.confirms("a", 700.0, 600)
    assert first.see(["a"], 400.0).confirms("a", 700.0, 600)


def test_a_sighting_that_stops_begins_anew() -> None:
    seen = Sightings.parse(None).see(["a"], 100.0).see([], 200.0).see(["a"], 900.0)
    assert not seen.confirms("a", 950.0, 600)


def test_a_sighting_in_the_future_begins_anew_and_is_not_forgotten() -> None:
    seen = Sightings.parse(None).see(["a"], 9e9)
    assert not seen.confirms("a", 100.0, 0)
    assert seen.see(["a"], 100.0).confirms("a", 700.0, 600)


def test_with_a_gap_between_evaluations_everything_is_seen_anew() -> None:
    seen = Sightings.parse(None).resumed(100.0, 50.0).see(["a"], 100.0)
    assert seen.resumed(400.0, 350.0, 300).confirms("a", 400.0, 300)
    assert not seen.resumed(401.0, 351.0, 300).confirms("a", 401.0, 300)
    assert not seen.resumed(99.0, 51.0, 300).confirms("a", 99.0, 0), "the clock went back"
    assert seen.resumed(9e9, 9e9).confirms("a", 9e9, 300), "without a limit any gap is fine"


def test_a_clock_that_jumps_is_not_believed_for_ten_minutes() -> None:
    first = Sightings.parse(None).resumed(1000.0, 50.0)
    assert first.clock_is_steady
    assert first.resumed(2000.0, 1050.0).clock_is_steady, "an hour asleep counts in both clocks"
    jumped = first.resumed(90_000.0, 80.0)
    assert not jumped.clock_is_steady
    assert not jumped.resumed(90_599.0, 679.0).clock_is_steady
    assert jumped.resumed(90_600.0, 680.0).clock_is_steady
    assert not jumped.resumed(1100.0, 150.0).clock_is_steady, "it was set back again"


def test_after_a_restart_of_the_machine_its_clock_is_not_believed_at_once() -> None:
    before = Sightings.parse(None).resumed(1000.0, 5000.0)
    started = Sightings.parse(before.resumed(1300.0, 20.0).dump())
    assert not started.clock_is_steady
    assert started.resumed(1900.0, 620.0).clock_is_steady


def test_the_uptime_goes_on() -> None:
    assert 0 < uptime() <= uptime()


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"a": "x"}', "null", '{"since": 1}'])
def test_a_cursor_that_is_not_ours_is_nothing_seen(text: str) -> None:
    assert Sightings.parse(text).since == {}


def test_sightings_survive_the_cursor() -> None:
    seen = Sightings(steady_from=2.0, places={"/a": "1:2"}).resumed(1.0, 1.0).see(["b", "a"], 1.5)
    assert Sightings.parse(seen.dump()) == seen


def test_whatever_the_clock_does_a_due_teardown_is_launched_once_an_attempt() -> None:
    """Random clocks, failures and restarts: no key twice, and never for ever without one."""
    for seed in range(300):
        chance = random.Random(seed)
        now, ended, keys = 1e6, [], []
        for _ in range(60):
            now = max(0.0, now + chance.choice([30, 30, 600, -1000, 1e5, -1e5, 1e7, -1e7]))
            number = next_attempt(ended, now)
            if number is not None:
                keys.append(run_key(record(), number))
                ended.append(Attempt(number, now, cancelled=chance.random() < 0.1))
        assert len(keys) == len(set(keys))
        assert next_attempt(ended, max(a.ended_at for a in ended) + 6 * HOUR) is not None


class Folder:
    """A stacks folder with two stacks and a component."""

    def __init__(self, root: Path) -> None:
        self.root = root / "stacks"
        (self.root / "team").mkdir(parents=True)
        self.write("demo.yaml", "demo")
        self.write("team/other.yaml", "other")
        (self.root / "part.yaml").write_text("spec_type: component\nname: demo\n")
        self.places: dict[str, str] = {}

    def write(self, path: str, name: str) -> None:
        (self.root / path).write_text(f"spec_type: stack\nname: {name}\n")

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def removed(self) -> set[str]:
        stacks = [
            record(name=n, source=str(self.root / p))
            for n, p in (("demo", "demo.yaml"), ("other", "team/other.yaml"))
        ]
        return {s.name for s in removed_stacks(stacks, self.root, self.places)[0]}

    def why_not(self) -> str:
        stacks = [record(source=str(self.root / "demo.yaml"))]
        return removed_stacks(stacks, self.root, self.places)[1]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_only_the_stack_whose_file_is_gone_counts(folder: Folder) -> None:
    assert folder.removed() == set()
    folder.remove("demo.yaml")
    assert folder.removed() == {"demo"}
    folder.remove("team/other.yaml")
    assert folder.removed() == {"demo"}, "an emptied folder may be unmounted"
    (folder.root / "team").rmdir()
    assert folder.removed() == {"demo", "other"}


def test_an_emptied_folder_counts_when_it_is_the_one_that_had_the_files(folder: Folder) -> None:
    folder.places = places_of(folder.root, {})
    for path in ("demo.yaml", "part.yaml", "team/other.yaml"):
        folder.remove(path)
    folder.places = places_of(folder.root, folder.places)
    assert folder.removed() == {"demo", "other"}
    (folder.root / "team").rename(folder.root.parent / "kept")
    (folder.root / "team").mkdir()
    assert folder.removed() == {"demo"}, "another folder stands where the files were"
    folder.root.rename(folder.root.parent / "away")
    folder.root.mkdir()
    assert folder.removed() == set()
    assert "unmounted" in folder.why_not()


def test_what_was_known_of_folders_stays_while_they_can_not_be_read(folder: Folder) -> None:
    known = places_of(folder.root, {})
    assert set(known) == {str(folder.root), str(folder.root / "team")}

    def scan(_: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    assert places_of(folder.root, known, scan) == known


def test_a_renamed_file_is_not_a_removed_stack(folder: Folder) -> None:
    folder.remove("demo.yaml")
    folder.write("team/renamed.yml", "demo")
    assert folder.removed() == set()


def test_a_broken_file_is_not_a_removed_one(folder: Folder) -> None:
    (folder.root / "demo.yaml").write_text("a: [")
    assert folder.removed() == set()


def test_with_any_file_that_cannot_be_read_nothing_counts_as_removed(folder: Folder) -> None:
    folder.remove("demo.yaml")
    (folder.root / "new.yaml").write_text("a: [")
    assert folder.removed() == set()
    assert "new.yaml" in folder.why_not()


def test_a_dangling_link_is_not_a_removed_file(folder: Folder) -> None:
    folder.remove("demo.yaml")
    (folder.root / "demo.yaml").symlink_to(folder.root / "nowhere")
    assert folder.removed() == set()


def test_without_its_folder_nothing_is_removed(folder: Folder, tmp_path: Path) -> None:
    folder.root.rename(tmp_path / "away")
    assert folder.removed() == set()
    assert "can't be read" in folder.why_not()
    folder.root.mkdir()
    assert folder.removed() == set()
    assert "unmounted" in folder.why_not()


def test_a_folder_that_may_not_be_read_removes_nothing(folder: Folder) -> None:
    folder.remove("demo.yaml")

    def scan(path: Path) -> list[Path]:
        if path.name == "team":
            raise PermissionError(13, "Permission denied")
        return sorted(path.iterdir())

    stacks = [record(source=str(folder.root / "demo.yaml"))]
    removed, why = removed_stacks(stacks, folder.root, {}, scan)
    assert removed == ()
    assert "Permission denied" in why


def test_a_stack_from_elsewhere_is_nobody_s_to_remove(folder: Folder, tmp_path: Path) -> None:
    stacks = [record(source=str(tmp_path / "gone.yaml")), record(source=None)]
    assert removed_stacks(stacks, folder.root, {}) == ((), "")
