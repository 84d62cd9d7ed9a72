"""Where moto answers otherwise than AWS, and a second plan would find changes that nobody made.

Seen with moto 5.2.5 and the AWS provider 3.39: a launch template's own tags come back among the
tags of what it launches, and a node group without remote access gets some.
"""

from __future__ import annotations

import functools
from typing import Any

import moto.eks.models
from moto.ec2.models import EC2Backend

__all__ = ["correct"]


@functools.cache
def correct() -> None:
    """Install the corrections in this process; a second call changes nothing."""
    vars(moto.eks.models)["DEFAULT_REMOTE_ACCESS"] = None
    setattr(EC2Backend, "create_launch_template", _without_own_tags())  # noqa: B010 - typed by mypy


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
