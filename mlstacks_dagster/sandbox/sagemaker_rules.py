"""The rules by which SageMaker makes and deletes things, added to moto's.

moto deletes a domain with all that is inside, can't delete model packages and feature groups, and
has no users, spaces, apps and MLflow servers at all. :func:`enforce` adds these calls, refuses to
delete what something else needs, with the cloud's error codes, and lets things go in the cloud's
steps: told once more, as Deleting or by refusing, then gone.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from .sagemaker_own import AROUND, CALLS, Method, living_domain
from .sagemaker_things import (
    DELETED,
    DELETING,
    SORTS,
    Params,
    Shelf,
    Sort,
    Thing,
    missing,
    page,
    refuse_held,
    shelf_of,
)

__all__ = ["enforce"]

_OWNERS = ("UserProfile", "Space")


@functools.cache
def enforce() -> None:
    """Install the calls and rules in this process; a second call changes nothing."""
    for sort in SORTS.values():
        setattr(SageMakerResponse, f"create_{sort.operation}", _creates(sort))
        setattr(SageMakerResponse, f"describe_{sort.operation}", _describes(sort))
        setattr(SageMakerResponse, f"list_{sort.operation}s", _lists(sort))
        setattr(SageMakerResponse, f"delete_{sort.operation}", _deletes(sort))
    for name, method in CALLS.items():
        setattr(SageMakerResponse, name, method)
    tags = {"_get_resource_from_arn": _by_arn, "iter_tagged_resources": _all_tagged}
    for name, around in {**AROUND, **tags}.items():
        setattr(SageMakerModelBackend, name, around(getattr(SageMakerModelBackend, name)))


def _params(response: Any) -> dict[str, Any]:
    return dict(json.loads(response.body or "{}"))


def _creates(sort: Sort) -> Method:
    def create(self: Any) -> ActionResult:
        backend, params = self.sagemaker_backend, _params(self)
        _check_place(backend, sort, params)
        return ActionResult({f"{sort.noun}Arn": shelf_of(backend).add(sort, params).arn})

    return create


def _describes(sort: Sort) -> Method:
    def describe(self: Any) -> ActionResult:
        shelf, params = shelf_of(self.sagemaker_backend), _params(self)
        thing = shelf.get(sort, params)
        if thing is None:
            raise missing(sort, params, described=True)
        return ActionResult(shelf.tell(thing))

    return describe


def _lists(sort: Sort) -> Method:
    def listed(self: Any) -> ActionResult:
        shelf = shelf_of(self.sagemaker_backend)
        things, token = page(shelf.all(sort.noun), _params(self), sort.filters, Thing.described)
        return ActionResult({sort.listed: [shelf.tell(t) for t in things], "NextToken": token})

    return listed


def _deletes(sort: Sort) -> Method:
    def delete(self: Any) -> ActionResult:
        shelf, params = shelf_of(self.sagemaker_backend), _params(self)
        thing = shelf.get(sort, params)
        if thing is None:
            raise missing(sort, params)
        refuse_held(shelf, sort.noun, thing.arn, _inside(shelf, thing))
        shelf.delete(thing)
        return ActionResult({f"{sort.noun}Arn": thing.arn})

    return delete


def _check_place(backend: Any, sort: Sort, params: Params) -> None:
    """Check that what a new thing is to be inside of exists."""
    if "DomainId" not in sort.path:
        return
    living_domain(backend, params["DomainId"])
    owners = [noun for noun in _OWNERS if params.get(f"{noun}Name")]
    if sort.noun == "App" and len(owners) != 1:
        raise ValidationError("Either UserProfileName or SpaceName must be specified, not both.")
    for noun in owners if sort.noun == "App" else ():
        _check_lives(backend, noun, params)
    owner = _owner(params)
    if owner:
        _check_lives(backend, "UserProfile", {**params, "UserProfileName": owner})


def _check_lives(backend: Any, noun: str, params: Params) -> None:
    thing = shelf_of(backend).get(SORTS[noun], params)
    if thing is None or thing.state == DELETING:
        raise missing(SORTS[noun], params)


def _owner(fields: Params) -> str:
    return str(fields.get("OwnershipSettings", {}).get("OwnerUserProfileName", ""))


def _inside(shelf: Shelf, thing: Thing) -> Iterator[Thing]:
    """Yield what keeps a user or a space: its apps, and the spaces of its own."""
    if thing.sort.noun not in _OWNERS:
        return
    name, domain = f"{thing.sort.noun}Name", thing.fields["DomainId"]
    for other in shelf.all():
        fields = other.fields
        if other.state == DELETED or fields.get("DomainId") != domain:
            continue
        runs = other.sort.noun == "App" and fields.get(name) == thing.fields[name]
        if runs or (name == "UserProfileName" and _owner(fields) == thing.fields[name]):
            yield other


def _by_arn(original: Method) -> Method:
    @functools.wraps(original)
    def _get_resource_from_arn(self: Any, arn: str) -> Any:
        thing = shelf_of(self).by_arn(arn)
        thing = thing or self.feature_groups.get(arn) or self.model_packages.get(arn)
        thing = thing or _of_motos(original, self, arn)
        if thing is None:
            raise ValidationError(f"Could not find {arn}.")
        thing.tags = thing.tags or []
        return thing

    return _get_resource_from_arn


def _of_motos(original: Method, backend: Any, arn: str) -> Any:
    """Return what moto finds by an ARN, None for a type or a form that it doesn't know."""
    try:
        return original(backend, arn)
    except (AttributeError, ValueError):
        return None


def _all_tagged(original: Method) -> Method:
    @functools.wraps(original)
    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        yield from original(self)
        for thing in shelf_of(self).all():
            tags = {tag["Key"]: tag["Value"] for tag in thing.tags}
            yield TaggedResource(thing.arn, tags, f"sagemaker:{thing.sort.resource}")

    return iter_tagged_resources
