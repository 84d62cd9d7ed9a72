"""Emptying: everything goes, in batches, and never from what isn't ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from mlstacks_dagster.errors import MlstacksError, NotOwnedError
from mlstacks_dagster.sweep.aws_empty import empty, empty_bucket, empty_repository, holds
from tests.unit.sweep.makers import tag_list


def marks_of(stack_id: str, unit: str = "network") -> dict[str, str]:
    return {
        "mlstacks-install": "inst1",
        "mlstacks-stack": stack_id,
        "mlstacks-component": unit,
    }


def make_bucket(account: Any, name: str, tags: dict[str, str], **more: Any) -> Any:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=name, **more)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if tags:
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(tags)})
    return s3


def fill(name: str, versions: int, keys: int = 5) -> None:
    """Put versions straight into the emulator, which runs in this process."""
    backend = s3_backends["123456789012"]["aws"]
    for number in range(versions):
        backend.put_object(name, f"folder/key {number % keys} ü", b"x")


@pytest.fixture
def deletes(account: Any) -> Iterator[list[str]]:
    """The names of the S3 calls that delete."""
    calls: list[str] = []
    events = account.client("s3").meta.events

    def note(model: Any, **_: Any) -> None:
        if model.name.startswith(("Delete", "Abort")):
            calls.append(model.name)

    events.register("before-call.s3", note)
    yield calls
    events.unregister("before-call.s3", note)


def test_2500_versions_markers_and_uploads_go_in_batches_of_a_thousand(
    account: Any, stack_id: str, deletes: list[str]
) -> None:
    name = f"ml-{stack_id}-full"
    s3 = make_bucket(account, name, marks_of(stack_id))
    fill(name, 2500)
    for number in range(5):
        s3.delete_object(Bucket=name, Key=f"folder/key {number} ü")
    s3.create_multipart_upload(Bucket=name, Key="half")
    deletes.clear()
    progress: list[int] = []

    gone = empty("s3_bucket", name, account.context(stack_id), progress.append)

    assert gone == 2506
    assert deletes == ["DeleteObjects"] * 3 + ["AbortMultipartUpload"]
    assert progress == [1000, 2000, 2505, 2506]
    s3.delete_bucket(Bucket=name)


def test_an_empty_and_a_missing_bucket_are_fine(account: Any, stack_id: str) -> None:
    name = f"ml-{stack_id}-none"
    ctx = account.context(stack_id)
    assert empty("s3_bucket", name, ctx) == 0
    make_bucket(account, name, marks_of(stack_id))
    assert empty("s3_bucket", name, ctx) == 0
    assert empty_bucket(account.client("s3"), f"{name}-gone") == 0


@pytest.mark.parametrize("whose", ["stack", "unit", "nobody"])
def test_a_bucket_that_is_not_ours_keeps_everything(
    whose: str, account: Any, stack_id: str, deletes: list[str]
) -> None:
    tags = {
        "stack": marks_of("sother"),
        "unit": marks_of(stack_id, "cluster"),
        "nobody": {},
    }[whose]
    name = f"ml-{stack_id}-{whose}"
    make_bucket(account, name, tags)
    fill(name, 3)
    deletes.clear()

    with pytest.raises(NotOwnedError, match=name):
        empty("s3_bucket", name, account.context(stack_id))

    assert deletes == []


def test_an_unmarked_bucket_with_nothing_in_it_needs_no_emptying(
    account: Any, stack_id: str, deletes: list[str]
) -> None:
    """A run killed between making and tagging a bucket leaves one; it can be destroyed."""
    name = f"ml-{stack_id}-bare"
    make_bucket(account, name, {})
    assert empty("s3_bucket", name, account.context(stack_id)) == 0
    assert deletes == []


def test_an_unmarked_bucket_with_only_an_unfinished_upload_is_refused(
    account: Any, stack_id: str
) -> None:
    name = f"ml-{stack_id}-part"
    s3 = make_bucket(account, name, {})
    s3.create_multipart_upload(Bucket=name, Key="half")
    with pytest.raises(NotOwnedError):
        empty("s3_bucket", name, account.context(stack_id))


def test_locked_objects_are_an_error_that_names_the_keys_and_the_lock(
    account: Any, stack_id: str
) -> None:
    name = f"ml-{stack_id}-lock"
    s3 = make_bucket(account, name, marks_of(stack_id), ObjectLockEnabledForBucket=True)
    s3.put_object(
        Bucket=name,
        Key="kept",
        Body=b"x",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=9),
    )
    with pytest.raises(MlstacksError) as caught:
        empty("s3_bucket", name, account.context(stack_id))
    assert "kept" in caught.value.message
    assert "Object Lock" in caught.value.remedy


def make_repository(account: Any, name: str, tags: dict[str, str], images: int) -> Any:
    ecr = account.client("ecr")
    ecr.create_repository(repositoryName=name, tags=tag_list(tags))
    for number in range(images):
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": number + 1,
                "digest": f"sha256:{number:064x}",
            },
            "layers": [{"mediaType": "x", "size": 1, "digest": f"sha256:{number:064x}"}],
        }
        for tag in (f"t{number}", f"again{number}")[: 1 + number % 2]:
            ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag=tag)
    return ecr


def test_a_bucket_that_goes_on_listing_what_was_deleted_is_an_error_not_an_endless_loop() -> None:
    class Stuck(FakeS3):
        def delete_objects(self, **_: Any) -> dict[str, Any]:
            return {}

    with pytest.raises(MlstacksError, match="1 deleted items are still listed"):
        empty_bucket(Stuck(), "b")


def test_a_bucket_that_vanishes_meanwhile_is_fine() -> None:
    class Vanishing(FakeS3):
        def delete_objects(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "NoSuchBucket"}}, "DeleteObjects")

    assert empty_bucket(Vanishing(), "b") == 0


def test_a_denied_delete_is_an_error_that_names_the_permission() -> None:
    class Denied(FakeS3):
        def delete_objects(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "DeleteObjects")

    with pytest.raises(MlstacksError, match="emptying bucket b") as caught:
        empty_bucket(Denied(), "b")
    assert "allow DeleteObjects" in caught.value.remedy


class FakeS3:
    """A bucket with one version that a subclass does something odd with."""

    class meta:  # noqa: N801 - botocore's name
        region_name = "us-east-1"

    def list_object_versions(self, **_: Any) -> dict[str, Any]:
        return {"Versions": [{"Key": "k", "VersionId": "v"}]}


def test_a_repository_with_130_images_is_emptied_in_two_calls(account: Any, stack_id: str) -> None:
    name = f"ml-{stack_id}/images"
    ecr = make_repository(account, name, marks_of(stack_id), 130)
    calls: list[str] = []

    def note(model: Any, **_: Any) -> None:
        calls.append(model.name)

    ecr.meta.events.register("before-call.ecr.BatchDeleteImage", note)
    progress: list[int] = []

    gone = empty("ecr_repository", name, account.context(stack_id), progress.append)

    ecr.meta.events.unregister("before-call.ecr.BatchDeleteImage", note)
    assert gone == 130
    assert len(calls) == 2
    assert progress == [100, 130]
    assert ecr.list_images(repositoryName=name)["imageIds"] == []
    ecr.delete_repository(repositoryName=name)


def test_a_repository_that_is_not_ours_keeps_its_images(account: Any, stack_id: str) -> None:
    name = f"ml-{stack_id}/theirs"
    ecr = make_repository(account, name, marks_of("sother"), 2)
    with pytest.raises(NotOwnedError, match=name):
        empty("ecr_repository", name, account.context(stack_id))
    assert len(ecr.list_images(repositoryName=name)["imageIds"]) == 3


def test_what_holds_anything_is_told_from_what_is_empty_or_gone(
    account: Any, stack_id: str
) -> None:
    context = account.context(stack_id)
    bucket, repository = f"ml-{stack_id}-data", f"ml-{stack_id}/data"
    assert not holds("s3_bucket", bucket, context)
    assert not holds("ecr_repository", repository, context)
    s3 = make_bucket(account, bucket, marks_of(stack_id))
    ecr = make_repository(account, repository, marks_of(stack_id), 0)
    assert not holds("s3_bucket", bucket, context)
    assert not holds("ecr_repository", repository, context)
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a")
    assert holds("s3_bucket", bucket, context), "the version that was deleted is there"
    manifest = '{"schemaVersion": 2, "mediaType": "m", "config": {"digest": "sha256:1"}}'
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag="1")
    assert holds("ecr_repository", repository, context)
    ecr.delete_repository(repositoryName=repository, force=True)


def test_a_missing_repository_is_fine(account: Any, stack_id: str) -> None:
    name = f"ml-{stack_id}/none"
    assert empty("ecr_repository", name, account.context(stack_id)) == 0
    assert empty_repository(account.client("ecr"), name) == 0


class EcrWithLists:
    """An ECR that keeps an image as long as a list refers to it, as AWS does and moto doesn't."""

    class meta:  # noqa: N801 - botocore's name
        region_name = "us-east-1"

    def __init__(self, lists: dict[str, list[str]], stuck: bool = False) -> None:
        self.lists = lists
        self.stuck = stuck
        self.images = {*lists, *(i for images in lists.values() for i in images)}

    def get_paginator(self, _: str) -> EcrWithLists:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"imageIds": [{"imageDigest": d} for d in sorted(self.images)]}]

    def batch_delete_image(self, imageIds: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        failures = []
        for image in imageIds:
            digest = image["imageDigest"]
            used = any(digest in self.lists[name] for name in self.lists if name in self.images)
            if used or self.stuck:
                code = "ImageReferencedByManifestList"
                failures.append({"imageId": image, "failureCode": code})
            else:
                self.images.discard(digest)
        return {"failures": failures}


def test_images_that_a_list_refers_to_go_after_their_list() -> None:
    ecr = EcrWithLists({"sha256:z": ["sha256:a", "sha256:b"]})
    assert empty_repository(ecr, "r") == 3
    assert not ecr.images


def test_images_that_stay_are_an_error_with_their_digests() -> None:
    ecr = EcrWithLists({"sha256:z": ["sha256:a"]}, stuck=True)
    with pytest.raises(MlstacksError, match=r"sha256:a.*ImageReferencedByManifestList"):
        empty_repository(ecr, "r")
