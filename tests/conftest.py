"""What all tests share: an environment of their own, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import settings

# A busy machine is no failure. CI asks for hypothesis's own profile "ci": the same examples each
# time, so that a change is judged by what it changed; all others look for new ones.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "USER", "CI", "COVERAGE_FILE")
_KEPT_PREFIXES = ("PYTEST_", "PYTHON", "SSL_", "MLSTACKS_TEST_")
# The longest first, so that none of them is begun when all else is done.
_LONGEST = ("test_kill", "test_ui", "test_stacks", "test_releases", "test_terminate")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test was skipped")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each of xdist's workers begin with its share of the slow tests.

    Workers get equal slices of the list, and steal from the slices' ends.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if "integration" in item.nodeid or "browser" in item.nodeid]
    slow.sort(key=_length_rank)
    quick = [item for item in items if item not in set(slow)]
    shares = [(slow[n::workers], _slice(quick, n, workers)) for n in range(workers)]
    items[:] = [item for share in shares for part in share for item in part]


def _length_rank(item: pytest.Item) -> int:
    ranks = [n for n, name in enumerate(_LONGEST) if name in item.nodeid]
    is_slow = item.get_closest_marker("slow") is not None
    return ranks[0] if ranks and is_slow else len(_LONGEST) + (not is_slow)


def _slice(items: Sequence[pytest.Item], number: int, of: int) -> Sequence[pytest.Item]:
    return items[len(items) * number // of : len(items) * (number + 1) // of]


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-skips"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == 0:
        reporter.write_line("tests were skipped, and --no-skips was given", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give each test a home of its own, and none of the user's credentials or settings."""
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(_KEPT_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLSTACKS_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
