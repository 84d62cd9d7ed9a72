"""The words that finders and emptiers share: what is wanted, what was found, whose it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.sweep.aws_session import Client, aws_client
from mlstacks_dagster.sweep.marks import COMPONENT, INSTALL, STACK, mark_value

__all__ = [
    "ClientFactory",
    "FindContext",
    "FindResult",
    "Finder",
    "Found",
    "Progress",
    "Wanted",
]

ClientFactory = Callable[[str, str, Wiring, Mapping[str, str]], Client]
"""Makes a client from service, region, wiring and environment."""

Progress = Callable[[str], None]
"""Takes one readable line about long work."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Wanted:
    """A resource that a plan would create.

    ``after`` holds its planned values; a value that is not known yet has no key.
    """

    address: str
    type: str
    after: Mapping[str, Any]

    @property
    def tags(self) -> Mapping[str, str]:
        """The planned tags, as far as they are known."""
        value = self.after.get("tags_all") or self.after.get("tags") or {}
        return {k: v for k, v in value.items() if isinstance(v, str)}


@dataclass(frozen=True)
class Found:
    """A thing in the cloud that stands where a wanted one would be created.

    ``import_id`` is what ``terraform import`` takes. ``tags`` are its own, or its parent's when
    ``inherited`` (its type can't be tagged); None when nobody can tell. ``created_at`` is None
    when the cloud doesn't say. ``status``: ``pending`` while it is still being made or removed,
    ``failed`` when the cloud gave up on it.
    """

    import_id: str
    resource_id: str
    tags: Mapping[str, str] | None
    created_at: datetime | None = None
    inherited: bool = False
    status: Literal["ready", "pending", "failed"] = "ready"


@dataclass(frozen=True)
class Finder:
    """How things of one resource type are found.

    ``find`` gets all wanted resources of its type at once and returns what exists, by address.
    Each item of ``needs`` is an attribute that must be known before one can look (``a|b``: one
    of them); the contract test checks import ids against ``import_format``, a regular
    expression after the provider's documentation of ``terraform import``.
    """

    find: Callable[[FindContext, Sequence[Wanted]], Mapping[str, Found]]
    needs: tuple[str, ...]
    import_format: str

    def can_look(self, wanted: Wanted) -> bool:
        """Tell whether everything that the search needs is known."""
        return all(
            any(wanted.after.get(name) not in (None, "") for name in need.split("|"))
            for need in self.needs
        )


@dataclass(frozen=True)
class FindResult:
    """What one look at the cloud gave.

    ``found`` exist already; ``waiting`` are addresses whose parent isn't known in this plan (so
    the parent doesn't exist, or was found just now and has to be imported first); ``absent``
    were looked for and don't exist; ``unknown`` are of types that no finder knows.
    """

    found: tuple[tuple[Wanted, Found], ...] = ()
    waiting: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class FindContext:
    """Where to look, and for whom.

    ``environment`` is what the unit's Terraform gets. ``in_state`` are resource ids that the
    unit's state holds already: they are never a match for something else.
    """

    region: str
    wiring: Wiring
    environment: Mapping[str, str]
    install: str
    stack_id: str
    unit: str
    in_state: frozenset[str] = frozenset()
    client_factory: ClientFactory = aws_client
    _clients: dict[str, Client] = field(default_factory=dict, repr=False, compare=False)
    _memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def marks(self) -> dict[str, str]:
        """The marks that make a resource this unit's."""
        return {
            INSTALL: mark_value(self.install),
            STACK: mark_value(self.stack_id),
            COMPONENT: mark_value(self.unit),
        }

    def client(self, service: str) -> Client:
        """Return the client of a service, made on first use."""
        if service not in self._clients:
            self._clients[service] = self.client_factory(
                service, self.region, self.wiring, self.environment
            )
        return self._clients[service]

    def once(self, key: str, read: Callable[[], _T]) -> _T:
        """Return ``read()``, calling it only once for ``key`` in this look."""
        if key not in self._memo:
            self._memo[key] = read()
        value: _T = self._memo[key]
        return value

    def fresh(self) -> FindContext:
        """Return the same context with nothing remembered but its clients."""
        return replace(self, _memo={})
