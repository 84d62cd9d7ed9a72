"""Where moto answers otherwise than AWS.

Seen with moto 5.2.5 and the AWS provider 3.39: a launch template's own tags come back among the
tags of what it launches, and a node group without remote access gets some, so that a second plan
finds changes that nobody made. A bucket policy that denies requests without TLS denies all, since
conditions are not understood; the sandbox's loopback counts as TLS. The interface of a file
system's mount target doesn't say whose it is.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import moto.eks.models
from moto.ec2.models import EC2Backend
from moto.efs.models import EFSBackend
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

__all__ = ["correct"]


@functools.cache
def correct() -> None:
    """Install the corrections in this process; a second call changes nothing."""
    vars(moto.eks.models)["DEFAULT_REMOTE_ACCESS"] = None
    setattr(EC2Backend, "create_launch_template", _without_own_tags())  # noqa: B010 - typed by mypy
    setattr(EFSBackend, "create_mount_target", _with_interfaces())  # noqa: B010 - typed by mypy
    setattr(FakeBucket, "get_permission", _permission_as_over_tls)  # noqa: B010 - typed by mypy


def _permission_as_over_tls(bucket: Any, action: str, resource: str) -> PermissionResult:
    document = json.loads(bucket.policy or b'{"Statement": []}')
    kept = [s for s in document["Statement"] if not _only_without_tls(s)]
    if not kept:
        return PermissionResult.NEUTRAL
    policy = IAMPolicy(json.dumps({**document, "Statement": kept}))
    return policy.is_action_permitted(action, resource)


def _only_without_tls(statement: dict[str, Any]) -> bool:
    conditions = statement.get("Condition", {})
    insecure = conditions.get("Bool", {}).get("aws:SecureTransport")
    return (
        statement.get("Effect") == "Deny"
        and list(conditions) == ["Bool"]
        and insecure in ("false", ["false"])
    )


def _without_own_tags() -> Any:
    original = EC2Backend.create_launch_template

    @functools.wraps(original)
    def create_launch_template(
        self: Any, name: str, description: str, template_data: dict[str, Any], tag_spec: Any
    ) -> Any:
        launched = [
            spec
            for spec in template_data.get("TagSpecifications", ())
            if spec["ResourceType"] != "launch-template"
        ]
        data = {**template_data, "TagSpecifications": launched}
        return original(self, name, description, data, tag_spec)

    return create_launch_template


def _with_interfaces() -> Any:
    original = EFSBackend.create_mount_target

    @functools.wraps(original)
    def create_mount_target(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        held = self.ec2_backend.enis[made.network_interface_id]
        held.description = f"EFS mount target for {made.file_system_id} ({made.mount_target_id})"
        held.requester_managed, held.status = True, "in-use"
        return made

    return create_mount_target
