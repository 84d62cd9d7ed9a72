"""How moto's own domains, feature groups and model packages are deleted, by the cloud's rules.

moto deletes a domain at once with all that is inside, and can't delete the others at all. Each is
told once more, as going or by refusing what it holds, before it is gone.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import (
    ConflictException,
    ResourceInUseException,
    ResourceNotFound,
    ValidationError,
)

from .sagemaker_things import DELETED, DELETING, page, refuse_held, shelf_of

__all__ = ["AROUND", "CALLS", "Method", "living_domain"]

Method = Callable[..., Any]


def living_domain(backend: Any, domain_id: str) -> Any:
    """Return a domain; refused when there is none, or when it is going."""
    domain = backend.domains.get(domain_id)
    if domain is None:
        raise ResourceNotFound(f"Domain [{domain_id}] does not exist.")
    if domain.status == DELETING:
        raise ResourceInUseException(f"Domain [{domain.arn}] is being deleted.")
    return domain


def _delete_domain(self: Any) -> ActionResult:
    backend, wanted = self.sagemaker_backend, self._get_param("DomainId")
    domain, shelf = living_domain(backend, wanted), shelf_of(backend)
    inside = (t for t in shelf.all() if t.fields.get("DomainId") == wanted)
    refuse_held(shelf, "Domain", domain.arn, (t for t in inside if t.state != DELETED))
    domain.status = DELETING
    return EmptyResult()


def _feature_group(backend: Any, name: str) -> Any:
    found = [g for g in list(backend.feature_groups.values()) if g.feature_group_name == name]
    if not found:
        raise ResourceNotFound(f"Resource Not Found: FeatureGroup with name {name} not found.")
    return found[0]


def _delete_feature_group(self: Any) -> ActionResult:
    name = self._get_param("FeatureGroupName")
    _feature_group(self.sagemaker_backend, name).feature_group_status = DELETING
    return EmptyResult()


def _told_group(group: Any) -> dict[str, Any]:
    state = getattr(group, "feature_group_status", "Created")
    return {**group.describe(), "FeatureGroupStatus": state}


def _list_feature_groups(self: Any) -> ActionResult:
    groups = self.sagemaker_backend.feature_groups
    filters = ("NameContains", "FeatureGroupStatusEquals")
    found, token = page(
        list(groups.values()),
        json.loads(self.body or "{}"),
        filters,
        lambda group: {"Name": group.feature_group_name, **_told_group(group)},
    )
    told = [_told_group(group) for group in found]
    _let_go(groups, found, "feature_group_status")
    return ActionResult({"FeatureGroupSummaries": told, "NextToken": token})


def _delete_model_package(self: Any) -> ActionResult:
    backend, name = self.sagemaker_backend, self._get_param("ModelPackageName")
    arn = backend.model_package_name_mapping.get(name, name)
    package = backend.model_packages.get(arn)
    if package is None:
        raise ValidationError(f"Model package {name} not found")
    package.model_package_status = DELETING
    return EmptyResult()


def _delete_package_group(self: Any) -> ActionResult:
    backend, name = self.sagemaker_backend, self._get_param("ModelPackageGroupName")
    group = backend.model_package_groups.get(name)
    if group is None:
        raise ValidationError(f"ModelPackageGroup {name} does not exist.")
    packages = list(backend.model_packages.values())
    inside = [package for package in packages if package.model_package_group_name == name]
    if inside:
        _let_go(backend.model_packages, inside, "model_package_status")
        raise ConflictException(
            f"Model Package Group {group.arn} cannot be deleted because it still contains Model "
            "Packages."
        )
    group.model_package_group_status = DELETING
    return EmptyResult()


def _let_go(things: dict[str, Any], told: Iterable[Any], state: str) -> None:
    """Remove of moto's own things those that were now told to be going."""
    for thing in told:
        if getattr(thing, state, "") == DELETING:
            for key in [key for key, one in list(things.items()) if one is thing]:
                things.pop(key, None)


def _told_domain(original: Method) -> Method:
    @functools.wraps(original)
    def describe_domain(self: Any, domain_id: str) -> Any:
        domain = self.domains.get(domain_id)
        if domain is None:
            raise ResourceNotFound(f"Domain [{domain_id}] does not exist.")
        told = original(self, domain_id)
        _let_go(self.domains, [domain], "status")
        return told

    return describe_domain


def _told_feature_group(original: Method) -> Method:
    @functools.wraps(original)
    def describe_feature_group(self: Any, feature_group_name: str) -> Any:
        group = _feature_group(self, feature_group_name)
        told = _told_group(group)
        _let_go(self.feature_groups, [group], "feature_group_status")
        return told

    return describe_feature_group


def _told_one(things: str, state: str) -> Callable[[Method], Method]:
    """Return how moto's own answer of one thing lets it go afterwards."""

    def around(original: Method) -> Method:
        @functools.wraps(original)
        def describe(self: Any, *args: Any, **kwargs: Any) -> Any:
            told = original(self, *args, **kwargs)
            _let_go(getattr(self, things), [told], state)
            return told

        return describe

    return around


def _told_page(things: str, state: str) -> Callable[[Method], Method]:
    """Return how moto's own listing lets go afterwards of what it told to be going."""

    def around(original: Method) -> Method:
        @functools.wraps(original)
        def listed(self: Any, *args: Any, **kwargs: Any) -> Any:
            told, token = original(self, *args, **kwargs)
            _let_go(getattr(self, things), told, state)
            return told, token

        return listed

    return around


CALLS: dict[str, Method] = {
    "delete_domain": _delete_domain,
    "list_feature_groups": _list_feature_groups,
    "delete_feature_group": _delete_feature_group,
    "delete_model_package": _delete_model_package,
    "delete_model_package_group": _delete_package_group,
}
"""Calls that are new or answered otherwise, by the names of moto's methods."""

_PACKAGES = ("model_packages", "model_package_status")
_PACKAGE_GROUPS = ("model_package_groups", "model_package_group_status")

AROUND: dict[str, Callable[[Method], Method]] = {
    "describe_domain": _told_domain,
    "list_domains": _told_page("domains", "status"),
    "describe_feature_group": _told_feature_group,
    "describe_model_package": _told_one(*_PACKAGES),
    "describe_model_package_group": _told_one(*_PACKAGE_GROUPS),
    "list_model_packages": _told_page(*_PACKAGES),
    "list_model_package_groups": _told_page(*_PACKAGE_GROUPS),
}
"""What is put around methods of moto's backend."""
