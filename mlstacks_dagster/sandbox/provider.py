"""The AWS provider's wiring for an emulator: a pure function of the endpoint.

Our modules are written for the current provider. Where the sandbox brings its own (3.39, from a
wheel) the override pins that version, uses its names and leaves out the files that it can't read;
elsewhere the current provider is used with its own names.

An override must not carry ``default_tags``: a nested block of an override replaces that of the
module. It carries no credentials either: they come by environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.wiring import ProviderOverride, Wiring

__all__ = [
    "ACCESS_KEY_ID",
    "CURRENT_ENDPOINTS",
    "CURRENT_ONLY_FILES",
    "LEGACY_ENDPOINTS",
    "LEGACY_VERSION",
    "SECRET_ACCESS_KEY",
    "aws_wiring",
]

LEGACY_VERSION = "3.39.0"

# Known to nobody but the emulator, which accepts any.
ACCESS_KEY_ID = "mlstacks-sandbox"
SECRET_ACCESS_KEY = "only-for-the-emulator"  # noqa: S105 - opens nothing

CURRENT_ONLY_FILES = ("current_provider.tf", "current_provider_override.tf")

# Every service of provider 3.39 (its schema): one that is missing is looked for on the internet.
_LEGACY_SERVICES = """
    accessanalyzer acm acmpca amplify apigateway appconfig applicationautoscaling
    applicationinsights appmesh appstream appsync athena auditmanager autoscaling
    autoscalingplans backup batch budgets cloud9 cloudformation cloudfront cloudhsm
    cloudsearch cloudtrail cloudwatch cloudwatchevents cloudwatchlogs codeartifact codebuild
    codecommit codedeploy codepipeline codestarconnections cognitoidentity cognitoidp
    configservice connect cur dataexchange datapipeline datasync dax detective devicefarm
    directconnect dlm dms docdb ds dynamodb ec2 ecr ecrpublic ecs efs eks elasticache
    elasticbeanstalk elastictranscoder elb emr emrcontainers es firehose fms forecast fsx
    gamelift glacier globalaccelerator glue greengrass guardduty iam identitystore
    imagebuilder inspector iot iotanalytics iotevents kafka kinesis kinesisanalytics
    kinesisanalyticsv2 kinesisvideo kms lakeformation lambda lexmodels licensemanager
    lightsail macie macie2 managedblockchain marketplacecatalog mediaconnect mediaconvert
    medialive mediapackage mediastore mediastoredata mq mwaa neptune networkfirewall
    networkmanager opsworks organizations outposts personalize pinpoint pricing qldb
    quicksight ram rds redshift resourcegroups resourcegroupstaggingapi route53 route53domains
    route53resolver s3 s3control s3outposts sagemaker sdb secretsmanager securityhub
    serverlessrepo servicecatalog servicediscovery servicequotas ses shield signer sns sqs ssm
    ssoadmin stepfunctions storagegateway sts swf synthetics timestreamwrite transfer waf
    wafregional wafv2 worklink workmail workspaces xray
"""
LEGACY_ENDPOINTS = tuple(_LEGACY_SERVICES.split())

# Of the current provider, what our modules and what people try next use; all other services
# follow AWS_ENDPOINT_URL, which provider 3.39 does not know.
_CURRENT_SERVICES = """
    acm autoscaling cloudwatch dynamodb ec2 ecr ecrpublic efs eks elb elbv2 events iam kms lambda
    logs rds resourcegroupstaggingapi route53 s3 s3control sagemaker secretsmanager sns sqs ssm
    sts
"""
CURRENT_ENDPOINTS = tuple(_CURRENT_SERVICES.split())

# With the emulator gone, fail soon: the provider's own default of 25 keeps trying for minutes.
_MAX_RETRIES = 4


def aws_wiring(endpoint: str, mirror: Path | None, *, legacy: bool) -> Wiring:
    """Return the wiring of an AWS emulator at ``endpoint`` (such as ``http://127.0.0.1:1234``).

    ``mirror`` is the filesystem mirror to install the provider from (None: Terraform's own
    configuration decides); ``legacy`` says that the provider there is 3.39.
    """
    return Wiring(
        target="sandbox",
        environment=_environment(endpoint),
        endpoint_url=endpoint,
        providers={"aws": _legacy(endpoint) if legacy else _current(endpoint)},
        provider_mirror=mirror,
        backend_s3=_backend(endpoint),
    )


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
        # A profile of the user, with its roles and regions, has no say here.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _legacy(endpoint: str) -> ProviderOverride:
    override = {
        "terraform": {
            "required_providers": {
                "aws": {"source": "hashicorp/aws", "version": LEGACY_VERSION},
            },
        },
        "provider": {
            "aws": {
                **_common(endpoint, LEGACY_ENDPOINTS),
                "s3_force_path_style": True,
                "skip_get_ec2_platforms": True,
            },
        },
    }
    return ProviderOverride(override=override, exclude_files=CURRENT_ONLY_FILES)


def _current(endpoint: str) -> ProviderOverride:
    provider = {**_common(endpoint, CURRENT_ENDPOINTS), "s3_use_path_style": True}
    return ProviderOverride(override={"provider": {"aws": provider}})


def _common(endpoint: str, services: tuple[str, ...]) -> dict[str, Any]:
    # The account id is asked for, at the emulator: ARNs are made of it.
    return {
        "endpoints": dict.fromkeys(services, endpoint),
        "max_retries": _MAX_RETRIES,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "skip_region_validation": True,
    }


def _backend(endpoint: str) -> dict[str, Any]:
    return {
        "endpoints": {"s3": endpoint, "sts": endpoint, "iam": endpoint, "sso": endpoint},
        "use_path_style": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "skip_requesting_account_id": True,
        "skip_region_validation": True,
    }
