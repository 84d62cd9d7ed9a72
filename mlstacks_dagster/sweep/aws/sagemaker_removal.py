"""How SageMaker's things go: stopped, emptied, then deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Look, Raw
from mlstacks_dagster.sweep.aws_session import error_code
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = [
    "PAGE",
    "delete_domain",
    "delete_notebook",
    "delete_package_group",
    "deleter",
    "models_of",
    "told",
]

PAGE = 100
_NOT_THERE = re.compile(
    r"could not find|cannot find|not found|does not exist|RecordNotFound", re.IGNORECASE
)
_T = TypeVar("_T")


def told(call: Callable[[], _T]) -> _T | None:
    """Return what ``call`` gives, None when SageMaker says that the thing doesn't exist.

    It says so with the code for bad input, and only the message tells which. Other errors are
    raised.
    """
    try:
        return call()
    except Exception as error:
        invalid = error_code(error) == "ValidationException"
        if meaning(error) == "gone" or (invalid and _NOT_THERE.search(str(error))):
            return None
        raise


def models_of(config: Raw) -> Iterator[str]:
    """Yield the names of the models that an endpoint's configuration serves."""
    for variants in ("ProductionVariants", "ShadowProductionVariants"):
        for variant in config.get(variants, ()):
            if variant.get("ModelName"):
                yield variant["ModelName"]


def deleter(operation: str, argument: str) -> Callable[[Look, Item], str | None]:
    """Return how a type goes with one call that takes its id as ``argument``."""

    def delete(look: Look, item: Item) -> str | None:
        if item.facts.get("state") != "Deleting":
            told(partial(look.call, "sagemaker", operation, **{argument: item.ref.id}))
        return None

    return delete


def delete_notebook(look: Look, item: Item) -> str | None:
    """Stop a notebook; delete it once it has stopped."""
    named = {"NotebookInstanceName": item.ref.id}
    raw = told(partial(look.call, "sagemaker", "describe_notebook_instance", **named))
    state = "Deleting" if raw is None else raw.get("NotebookInstanceStatus")
    if state == "Deleting":
        return None
    if state == "InService":
        look.call("sagemaker", "stop_notebook_instance", **named)
        return f"notebook {item.ref.id} is being stopped"
    if state not in ("Stopped", "Failed"):
        return f"notebook {item.ref.id} is {state}"
    told(partial(look.call, "sagemaker", "delete_notebook_instance", **named))
    return None


def delete_package_group(look: Look, item: Item) -> str | None:
    """Delete the versions of a model, then their group."""
    name = item.ref.id
    listed = look.pages(
        "sagemaker",
        "list_model_packages",
        "ModelPackageSummaryList",
        PAGE,
        ModelPackageGroupName=name,
    )
    for package in list(listed):
        arn = package["ModelPackageArn"]
        told(partial(look.call, "sagemaker", "delete_model_package", ModelPackageName=arn))
    group = {"ModelPackageGroupName": name}
    told(partial(look.call, "sagemaker", "delete_model_package_group", **group))
    return None


def delete_domain(look: Look, item: Item) -> str | None:
    """Delete a domain's apps, spaces and users, each once those before are gone, then itself.

    The users' home directories go with it: a domain is data, so somebody asked for that.
    """
    if item.facts.get("state") == "Deleting":
        return None
    for emptied in (_delete_apps, _delete_spaces, _delete_users):
        left = emptied(look, item.ref.id)
        if left:
            return left
    policy = {"HomeEfsFileSystem": "Delete"}
    look.call("sagemaker", "delete_domain", DomainId=item.ref.id, RetentionPolicy=policy)
    return None


def _inside(look: Look, operation: str, key: str, domain: str) -> list[dict[str, Any]]:
    return list(look.pages("sagemaker", operation, key, PAGE, DomainIdEquals=domain))


def _delete_apps(look: Look, domain: str) -> str | None:
    apps = [
        app
        for app in _inside(look, "list_apps", "Apps", domain)
        if app.get("Status") not in ("Deleted", "Failed")
    ]
    for app in apps:
        if app.get("Status") != "Deleting":
            fields = ("DomainId", "UserProfileName", "SpaceName", "AppType", "AppName")
            named = {field: app[field] for field in fields if app.get(field)}
            told(partial(look.call, "sagemaker", "delete_app", **named))
    return f"{len(apps)} apps of domain {domain} are being deleted" if apps else None


def _delete_spaces(look: Look, domain: str) -> str | None:
    spaces = _inside(look, "list_spaces", "Spaces", domain)
    for space in spaces:
        if space.get("Status") != "Deleting":
            named = {"DomainId": domain, "SpaceName": space["SpaceName"]}
            told(partial(look.call, "sagemaker", "delete_space", **named))
    return f"{len(spaces)} spaces of domain {domain} are being deleted" if spaces else None


def _delete_users(look: Look, domain: str) -> str | None:
    users = _inside(look, "list_user_profiles", "UserProfiles", domain)
    for user in users:
        if user.get("Status") != "Deleting":
            named = {"DomainId": domain, "UserProfileName": user["UserProfileName"]}
            told(partial(look.call, "sagemaker", "delete_user_profile", **named))
    return f"{len(users)} users of domain {domain} are being deleted" if users else None
