"""Empty buckets and repositories, so that they can be destroyed.

The brake: the ownership marks are read again just before, and nothing is touched unless they are
this unit's. Deletes go in batches of what AWS takes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeVar

from mlstacks_dagster.errors import MlstacksError, NotOwnedError
from mlstacks_dagster.sweep.aws_session import Client, aws_calls, client_error, error_code
from mlstacks_dagster.sweep.contracts import FindContext, Wanted
from mlstacks_dagster.sweep.find import FINDERS
from mlstacks_dagster.sweep.marks import same_owner

__all__ = ["EmptiedResource", "empty", "empty_bucket", "empty_repository", "holds"]

EmptiedResource = Literal["s3_bucket", "ecr_repository"]

Deleted = Callable[[int], None]
"""Takes the number of items deleted so far."""

_OBJECTS_PER_CALL = 1000
_IMAGES_PER_CALL = 100
_NAMES_IN_ERROR = 10
_MAX_PASSES = 20
_T = TypeVar("_T")

_GONE = frozenset({"NoSuchBucket", "RepositoryNotFoundException"})

_TYPES: Mapping[EmptiedResource, tuple[str, str, str]] = {
    "s3_bucket": ("aws_s3_bucket", "bucket", "bucket"),
    "ecr_repository": ("aws_ecr_repository", "name", "repository"),
}


def empty(
    resource: EmptiedResource, name: str, ctx: FindContext, on_progress: Deleted = lambda _: None
) -> int:
    """Empty the bucket or repository ``name`` of ``ctx``'s unit; return how many items went.

    ``on_progress`` hears how many went so far. One that doesn't exist counts as empty. Raises
    :class:`NotOwnedError`, before anything is deleted, when there is something in it and its
    marks aren't those of this installation, stack and unit; else what :func:`empty_bucket` and
    :func:`empty_repository` raise.
    """
    kind, attribute, word = _TYPES[resource]
    address = f"{word} {name}"
    found = FINDERS[kind].find(ctx.fresh(), [Wanted(address, kind, {attribute: name})])
    if address not in found:
        return 0
    bucket = resource == "s3_bucket"
    client = ctx.client("s3" if bucket else "ecr")
    if not same_owner(found[address].tags or {}, ctx.marks):
        if not holds(resource, name, ctx):
            return 0
        raise NotOwnedError(
            f"{address} in {ctx.region} was not emptied: it doesn't carry the marks of stack "
            f"{ctx.stack_id}, unit {ctx.unit}",
            remedy=f"empty the {word} yourself if it may go, then destroy again",
        )
    return (empty_bucket if bucket else empty_repository)(client, name, on_progress)


def holds(resource: EmptiedResource, name: str, ctx: FindContext) -> bool:
    """Tell whether anything is in the bucket or repository ``name``; one that is gone is empty.

    Raises :class:`MlstacksError` when that can't be seen.
    """
    address = f"{_TYPES[resource][2]} {name}"
    with aws_calls(f"looking into {address}", ctx.region):
        try:
            if resource == "s3_bucket":
                return _bucket_holds(ctx.client("s3"), name)
            return _repository_holds(ctx.client("ecr"), name)
        except client_error() as error:
            if error_code(error) in _GONE:
                return False
            raise


def _bucket_holds(client: Client, bucket: str) -> bool:
    versions = client.list_object_versions(Bucket=bucket, MaxKeys=1)
    uploads = client.list_multipart_uploads(Bucket=bucket, MaxUploads=1)
    return any((versions.get("Versions"), versions.get("DeleteMarkers"), uploads.get("Uploads")))


def _repository_holds(client: Client, name: str) -> bool:
    return bool(client.list_images(repositoryName=name, maxResults=1)["imageIds"])


def empty_bucket(client: Client, bucket: str, on_progress: Deleted = lambda _: None) -> int:
    """Delete all object versions, delete markers and unfinished uploads; return their number.

    The caller has checked whose the bucket is. ``on_progress`` hears the number so far. A bucket
    that doesn't exist is fine. Raises :class:`MlstacksError` with the keys that S3 kept.
    """
    counter = _Counter(on_progress)
    with aws_calls(f"emptying bucket {bucket}", _region(client)):
        try:
            _delete_versions(client, bucket, counter)
            _abort_uploads(client, bucket, counter)
        except client_error() as error:
            if error_code(error) != "NoSuchBucket":
                raise
    return counter.total


class _Counter:
    """Counts what went, and says so."""

    def __init__(self, say: Deleted) -> None:
        self._say = say
        self.total = 0

    def add(self, number: int) -> None:
        self.total += number
        self._say(self.total)


def _region(client: Client) -> str:
    return str(client.meta.region_name)


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _drain(what: str, first: Callable[[], list[_T]], delete: Callable[[list[_T]], None]) -> None:
    """Delete the first page until there is none.

    Not page by page: a marker that names a deleted thing is not safe everywhere.
    """
    before: list[_T] = []
    while page := first():
        if page == before:
            raise MlstacksError(
                f"{what}: {len(page)} deleted items are still listed",
                remedy="run the same command again; if it stays, delete them by hand",
            )
        delete(page)
        before = page


def _delete_versions(client: Client, bucket: str, counter: _Counter) -> None:
    def first() -> list[dict[str, str]]:
        page = client.list_object_versions(Bucket=bucket, MaxKeys=_OBJECTS_PER_CALL)
        return [
            {"Key": item["Key"], "VersionId": item["VersionId"]}
            for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]

    def delete(batch: list[dict[str, str]]) -> None:
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if errors := answer.get("Errors"):
            raise _kept(client, bucket, errors)
        counter.add(len(batch))

    _drain(f"bucket {bucket}", first, delete)


def _kept(client: Client, bucket: str, errors: Sequence[Mapping[str, str]]) -> MlstacksError:
    keys = ", ".join(str(e.get("Key")) for e in errors[:_NAMES_IN_ERROR])
    more = len(errors) - _NAMES_IN_ERROR
    said = (
        f"bucket {bucket}: S3 did not delete {len(errors)} object versions: {keys}"
        + (f" and {more} more" if more > 0 else "")
        + f" ({errors[0].get('Code')}: {errors[0].get('Message')})"
    )
    if _has_object_lock(client, bucket):
        return MlstacksError(
            said,
            remedy="the bucket has Object Lock: wait until the retention is over, or remove "
            "the legal hold or governance retention, then destroy again",
        )
    return MlstacksError(said, remedy="run the same command again; if it stays, delete by hand")


def _has_object_lock(client: Client, bucket: str) -> bool:
    try:
        answer = client.get_object_lock_configuration(Bucket=bucket)
    except client_error():
        return False
    configuration = answer.get("ObjectLockConfiguration", {})
    return bool(configuration.get("ObjectLockEnabled") == "Enabled")


def _abort_uploads(client: Client, bucket: str, counter: _Counter) -> None:
    def first() -> list[dict[str, str]]:
        page = client.list_multipart_uploads(Bucket=bucket)
        return [{"Key": u["Key"], "UploadId": u["UploadId"]} for u in page.get("Uploads", ())]

    def abort(uploads: list[dict[str, str]]) -> None:
        for upload in uploads:
            try:
                client.abort_multipart_upload(Bucket=bucket, **upload)
            except client_error() as error:
                if error_code(error) != "NoSuchUpload":
                    raise
        counter.add(len(uploads))

    _drain(f"uploads to bucket {bucket}", first, abort)


def empty_repository(client: Client, name: str, on_progress: Deleted = lambda _: None) -> int:
    """Delete all images of an ECR repository; return their number.

    An image that a multi-platform list refers to goes after its list, in a further pass. The
    caller has checked whose the repository is; one that doesn't exist is fine. Raises
    :class:`MlstacksError` with the digests that ECR kept.
    """
    counter = _Counter(on_progress)
    with aws_calls(f"emptying repository {name}", _region(client)):
        try:
            _delete_images(client, name, counter)
        except client_error() as error:
            if error_code(error) != "RepositoryNotFoundException":
                raise
    return counter.total


def _delete_images(client: Client, name: str, counter: _Counter) -> None:
    for _ in range(_MAX_PASSES):
        pages = client.get_paginator("list_images").paginate(repositoryName=name)
        images = [image for page in pages for image in page["imageIds"]]
        digests = dict.fromkeys(i["imageDigest"] for i in images if i.get("imageDigest"))
        if not digests:
            return
        failures: list[Mapping[str, Any]] = []
        for batch in _batches(digests, _IMAGES_PER_CALL):
            answer = client.batch_delete_image(
                repositoryName=name, imageIds=[{"imageDigest": d} for d in batch]
            )
            failed = answer.get("failures", [])
            failures += failed
            counter.add(len(batch) - len(failed))
        if len(failures) == len(digests):
            break
    raise MlstacksError(
        f"repository {name}: ECR did not delete {len(failures)} images: "
        + ", ".join(str(f.get("imageId", {}).get("imageDigest")) for f in failures)
        + f" ({failures[0].get('failureCode') if failures else 'images keep coming'})",
        remedy="run the same command again; if it stays, delete them by hand",
    )
