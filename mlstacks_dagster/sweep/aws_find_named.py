"""Finders for things with a name of their own: S3, ECR, IAM, logs, EKS."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from mlstacks_dagster.sweep.aws_find_ec2 import tag_map
from mlstacks_dagster.sweep.aws_session import aws_calls, client_error, error_code
from mlstacks_dagster.sweep.contracts import FindContext, Finder, Found, Wanted

__all__ = ["NAMED_FINDERS"]

_FindOne = Callable[[FindContext, Mapping[str, Any]], Found | None]


def _each(find_one: _FindOne) -> Callable[[FindContext, Sequence[Wanted]], dict[str, Found]]:
    """Make a finder of a function that takes the planned values of one resource."""

    def find(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
        found = {}
        for want in wanted:
            with aws_calls(f"looking for {want.address}", ctx.region):
                one = find_one(ctx, want.after)
            if one is not None:
                found[want.address] = one
        return found

    return find


def _call(absent: Collection[str], call: Callable[..., Any], **arguments: Any) -> Any:
    """Call AWS; None when it answers with one of the codes that mean "doesn't exist"."""
    try:
        return call(**arguments)
    except client_error() as error:
        if error_code(error) in absent:
            return None
        raise


def _bucket(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    s3, name = ctx.client("s3"), after["bucket"]
    if _call(("404", "NoSuchBucket", "NotFound"), s3.head_bucket, Bucket=name) is None:
        return None
    tagging = _call(("NoSuchTagSet",), s3.get_bucket_tagging, Bucket=name)
    tags = tag_map(tagging["TagSet"]) if tagging else {}
    return Found(name, name, tags, None if tags else _bucket_creation(s3, name))


def _bucket_creation(s3: Any, name: str) -> datetime | None:
    for page in s3.get_paginator("list_buckets").paginate(Prefix=name):
        for bucket in page.get("Buckets", ()):
            if bucket["Name"] == name:
                created: datetime = bucket["CreationDate"]
                return created
    return None


def _repository(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    ecr, name = ctx.client("ecr"), after["name"]
    answer = _call(
        ("RepositoryNotFoundException",), ecr.describe_repositories, repositoryNames=[name]
    )
    if answer is None:
        return None
    repository = answer["repositories"][0]
    arn = repository["repositoryArn"]
    tags = tag_map(ecr.list_tags_for_resource(resourceArn=arn)["tags"])
    return Found(name, arn, tags, repository.get("createdAt"))


def _role(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    iam, name = ctx.client("iam"), after["name"]
    answer = _call(("NoSuchEntity",), iam.get_role, RoleName=name)
    if answer is None:
        return None
    role = answer["Role"]
    return Found(name, role["Arn"], tag_map(role.get("Tags")), role.get("CreateDate"))


def _instance_profile(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    iam, name = ctx.client("iam"), after["name"]
    answer = _call(("NoSuchEntity",), iam.get_instance_profile, InstanceProfileName=name)
    if answer is None:
        return None
    profile = answer["InstanceProfile"]
    return Found(name, profile["Arn"], tag_map(profile.get("Tags")), profile.get("CreateDate"))


def _policy(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    iam = ctx.client("iam")

    def read() -> dict[str, str]:
        pages = iam.get_paginator("list_policies").paginate(
            Scope="Local", PaginationConfig={"PageSize": 1000}
        )
        return {p["PolicyName"]: p["Arn"] for page in pages for p in page["Policies"]}

    arn = ctx.once("iam policies", read).get(after["name"])
    if arn is None:
        return None
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    return Found(arn, arn, tag_map(policy.get("Tags")), policy.get("CreateDate"))


def _oidc_provider(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    iam = ctx.client("iam")
    arns = ctx.once(
        "oidc providers",
        lambda: [
            p["Arn"] for p in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        ],
    )
    ending = ":oidc-provider/" + after["url"].removeprefix("https://")
    for arn in arns:
        if arn.endswith(ending):
            provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
            return Found(arn, arn, tag_map(provider.get("Tags")), provider.get("CreateDate"))
    return None


def _log_group(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    logs, name = ctx.client("logs"), after["name"]
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    for page in pages:
        for group in page["logGroups"]:
            if group["logGroupName"] == name:
                arn = group["arn"].removesuffix(":*")
                tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
                return Found(name, arn, tags, _from_milliseconds(group.get("creationTime")))
    return None


def _from_milliseconds(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


def _eks_status(status: str | None) -> Literal["ready", "pending", "failed"]:
    if status in ("CREATING", "DELETING"):
        return "pending"
    return "failed" if status in ("FAILED", "CREATE_FAILED", "DELETE_FAILED") else "ready"


def _eks(answer: Mapping[str, Any], import_id: str, arn_key: str) -> Found:
    return Found(
        import_id=import_id,
        resource_id=answer[arn_key],
        tags=answer.get("tags") or {},
        created_at=answer.get("createdAt"),
        status=_eks_status(answer.get("status")),
    )


_NO_EKS = ("ResourceNotFoundException",)


def _cluster(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    name = after["name"]
    answer = _call(_NO_EKS, ctx.client("eks").describe_cluster, name=name)
    return answer and _eks(answer["cluster"], name, "arn")


def _node_group(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    cluster, name = after["cluster_name"], after["node_group_name"]
    answer = _call(
        _NO_EKS, ctx.client("eks").describe_nodegroup, clusterName=cluster, nodegroupName=name
    )
    return answer and _eks(answer["nodegroup"], f"{cluster}:{name}", "nodegroupArn")


def _addon(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    cluster, name = after["cluster_name"], after["addon_name"]
    answer = _call(_NO_EKS, ctx.client("eks").describe_addon, clusterName=cluster, addonName=name)
    return answer and _eks(answer["addon"], f"{cluster}:{name}", "addonArn")


def _access_entry(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    cluster, principal = after["cluster_name"], after["principal_arn"]
    answer = _call(
        _NO_EKS,
        ctx.client("eks").describe_access_entry,
        clusterName=cluster,
        principalArn=principal,
    )
    return answer and _eks(answer["accessEntry"], f"{cluster}:{principal}", "accessEntryArn")


def _pod_identity(ctx: FindContext, after: Mapping[str, Any]) -> Found | None:
    eks, cluster = ctx.client("eks"), after["cluster_name"]
    answer = _call(
        _NO_EKS,
        eks.list_pod_identity_associations,
        clusterName=cluster,
        namespace=after["namespace"],
        serviceAccount=after["service_account"],
    )
    for item in (answer or {}).get("associations", ()):
        identifier = item["associationId"]
        full = eks.describe_pod_identity_association(clusterName=cluster, associationId=identifier)[
            "association"
        ]
        return _eks(full, f"{cluster},{identifier}", "associationArn")
    return None


_ARN = r"arn:aws[a-z-]*:"

NAMED_FINDERS: Mapping[str, Finder] = {
    "aws_cloudwatch_log_group": Finder(_each(_log_group), ("name",), r"[\w./#-]+"),
    "aws_ecr_repository": Finder(_each(_repository), ("name",), r"[a-z0-9._/-]+"),
    "aws_eks_access_entry": Finder(
        _each(_access_entry), ("cluster_name", "principal_arn"), r"[\w-]+:" + _ARN + r"iam::.+"
    ),
    "aws_eks_addon": Finder(_each(_addon), ("cluster_name", "addon_name"), r"[\w-]+:[a-z0-9_-]+"),
    "aws_eks_cluster": Finder(_each(_cluster), ("name",), r"[\w-]+"),
    "aws_eks_node_group": Finder(
        _each(_node_group), ("cluster_name", "node_group_name"), r"[\w-]+:[\w-]+"
    ),
    "aws_eks_pod_identity_association": Finder(
        _each(_pod_identity), ("cluster_name", "namespace", "service_account"), r"[\w-]+,a-\w+"
    ),
    "aws_iam_instance_profile": Finder(_each(_instance_profile), ("name",), r"[\w+=,.@-]+"),
    "aws_iam_openid_connect_provider": Finder(
        _each(_oidc_provider), ("url",), _ARN + r"iam::\d{12}:oidc-provider/\S+"
    ),
    "aws_iam_policy": Finder(_each(_policy), ("name",), _ARN + r"iam::\d{12}:policy/\S+"),
    "aws_iam_role": Finder(_each(_role), ("name",), r"[\w+=,.@-]+"),
    "aws_s3_bucket": Finder(_each(_bucket), ("bucket",), r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
}
