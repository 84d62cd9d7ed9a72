"""Roles, policies and instance profiles of IAM, and the identity providers of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, owner_hint, tag_map
from mlstacks_dagster.sweep.aws.services import NAME_PROOF, ask, may_be_ours, role_refs, unless_gone
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["HANDLERS"]

_PAGE = 1000
_PATH = "/mlstacks/"
_PROFILES = "InstanceProfileList"
_DOCUMENTS = frozenset({"AssumeRolePolicyDocument", "RolePolicyList", "PolicyVersionList"})
_PROOFS = ("T1 our tags", "T2 tag of a cluster of ours", NAME_PROOF)


@dataclass(frozen=True)
class _Details:
    roles: tuple[Raw, ...]
    policies: tuple[Raw, ...]


def _details(look: Look) -> _Details:
    return look.once("iam:details", lambda: _read_details(look))


def _read_details(look: Look) -> _Details:
    """Ask for all roles and own policies at once; two kinds come in the same pages.

    Their documents, which are the most of it, are dropped page by page.
    """
    roles: list[Raw] = []
    policies: list[Raw] = []
    marker: dict[str, str] = {}
    while True:
        answer = look.call(
            "iam",
            "get_account_authorization_details",
            Filter=["Role", "LocalManagedPolicy"],
            MaxItems=_PAGE,
            **marker,
        )
        roles += (_without_documents(raw) for raw in answer.get("RoleDetailList", ()))
        policies += (_without_documents(raw) for raw in answer.get("Policies", ()))
        if not answer.get("IsTruncated"):
            return _Details(tuple(roles), tuple(policies))
        marker = {"Marker": answer["Marker"]}


def _without_documents(raw: Raw) -> Raw:
    slim = {key: value for key, value in raw.items() if key not in _DOCUMENTS}
    held = [{"InstanceProfileName": p["InstanceProfileName"]} for p in raw.get(_PROFILES, ())]
    return slim | ({_PROFILES: held} if held else {})


def _find_roles(look: Look) -> Iterator[Item]:
    return filter(may_be_ours, (_role(look, raw) for raw in _details(look).roles))


def _role(look: Look, raw: Raw) -> Item:
    held = [profile["InstanceProfileName"] for profile in raw.get("InstanceProfileList", ())]
    return look.item(
        "iam:role",
        raw["RoleName"],
        name=raw["RoleName"],
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("CreateDate")),
        used_by=look.refs("iam:instance-profile", held),
        facts={"path": raw.get("Path"), "arn": raw.get("Arn")},
    )


def _delete_role(look: Look, item: Item) -> str | None:
    name = item.ref.id
    attached = look.pages("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name)
    for policy in list(attached):
        ask(look, "iam", "detach_role_policy", RoleName=name, PolicyArn=policy["PolicyArn"])
    inline = look.pages("iam", "list_role_policies", "PolicyNames", RoleName=name)
    for policy_name in list(inline):
        ask(look, "iam", "delete_role_policy", RoleName=name, PolicyName=str(policy_name))
    look.call("iam", "delete_role", RoleName=name)
    return None


def _find_policies(look: Look) -> Iterator[Item]:
    """Yield policies of our path or name; only for these it costs a call to have their tags."""
    ours = (
        raw
        for raw in _details(look).policies
        if raw.get("Path", "").startswith(_PATH) or owner_hint(_policy_name(raw))
    )
    return _policies(look, ours)


def _read_policies(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    return _policies(look, (raw for raw in _details(look).policies if raw["Arn"] in set(ids)))


def _policies(look: Look, raws: Iterable[Raw]) -> Iterator[Item]:
    for raw in raws:
        tags = unless_gone(partial(_policy_tags, look, raw["Arn"]))
        if tags is None:
            continue
        yield look.item(
            "iam:policy",
            raw["Arn"],
            name=_policy_name(raw),
            tags=tags,
            created=epoch(raw.get("CreateDate")),
            used_by=_policy_users(look, raw),
            facts={"path": raw.get("Path"), "arn": raw["Arn"]},
        )


def _policy_name(raw: Raw) -> str:
    return str(raw["Arn"]).rpartition("/")[2]


def _policy_tags(look: Look, arn: str) -> list[Raw]:
    return list(look.pages("iam", "list_policy_tags", "Tags", PolicyArn=arn))


def _policy_users(look: Look, policy: Raw) -> tuple[Ref, ...]:
    """Name the roles that a policy is attached to, and count what else uses it."""
    roles = [
        role["RoleName"]
        for role in _details(look).roles
        if any(p["PolicyArn"] == policy["Arn"] for p in role.get("AttachedManagedPolicies", ()))
    ]
    others = policy.get("AttachmentCount", 0) - len(roles)
    others += policy.get("PermissionsBoundaryUsageCount", 0)
    rest = [f"{others} users, groups or boundaries"] if others > 0 else []
    return (*look.refs("iam:role", roles), *look.refs("iam:principal", rest))


def _delete_policy(look: Look, item: Item) -> str | None:
    arn = item.ref.id
    for version in list(look.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)):
        if not version.get("IsDefaultVersion"):
            version_id = version["VersionId"]
            ask(look, "iam", "delete_policy_version", PolicyArn=arn, VersionId=version_id)
    look.call("iam", "delete_policy", PolicyArn=arn)
    return None


def _find_profiles(look: Look) -> Iterator[Item]:
    """Yield profiles of our path or name, or that hold a role that may be ours."""
    roles = {raw["RoleName"]: raw for raw in _details(look).roles}
    suspects = {name for name, raw in roles.items() if may_be_ours(_role(look, raw))}
    listed = look.pages("iam", "list_instance_profiles", "InstanceProfiles", _PAGE)
    names = [
        raw["InstanceProfileName"]
        for raw in listed
        if raw.get("Path", "").startswith(_PATH)
        or owner_hint(raw["InstanceProfileName"])
        or any(role["RoleName"] in suspects for role in raw.get("Roles", ()))
    ]
    return _read_profiles(look, names)


def _read_profiles(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "iam", "get_instance_profile", InstanceProfileName=name)
        if answer is None:
            continue
        raw = answer["InstanceProfile"]
        yield look.item(
            "iam:instance-profile",
            name,
            name=name,
            tags=raw.get("Tags", ()),
            created=epoch(raw.get("CreateDate")),
            uses=role_refs(*(role["RoleName"] for role in raw.get("Roles", ()))),
            facts={"path": raw.get("Path"), "arn": raw.get("Arn")},
        )


def _delete_profile(look: Look, item: Item) -> str | None:
    name = item.ref.id
    profile = look.call("iam", "get_instance_profile", InstanceProfileName=name)
    for role in profile["InstanceProfile"].get("Roles", ()):
        ask(
            look,
            "iam",
            "remove_role_from_instance_profile",
            InstanceProfileName=name,
            RoleName=role["RoleName"],
        )
    look.call("iam", "delete_instance_profile", InstanceProfileName=name)
    return None


def _find_providers(look: Look) -> Iterator[Item]:
    answer = look.call("iam", "list_open_id_connect_providers")
    arns = [entry["Arn"] for entry in answer.get("OpenIDConnectProviderList", ())]
    return filter(may_be_ours, _read_providers(look, arns))


def _read_providers(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for arn in ids:
        raw = ask(look, "iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=arn)
        if raw is not None:
            yield _provider(look, arn, raw)


def _provider(look: Look, arn: str, raw: Raw) -> Item:
    tags: Mapping[str, str] = tag_map(raw.get("Tags", ()))
    return look.item(
        "iam:oidc-provider",
        arn,
        name=tags.get("Name", ""),
        tags=tags,
        created=epoch(raw.get("CreateDate")),
        facts={"issuer": raw.get("Url"), "arn": arn},
    )


def _delete_provider(look: Look, item: Item) -> str | None:
    look.call("iam", "delete_open_id_connect_provider", OpenIDConnectProviderArn=item.ref.id)
    return None


_RUNS_WITH_ROLE = (
    "eks:cluster",
    "eks:fargate-profile",
    "eks:nodegroup",
    "iam:instance-profile",
    "sagemaker:domain",
    "sagemaker:feature-group",
    "sagemaker:mlflow-tracking-server",
    "sagemaker:model",
    "sagemaker:notebook-instance",
    "sagemaker:pipeline",
)
# IAM itself refuses to delete none of what is still needed, but for attached roles and policies.
_HELD_BY = {
    "iam:instance-profile": ("autoscaling:group", "ec2:instance", "ec2:launch-template"),
    "iam:oidc-provider": ("eks:cluster",),
    "iam:policy": ("iam:role",),
    "iam:role": _RUNS_WITH_ROLE,
}


def _kind(type_: str, title: str, rank: int) -> Kind:
    held_by = _HELD_BY[type_]
    return Kind(type_, title, rank, is_global=True, proofs=_PROOFS, held_by=held_by)


HANDLERS = (
    Handler(
        _kind("iam:instance-profile", "IAM instance profile", 78),
        _find_profiles,
        _delete_profile,
        _read_profiles,
    ),
    Handler(
        _kind("iam:oidc-provider", "IAM identity provider", 79),
        _find_providers,
        _delete_provider,
        _read_providers,
    ),
    Handler(_kind("iam:role", "IAM role", 80), _find_roles, _delete_role),
    Handler(_kind("iam:policy", "IAM policy", 82), _find_policies, _delete_policy, _read_policies),
)
