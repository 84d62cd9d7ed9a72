"""Keeps what moto works out anew for each request, so that many at once don't crawl.

Seen with moto 5.2.5: which service a request is for is found by listing moto's folders on the
disk, under a lock; a service's description is read by each thread that needs it first, and each
looks through all of botocore's; the calls that a service has are read off its class again for each
request, a quarter of its time; EC2 goes through the tags of a whole region for those of one
thing. The first sweep of 17 regions by 32 threads took 40 s of such work.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import moto.backends
import moto.core.responses
import moto.core.utils
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

__all__ = ["keep_lookups"]


@functools.cache
def keep_lookups() -> None:
    """Install the caches in this process; a second call changes nothing."""
    services = dict.fromkeys(moto.backends.list_of_moto_modules())  # in order, found at once
    vars(moto.backends)["list_of_moto_modules"] = lambda: services
    vars(moto.core.utils)["_load_service_model"] = _once_each(moto.core.utils._load_service_model)
    names = vars(moto.core.responses)["method_names_from_class"]
    vars(moto.core.responses)["method_names_from_class"] = _once_a_class(names)
    setattr(TaggedEC2Resource, "get_tags", _own_tags)  # noqa: B010 - typed by mypy


def _once_each(load: Any) -> Any:
    """Load each description once, whichever thread needs it first."""
    lock = threading.Lock()
    kept: dict[tuple[str, str], Any] = {}

    def load_once(service: str, kind: str) -> Any:
        with lock:
            if (service, kind) not in kept:
                kept[service, kind] = load(service, kind)
            return kept[service, kind]

    return load_once


def _once_a_class(names_of: Any) -> Any:
    """Read a class's methods once, and again when it was given more of them."""
    kept: dict[tuple[type, int], Any] = {}

    def names_once(of: type) -> Any:
        key = of, sum(len(vars(base)) for base in of.__mro__)
        if key not in kept:
            kept[key] = names_of(of)
        return kept[key]

    return names_once


def _own_tags(thing: Any) -> list[dict[str, str]]:
    """Return one thing's tags as EC2's ``describe_tags`` does."""
    tags = dict(thing.ec2_backend.tags.get(thing.id, {}))
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(thing.id), "") if tags else ""
    row = {"resource_id": thing.id, "resource_type": kind}
    return [{**row, "key": key, "value": value} for key, value in tags.items()]
