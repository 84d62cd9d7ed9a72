"""Prepare MLflow's basic authentication from the Secret, then become ``mlflow server``.

Passwords and the database's URL come from the environment and stay out of the arguments.
"""

import configparser
import os
import sys
from pathlib import Path

DATA = Path(os.environ["MLFLOW_DATA_DIR"])
CONFIG = Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"])
SHORTEST = 12


def store_uri():
    """Return the URI of the tracking database: the Secret's, else a file on the volume."""
    return os.environ.get("DATABASE_URL") or f"sqlite:///{DATA}/mlflow.db"


def auth_uri():
    """Return the URI of the users' database: the same server, else a file on the volume."""
    return os.environ.get("DATABASE_URL") or f"sqlite:///{DATA}/auth.db"


def write_config(uri):
    """Write MLflow's authentication settings for this container only."""
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": os.environ["MLFLOW_DEFAULT_PERMISSION"],
        "database_uri": uri.replace("%", "%%"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    descriptor = os.open(CONFIG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        config.write(file)


def set_administrator(uri, username, password):
    """Make the Secret's password the administrator's, also after it was changed."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(uri)
    if not store.has_user(username):
        store.create_user(username, password, is_admin=True)
    elif not store.authenticate_user(username, password):
        store.update_user(username, password=password, is_admin=True)


def upgrade(uri):
    """Bring the tables of an older MLflow up to date; a new database is left to the server."""
    import sqlalchemy
    from mlflow.db import commands

    engine = sqlalchemy.create_engine(uri)
    known = sqlalchemy.inspect(engine).has_table("alembic_version")
    engine.dispose()
    if known:
        commands.main(["upgrade", uri], standalone_mode=False)


def main(arguments):
    """Prepare, then replace this process by the server."""
    username = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]
    password = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    if not username or not password or not os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"]:
        sys.exit("the Secret lacks a username, a password or a flask-secret-key")
    if len(password) < SHORTEST:
        sys.exit(f"the Secret's password is shorter than MLflow's minimum of {SHORTEST} characters")
    write_config(auth_uri())
    set_administrator(auth_uri(), username, password)
    upgrade(store_uri())
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store_uri()
    os.environ.pop("DATABASE_URL", None)
    os.execvp("mlflow", ["mlflow", "server", "--app-name", "basic-auth", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
