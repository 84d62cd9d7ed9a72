"""A deploy ends within its time, putting back included: measured by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.helm_argv import HelmTarget
from mlstacks_dagster.engines.helm_calls import HelmFailure
from mlstacks_dagster.engines.helm_recovery import Revision
from mlstacks_dagster.engines.helm_request import HelmRequest
from mlstacks_dagster.engines.helm_steps import HelmSteps
from mlstacks_dagster.errors import CommandError

GOOD = Revision(1, "deployed")
GRACE = 30


class Helm:
    """A Helm whose calls take all the time that they are given; ``hangs``: and more."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.now = 1000.0
        self.calls: list[tuple[str, int]] = []

    def target(self, request: HelmRequest) -> HelmTarget:
        return HelmTarget("helm", 4, request.release, request.namespace, Path("k"), "c")

    def history(self, _request: HelmRequest) -> tuple[Revision, ...]:
        return (GOOD, Revision(2, "failed"))

    def release(self, _request: HelmRequest) -> None:
        return None

    def change(
        self, _request: HelmRequest, verb: str, argv: tuple[str, ...], *_: Any, **more: Any
    ) -> None:
        own = next(int(a[10:-1]) for a in argv if a.startswith("--timeout="))
        self.calls.append((verb, own))
        self.now += more["seconds"] if self.hangs else own
        said = "Error: context deadline exceeded"
        raise HelmFailure(-1 if self.hangs else 1, [said], timed_out=self.hangs)


class Nobody:
    def trouble(self, _refs: object) -> tuple[str, ...]:
        return ()


def took(helm: Helm, timeout: int, history: tuple[Revision, ...]) -> float:
    """Upgrade something that never becomes ready; return how long it took."""
    request = HelmRequest(
        unit="web",
        release="web",
        namespace="demo",
        chart=Path("c"),
        kubeconfig=Path("k"),
        context="c",
        work_dir=Path("w"),
        owner={},
        timeout_seconds=timeout,
    )
    steps = HelmSteps(
        helm,  # type: ignore[arg-type]
        request,
        Nobody(),  # type: ignore[arg-type]
        lambda _event: None,
        clock=lambda: helm.now,
        sleep=lambda _seconds: None,
    )
    started = helm.now
    with pytest.raises(CommandError):
        steps.upgrade(Path("c"), history)
    return helm.now - started


@pytest.mark.parametrize("timeout", [30, 600, 3600])
def test_upgrade_and_putting_back_share_the_time(timeout: int) -> None:
    helm = Helm()
    assert took(helm, timeout, (GOOD,)) <= timeout
    (up, first), (back, second) = helm.calls
    assert (up, back) == ("upgrade", "rollback")
    assert first >= timeout * 0.75
    assert second >= min(timeout // 4, 60)


@pytest.mark.parametrize("timeout", [30, 600, 3600])
def test_a_helm_that_hangs_is_stopped_half_a_minute_later(timeout: int) -> None:
    assert took(Helm(hangs=True), timeout, (GOOD,)) <= timeout + GRACE


def test_a_first_install_has_all_the_time() -> None:
    helm = Helm()
    took(helm, 600, ())
    assert helm.calls[0] == ("upgrade", 600)


def test_what_is_left_of_the_time_is_for_putting_back() -> None:
    class Refused(Helm):
        def change(self, *args: Any, **more: Any) -> None:
            if args[1] == "upgrade":
                self.now += 2
                raise HelmFailure(1, ["Error: is invalid"])
            super().change(*args, **more)

    helm = Refused()
    assert took(helm, 600, (GOOD,)) == 600
    assert helm.calls == [("rollback", 598)]
