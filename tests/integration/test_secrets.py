"""Planted secrets, which the tool itself prints, are looked for wherever anything is kept."""

from __future__ import annotations

import base64
import sqlite3
import stat
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack
from tests.integration.terraform_wrappers import wrap

pytestmark = pytest.mark.slow

PLANTED = "PLANTEDsecretValue0123456789"
OWN = {
    "DB_PASS": f"{PLANTED}-pass",
    "EXTRA_API_TOKEN": f"{PLANTED}-token",
    "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-key",
    # The emulator is asked without TLS, so nothing is ever sent there.
    "HTTPS_PROXY": f"http://someone:{PLANTED}-proxy@127.0.0.1:1",
}
AMBIENT = {
    "AWS_SESSION_TOKEN": f"{PLANTED}-session",
    "TF_TOKEN_registry_example_com": f"{PLANTED}-registry",
}
REACHING = (*(n for n in OWN if n != "AWS_SECRET_ACCESS_KEY"), "TF_TOKEN_registry_example_com")
# Where private copies may be: our sealed values, and the raw output of the tool.
PRIVATE = ("sealed", "work")
FORMS = {PLANTED.encode()} | {
    base64.b64encode(b"\0" * n + PLANTED.encode())[4:-4] for n in range(3)
}

# Says its environment in each way in which tools speak, and fails once, with it in the error.
TALKER = f"""
planted = [(name, value) for name, value in env.items() if {PLANTED!r} in value]
for name, value in planted if verb in ("init", "plan", "apply") else ():
    said = f"telling {{name}}={{value}}"
    print(json.dumps({{"@level": "info", "@message": f"in JSON {{said}}", "type": "log"}}))
    print(json.dumps({{"not": "Terraform's", "said": said}}))
    print(f"plainly {{said}}", flush=True)
    print(f"loudly {{said}}", file=sys.stderr, flush=True)
if verb == "apply" and not os.path.exists("../failed-once"):
    open("../failed-once", "w").close()
    text = " ".join(value for _, value in planted)
    broken = {{"severity": "error", "summary": "refused", "detail": f"with {{text}}"}}
    print(json.dumps({{"@level": "error", "@message": "refused", "type": "diagnostic",
                      "diagnostic": broken}}), flush=True)
    sys.exit(1)
"""


def test_no_secret_is_readable(sandbox: Sandbox, tmp_path: Path) -> None:
    talker = wrap(sandbox.settings, tmp_path / "terraform", TALKER)
    (temporary := tmp_path / "tmp").mkdir()
    env = {**AMBIENT, "MLSTACKS_TERRAFORM": str(talker), "TMPDIR": str(temporary)}
    file = write_stack(
        sandbox.stacks / "s", "secretive", (("artifact_store", "s3"),), environment=OWN
    )
    log = tmp_path / "log"
    argvs: set[str] = set()
    for code, args in (
        (1, ("deploy", "-f", str(file), "--sandbox")),
        (0, ("deploy", "-f", str(file), "--sandbox")),
        (0, ("destroy", "secretive", "-y")),
    ):
        command = sandbox.cli.start(*args, log=log, **env)
        with closing(_Watch(command)) as watch:
            assert command.wait(300) == code, log.read_text()
        argvs |= watch.seen
        _nothing_is_open(sandbox.home, temporary)

    _the_tool_talked(sandbox, log.read_text())
    assert any("plan" in argv for argv in argvs), "the watch has seen nothing"
    assert not [argv for argv in argvs if PLANTED in argv]
    assert PLANTED not in log.read_text()


def _nothing_is_open(home: Path, temporary: Path) -> None:
    """Secrets are in private files only, and in none of Dagster's or the ledger's."""
    for path in _holders(home, temporary):
        assert path.relative_to(home).parts[0] in PRIVATE, path
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    for name in ("dagster", *PRIVATE):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700, name


def _the_tool_talked(sandbox: Sandbox, log: str) -> None:
    """What it said came through to where people read it, but for the secrets: the test's test."""
    assert "refused" in log
    shown = b"".join(
        content
        for path in (sandbox.home / "dagster").rglob("*")
        if path.is_file()
        for content in _contents(path)
    ).decode(errors="replace")
    for name in REACHING:
        for way in ("in JSON", "plainly", "loudly"):
            assert f"{way} telling {name}=" in shown, name
    assert "DB_PASS=***" in shown
    assert "not passed on to the tools: AWS_SECRET_ACCESS_KEY" in shown


class _Watch:
    """Remembers the command lines of a command's processes while it runs."""

    def __init__(self, command: subprocess.Popen[bytes]) -> None:
        self.seen: set[str] = set()
        self._process = psutil.Process(command.pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            with suppress(psutil.Error):
                for process in (self._process, *self._process.children(recursive=True)):
                    with suppress(psutil.Error):
                        self.seen.add(" ".join(process.cmdline()))

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def _holders(*folders: Path) -> list[Path]:
    """Return the files in which a secret is, in any form."""
    return [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
        and "mirror" not in path.parts
        and any(form in content for content in _contents(path) for form in FORMS)
    ]


def _contents(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes and, since Dagster compresses some, the values in a database."""
    raw = path.read_bytes()
    yield raw
    if not raw.startswith(b"SQLite format 3"):
        return
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = bytes
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in database.execute(f'SELECT * FROM "{table.decode()}"'):
                for value in row:
                    if isinstance(value, bytes):
                        yield value
                        with suppress(zlib.error):
                            yield zlib.decompress(value)
