"""Each rule: what SageMaker refuses, in which order things go, and that they go in steps."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlstacks_dagster.sandbox.sagemaker_things import SORTS, Shelf

from .conftest import REGION, Client

ROLE = "arn:aws:iam::123456789012:role/somebody"
MARK = {"Key": "mark", "Value": "x"}


@contextmanager
def refused(code: str, says: str = "") -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert says in error["Message"]


@pytest.fixture
def sagemaker(client: Client) -> Any:
    return client("sagemaker")


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def domain(sagemaker: Any, name: str) -> str:
    return new_domain(sagemaker, name, "subnet-1")


def new_domain(sagemaker: Any, name: str, subnet: str) -> str:
    made = sagemaker.create_domain(
        DomainName=name,
        AuthMode="IAM",
        DefaultUserSettings={"ExecutionRole": ROLE},
        SubnetIds=[subnet],
        VpcId="vpc-1",
    )
    return str(made["DomainArn"].rpartition("/")[2])


@pytest.fixture
def user(sagemaker: Any, domain: str) -> dict[str, Any]:
    named = {"DomainId": domain, "UserProfileName": "Ada"}
    sagemaker.create_user_profile(**named)
    return named


@pytest.fixture
def space(sagemaker: Any, user: dict[str, Any]) -> dict[str, Any]:
    """Return a space of the user's own."""
    named = {"DomainId": user["DomainId"], "SpaceName": "desk"}
    sagemaker.create_space(
        **named,
        OwnershipSettings={"OwnerUserProfileName": user["UserProfileName"]},
        SpaceSharingSettings={"SharingType": "Private"},
    )
    return named


def new_app(sagemaker: Any, owner: dict[str, Any], name: str = "default") -> dict[str, Any]:
    named = {**owner, "AppType": "JupyterLab", "AppName": name}
    sagemaker.create_app(**named)
    return named


def states(sagemaker: Any, domain: str) -> dict[str, str]:
    found = sagemaker.list_apps(DomainIdEquals=domain)["Apps"]
    return {app["AppName"]: app["Status"] for app in found}


def test_a_domain_goes_after_its_apps_spaces_and_users(
    sagemaker: Any, domain: str, user: dict[str, Any], space: dict[str, Any]
) -> None:
    apps = [new_app(sagemaker, user, "one"), new_app(sagemaker, space, "two")]
    with refused("ResourceInUse", "because UserProfile(s) are associated with it"):
        sagemaker.delete_domain(DomainId=domain)
    for call, named in ((sagemaker.delete_user_profile, user), (sagemaker.delete_space, space)):
        with refused("ResourceInUse", "are associated with it"):
            call(**named)

    for app in apps:
        sagemaker.delete_app(**app)
    assert states(sagemaker, domain) == {"one": "Deleting", "two": "Deleting"}
    assert states(sagemaker, domain) == {"one": "Deleted", "two": "Deleted"}
    with refused("ResourceInUse", "because Space(s)"):
        sagemaker.delete_user_profile(**user)

    for kind, named in (("space", space), ("user_profile", user), ("domain", {"DomainId": domain})):
        getattr(sagemaker, f"delete_{kind}")(**named)
        describe = getattr(sagemaker, f"describe_{kind}")
        assert describe(**named)["Status"] == "Deleting"
        with refused("ValidationException" if kind == "space" else "ResourceNotFound"):
            describe(**named)
    assert set(states(sagemaker, domain).values()) == {"Deleted"}


def test_an_app_that_is_going_holds_its_user(
    sagemaker: Any, user: dict[str, Any], domain: str
) -> None:
    app = new_app(sagemaker, user)
    sagemaker.delete_app(**app)
    with refused("ResourceInUse", "is being deleted"):
        sagemaker.delete_app(**app)
    with refused("ResourceInUse", "because App(s)"):
        sagemaker.delete_user_profile(**user)
    assert states(sagemaker, domain) == {"default": "Deleted"}
    with refused("ValidationException", "has already been deleted"):
        sagemaker.delete_app(**app)
    sagemaker.delete_user_profile(**user)


def test_an_app_of_the_name_of_a_deleted_one_can_be_made(
    sagemaker: Any, user: dict[str, Any], domain: str
) -> None:
    app = new_app(sagemaker, user)
    with refused("ResourceInUse", "already exists"):
        sagemaker.create_app(**app)
    sagemaker.delete_app(**app)
    assert sagemaker.describe_app(**app)["Status"] == "Deleting"
    sagemaker.create_app(**app)
    assert states(sagemaker, domain) == {"default": "InService"}


def test_a_deleted_app_is_forgotten_after_a_day() -> None:
    now = 0.0
    shelf = Shelf("123456789012", REGION, lambda: now)
    app = shelf.add(SORTS["App"], {"DomainId": "d-1", "UserProfileName": "u", "AppName": "a"})
    shelf.delete(app)
    assert shelf.tell(app)["Status"] == "Deleting"
    now = 86_399.0
    assert [thing.state for thing in shelf.all()] == ["Deleted"]
    now = 86_400.0
    assert shelf.all() == []


def test_what_is_inside_of_another_domain_holds_nothing(
    sagemaker: Any, user: dict[str, Any], name: str
) -> None:
    other = new_domain(sagemaker, f"{name}-other", "subnet-1")
    twin = {**user, "DomainId": other}
    sagemaker.create_user_profile(**twin)
    new_app(sagemaker, user)
    sagemaker.delete_user_profile(**twin)
    sagemaker.list_user_profiles(DomainIdEquals=other)
    sagemaker.delete_domain(DomainId=other)
    assert other in {one["DomainId"] for one in every(sagemaker.list_domains, "Domains")}
    assert other not in {one["DomainId"] for one in every(sagemaker.list_domains, "Domains")}


def every(call: Callable[..., Any], key: str, **params: Any) -> list[Any]:
    """Return what is in all pages of a list."""
    answer = call(**params)
    found = list(answer[key])
    while answer.get("NextToken"):
        answer = call(**params, NextToken=answer["NextToken"])
        found += answer[key]
    return found


def test_nothing_is_made_in_a_domain_that_is_not_there_or_going(
    sagemaker: Any, domain: str, user: dict[str, Any]
) -> None:
    with refused("ResourceNotFound"):
        sagemaker.create_user_profile(DomainId="d-none", UserProfileName="u")
    with refused("ResourceNotFound"):
        new_app(sagemaker, {"DomainId": domain, "SpaceName": "none"})
    with refused("ResourceNotFound"):
        sagemaker.create_space(
            DomainId=domain, SpaceName="s", OwnershipSettings={"OwnerUserProfileName": "nobody"}
        )
    with refused("ValidationException", "not both"):
        new_app(sagemaker, {**user, "SpaceName": "desk"})
    with refused("ResourceInUse", "already exists"):
        sagemaker.create_user_profile(**user)
    sagemaker.delete_user_profile(**user)
    with refused("ResourceNotFound"):
        new_app(sagemaker, user)
    sagemaker.list_user_profiles(DomainIdEquals=domain)
    sagemaker.delete_domain(DomainId=domain)
    with refused("ResourceInUse", "is being deleted"):
        sagemaker.create_user_profile(**user)


@pytest.mark.parametrize(
    ("operation", "code", "params"),
    [
        ("delete_domain", "ResourceNotFound", {"DomainId": "d-none"}),
        ("describe_domain", "ResourceNotFound", {"DomainId": "d-none"}),
        (
            "delete_user_profile",
            "ResourceNotFound",
            {"DomainId": "d-none", "UserProfileName": "u"},
        ),
        ("delete_space", "ResourceNotFound", {"DomainId": "d-none", "SpaceName": "s"}),
        (
            "describe_app",
            "ValidationException",
            {
                "DomainId": "d-none",
                "SpaceName": "s",
                "AppType": "JupyterLab",
                "AppName": "a",
            },
        ),
        ("delete_feature_group", "ResourceNotFound", {"FeatureGroupName": "none"}),
        ("describe_feature_group", "ResourceNotFound", {"FeatureGroupName": "none"}),
        ("delete_model_package", "ValidationException", {"ModelPackageName": "none"}),
        ("delete_model_package_group", "ValidationException", {"ModelPackageGroupName": "none"}),
        ("delete_mlflow_tracking_server", "ResourceNotFound", {"TrackingServerName": "none"}),
        ("describe_mlflow_tracking_server", "ResourceNotFound", {"TrackingServerName": "none"}),
    ],
)
def test_what_never_was_is_reported_with_the_clouds_code(
    sagemaker: Any, operation: str, code: str, params: dict[str, Any]
) -> None:
    with refused(code):
        getattr(sagemaker, operation)(**params)


def test_a_domain_holds_its_subnets(client: Client, name: str) -> None:
    ec2, sagemaker = client("ec2"), client("sagemaker")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    domain = new_domain(sagemaker, name, subnet)
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    sagemaker.delete_domain(DomainId=domain)
    ec2.delete_subnet(SubnetId=subnet)


@pytest.fixture
def group(sagemaker: Any, name: str) -> str:
    """Return a model package group with two versions."""
    sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=[MARK])
    for _ in range(2):
        sagemaker.create_model_package(ModelPackageGroupName=name)
    return name


def versions(sagemaker: Any, group: str) -> dict[str, str]:
    found = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    return {one["ModelPackageArn"]: one["ModelPackageStatus"] for one in found}


def test_a_package_group_goes_after_its_packages(sagemaker: Any, group: str) -> None:
    named = {"ModelPackageGroupName": group}
    packages = list(versions(sagemaker, group))
    assert len(packages) == 2
    sagemaker.delete_model_package(ModelPackageName=packages[0])
    gone = sagemaker.describe_model_package(ModelPackageName=packages[0])
    assert gone["ModelPackageStatus"] == "Deleting"
    assert list(versions(sagemaker, group)) == packages[1:]
    with refused("ConflictException", "still contains Model Packages"):
        sagemaker.delete_model_package_group(**named)

    sagemaker.delete_model_package(ModelPackageName=packages[1])
    with refused("ConflictException"):
        sagemaker.delete_model_package_group(**named)
    with refused("ValidationException", "not found"):
        sagemaker.describe_model_package(ModelPackageName=packages[1])
    sagemaker.delete_model_package_group(**named)
    told = sagemaker.describe_model_package_group(**named)
    assert told["ModelPackageGroupStatus"] == "Deleting"
    with refused("ValidationException", "does not exist"):
        sagemaker.describe_model_package_group(**named)


def new_feature_group(sagemaker: Any, name: str) -> str:
    features = [{"FeatureName": n, "FeatureType": "String"} for n in ("id", "at")]
    made = sagemaker.create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=features,
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://bucket/features"}},
        RoleArn=ROLE,
        Tags=[MARK],
    )
    return str(made["FeatureGroupArn"])


def test_a_feature_group_is_listed_and_goes(sagemaker: Any, name: str) -> None:
    arn, other = new_feature_group(sagemaker, name), new_feature_group(sagemaker, f"{name}-2")
    found = sagemaker.list_feature_groups(NameContains=name)["FeatureGroupSummaries"]
    assert {one["FeatureGroupArn"] for one in found} == {arn, other}
    sagemaker.delete_feature_group(FeatureGroupName=name)
    going = {"NameContains": name, "FeatureGroupStatusEquals": "Deleting"}
    [told] = sagemaker.list_feature_groups(**going)["FeatureGroupSummaries"]
    assert told["FeatureGroupArn"] == arn
    found = sagemaker.list_feature_groups(NameContains=name)["FeatureGroupSummaries"]
    assert [one["FeatureGroupArn"] for one in found] == [other]
    sagemaker.delete_feature_group(FeatureGroupName=f"{name}-2")
    named = {"FeatureGroupName": f"{name}-2"}
    assert sagemaker.describe_feature_group(**named)["FeatureGroupStatus"] == "Deleting"
    with refused("ResourceNotFound"):
        sagemaker.describe_feature_group(**named)


def new_server(sagemaker: Any, name: str) -> str:
    made = sagemaker.create_mlflow_tracking_server(
        TrackingServerName=name, ArtifactStoreUri="s3://bucket/mlflow", RoleArn=ROLE, Tags=[MARK]
    )
    return str(made["TrackingServerArn"])


def test_an_mlflow_server_is_made_told_and_goes(sagemaker: Any, name: str) -> None:
    named = {"TrackingServerName": name}
    arn = new_server(sagemaker, name)
    told = sagemaker.describe_mlflow_tracking_server(**named)
    assert (told["TrackingServerArn"], told["TrackingServerSize"]) == (arn, "Small")
    assert told["TrackingServerStatus"] == "Created"
    assert sagemaker.delete_mlflow_tracking_server(**named)["TrackingServerArn"] == arn
    assert sagemaker.describe_mlflow_tracking_server(**named)["TrackingServerStatus"] == "Deleting"
    with refused("ResourceNotFound"):
        sagemaker.describe_mlflow_tracking_server(**named)


def test_lists_have_pages_and_filters(sagemaker: Any, domain: str, name: str) -> None:
    users = [f"u{n:02}" for n in range(12)]
    for user in users:
        sagemaker.create_user_profile(DomainId=domain, UserProfileName=user)
    inside = {"DomainIdEquals": domain}
    first = sagemaker.list_user_profiles(**inside)
    assert len(first["UserProfiles"]) == 10
    for more in ({}, {"MaxResults": 5}):
        found = every(sagemaker.list_user_profiles, "UserProfiles", **inside, **more)
        assert [one["UserProfileName"] for one in found] == users
    some = sagemaker.list_user_profiles(**inside, UserProfileNameContains="u1")["UserProfiles"]
    assert [one["UserProfileName"] for one in some] == ["u10", "u11"]
    new_app(sagemaker, {"DomainId": domain, "UserProfileName": "u01"})
    assert states(sagemaker, domain) == {"default": "InService"}
    of_other = sagemaker.list_apps(**inside, UserProfileNameEquals="u02")["Apps"]
    assert of_other == []
    with refused("ValidationException", "can't list by SortBy"):
        sagemaker.list_apps(SortBy="CreationTime")
    servers = [new_server(sagemaker, f"{name}-{n:02}") for n in range(11)]
    found = every(sagemaker.list_mlflow_tracking_servers, "TrackingServerSummaries")
    assert [one["TrackingServerArn"] for one in found][-11:] == servers


def test_tags_of_all_are_told_changed_and_indexed(
    client: Client, sagemaker: Any, domain: str, group: str, name: str
) -> None:
    named = {"DomainId": domain, "UserProfileName": "u"}
    user = sagemaker.create_user_profile(**named, Tags=[MARK])["UserProfileArn"]
    app = {**named, "AppType": "JupyterLab", "AppName": "a"}
    arns = [
        sagemaker.describe_domain(DomainId=domain)["DomainArn"],
        user,
        sagemaker.create_app(**app, Tags=[MARK])["AppArn"],
        sagemaker.create_space(DomainId=domain, SpaceName="s", Tags=[MARK])["SpaceArn"],
        new_feature_group(sagemaker, name),
        new_server(sagemaker, name),
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"],
        *versions(sagemaker, group),
    ]
    more = {"Key": "more", "Value": name}
    for arn in arns:
        sagemaker.add_tags(ResourceArn=arn, Tags=[more])
        assert more in sagemaker.list_tags(ResourceArn=arn)["Tags"]
    filters = [{"Key": "more", "Values": [name]}]
    index = client("resourcegroupstaggingapi").get_resources(TagFilters=filters)
    assert {one["ResourceARN"] for one in index["ResourceTagMappingList"]} == set(arns)
    assert sagemaker.list_tags(ResourceArn=user)["Tags"] == [MARK, more]
    sagemaker.delete_tags(ResourceArn=user, TagKeys=["mark"])
    assert sagemaker.list_tags(ResourceArn=user)["Tags"] == [more]


@pytest.mark.parametrize("resource", ["feature-group/none", "app/d-1/u/jupyterlab/a", "other/x"])
def test_tags_of_what_never_was_are_refused(sagemaker: Any, resource: str) -> None:
    with refused("ValidationException", "Could not find"):
        sagemaker.list_tags(ResourceArn=f"arn:aws:sagemaker:{REGION}:123456789012:{resource}")
