"""Dagster's web server behind our guard: ``python -m mlstacks_dagster.defs.web``.

Takes the options of ``dagster-webserver``.
"""

from __future__ import annotations

from dagster_webserver.cli import main as dagster_webserver
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from mlstacks_dagster.defs import alembic_cache
from mlstacks_dagster.defs.guard import ALLOWED_HOSTS, OriginGuard

__all__ = ["install_guard", "main"]

_original = DagsterWebserver.build_middleware


def install_guard() -> None:
    """Put the guard in front of every web server that this process makes."""
    DagsterWebserver.build_middleware = _guarded  # type: ignore[method-assign]  # its one hook


def main() -> None:
    """Serve until interrupted."""
    install_guard()
    alembic_cache.install()
    dagster_webserver()  # type: ignore[no-untyped-call]


def _guarded(self: DagsterWebserver) -> list[Middleware]:  # type: ignore[type-arg]  # any contexts
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS),
        Middleware(OriginGuard),
        *_original(self),
    ]


if __name__ == "__main__":
    main()
