"""Resource types whose create may simply be done again, each with the reason.

They need no finder: when a killed run made one without recording it, the next apply sets the
same thing once more.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REPEATABLE"]

_LOCAL = "exists in the state only"
_PUT_BUCKET = "a setting of a bucket; put, not made"
_ADOPT = "the provider adopts what the VPC has already"

REPEATABLE: Mapping[str, str] = {
    "aws_default_network_acl": _ADOPT,
    "aws_default_route_table": _ADOPT,
    "aws_default_security_group": _ADOPT,
    "aws_ec2_tag": "CreateTags overwrites",
    "aws_ecr_lifecycle_policy": "PutLifecyclePolicy overwrites",
    "aws_ecr_repository_policy": "SetRepositoryPolicy overwrites",
    "aws_eks_access_policy_association": "AssociateAccessPolicy knows no conflict",
    "aws_iam_role_policy": "PutRolePolicy overwrites",
    "aws_iam_role_policy_attachment": "AttachRolePolicy of an attached policy succeeds",
    "aws_s3_bucket_lifecycle_configuration": _PUT_BUCKET,
    "aws_s3_bucket_logging": _PUT_BUCKET,
    "aws_s3_bucket_ownership_controls": _PUT_BUCKET,
    "aws_s3_bucket_policy": _PUT_BUCKET,
    "aws_s3_bucket_public_access_block": _PUT_BUCKET,
    "aws_s3_bucket_server_side_encryption_configuration": _PUT_BUCKET,
    "aws_s3_bucket_versioning": _PUT_BUCKET,
    "terraform_data": _LOCAL,
}
