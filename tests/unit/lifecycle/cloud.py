"""An account in memory, seen through clients like botocore's: S3, ECR and EKS as far as needed."""

# ruff: noqa: N803 - arguments are named as botocore names them

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError

Key = tuple[str, str]
"""Resource type and name."""


@dataclass
class Thing:
    """Something that exists; ``contents`` are a bucket's keys or a repository's digests."""

    tags: dict[str, str]
    status: str = "ACTIVE"
    contents: list[str] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class Cloud:
    """What exists, and every read of it in ``calls``."""

    def __init__(self) -> None:
        self.things: dict[Key, Thing] = {}
        self.calls: list[str] = []
        self.emptied: list[str] = []
        self.denied = False
        self.account: str | None = "111122223333"

    def client(self, service: str, region: str, *_: object) -> Any:
        return {"s3": _S3, "ecr": _Ecr, "eks": _Eks, "sts": _Sts}[service](self, region)

    def put(self, kind: str, name: str, tags: Mapping[str, str] | None = None) -> Thing:
        self.things[kind, name] = Thing(dict(tags or {}))
        return self.things[kind, name]

    def names(self) -> set[str]:
        return {name for _, name in self.things}


class _Client:
    def __init__(self, cloud: Cloud, region: str) -> None:
        self.cloud = cloud
        self.meta = SimpleNamespace(region_name=region)

    def look(self, kind: str, name: str, code: str) -> Thing:
        self.cloud.calls.append(f"{kind} {name}")
        if self.cloud.denied:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Look")
        found = self.cloud.things.get((kind, name))
        if found is None:
            raise ClientError({"Error": {"Code": code, "Message": "none"}}, "Look")
        return found

    def get_paginator(self, name: str) -> Any:
        def paginate(**arguments: Any) -> list[Any]:
            return [getattr(self, name)(**arguments)]

        return SimpleNamespace(paginate=paginate)


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class _Sts(_Client):
    def get_caller_identity(self) -> dict[str, str]:
        if self.cloud.account is None:
            raise NoCredentialsError
        return {"Account": self.cloud.account}


class _S3(_Client):
    def bucket(self, name: str) -> Thing:
        return self.look("aws_s3_bucket", name, "NoSuchBucket")

    def head_bucket(self, Bucket: str) -> dict[str, Any]:
        self.bucket(Bucket)
        return {"BucketRegion": "x"}

    def get_bucket_tagging(self, Bucket: str) -> dict[str, Any]:
        tags = self.bucket(Bucket).tags
        if not tags:
            raise ClientError({"Error": {"Code": "NoSuchTagSet", "Message": "none"}}, "Tags")
        return {"TagSet": _tag_list(tags)}

    def list_buckets(self, Prefix: str) -> dict[str, Any]:
        return {
            "Buckets": [
                {"Name": name, "CreationDate": thing.created}
                for (kind, name), thing in self.cloud.things.items()
                if kind == "aws_s3_bucket" and name.startswith(Prefix)
            ]
        }

    def list_object_versions(self, Bucket: str, MaxKeys: int) -> dict[str, Any]:
        keys = self.bucket(Bucket).contents[:MaxKeys]
        return {"Versions": [{"Key": key, "VersionId": "1"} for key in keys]}

    def list_multipart_uploads(self, Bucket: str, MaxUploads: int = 1000) -> dict[str, Any]:
        return {}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        gone = {item["Key"] for item in Delete["Objects"]}
        thing = self.bucket(Bucket)
        thing.contents = [key for key in thing.contents if key not in gone]
        self.cloud.emptied.append(Bucket)
        return {}


class _Ecr(_Client):
    def describe_repositories(self, repositoryNames: list[str]) -> dict[str, Any]:
        (name,) = repositoryNames
        self.look("aws_ecr_repository", name, "RepositoryNotFoundException")
        return {"repositories": [{"repositoryArn": f"arn:aws:ecr:x:1:repository/{name}"}]}

    def list_tags_for_resource(self, resourceArn: str) -> dict[str, Any]:
        name = resourceArn.split("/", 1)[1]
        return {"tags": _tag_list(self.cloud.things["aws_ecr_repository", name].tags)}

    def list_images(self, repositoryName: str, maxResults: int = 1000) -> dict[str, Any]:
        images = self.cloud.things["aws_ecr_repository", repositoryName].contents
        return {"imageIds": [{"imageDigest": digest} for digest in images[:maxResults]]}

    def batch_delete_image(self, repositoryName: str, imageIds: list[Any]) -> dict[str, Any]:
        self.cloud.things["aws_ecr_repository", repositoryName].contents = []
        self.cloud.emptied.append(repositoryName)
        return {}


class _Eks(_Client):
    def describe_cluster(self, name: str) -> dict[str, Any]:
        thing = self.look("aws_eks_cluster", name, "ResourceNotFoundException")
        return {
            "cluster": {"arn": f"arn:cluster/{name}", "tags": thing.tags, "status": thing.status}
        }

    def describe_nodegroup(self, clusterName: str, nodegroupName: str) -> dict[str, Any]:
        name = f"{clusterName}:{nodegroupName}"
        thing = self.look("aws_eks_node_group", name, "ResourceNotFoundException")
        return {"nodegroup": {"nodegroupArn": f"arn:nodegroup/{name}", "tags": thing.tags}}
