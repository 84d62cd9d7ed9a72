"""A private PostgreSQL server for tests, from the distribution's own packages.

Import the fixture into a ``conftest.py`` or a test module::

    from tests.postgres import postgres_server  # noqa: F401

    def test_x(postgres_server):
        url = postgres_server.new_database()
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

MISSING = "no PostgreSQL server program: apt-get install postgresql"
_START_SECONDS = 60


def find_programs() -> Path | None:
    """Return the folder of the newest ``initdb`` and ``postgres``, None when there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]) if path.parts[-3].isdigit() else 0.0,
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    folder = Path(on_path).resolve().parent if on_path else None
    return folder if folder and (folder / "postgres").exists() else None


class PostgresServer:
    """A server on a free loopback port, in a folder of its own; ends with the ``with`` block."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(12)
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self._init()
            for _ in range(3):  # another process may take the port first
                if self._start():
                    return self
            log = (self._folder / "log").read_text(errors="replace")
            raise RuntimeError(f"PostgreSQL didn't start:\n{log}")
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # immediate shutdown: the data is thrown away
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the URL of a database, with the password."""
        return f"postgresql://ledger:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _init(self) -> None:
        password = self._folder / "password"
        password.touch(0o600)
        password.write_text(self.password)
        user = _unprivileged()
        if user:
            for path in (self._folder, password):
                shutil.chown(path, user)
        subprocess.run(
            [
                self._programs / "initdb",
                f"--pgdata={self._folder / 'data'}",
                "--username=ledger",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            **self._child(),
        )

    def _start(self) -> bool:
        self.port = _free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 60,
        }
        arguments = [item for key, value in options.items() for item in ("-c", f"{key}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it only makes a system call
                **self._child(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False

    def _child(self) -> dict[str, Any]:
        user = _unprivileged()
        child: dict[str, Any] = {"cwd": self._folder, "env": {"PATH": os.environ["PATH"]}}
        if user:
            group = pwd.getpwnam(user).pw_gid
            child |= {"user": user, "group": group, "extra_groups": []}
        return child


def _end_with_parent() -> None:
    # A test run that is killed can't end its server; Linux can (1 is PR_SET_PDEATHSIG).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _unprivileged() -> str | None:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL needs an unprivileged user: postgres or nobody")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session of this test process; skips when no program is found."""
    programs = find_programs()
    if programs is None:
        pytest.skip(MISSING)
    with PostgresServer(programs) as server:
        yield server
