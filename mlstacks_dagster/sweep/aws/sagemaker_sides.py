"""What SageMaker's types need, who uses them, and what people want to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from mlstacks_dagster.sweep.aws.look import Look, Raw
from mlstacks_dagster.sweep.aws.prices import by_class
from mlstacks_dagster.sweep.aws.sagemaker_removal import PAGE, models_of, told
from mlstacks_dagster.sweep.aws.services import role_refs
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = [
    "Sides",
    "config",
    "domain",
    "endpoint",
    "endpoint_price",
    "feature_group",
    "machine_price",
    "model",
    "notebook",
    "package_group",
    "pipeline",
    "server",
    "server_price",
]

Sides = dict[str, Any]
"""What a type adds to an item: arguments of :meth:`Look.item`."""

_SERVER_USD = {"Small": 470.0, "Medium": 1020.0, "Large": 1900.0}

machine_price = by_class(1.2)
"""The price of a machine: EC2's, with SageMaker's surcharge."""


def endpoint(look: Look, raw: Raw) -> Sides:
    """An endpoint needs its configuration; its machines are what costs."""
    name = raw.get("EndpointConfigName", "")
    describe = partial(look.call, "sagemaker", "describe_endpoint_config")
    serving = told(partial(describe, EndpointConfigName=name)) if name else None
    machines = [
        variant.get("InstanceType") for variant in (serving or {}).get("ProductionVariants", ())
    ]
    running = [v.get("CurrentInstanceCount") or 0 for v in raw.get("ProductionVariants", ())]
    return {
        "uses": look.refs("sagemaker:endpoint-config", [name]),
        "facts": {
            "state": raw.get("EndpointStatus"),
            "class": next(filter(None, machines), ""),
            "instances": sum(running) or "",
        },
    }


def endpoint_price(item: Item) -> float:
    """Return the price of all machines of an endpoint."""
    return machine_price(item) * float(item.facts.get("instances", "1"))


def config(look: Look, raw: Raw) -> Sides:
    """A configuration needs its models; endpoints of anybody may run by it."""
    name = raw["EndpointConfigName"]
    users = [endpoint for endpoint, config in _live(look).items() if config == name]
    return {
        "uses": look.refs("sagemaker:model", models_of(raw)),
        "used_by": look.refs("sagemaker:endpoint", users),
    }


def model(look: Look, raw: Raw) -> Sides:
    """A model needs its role; endpoints of anybody may serve it."""
    users = _live_models(look).get(raw["ModelName"], ())
    return {
        "uses": role_refs(raw.get("ExecutionRoleArn")),
        "used_by": look.refs("sagemaker:endpoint", users),
    }


def _live(look: Look) -> dict[str, str]:
    """Return each endpoint's configuration, of all endpoints: others may use what is ours."""
    return look.once("sagemaker:live", lambda: dict(_read_live(look)))


def _read_live(look: Look) -> Iterator[tuple[str, str]]:
    for one in look.pages("sagemaker", "list_endpoints", "Endpoints", PAGE):
        name = one["EndpointName"]
        raw = told(partial(look.call, "sagemaker", "describe_endpoint", EndpointName=name))
        if raw is not None:
            yield name, raw.get("EndpointConfigName", "")


def _live_models(look: Look) -> dict[str, list[str]]:
    return look.once("sagemaker:live-models", lambda: _read_live_models(look))


def _read_live_models(look: Look) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for endpoint, config in _live(look).items():
        describe = partial(look.call, "sagemaker", "describe_endpoint_config")
        raw = told(partial(describe, EndpointConfigName=config)) if config else None
        for model in models_of(raw or {}):
            users.setdefault(model, []).append(endpoint)
    return users


def notebook(look: Look, raw: Raw) -> Sides:
    """A notebook needs its role and its place in a network."""
    return {
        "uses": (
            *role_refs(raw.get("RoleArn")),
            *look.refs("ec2:subnet", [raw.get("SubnetId")]),
            *look.refs("ec2:security-group", raw.get("SecurityGroups", ())),
        ),
        "facts": {
            "state": raw.get("NotebookInstanceStatus"),
            "class": raw.get("InstanceType"),
            "size-gib": raw.get("VolumeSizeInGB"),
        },
    }


def domain(look: Look, raw: Raw) -> Sides:
    """A domain (Studio) lives in a VPC and needs its default role."""
    settings = raw.get("DefaultUserSettings", {})
    return {
        "inside": look.refs("ec2:vpc", [raw.get("VpcId")]),
        "uses": (
            *role_refs(settings.get("ExecutionRole")),
            *look.refs("ec2:subnet", raw.get("SubnetIds", ())),
            *look.refs("ec2:security-group", settings.get("SecurityGroups", ())),
        ),
        "facts": {
            "state": raw.get("Status"),
            "host": raw.get("Url"),
            "homes": raw.get("HomeEfsFileSystemId"),
        },
    }


def pipeline(_look: Look, raw: Raw) -> Sides:
    """A pipeline needs its role."""
    return {"uses": role_refs(raw.get("RoleArn")), "facts": {"state": raw.get("PipelineStatus")}}


def package_group(_look: Look, raw: Raw) -> Sides:
    """A model package group needs nothing."""
    return {"facts": {"state": raw.get("ModelPackageGroupStatus")}}


def feature_group(_look: Look, raw: Raw) -> Sides:
    """A feature group needs its role; its offline store in a bucket stays."""
    offline = raw.get("OfflineStoreConfig", {}).get("S3StorageConfig", {})
    return {
        "uses": role_refs(raw.get("RoleArn")),
        "facts": {"state": raw.get("FeatureGroupStatus"), "offline": offline.get("S3Uri")},
    }


def server(_look: Look, raw: Raw) -> Sides:
    """An MLflow server needs its role; its artifacts are in a bucket."""
    return {
        "uses": role_refs(raw.get("RoleArn")),
        "facts": {
            "state": raw.get("TrackingServerStatus"),
            "class": raw.get("TrackingServerSize"),
            "host": raw.get("TrackingServerUrl"),
            "artifacts": raw.get("ArtifactStoreUri"),
        },
    }


def server_price(item: Item) -> float:
    """Return the price of an MLflow server by its size."""
    return _SERVER_USD.get(item.facts.get("class", ""), 0.0)
