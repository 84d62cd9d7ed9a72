"""S3 buckets, emptied of all versions before they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.sweep.aws.errors import Meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, owner_hint
from mlstacks_dagster.sweep.aws.services import (
    NAME_PROOF,
    ask,
    marked,
    own_tags,
    split_arn,
    unless_gone,
)
from mlstacks_dagster.sweep.aws_session import error_code
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_PAGE = 1000
_PAGES_AT_ONCE = 1000
_NAMES_IN_ERROR = 5
_UPLOAD_CODES: Mapping[str, Meaning] = {"NoSuchUpload": "gone"}
_PASSING = frozenset({"InternalError", "OperationAborted", "ServiceUnavailable", "SlowDown"})


def _find(look: Look) -> Iterator[Item]:
    """List the account's buckets; candidates by every region's index and by their names."""
    indexed = {
        split_arn(arn).resource: tags
        for region in look.regions
        for arn, tags in marked(look.elsewhere(region), "s3", "").items()
    }
    for raw in _listed(look).values():
        if raw["Name"] in indexed or owner_hint(raw["Name"]):
            yield from _item(look, raw, indexed.get(raw["Name"]))


def _read(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    listed = _listed(look)
    for name in ids:
        if name in listed:
            yield from _item(look, listed[name])


def _listed(look: Look) -> Mapping[str, Raw]:
    """Return the account's buckets by name. Asked for in pages they come with their regions."""
    pages = look.pages("s3", "list_buckets", "Buckets", _PAGE)
    return look.once("s3:buckets", lambda: {raw["Name"]: raw for raw in pages})


def _item(look: Look, raw: Raw, known: Mapping[str, str] | None = None) -> Iterator[Item]:
    name = raw["Name"]
    region = raw.get("BucketRegion") or _region(look, name)
    tags = known or (None if region is None else _tags(look.elsewhere(region), name))
    if region is not None and tags is not None:
        yield look.item(
            "s3:bucket",
            name,
            name=name,
            tags=tags,
            created=epoch(raw.get("CreationDate")),
            facts={"region": region, "arn": f"arn:aws:s3:::{name}"},
        )


def _region(look: Look, name: str) -> str | None:
    """Return where a bucket is, None when it is gone."""
    answer = ask(look, "s3", "get_bucket_location", Bucket=name)
    if answer is None:
        return None
    place = answer.get("LocationConstraint") or "us-east-1"
    return "eu-west-1" if place == "EU" else str(place)


def _tags(look: Look, name: str) -> dict[str, str] | None:
    """Return a bucket's tags, None when it is gone."""
    try:
        answer = unless_gone(lambda: look.call("s3", "get_bucket_tagging", Bucket=name))
    except Exception as error:
        if error_code(error) == "NoSuchTagSet":
            return {}
        raise
    return None if answer is None else own_tags(answer.get("TagSet", ()))


def _delete(look: Look, item: Item) -> str | None:
    """Delete all versions, markers and unfinished uploads, then the bucket.

    What is locked is never forced: then it raises :class:`RefusedError`.
    """
    at, name = look.elsewhere(item.facts["region"]), item.ref.id
    for _ in range(_PAGES_AT_ONCE):
        page = at.call("s3", "list_object_versions", Bucket=name, MaxKeys=_PAGE)
        found = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if not found:
            break
        later = _delete_objects(at, name, found)
        if later:
            return later
    else:
        return f"bucket {name} is being emptied"
    if _abort_uploads(at, name):
        return f"bucket {name} still has unfinished uploads"
    at.call("s3", "delete_bucket", Bucket=name)
    return None


def _delete_objects(look: Look, name: str, found: list[dict[str, str]]) -> str | None:
    answer = look.call(
        "s3", "delete_objects", Bucket=name, Delete={"Objects": found, "Quiet": True}
    )
    errors: list[dict[str, Any]] = answer.get("Errors", [])
    if not errors:
        return None
    keys = ", ".join(str(e.get("Key")) for e in errors[:_NAMES_IN_ERROR])
    said = f"S3 kept {len(errors)} object versions of {name}: {keys} ({errors[0].get('Code')})"
    if all(error.get("Code") in _PASSING for error in errors):
        return said
    raise RefusedError(said, remedy="wait until their retention is over, or delete them by hand")


def _abort_uploads(look: Look, name: str) -> bool:
    """Abort a page of unfinished uploads; tell whether there were more than that."""
    page = look.call("s3", "list_multipart_uploads", Bucket=name, MaxUploads=_PAGE)
    for upload in page.get("Uploads", ()):
        named = {"Bucket": name, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        unless_gone(partial(look.call, "s3", "abort_multipart_upload", **named), _UPLOAD_CODES)
    return bool(page.get("IsTruncated"))


HANDLERS = (
    Handler(
        Kind(
            "s3:bucket",
            "S3 bucket",
            90,
            data=True,
            is_global=True,
            proofs=("T1 our tags, by the tagging index or the name", NAME_PROOF),
        ),
        _find,
        _delete,
        _read,
    ),
)
