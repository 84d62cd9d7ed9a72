"""Rules of values that a cloud would refuse, by name; a ``unit.yaml`` names them.

Facts from these pages. Amazon S3 User Guide: "General purpose bucket naming rules". Amazon ECR
API Reference: "CreateRepository". Amazon VPC User Guide: "VPC CIDR blocks". Amazon EKS API
Reference: "CreateCluster". Amazon EKS User Guide: "Understand the Kubernetes version lifecycle",
"Configure network access to cluster API server endpoint", "Service quotas". IAM API Reference:
"CreateRole". Kubernetes documentation: "Object Names and IDs". Google Cloud: "About Cloud Storage
buckets", "Creating and managing projects".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import unquote

__all__ = ["RULES", "Rule", "gcs_bucket_name", "s3_bucket_name", "split_password"]


@dataclass(frozen=True)
class Rule:
    """A named rule; ``check`` returns None when a value is fine, else the rule in words."""

    name: str
    check: Callable[[object], str | None]

    def __call__(self, value: object) -> str | None:
        """Return None when ``value`` is fine, else the rule in words."""
        return self.check(value)


def _not_text(value: object) -> str | None:
    return None if isinstance(value, str) else "it must be text: put it in quotes"


_IPV4_LIKE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_S3_RESERVED = (
    ("xn--", "sthree-", "amzn-s3-demo-"),
    (
        "-s3alias",
        "--ol-s3",
        ".mrap",
        "--x-s3",
        "--table-s3",
    ),
)
_S3_RULES: tuple[tuple[Callable[[str], object], str], ...] = (
    (lambda n: 3 <= len(n) <= 63, "a bucket name has 3 to 63 characters"),
    (
        re.compile(r"[a-z0-9.-]+").fullmatch,
        "a bucket name has only lowercase letters a-z, digits, hyphens and dots",
    ),
    (
        lambda n: n[0] not in ".-" and n[-1] not in ".-",
        "a bucket name begins and ends with a letter or digit",
    ),
    (lambda n: ".." not in n, "a bucket name has no two dots in a row"),
    (lambda n: not _IPV4_LIKE.fullmatch(n), "a bucket name doesn't look like an IP address"),
    (
        lambda n: not n.startswith(_S3_RESERVED[0]),
        f"S3 reserves names that begin with {', '.join(_S3_RESERVED[0])}",
    ),
    (
        lambda n: not n.endswith(_S3_RESERVED[1]),
        f"S3 reserves names that end with {', '.join(_S3_RESERVED[1])}",
    ),
)


def s3_bucket_name(value: object) -> str | None:
    """Return what keeps ``value`` from being a general purpose S3 bucket's name, or None."""
    if not isinstance(value, str):
        return _not_text(value)
    return next((words for holds, words in _S3_RULES if not holds(value)), None)


def gcs_bucket_name(value: object) -> str | None:
    """Return what keeps ``value`` from being a Cloud Storage bucket's name, or None."""
    if not isinstance(value, str):
        return _not_text(value)
    parts = value.split(".")
    longest = 222 if len(parts) > 1 else 63
    if not 3 <= len(value) <= longest or any(not 1 <= len(p) <= 63 for p in parts):
        return "a bucket name has 3 to 63 characters; with dots 222, and 1 to 63 between dots"
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", value):
        return (
            "a bucket name has only lowercase letters a-z, digits, - _ and ., and begins and"
            " ends with a letter or digit"
        )
    if _IPV4_LIKE.fullmatch(value):
        return "a bucket name doesn't look like an IP address"
    if value.startswith("goog") or "google" in value:
        return "a bucket name doesn't begin with goog or hold google"
    return None


_VPC_UNUSABLE = tuple(
    ipaddress.IPv4Network(n) for n in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
)


def _network(value: object) -> ipaddress.IPv4Network | None:
    # A prefix length of one or two digits: ipaddress would take a netmask as well.
    if not isinstance(value, str) or not re.fullmatch(r"[0-9.]{7,15}/[0-9]{1,2}", value):
        return None
    try:
        return ipaddress.IPv4Network(value)
    except ValueError:
        return None


def _cidr(value: object) -> str | None:
    network = _network(value)
    if network is None:
        return "it must be an IPv4 network with no host bits set, such as 10.0.0.0/16"
    if not 16 <= network.prefixlen <= 23:
        return "a network for a cluster is /16 (65,536 addresses) to /23 (512)"
    if any(network.subnet_of(u) for u in _VPC_UNUSABLE):
        return "the addresses are reserved: use a part of 10/8, 172.16/12 or 192.168/16"
    return None


_MOST_ACCESS_CIDRS = 40
_NEVER_PUBLIC = tuple(
    ipaddress.IPv4Network(n)
    for n in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
)


def _access_cidrs(value: object) -> str | None:
    items = value if isinstance(value, list) else [value]
    networks = [_network(item) for item in items]
    if not networks or None in networks:
        return "it must be a list of IPv4 networks, such as [203.0.113.0/24, 198.51.100.7/32]"
    if len(networks) > _MOST_ACCESS_CIDRS:
        return f"EKS takes at most {_MOST_ACCESS_CIDRS} networks"
    if any(n is not None and n.subnet_of(p) for n in networks for p in _NEVER_PUBLIC):
        return "EKS refuses private addresses: they never reach the public endpoint"
    return None


_OLDEST_EKS_MINOR = 31  # extended support of 1.30 ended on 2026-07-23
_NEWEST_PLAUSIBLE_MINOR = 50  # Kubernetes has three minor versions a year; 1.35 came to EKS in 2026


def _eks_version(value: object) -> str | None:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return 'a Kubernetes version is text in quotes, such as "1.33": YAML reads 1.30 as 1.3'
    if not isinstance(value, str) or not re.fullmatch(r"1\.[1-9][0-9]", value):
        return 'a Kubernetes version has the form "1.NN", such as "1.34"'
    minor = int(value.partition(".")[2])
    if minor < _OLDEST_EKS_MINOR:
        return f"EKS makes no such clusters any more: 1.{_OLDEST_EKS_MINOR} is the oldest"
    if minor > _NEWEST_PLAUSIBLE_MINOR:
        return 'there is no such Kubernetes version yet; write one that EKS has, such as "1.34"'
    return None


def _pattern(
    pattern: str, words: str, *, longest: int, shortest: int = 1
) -> Callable[..., str | None]:
    compiled = re.compile(pattern)

    def check(value: object) -> str | None:
        if not isinstance(value, str):
            return _not_text(value)
        if shortest <= len(value) <= longest and compiled.fullmatch(value):
            return None
        return words

    return check


_URL_WITH_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^:/?#@\s]+):([^@\s]+)(@[^@\s]+)")


def split_password(value: object) -> tuple[str, str] | None:
    """Return a URL without its password and the password, decoded; None when it isn't one.

    Nothing after the password may hold an @: that could be the rest of a password.
    """
    match = _URL_WITH_PASSWORD.fullmatch(value) if isinstance(value, str) else None
    return (match[1] + match[3], unquote(match[2])) if match else None


_ECR_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"

_CHECKS: Mapping[str, Callable[[object], str | None]] = {
    "s3_bucket_name": s3_bucket_name,
    "gcs_bucket_name": gcs_bucket_name,
    "ecr_repository_name": _pattern(
        rf"{_ECR_PART}(?:/{_ECR_PART})*",
        "a repository name has 2 to 256 characters: lowercase letters and digits, with . _ - or /"
        " between them",
        shortest=2,
        longest=256,
    ),
    "cidr": _cidr,
    "access_cidrs": _access_cidrs,
    "eks_version": _eks_version,
    "eks_cluster_name": _pattern(
        r"[A-Za-z0-9][A-Za-z0-9_-]*",
        "a cluster name has 1 to 100 letters, digits, - and _, a letter or digit first",
        longest=100,
    ),
    "kubernetes_name": _pattern(
        r"[a-z0-9]([a-z0-9-]*[a-z0-9])?",
        "a Kubernetes name has 1 to 63 lowercase letters, digits and -, a letter or digit"
        " first and last",
        longest=63,
    ),
    "iam_role_name": _pattern(
        r"[A-Za-z0-9_+=,.@-]+",
        "a role name has 1 to 64 letters, digits and _+=,.@-",
        longest=64,
    ),
    "eks_cluster_arn": _pattern(
        r"arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9][A-Za-z0-9_-]{0,99}",
        "a cluster's ARN has the form arn:aws:eks:REGION:ACCOUNT:cluster/NAME",
        longest=250,
    ),
    "oidc_provider_arn": _pattern(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/[A-Za-z0-9.-]+(/[A-Za-z0-9._-]+)*",
        "a provider's ARN has the form"
        " arn:aws:iam::ACCOUNT:oidc-provider/oidc.eks.REGION.amazonaws.com/id/ID",
        longest=400,
    ),
    "oidc_issuer": _pattern(
        r"(https://)?[A-Za-z0-9.-]+(/[A-Za-z0-9._-]+)*",
        "an issuer has the form oidc.eks.REGION.amazonaws.com/id/ID",
        longest=255,
    ),
    "iam_role_arn": _pattern(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}",
        "a role's ARN has the form arn:aws:iam::ACCOUNT:role/NAME",
        longest=640,
    ),
    "mysql_url": _pattern(
        r"mysql://[^:/?#@\s]+@[A-Za-z0-9._-]+(:[0-9]{1,5})?/[^\\/?%*:|\"<>.\s-]{1,64}"
        r"(\?(ssl|ssl_ca|ssl_cert|ssl_key|ssl_verify_server_cert)=\S*)?",
        "it must be mysql://USER:PASSWORD@HOST:PORT/NAME, the name without - and .",
        longest=2000,
    ),
    "gcp_project_id": _pattern(
        r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
        "a project ID has 6 to 30 lowercase letters, digits and -, a letter first, no - last",
        longest=100,
    ),
}

RULES: Mapping[str, Rule] = MappingProxyType({n: Rule(n, check) for n, check in _CHECKS.items()})
