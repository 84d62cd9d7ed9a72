"""What AWS's error codes mean for a listing and for a delete: the only table of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from mlstacks_dagster.errors import MlstacksError, TransientCommandError
from mlstacks_dagster.sweep.aws_session import error_code

__all__ = ["Meaning", "meaning"]

Meaning = Literal["gone", "busy", "throttled", "passing", "denied", "refused", "other"]
"""``gone``: it doesn't exist. ``busy``: something holds it. ``throttled``: too many calls.
``passing``: a failure of the network or the service. ``denied``: the credentials may not.
``refused``: AWS will not, whoever asks. ``other``: anything else."""

_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",
        "Forbidden",
        "OptInRequired",
        "UnauthorizedOperation",
    }
)
_BUSY = frozenset(
    {
        "BucketNotEmpty",
        "ConcurrentModification",
        "ConcurrentModificationException",
        "ConflictException",
        "DeleteConflict",
        "DependencyTimeout",
        "DependencyViolation",
        "FileSystemInUse",
        "IncorrectFileSystemLifeCycleState",
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidDBInstanceState",
        "InvalidDBParameterGroupState",
        "InvalidDBSubnetGroupStateFault",
        "InvalidIPAddress.InUse",
        "InvalidNetworkInterface.InUse",
        "InvalidSnapshot.InUse",
        "OperationAbortedException",
        "RepositoryNotEmptyException",
        "ResourceInUse",
        "ResourceInUseException",
        "ScalingActivityInProgress",
        "VolumeInUse",
    }
)
_GONE = frozenset(
    {
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "DBSubnetGroupNotFoundFault",
        "DBParameterGroupNotFound",
        "DBInstanceNotFound",
        "InvalidAllocationID.NotFound",
        "InvalidLaunchTemplateId.NotFound",
        "LoadBalancerNotFound",
        "NatGatewayNotFound",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchHostedZone",
        "QueueDoesNotExist",
        "TargetGroupNotFound",
    }
)
# AuthFailure on a thing that was read: a service of AWS owns it.
_REFUSED = frozenset({"AuthFailure", "OperationNotPermitted", "ManagedRuleException"})
_GONE_PATTERN = re.compile(r"NotFound(Exception|Fault)?$|^ResourceNotFound")
_PASSING_STATUS = range(500, 600)


def meaning(error: Exception, special: Mapping[str, Meaning] | None = None) -> Meaning:
    """Say what ``error`` means; ``special`` are a type's own codes, which win."""
    from botocore import exceptions as aws  # noqa: PLC0415 - slow to load

    if isinstance(error, TransientCommandError):
        return "passing"
    if isinstance(error, MlstacksError):
        return "refused"
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return "passing"
    code = error_code(error)
    if special and code in special:
        return special[code]
    return _by_code(code, error)


def _by_code(code: str, error: Exception) -> Meaning:
    for codes, word in _TABLE:
        if code in codes:
            return word
    if _GONE_PATTERN.search(code):
        return "gone"
    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status == 429:
        return "throttled"
    return "passing" if status in _PASSING_STATUS else "other"


_TABLE: tuple[tuple[frozenset[str], Meaning], ...] = (
    (_THROTTLED, "throttled"),
    (_DENIED, "denied"),
    (_BUSY, "busy"),
    (_GONE, "gone"),
    (_REFUSED, "refused"),
)
