"""Calls to AWS: a token bucket for each service and region, patient with throttling, counted."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws_session import Client

__all__ = ["Bucket", "Caller", "ClientMaker"]

ClientMaker = Callable[[str, str], Client]
"""Makes a client from service and region. It should not retry by itself."""

_ATTEMPTS = {"throttled": 12, "passing": 4}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0

# Calls a second and how many at once, well below what AWS documents or people report.
_DEFAULT_RATE = (20.0, 40.0)
_RATES: Mapping[str, tuple[float, float]] = {
    "elb": (10.0, 20.0),
    "elbv2": (10.0, 20.0),
    "fsx": (10.0, 10.0),
    "iam": (10.0, 20.0),
    "logs": (10.0, 10.0),
    "resourcegroupstaggingapi": (15.0, 15.0),
    "route53": (5.0, 5.0),
    "sagemaker": (10.0, 20.0),
}

# What asks for the next page, what names it in the answer, and the size of a page.
_PAGING: Mapping[str, tuple[str, str, str]] = {
    "acm": ("NextToken", "NextToken", "MaxItems"),
    "autoscaling": ("NextToken", "NextToken", "MaxRecords"),
    "ec2": ("NextToken", "NextToken", "MaxResults"),
    "ecr": ("nextToken", "nextToken", "maxResults"),
    "efs": ("Marker", "NextMarker", "MaxItems"),
    "eks": ("nextToken", "nextToken", "maxResults"),
    "elb": ("Marker", "NextMarker", "PageSize"),
    "elbv2": ("Marker", "NextMarker", "PageSize"),
    "events": ("NextToken", "NextToken", "Limit"),
    "fsx": ("NextToken", "NextToken", "MaxResults"),
    "iam": ("Marker", "Marker", "MaxItems"),
    "logs": ("nextToken", "nextToken", "limit"),
    "rds": ("Marker", "Marker", "MaxRecords"),
    "resourcegroupstaggingapi": ("PaginationToken", "PaginationToken", "ResourcesPerPage"),
    "route53": ("Marker", "NextMarker", "MaxItems"),
    "s3": ("ContinuationToken", "ContinuationToken", "MaxBuckets"),
    "sagemaker": ("NextToken", "NextToken", "MaxResults"),
    "secretsmanager": ("NextToken", "NextToken", "MaxResults"),
    "sqs": ("NextToken", "NextToken", "MaxResults"),
}


class Bucket:
    """Lets ``rate`` calls a second through, and ``burst`` at once; slower after throttling."""

    def __init__(
        self,
        rate: float,
        burst: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._rate, self._top, self._burst = rate, rate, burst
        self._clock, self._sleep = clock, sleep
        self._tokens, self._at = burst, clock()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until a call may be made."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1
            wait = -self._tokens / self._rate if self._tokens < 0 else 0.0
        if wait > 0:
            self._sleep(wait)

    def throttled(self) -> None:
        """Go slower: AWS said so. The rate recovers with each call that succeeds."""
        with self._lock:
            self._rate = max(self._top / 8, self._rate * 0.7)

    def succeeded(self) -> None:
        """Go faster again, up to the rate of the beginning."""
        with self._lock:
            self._rate = min(self._top, self._rate * 1.1)


class Caller:
    """Makes the calls of one account; safe to use from several threads."""

    def __init__(
        self,
        make_client: ClientMaker,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._make_client, self._clock, self._sleep = make_client, clock, sleep
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Client] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self.calls = 0

    def client(self, region: str, service: str) -> Client:
        """Return the client of a service in a region, made on first use."""
        key = (region, service)
        with self._lock:
            known = self._clients.get(key)
        if known is None:
            made = self._make_client(service, region)
            with self._lock:
                known = self._clients.setdefault(key, made)
        return known

    def call(self, region: str, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Make one call, again while AWS throttles it; raises botocore's errors."""
        method = getattr(self.client(region, service), operation)
        bucket = self._bucket(region, service)
        for attempt in range(1, max(_ATTEMPTS.values()) + 1):
            bucket.take()
            with self._lock:
                self.calls += 1
            try:
                answer: dict[str, Any] = method(**params)
            except Exception as error:
                word = meaning(error)
                if attempt >= _ATTEMPTS.get(word, 1):
                    raise
                if word == "throttled":
                    bucket.throttled()
                self._sleep(_pause(attempt))
            else:
                bucket.succeeded()
                return answer
        raise AssertionError("unreachable")

    def pages(
        self, region: str, service: str, operation: str, key: str, limit: int | None, **params: Any
    ) -> Iterator[Any]:
        """Yield what is under ``key`` in all pages, asked for one after another.

        ``limit`` is the size of a page, None: AWS's own. Raises :class:`MlstacksError` when a
        page names one as the next that was there before, and what :meth:`call` raises.
        """
        asks, names, size = _PAGING[service]
        if limit is not None:
            params[size] = limit
        seen: set[str] = set()
        while True:
            answer = self.call(region, service, operation, **params)
            yield from answer.get(key, ())
            token = answer.get(names)
            if not token:
                return
            if token in seen:
                raise MlstacksError(
                    f"{service} {operation} in {region} repeats its page {token!r}",
                    remedy="run again; the listing is not complete",
                )
            seen.add(token)
            params[asks] = token

    def _bucket(self, region: str, service: str) -> Bucket:
        with self._lock:
            bucket = self._buckets.get((region, service))
            if bucket is None:
                rate, burst = _RATES.get(service, _DEFAULT_RATE)
                bucket = Bucket(rate, burst, self._clock, self._sleep)
                self._buckets[(region, service)] = bucket
            return bucket


def _pause(attempt: int) -> float:
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing
