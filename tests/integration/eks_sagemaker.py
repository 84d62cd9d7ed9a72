"""Plants what people make with SageMaker's own rights and mark as a stack's (row 20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlstacks_dagster.sweep.inventory.model import Ref
from tests.integration.eks_ground import ACCOUNT, Ground, Owner, pairs

__all__ = ["plant_domain", "plant_packages", "plant_registries", "plant_serving"]

_SOMEBODY = f"arn:aws:iam::{ACCOUNT}:role/somebody"


def plant_serving(ground: Ground, owner: Owner) -> set[Ref]:
    """Plant an endpoint with its configuration, model and log, and a pipeline."""
    sagemaker, name, tags = ground.client("sagemaker"), owner.cluster, pairs(owner.marks())
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": f"{ACCOUNT}.dkr.ecr.{ground.region}.amazonaws.com/x:1"},
        ExecutionRoleArn=_SOMEBODY,
        Tags=tags,
    )
    sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition="{}",
        RoleArn=_SOMEBODY,
        ClientRequestToken=name.ljust(32, "x"),
        Tags=tags,
    )
    variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1}
    served = [{**variant, "InstanceType": "ml.m5.large"}]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=served, Tags=tags)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)
    kinds = ("endpoint", "endpoint-config", "model", "pipeline")
    logs = ground.logs(f"/aws/sagemaker/Endpoints/churn-{owner.stack_id[-4:]}", owner.marks())
    return {logs, *(ground.ref(f"sagemaker:{kind}", name) for kind in kinds)}


def plant_registries(ground: Ground, owner: Owner) -> set[Ref]:
    """Plant what holds data: a notebook, which must be stopped first, models and features."""
    sagemaker, name, tags = ground.client("sagemaker"), owner.cluster, pairs(owner.marks())
    sagemaker.create_notebook_instance(
        NotebookInstanceName=name, InstanceType="ml.t3.medium", RoleArn=_SOMEBODY, Tags=tags
    )
    sagemaker.create_feature_group(
        FeatureGroupName=f"{name}-Churn",  # in its ARN in lower case
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=[{"FeatureName": n, "FeatureType": "String"} for n in ("id", "at")],
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{name}-artifacts/features"}},
        RoleArn=_SOMEBODY,
        Tags=tags,
    )
    sagemaker.create_mlflow_tracking_server(
        TrackingServerName=name,
        ArtifactStoreUri=f"s3://{name}-artifacts/mlflow",
        RoleArn=_SOMEBODY,
        Tags=tags,
    )
    return {
        ground.ref("sagemaker:notebook-instance", name),
        ground.ref("sagemaker:feature-group", f"{name}-Churn"),
        ground.ref("sagemaker:mlflow-tracking-server", name),
        plant_packages(ground, name, owner.marks()),
    }


def plant_packages(ground: Ground, name: str, marks: Mapping[str, str]) -> Ref:
    """Plant a model package group with two versions."""
    sagemaker, group = ground.client("sagemaker"), {"ModelPackageGroupName": name}
    sagemaker.create_model_package_group(**group, Tags=pairs(marks))
    for _ in range(2):
        sagemaker.create_model_package(**group)
    return ground.ref("sagemaker:model-package-group", name)


def plant_domain(
    ground: Ground, name: str, marks: Mapping[str, str], vpc: Ref, subnets: Sequence[Ref]
) -> Ref:
    """Plant a domain with a user, its own space, an app of each, and one that is deleted."""
    sagemaker, tags = ground.client("sagemaker"), pairs(marks)
    made = sagemaker.create_domain(
        DomainName=name,
        AuthMode="IAM",
        DefaultUserSettings={"ExecutionRole": _SOMEBODY},
        SubnetIds=[subnet.id for subnet in subnets],
        VpcId=vpc.id,
        Tags=tags,
    )
    domain = {"DomainId": made["DomainArn"].rpartition("/")[2]}
    user, space = {**domain, "UserProfileName": "ada"}, {**domain, "SpaceName": "desk"}
    sagemaker.create_user_profile(**user, Tags=tags)
    sagemaker.create_space(
        **space,
        OwnershipSettings={"OwnerUserProfileName": "ada"},
        SpaceSharingSettings={"SharingType": "Private"},
        Tags=tags,
    )
    ended = {**user, "AppType": "KernelGateway", "AppName": "ended"}
    sagemaker.create_app(**ended, Tags=tags)
    sagemaker.delete_app(**ended)
    assert sagemaker.describe_app(**ended)["Status"] == "Deleting"
    assert sagemaker.describe_app(**ended)["Status"] == "Deleted"
    sagemaker.create_app(**user, AppType="JupyterServer", AppName="default", Tags=tags)
    sagemaker.create_app(**space, AppType="JupyterLab", AppName="default", Tags=tags)
    return ground.ref("sagemaker:domain", domain["DomainId"])
