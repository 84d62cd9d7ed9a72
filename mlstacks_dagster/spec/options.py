"""The optional fields of a stack file that are ours: lifetime, brakes, state."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import date, datetime
from typing import Any, Literal, cast

from mlstacks_dagster.spec.cluster import read_cluster
from mlstacks_dagster.spec.fields import Fields, describe
from mlstacks_dagster.spec.models import StackOptions, StateLocation
from mlstacks_dagster.spec.regions import unknown_region
from mlstacks_dagster.spec.rules import gcs_bucket_name, s3_bucket_name

__all__ = ["LAST_MOMENT", "MAX_TTL_SECONDS", "OPTION_KEYS", "parse_duration", "read_options"]

OPTION_KEYS = ("ttl", "expires_at", "protect", "on_failure", "data", "state", "cluster")

LAST_MOMENT = 253_402_300_799  # 9999-12-31T23:59:59Z: no later one can be written out
MAX_TTL_SECONDS = 10 * 366 * 86_400  # ten years: a longer life is `protect: true`

_DURATION = re.compile(r"(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?")
_UNIT_SECONDS = (7 * 86_400, 86_400, 3_600, 60)
_STATE_URL = re.compile(r"(s3|gs)://([^/]*)(?:/(.*))?", re.DOTALL)
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,512}")
_STATE_FORMS = "write s3://bucket/prefix or gs://bucket/prefix"


def parse_duration(text: str) -> int | None:
    """Return the seconds of a text such as ``8h``, ``3d``, ``90m``, ``1w`` or ``1d12h``.

    None when it isn't one, is zero, or is longer than ten years.
    """
    match = _DURATION.fullmatch(text) if len(text) <= 40 else None
    if match is None:
        return None
    parts = zip(match.groups(), _UNIT_SECONDS, strict=True)
    seconds = sum(int(count or 0) * unit for count, unit in parts)
    return seconds if 0 < seconds <= MAX_TTL_SECONDS else None


def read_options(
    fields: Fields, now: Callable[[], float] | None, extra_regions: Collection[str] = ()
) -> StackOptions:
    """Return our options of the stack file; problems go to the findings of ``fields``.

    ``now`` returns Unix time in seconds; None lets an ``expires_at`` lie in the past.
    """
    ttl = _ttl(fields)
    expires_at = _expires_at(fields, now)
    if fields.data.get("ttl") is not None and fields.data.get("expires_at") is not None:
        fields.error("both ttl and expires_at are given", "expires_at", remedy="keep one of them")
    return StackOptions(
        ttl_seconds=ttl,
        expires_at=expires_at,
        protect=_protect(fields),
        on_failure=_on_failure(fields),
        data=_data(fields),
        state=_state(fields, extra_regions),
        cluster=read_cluster(fields, extra_regions),
    )


def _ttl(fields: Fields) -> int | None:
    value = fields.data.get("ttl")
    if value is None:
        return None
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        fields.error(
            f"ttl {describe(value)} isn't a length of time",
            "ttl",
            remedy="write weeks, days, hours and minutes, such as 8h, 3d, 90m, 1d12h;"
            " at most ten years",
        )
    return seconds


def _expires_at(fields: Fields, now: Callable[[], float] | None) -> int | None:
    value = fields.data.get("expires_at")
    if value is None:
        return None
    moment = _moment(value)
    if moment is None:
        fields.error(
            f"expires_at {describe(value)} isn't a moment",
            "expires_at",
            remedy="write a date, a time and a zone, such as 2030-01-31T18:00:00+01:00",
        )
        return None
    if moment.tzinfo is None:
        fields.error(
            "expires_at has no time zone", "expires_at", remedy="add a zone, such as Z or +01:00"
        )
        return None
    return _within_reach(fields, int(moment.timestamp()), None if now is None else now())


def _within_reach(fields: Fields, seconds: int, now: float | None) -> int | None:
    if now is None:
        return min(seconds, LAST_MOMENT)
    if seconds <= now:
        fields.error(
            "expires_at is in the past", "expires_at", remedy="write a later moment, or destroy"
        )
        return None
    if seconds > now + MAX_TTL_SECONDS:
        fields.error(
            "expires_at is more than ten years away",
            "expires_at",
            remedy="write an earlier moment, or protect: true without an end",
        )
        return None
    return seconds


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date) or not isinstance(value, str) or len(value) <= len("2030-01-31"):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _protect(fields: Fields) -> bool:
    value = fields.data.get("protect")
    if value is None or isinstance(value, bool):
        return bool(value)
    fields.error(
        f"protect must be true or false, not {describe(value)}",
        "protect",
        remedy="write true or false, without quotes",
    )
    return True


def _on_failure(fields: Fields) -> Literal["keep", "destroy"]:
    value = fields.choice("on_failure", ("keep", "destroy"))
    return cast('Literal["keep", "destroy"]', value or "keep")


def _data(fields: Fields) -> Literal["delete", "retain"]:
    given = fields.data.get("data") is not None
    value = fields.choice("data", ("delete", "retain"))
    # What can't be read keeps data.
    fallback: Literal["delete", "retain"] = "retain" if given else "delete"
    return cast('Literal["delete", "retain"]', value or fallback)


def _state(fields: Fields, extra_regions: Collection[str]) -> StateLocation:
    value = fields.data.get("state")
    if value is None:
        return StateLocation()
    if isinstance(value, str):
        return _location(fields, value, None, ("state",))
    if not isinstance(value, dict):
        fields.error(
            f"state must be a URL or a mapping, not {describe(value)}", "state", remedy=_STATE_FORMS
        )
        return StateLocation()
    child = fields.child("state")
    child.refuse_unknown(("url", "region"))
    region = child.text("region")
    url = child.text("url", required="s3://bucket/prefix")
    location = _location(fields, url, region, ("state", "url")) if url else StateLocation()
    if region and location.kind == "gcs":
        child.error("a gs:// state takes no region", "region", remedy="remove region")
    elif region and (remedy := unknown_region("aws", region, extra_regions)):
        child.error(f"AWS has no region {region!r}", "region", remedy=remedy)
    return location


def _location(fields: Fields, url: str, region: str | None, at: tuple[Any, ...]) -> StateLocation:
    match = _STATE_URL.fullmatch(url)
    if match is None:
        fields.error(f"state {describe(url)} isn't a bucket's URL", *at, remedy=_STATE_FORMS)
        return StateLocation()
    scheme, bucket, prefix = match[1], match[2], (match[3] or "").strip("/")
    broken = s3_bucket_name(bucket) if scheme == "s3" else gcs_bucket_name(bucket)
    if broken:
        fields.error(f"the state's bucket {describe(bucket)} can't exist", *at, remedy=broken)
    segments = prefix.split("/") if prefix else []
    if not _PREFIX.fullmatch(prefix) or any(s in ("", ".", "..") for s in segments):
        fields.error(
            f"the state's prefix {describe(prefix)} can't be used",
            *at,
            remedy="use letters, digits and !_.*'()- in parts separated by single slashes",
        )
    kind: Literal["s3", "gcs"] = "s3" if scheme == "s3" else "gcs"
    return StateLocation(kind=kind, bucket=bucket, prefix=prefix, region=region)
