"""What SageMaker's types need, who uses them, and what people want to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from mlstacks_dagster.sweep.aws.look import Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.prices import by_class
from mlstacks_dagster.sweep.aws.sagemaker_removal import PAGE, models_of, told
from mlstacks_dagster.sweep.aws.services import role_refs
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = [
    "Sides",
    "config",
    "described",
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


def described(look: Look, operation: str, argument: str, name: str) -> Raw | None:
    """Return what describes a thing, None when it is gone; asked once in this look."""
    call = partial(look.call, "sagemaker", operation, **{argument: name})
    return look.once(f"sagemaker {operation} {name}", lambda: told(call))


def _endpoint_raw(look: Look, name: str) -> Raw:
    return described(look, "describe_endpoint", "EndpointName", name) or {}


def _config_raw(look: Look, name: str) -> Raw:
    if not name:
        return {}
    return described(look, "describe_endpoint_config", "EndpointConfigName", name) or {}


def endpoint(look: Look, raw: Raw) -> Sides:
    """An endpoint needs its configuration; its machines are what costs."""
    name = raw.get("EndpointConfigName", "")
    serving = _config_raw(look, name)
    machines = [variant.get("InstanceType") for variant in serving.get("ProductionVariants", ())]
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
    users = [endpoint for endpoint, config in _serving_since(look, raw) if config == name]
    return {
        "uses": look.refs("sagemaker:model", models_of(raw)),
        "used_by": look.refs("sagemaker:endpoint", users),
    }


def model(look: Look, raw: Raw) -> Sides:
    """A model needs its role; endpoints of anybody may serve it."""
    name = raw["ModelName"]
    users = [
        endpoint
        for endpoint, config in _serving_since(look, raw)
        if name in models_of(_config_raw(look, config))
    ]
    return {
        "uses": role_refs(raw.get("ExecutionRoleArn")),
        "used_by": look.refs("sagemaker:endpoint", users),
    }


def _serving_since(look: Look, raw: Raw) -> Iterator[tuple[str, str]]:
    """Yield the endpoints, of anybody, that may serve a thing, and their configurations.

    Only an endpoint that was made or changed after the thing was made can name it: the others
    aren't described, each of which would be a call.
    """
    made = epoch(raw.get("CreationTime"))
    for name, changed in _endpoints(look).items():
        if made is None or changed is None or changed >= made:
            yield name, _endpoint_raw(look, name).get("EndpointConfigName", "")


def _endpoints(look: Look) -> dict[str, float | None]:
    """Return when each endpoint was changed last, of all endpoints: others may use what is ours."""
    pages = partial(look.pages, "sagemaker", "list_endpoints", "Endpoints", PAGE)
    return look.once(
        "sagemaker:endpoints",
        lambda: {raw["EndpointName"]: epoch(raw.get("LastModifiedTime")) for raw in pages()},
    )


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
