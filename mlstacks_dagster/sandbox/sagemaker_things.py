"""What moto's SageMaker lacks: what is inside of a domain, and MLflow servers.

What is deleted is told once more, as Deleting or by refusing what it holds, and is gone then. An
app stays as Deleted for a day, as in the cloud.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound, ValidationError
from moto.sagemaker.utils import arn_formatter
from moto.utilities.paginator import Paginator

__all__ = [
    "DELETED",
    "DELETING",
    "SORTS",
    "Shelf",
    "Sort",
    "Thing",
    "missing",
    "page",
    "refuse_held",
    "shelf_of",
]

DELETING = "Deleting"
DELETED = "Deleted"

_DAY = 86_400.0
_PAGE = 10
_PAGING = frozenset({"MaxResults", "NextToken"})

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Sort:
    """A type: its name in operations, fields, ARNs and listings, and what makes its ARN.

    ``vague``: described with the code for bad input when there is none. ``lingers``: told for a
    day after it is gone. ``unless_given``: what it is told with when it was made without.
    """

    operation: str
    noun: str
    resource: str
    listed: str
    path: tuple[str, ...]
    filters: tuple[str, ...]
    state: str = "Status"
    lives: str = "InService"
    vague: bool = False
    lingers: bool = False
    unless_given: Params = field(default_factory=dict)


_OF_DOMAIN = "DomainIdEquals"

SORTS = {
    sort.noun: sort
    for sort in (
        Sort(
            "user_profile",
            "UserProfile",
            "user-profile",
            "UserProfiles",
            ("DomainId", "UserProfileName"),
            (_OF_DOMAIN, "UserProfileNameContains"),
        ),
        Sort(
            "space",
            "Space",
            "space",
            "Spaces",
            ("DomainId", "SpaceName"),
            (_OF_DOMAIN, "SpaceNameContains"),
            vague=True,
        ),
        Sort(
            "app",
            "App",
            "app",
            "Apps",
            ("DomainId", "UserProfileName", "SpaceName", "AppType", "AppName"),
            (_OF_DOMAIN, "UserProfileNameEquals", "SpaceNameEquals"),
            vague=True,
            lingers=True,
        ),
        Sort(
            "mlflow_tracking_server",
            "TrackingServer",
            "mlflow-tracking-server",
            "TrackingServerSummaries",
            ("TrackingServerName",),
            ("TrackingServerStatus", "MlflowVersion"),
            state="TrackingServerStatus",
            lives="Created",
            unless_given={"IsActive": "Active", "TrackingServerSize": "Small"},
        ),
    )
}


@dataclass
class Thing:
    """One of a type that moto lacks, by the fields that it was made with."""

    sort: Sort
    arn: str
    fields: dict[str, Any]
    tags: list[dict[str, str]]
    state: str
    forgotten_at: float = 0.0
    made: Any = field(default_factory=utcnow)

    def described(self) -> dict[str, Any]:
        """Return all that describes it; each call tells what it may."""
        return {
            **self.sort.unless_given,
            **self.fields,
            f"{self.sort.noun}Arn": self.arn,
            self.sort.state: self.state,
            "CreationTime": self.made,
            "LastModifiedTime": self.made,
        }


class Shelf:
    """What one account has in one region of the types that moto lacks."""

    def __init__(self, account: str, region: str, clock: Callable[[], float] = time.time) -> None:
        self._account, self._region, self._clock = account, region, clock
        self._things: dict[str, Thing] = {}

    def all(self, noun: str = "") -> list[Thing]:
        """Return all things, or those of a type, in the order in which they were made."""
        now = self._clock()
        for arn, thing in list(self._things.items()):
            if thing.state == DELETED and thing.forgotten_at <= now:
                self._things.pop(arn, None)
        return [t for t in list(self._things.values()) if noun in ("", t.sort.noun)]

    def by_arn(self, arn: str) -> Thing | None:
        """Return what has an ARN, None when nothing does."""
        return next((thing for thing in self.all() if thing.arn == arn), None)

    def get(self, sort: Sort, params: Params) -> Thing | None:
        """Return what a request names, None when there is no such thing."""
        return self.by_arn(self._arn(sort, params))

    def add(self, sort: Sort, params: Params) -> Thing:
        """Make a thing; refused while there is one of its name."""
        arn = self._arn(sort, params)
        there = self.by_arn(arn)
        if there is not None and there.state != DELETED:
            raise ResourceInUseException(f"{sort.noun} [{arn}] already exists.")
        fields = {name: value for name, value in params.items() if name != "Tags"}
        self._things.pop(arn, None)
        self._things[arn] = Thing(sort, arn, fields, list(params.get("Tags", ())), sort.lives)
        return self._things[arn]

    def delete(self, thing: Thing) -> None:
        """Let a thing begin to go; refused when it is going or gone."""
        if thing.state == DELETED:
            raise ValidationError(f"{thing.sort.noun} [{thing.arn}] has already been deleted.")
        if thing.state == DELETING:
            raise ResourceInUseException(f"{thing.sort.noun} [{thing.arn}] is being deleted.")
        thing.state = DELETING

    def tell(self, thing: Thing) -> dict[str, Any]:
        """Describe a thing to somebody; what is told to be going goes on."""
        told = thing.described()
        if thing.state == DELETING and thing.sort.lingers:
            thing.state, thing.forgotten_at = DELETED, self._clock() + _DAY
        elif thing.state == DELETING:
            self._things.pop(thing.arn, None)
        return told

    def _arn(self, sort: Sort, params: Params) -> str:
        names = [str(params[name]) for name in sort.path if params.get(name)]
        return arn_formatter(sort.resource, "/".join(names).lower(), self._account, self._region)


def shelf_of(backend: Any) -> Shelf:
    """Return the shelf beside moto's own things of an account's region."""
    made = Shelf(backend.account_id, backend.region_name)
    shelf: Shelf = vars(backend).setdefault("shelf", made)
    return shelf


def missing(sort: Sort, params: Params, *, described: bool = False) -> Exception:
    """Return the error that says that there is no such thing."""
    named = "/".join(str(params[name]) for name in sort.path if params.get(name))
    if described and sort.vague:
        return ValidationError(f"RecordNotFound: {sort.noun} [{named}]")
    return ResourceNotFound(f"{sort.noun} [{named}] does not exist.")


def refuse_held(shelf: Shelf, noun: str, arn: str, inside: Iterable[Thing]) -> None:
    """Refuse to delete a thing when anything is left inside; tells what."""
    for held in inside:
        shelf.tell(held)
        raise ResourceInUseException(
            f"Unable to delete {noun} [{arn}] because {held.sort.noun}(s) are associated with it."
        )


def page(
    things: Iterable[Any],
    params: Params,
    filters: tuple[str, ...],
    fields: Callable[[Any], Params],
) -> tuple[list[Any], str | None]:
    """Return a page of things that have an ARN, and the token of the next.

    Raises a ValidationError for a filter or an order that the emulator doesn't know.
    """
    asked = {name: value for name, value in params.items() if name not in _PAGING}
    unknown = sorted(set(asked) - set(filters))
    if unknown:
        raise ValidationError(f"The sandbox can't list by {', '.join(unknown)}.")
    kept = [
        thing
        for thing in things
        if all(_fits(fields(thing), name, value) for name, value in asked.items())
    ]
    paginator = Paginator(
        max_results=params.get("MaxResults"),
        max_results_default=_PAGE,
        starting_token=params.get("NextToken"),
        unique_attribute="arn",
        param_values_to_check=asked,
    )
    return paginator.paginate(kept)


def _fits(fields: Params, name: str, value: Any) -> bool:
    if name.endswith("Contains"):
        return str(value) in str(fields.get(name.removesuffix("Contains"), ""))
    return bool(fields.get(name.removesuffix("Equals")) == value)
