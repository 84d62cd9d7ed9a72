"""Secrets, keys and certificates: what can be recovered after deletion is never forced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.aws.services import (
    INDEX_PROOFS,
    ask,
    marked,
    own_tags,
    split_arn,
)
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref
from mlstacks_dagster.sweep.marks import INSTALL

__all__ = ["HANDLERS"]

_PAGE = 100
_RECOVERY_DAYS = 30
_KEY_TYPES = (
    *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
    *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
)
"""All of them: a list leaves out those that it isn't asked for."""


def _find_secrets(look: Look) -> Iterator[Item]:
    """Yield marked secrets; one that is scheduled for deletion isn't listed."""
    with_mark = [{"Key": "tag-key", "Values": [INSTALL]}]
    pages = look.pages("secretsmanager", "list_secrets", "SecretList", _PAGE, Filters=with_mark)
    return (_secret(look, raw) for raw in pages if not raw.get("DeletedDate"))


def _read_secrets(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for arn in ids:
        raw = ask(look, "secretsmanager", "describe_secret", SecretId=arn)
        if raw is not None and not raw.get("DeletedDate"):
            yield _secret(look, raw)


def _secret(look: Look, raw: Raw) -> Item:
    copy = raw.get("PrimaryRegion") not in (None, look.region)
    owner = raw.get("OwningService")
    return look.item(
        "secretsmanager:secret",
        raw["ARN"],
        name=raw["Name"],
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("CreatedDate")),
        facts={
            "arn": raw["ARN"],
            "managed-by": owner,
            # A copy goes with its primary, a service's own with what it is for.
            "implicit": "true" if copy or owner else "",
        },
    )


def _delete_secret(look: Look, item: Item) -> str | None:
    """Schedule the deletion; until it is done the secret can be restored."""
    name = item.ref.id
    raw = look.call("secretsmanager", "describe_secret", SecretId=name)
    copies = [copy["Region"] for copy in raw.get("ReplicationStatus", ())]
    if copies:
        look.call(
            "secretsmanager",
            "remove_regions_from_replication",
            SecretId=name,
            RemoveReplicaRegions=copies,
        )
    look.call("secretsmanager", "delete_secret", SecretId=name, RecoveryWindowInDays=_RECOVERY_DAYS)
    return None


def _find_keys(look: Look) -> Iterator[Item]:
    for arn, tags in marked(look, "kms", "key/").items():
        raw = _key_of(look, arn)
        if raw is not None:
            yield _key(look, raw, tags)


def _read_keys(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        raw = _key_of(look, name)
        tags = None if raw is None else ask(look, "kms", "list_resource_tags", KeyId=name)
        if raw is not None and tags is not None:
            yield _key(look, raw, own_tags(tags.get("Tags", ())))


def _key_of(look: Look, name: str) -> Raw | None:
    """Return what describes a key, None for one that is gone or will be."""
    answer = ask(look, "kms", "describe_key", KeyId=name)
    raw: Raw | None = None if answer is None else answer["KeyMetadata"]
    if raw is None or str(raw.get("KeyState", "")).startswith("PendingDeletion"):
        return None
    return None if str(raw.get("KeyState", "")) == "PendingReplicaDeletion" else raw


def _key(look: Look, raw: Raw, tags: dict[str, str]) -> Item:
    return look.item(
        "kms:key",
        raw["KeyId"],
        name=tags.get("Name", ""),
        tags=tags,
        created=epoch(raw.get("CreationDate")),
        facts={
            "arn": raw.get("Arn"),
            "state": raw.get("KeyState"),
            "description": raw.get("Description"),
            "implicit": "true" if raw.get("KeyManager") == "AWS" else "",
        },
    )


def _delete_key(look: Look, item: Item) -> str | None:
    look.call("kms", "schedule_key_deletion", KeyId=item.ref.id, PendingWindowInDays=_RECOVERY_DAYS)
    return None


def _find_certificates(look: Look) -> Iterator[Item]:
    """Yield marked certificates that are listed; who uses one costs a call."""
    indexed = marked(look, "acm", "certificate/")
    if not indexed:
        return
    every = {"keyTypes": list(_KEY_TYPES)}
    listed = look.pages("acm", "list_certificates", "CertificateSummaryList", _PAGE, Includes=every)
    for raw in listed:
        arn = raw["CertificateArn"]
        if arn not in indexed:
            continue
        if raw.get("InUse") is False:
            yield _certificate(look, raw, indexed[arn])
        elif (said := ask(look, "acm", "describe_certificate", CertificateArn=arn)) is not None:
            yield _certificate(look, said["Certificate"], indexed[arn])


def _read_certificates(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for arn in ids:
        answer = ask(look, "acm", "describe_certificate", CertificateArn=arn)
        tags = ask(look, "acm", "list_tags_for_certificate", CertificateArn=arn)
        if answer is not None and tags is not None:
            yield _certificate(look, answer["Certificate"], own_tags(tags.get("Tags", ())))


def _certificate(look: Look, raw: Raw, tags: dict[str, str]) -> Item:
    return look.item(
        "acm:certificate",
        raw["CertificateArn"],
        name=raw.get("DomainName", ""),
        tags=tags,
        created=epoch(raw.get("CreatedAt") or raw.get("ImportedAt")),
        used_by=tuple(_user(look, arn) for arn in dict.fromkeys(raw.get("InUseBy", ()))),
        facts={"arn": raw["CertificateArn"], "state": raw.get("Status")},
    )


def _user(look: Look, arn: str) -> Ref:
    """Name what uses a certificate: a load balancer as it is listed, else by its ARN."""
    service, region, resource = split_arn(arn)
    if service == "elasticloadbalancing" and resource.count("/") > 1:
        return look.ref("elbv2:load-balancer", arn)
    if service == "elasticloadbalancing":
        return look.ref("elb:load-balancer", resource.rpartition("/")[2])
    return Ref(type=f"{service}:{resource.partition('/')[0]}", region=region or GLOBAL, id=arn)


def _delete_certificate(look: Look, item: Item) -> str | None:
    look.call("acm", "delete_certificate", CertificateArn=item.ref.id)
    return None


HANDLERS = (
    Handler(
        Kind("acm:certificate", "Certificate", 58, proofs=INDEX_PROOFS),
        _find_certificates,
        _delete_certificate,
        _read_certificates,
    ),
    Handler(
        Kind(
            "secretsmanager:secret",
            "Secret",
            88,
            usd_per_month=flat(0.40),
            proofs=("T1 our tags",),
        ),
        _find_secrets,
        _delete_secret,
        _read_secrets,
    ),
    Handler(
        Kind(
            "kms:key",
            "KMS key",
            95,
            data=True,
            usd_per_month=flat(1.0),
            proofs=INDEX_PROOFS,
        ),
        _find_keys,
        _delete_key,
        _read_keys,
        codes={"KMSInvalidStateException": "busy"},
    ),
)
