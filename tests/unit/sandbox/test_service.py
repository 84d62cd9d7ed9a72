"""Start, find, stop: one server for a home, and nobody else's process is ever touched."""

from __future__ import annotations

import http.client
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import psutil
import pytest

from mlstacks_dagster.engines.wiring import load_wiring
from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.sandbox import service
from mlstacks_dagster.sandbox.state import SandboxState, read_state, write_state
from mlstacks_dagster.settings import Settings

from .conftest import no_provider

STARTER = """
import sys
from mlstacks_dagster.sandbox import service
from mlstacks_dagster.settings import Settings
settings = Settings.load({"MLSTACKS_HOME": sys.argv[1], "MLSTACKS_STACKS_DIR": sys.argv[1]})
print(service.start(settings, find_provider=lambda: None).instance_id)
"""


def start(settings: Settings) -> SandboxState:
    return service.start(settings, find_provider=no_provider)


def servers_of(settings: Settings) -> list[int]:
    folder = str(settings.sandbox_dir)
    return [p.pid for p in psutil.process_iter(["cmdline"]) if folder in (p.info["cmdline"] or [])]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has nothing to do with the sandbox."""
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def state_naming(process: subprocess.Popen[bytes], created: float) -> SandboxState:
    return SandboxState(
        instance_id="0" * 32,
        pid=process.pid,
        created=created,
        port=9,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_second_start_finds_the_first(settings: Settings) -> None:
    first = start(settings)
    assert start(settings) == first == service.status(settings)
    assert servers_of(settings) == [first.pid]


def test_starts_at_the_same_time_give_one_server(settings: Settings) -> None:
    argv = [sys.executable, "-c", STARTER, str(settings.home)]
    starters = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {starter.communicate(timeout=120)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert len(found) == 1
    assert len(servers_of(settings)) == 1


def test_the_server_outlives_the_process_that_started_it(settings: Settings) -> None:
    argv = [sys.executable, "-c", STARTER, str(settings.home)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)
    state = service.status(settings)
    assert state is not None
    assert state.instance_id == done.stdout.strip()
    assert os.getsid(state.pid) == state.pid


def test_the_server_listens_on_the_loopback_address_only(settings: Settings) -> None:
    state = start(settings)
    listening = {
        (c.laddr.ip, c.laddr.port)
        for c in psutil.Process(state.pid).net_connections()
        if c.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", state.port), ("127.0.0.1", state.kube_port)}


def test_everything_written_is_the_owners_only(settings: Settings) -> None:
    start(settings)
    folder = settings.sandbox_dir
    assert mode(folder) == 0o700
    for name in ("wiring.json", "state.json", "server.log", "access.log"):
        assert mode(folder / name) == 0o600, name


def test_the_wiring_points_at_the_server(settings: Settings) -> None:
    state = start(settings)
    wiring = load_wiring("sandbox", settings.sandbox_dir)
    assert wiring.endpoint_url == state.endpoint
    assert wiring.provider_mirror is None
    assert wiring.providers["aws"].exclude_files == ()


def test_with_the_bundled_provider_the_wiring_names_the_mirror(
    settings: Settings, archive: Path
) -> None:
    service.start(settings, find_provider=lambda: archive)
    wiring = load_wiring("sandbox", settings.sandbox_dir)
    assert wiring.provider_mirror == settings.sandbox_dir / "mirror"
    assert wiring.providers["aws"].exclude_files != ()


def test_a_lost_wiring_is_written_again_by_the_next_start(settings: Settings) -> None:
    start(settings)
    (settings.sandbox_dir / "wiring.json").unlink()
    start(settings)
    assert load_wiring("sandbox", settings.sandbox_dir).target == "sandbox"


def test_stop_ends_the_server_and_removes_its_files(settings: Settings) -> None:
    state = start(settings)
    assert service.stop(settings) == state
    assert not psutil.pid_exists(state.pid)
    assert service.status(settings) is None
    assert not (settings.sandbox_dir / "state.json").exists()
    with pytest.raises(SandboxError, match="not running"):
        load_wiring("sandbox", settings.sandbox_dir)


def test_stop_without_a_sandbox_is_nothing_to_do(settings: Settings) -> None:
    assert service.stop(settings) is None
    assert not settings.home.exists()


def test_a_server_that_hangs_is_reported_by_start_and_ended_by_stop(settings: Settings) -> None:
    state = start(settings)
    os.kill(state.pid, signal.SIGSTOP)
    with pytest.raises(SandboxError, match="doesn't answer"):
        service.start(settings, find_provider=no_provider, answer_seconds=0.2)
    assert service.stop(settings, grace_seconds=0.2) == state
    assert not psutil.pid_exists(state.pid)


def test_after_a_server_was_killed_a_start_gives_a_new_one(settings: Settings) -> None:
    dead = start(settings)
    os.kill(dead.pid, signal.SIGKILL)
    while service.status(settings) is not None:
        time.sleep(0.01)
    fresh = start(settings)
    assert fresh.instance_id != dead.instance_id
    assert read_state(settings.sandbox_dir) == fresh
    assert load_wiring("sandbox", settings.sandbox_dir).endpoint_url == fresh.endpoint


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', "[]"])
def test_a_state_file_that_makes_no_sense_is_replaced(settings: Settings, text: str) -> None:
    settings.sandbox_dir.mkdir(parents=True)
    (settings.sandbox_dir / "state.json").write_text(text)
    assert service.status(settings) is None
    state = start(settings)
    assert read_state(settings.sandbox_dir) == state


@pytest.mark.parametrize("age", [0.0, 3600.0], ids=["same time of creation", "older"])
def test_a_process_that_got_the_servers_id_is_left_alone(
    settings: Settings, bystander: subprocess.Popen[bytes], age: float
) -> None:
    settings.sandbox_dir.mkdir(parents=True)
    created = psutil.Process(bystander.pid).create_time() - age
    write_state(settings.sandbox_dir, state_naming(bystander, created))
    assert service.status(settings) is None
    assert service.stop(settings) is None
    assert bystander.poll() is None
    assert not (settings.sandbox_dir / "state.json").exists()


def test_a_start_doesnt_mistake_another_process_for_the_server(
    settings: Settings, bystander: subprocess.Popen[bytes]
) -> None:
    settings.sandbox_dir.mkdir(parents=True)
    created = psutil.Process(bystander.pid).create_time()
    write_state(settings.sandbox_dir, state_naming(bystander, created))
    assert start(settings).pid != bystander.pid
    assert bystander.poll() is None


def test_a_server_without_a_state_file_keeps_others_out(settings: Settings) -> None:
    state = start(settings)
    argv = [sys.executable, "-m", "mlstacks_dagster.sandbox.server"]
    argv += ["--dir", str(settings.sandbox_dir), "--instance", "another"]
    assert subprocess.run(argv, check=False, timeout=60).returncode == 3
    assert service.status(settings) == state


def test_two_homes_have_two_sandboxes(settings: Settings, server: SandboxState) -> None:
    assert start(settings).port != server.port


def test_what_was_deployed_is_gone_after_a_stop(settings: Settings) -> None:
    def buckets(state: SandboxState) -> list[str]:
        s3 = boto3.client(
            "s3",
            endpoint_url=state.endpoint,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        s3.create_bucket(Bucket="kept-in-memory")
        return names

    first = start(settings)
    assert buckets(first) == []
    assert buckets(first) == ["kept-in-memory"]
    service.stop(settings)
    assert buckets(start(settings)) == []


def test_a_server_that_cant_start_says_why(settings: Settings) -> None:
    settings.sandbox_dir.mkdir(parents=True)
    (settings.sandbox_dir / "access.log").mkdir()
    with pytest.raises(SandboxError, match=r"ended early:(.|\n)*access\.log"):
        start(settings)


def test_shell_exports_are_quoted_and_name_the_region(server: SandboxState) -> None:
    shown = service.shell_exports(server, "eu-north-1; echo hacked")
    script = shown + 'echo "$AWS_ENDPOINT_URL|$AWS_REGION|$AWS_DEFAULT_REGION|${AWS_PROFILE-none}"'
    done = subprocess.run(
        ["sh", "-euc", script],
        env={"AWS_PROFILE": "mine"},
        check=True,
        capture_output=True,
        text=True,
    )
    region = "eu-north-1; echo hacked"
    assert done.stdout == f"{server.endpoint}|{region}|{region}|none\n"


def test_web_pages_cant_talk_to_the_server(server: SandboxState) -> None:
    for headers in ({"Origin": "http://example.com"}, {"Sec-Fetch-Site": "cross-site"}):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/moto-api/reset", headers=headers)
        assert connection.getresponse().status == 403
        connection.close()
