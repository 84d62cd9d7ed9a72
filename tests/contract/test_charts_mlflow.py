"""How the MLflow chart's start script locks the server, run for real with MLflow stood in for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.chart_tools import CHARTS

MLFLOW = CHARTS / "experiment_tracker_mlflow"
PASSWORD = "only%for-this/test"
DATABASE = "postgresql://runs:a%40b@db.example.com/runs"

_FAKE_MLFLOW = """
import json, os
class SqlAlchemyStore:
    def init_db(self, uri): self.uri = uri
    def has_user(self, name): return os.path.exists(os.environ["USERS"])
    def authenticate_user(self, name, password): return open(os.environ["USERS"]).read() == password
    def create_user(self, name, password, is_admin): self._say("create", name, password, is_admin)
    def update_user(self, name, password, is_admin): self._say("update", name, password, is_admin)
    def _say(self, what, name, password, is_admin):
        assert is_admin and name == "admin"
        open(os.environ["USERS"], "w").write(password)
        open(os.environ["DONE"], "a").write(what + " " + self.uri + "\\n")
"""
_FAKE_SQLALCHEMY = """
class _Engine:
    def dispose(self): pass
    def has_table(self, name): return name == "alembic_version"
def create_engine(uri): return _Engine()
def inspect(engine): return engine
"""
_FAKE_COMMANDS = """
import os
class commands:
    @staticmethod
    def main(arguments, standalone_mode):
        assert not standalone_mode
        open(os.environ["DONE"], "a").write(" ".join(arguments) + "\\n")
"""
_FAKE_SERVER = """#!{python}
import json, os, sys
print(json.dumps({{"argv": sys.argv, "environment": dict(os.environ)}}))
"""


class MlflowStart:
    """``start.py`` with stand-ins for MLflow's modules and for its server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        auth = folder / "lib" / "mlflow" / "server" / "auth"
        auth.mkdir(parents=True)
        for package in (auth, auth.parent, auth.parent.parent):
            (package / "__init__.py").write_text("")
        (auth / "sqlalchemy_store.py").write_text(_FAKE_MLFLOW)
        (folder / "lib" / "mlflow" / "db.py").write_text(_FAKE_COMMANDS)
        (folder / "lib" / "sqlalchemy.py").write_text(_FAKE_SQLALCHEMY)
        server = folder / "bin" / "mlflow"
        server.parent.mkdir()
        server.write_text(_FAKE_SERVER.format(python=sys.executable))
        server.chmod(0o700)
        self.done = folder / "done"
        self.config = folder / "basic_auth.ini"

    def run(self, *, password: str = PASSWORD, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "lib"),
            "DONE": str(self.done),
            "USERS": str(self.folder / "users"),
            "MLFLOW_DATA_DIR": "/data",
            "MLFLOW_AUTH_CONFIG_PATH": str(self.config),
            "MLFLOW_DEFAULT_PERMISSION": "NO_PERMISSIONS",
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key",
            **more,
        }
        return subprocess.run(
            [sys.executable, str(MLFLOW / "files" / "start.py"), "--host=0.0.0.0"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )


def test_mlflow_starts_with_basic_auth_and_no_password_in_its_arguments(tmp_path: Path) -> None:
    start = MlflowStart(tmp_path)
    done = start.run()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["argv"][1:] == ["server", "--app-name", "basic-auth", "--host=0.0.0.0"]
    assert PASSWORD not in " ".join(said["argv"])
    assert said["environment"]["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////data/mlflow.db"
    assert start.done.read_text() == (
        "create sqlite:////data/auth.db\nupgrade sqlite:////data/mlflow.db\n"
    )
    assert PASSWORD not in start.config.read_text()
    assert start.config.stat().st_mode & 0o077 == 0


def test_mlflow_takes_over_a_password_that_was_changed(tmp_path: Path) -> None:
    start = MlflowStart(tmp_path)
    start.run()
    start.run()
    start.run(password="another-password")
    words = [line.split()[0] for line in start.done.read_text().splitlines()]
    assert [word for word in words if word != "upgrade"] == ["create", "update"]


def test_mlflow_uses_the_database_of_the_secret_for_runs_and_users(tmp_path: Path) -> None:
    start = MlflowStart(tmp_path)
    done = start.run(DATABASE_URL=DATABASE)
    said = json.loads(done.stdout)
    assert said["environment"]["MLFLOW_BACKEND_STORE_URI"] == DATABASE
    assert "a%40b" not in " ".join(said["argv"])
    assert "a%%40b" in start.config.read_text(), "configparser reads %% as %"
    assert start.config.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"MLFLOW_FLASK_SERVER_SECRET_KEY": ""}, "flask-secret-key"),
        ({"password": ""}, "password"),
        ({"password": "too-short"}, "12 characters"),
    ],
)
def test_mlflow_does_not_start_half_locked(
    changed: dict[str, str], words: str, tmp_path: Path
) -> None:
    done = MlflowStart(tmp_path).run(**changed)
    assert done.returncode != 0
    assert words in done.stderr
    assert done.stdout == "", "the server must not have started"
