"""One thing of each type beside EC2's, made in the emulator by plain calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.unit.sweep.aws.services import ACCOUNT, REGION, Bench

__all__ = ["ROLE", "Plant", "pairs"]


def pairs(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: k, value: v} for k, v in tags.items()]


_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "eks.amazonaws.com"},
            }
        ],
    }
)
_POLICY = _TRUST.replace("sts:AssumeRole", "s3:GetObject").replace(
    '"Principal": {"Service": "eks.amazonaws.com"}', '"Resource": "*"'
)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/somebody"
IMAGE = {"Image": "1.dkr.ecr.us-east-1.amazonaws.com/x:1"}


class Plant:
    """Makes one thing of each type, with a name and tags, by the client of the emulator.

    Each method is named after a type and returns the thing's id in the inventory.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def __call__(self, type_: str, name: str, tags: Mapping[str, str]) -> str:
        made: str = getattr(self, type_.replace(":", "_").replace("-", "_"))(name, tags)
        return made

    def c(self, service: str) -> Any:
        return self.bench.client(service)

    def network(self) -> tuple[str, list[str]]:
        ec2 = self.c("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zones = ((f"{REGION}a", "10.0.0.0/24"), (f"{REGION}b", "10.0.1.0/24"))
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]
            for zone, block in zones
        ]
        return vpc, [subnet["SubnetId"] for subnet in subnets]

    def eks_cluster(self, name: str, tags: Mapping[str, str]) -> str:
        _, subnets = self.network()
        self.c("eks").create_cluster(
            name=name,
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}-cluster",
            resourcesVpcConfig={"subnetIds": subnets},
            tags=dict(tags),
        )
        return name

    def eks_nodegroup(self, name: str, tags: Mapping[str, str]) -> str:
        self.eks_cluster(name, {})
        self.c("eks").create_nodegroup(
            clusterName=name,
            nodegroupName="nodes",
            subnets=["subnet-1"],
            nodeRole=ROLE,
            tags=dict(tags),
        )
        return f"{name}/nodes"

    def eks_fargate_profile(self, name: str, tags: Mapping[str, str]) -> str:
        self.eks_cluster(name, {})
        self.c("eks").create_fargate_profile(
            clusterName=name,
            fargateProfileName="pods",
            podExecutionRoleArn=ROLE,
            subnets=["subnet-1"],
            selectors=[{"namespace": "default"}],
            tags=dict(tags),
        )
        return f"{name}/pods"

    def iam_role(self, name: str, tags: Mapping[str, str]) -> str:
        iam = self.c("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_TRUST, Tags=pairs(tags))
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=_POLICY)
        policy = iam.create_policy(PolicyName=f"of.{name[3:]}", PolicyDocument=_POLICY)
        iam.attach_role_policy(RoleName=name, PolicyArn=policy["Policy"]["Arn"])
        return name

    def iam_policy(self, name: str, tags: Mapping[str, str]) -> str:
        iam = self.c("iam")
        arn = iam.create_policy(PolicyName=name, PolicyDocument=_POLICY, Tags=pairs(tags))
        iam.create_policy_version(PolicyArn=arn["Policy"]["Arn"], PolicyDocument=_POLICY)
        return str(arn["Policy"]["Arn"])

    def iam_instance_profile(self, name: str, tags: Mapping[str, str]) -> str:
        iam = self.c("iam")
        self.iam_role(f"{name}-node", {})
        iam.create_instance_profile(InstanceProfileName=name, Tags=pairs(tags))
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=f"{name}-node")
        return name

    def iam_oidc_provider(self, name: str, tags: Mapping[str, str]) -> str:
        made = self.c("iam").create_open_id_connect_provider(
            Url=f"https://oidc.eks.{REGION}.amazonaws.com/id/{abs(hash(name)):X}",
            ThumbprintList=["a" * 40],
            Tags=pairs(tags),
        )
        return str(made["OpenIDConnectProviderArn"])

    def logs_log_group(self, name: str, tags: Mapping[str, str]) -> str:
        group = f"/somewhere/{name}"
        self.c("logs").create_log_group(logGroupName=group, tags=dict(tags))
        return group

    def ecr_repository(self, name: str, tags: Mapping[str, str]) -> str:
        ecr = self.c("ecr")
        ecr.create_repository(repositoryName=name, tags=pairs(tags))
        manifest = {"schemaVersion": 2, "config": {"digest": name}, "layers": []}
        ecr.put_image(
            repositoryName=name,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            imageTag="1",
        )
        return name

    def s3_bucket(self, name: str, tags: Mapping[str, str]) -> str:
        s3 = self.c("s3")
        s3.create_bucket(Bucket=name)
        if tags:
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(tags)})
        versioning = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
        for _ in range(2):
            s3.put_object(Bucket=name, Key="data", Body=b"x")
        s3.delete_object(Bucket=name, Key="data")
        s3.create_multipart_upload(Bucket=name, Key="unfinished")
        return name

    def rds_instance(self, name: str, tags: Mapping[str, str]) -> str:
        self.c("rds").create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.m5.large",
            Engine="postgres",
            MasterUsername="root",
            MasterUserPassword="hunter2hunter2",
            AllocatedStorage=20,
            Tags=pairs(tags),
        )
        return name

    def rds_cluster(self, name: str, tags: Mapping[str, str]) -> str:
        self.c("rds").create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            MasterUsername="root",
            MasterUserPassword="hunter2hunter2",
            Tags=pairs(tags),
        )
        return name

    def rds_subnet_group(self, name: str, tags: Mapping[str, str]) -> str:
        _, subnets = self.network()
        self.c("rds").create_db_subnet_group(
            DBSubnetGroupName=name,
            DBSubnetGroupDescription="x",
            SubnetIds=subnets,
            Tags=pairs(tags),
        )
        return name

    def rds_parameter_group(self, name: str, tags: Mapping[str, str]) -> str:
        made = self.c("rds").create_db_parameter_group(
            DBParameterGroupName=name,
            DBParameterGroupFamily="postgres16",
            Description="x",
            Tags=pairs(tags),
        )
        if tags:
            self.bench.indexed[made["DBParameterGroup"]["DBParameterGroupArn"]] = tags
        return name

    def efs_file_system(self, name: str, tags: Mapping[str, str]) -> str:
        efs, (_, subnets) = self.c("efs"), self.network()
        made = efs.create_file_system(CreationToken=name, Tags=pairs({**tags, "Name": name}))
        for subnet in subnets:
            efs.create_mount_target(FileSystemId=made["FileSystemId"], SubnetId=subnet)
        return str(made["FileSystemId"])

    def fsx_file_system(self, name: str, tags: Mapping[str, str]) -> str:
        made = self.c("fsx").create_file_system(
            FileSystemType="LUSTRE",
            StorageCapacity=1200,
            SubnetIds=["subnet-0123456789abcdef0"],
            LustreConfiguration={"DeploymentType": "SCRATCH_2"},
            Tags=pairs({**tags, "Name": name}),
        )
        return str(made["FileSystem"]["FileSystemId"])

    def secretsmanager_secret(self, name: str, tags: Mapping[str, str]) -> str:
        made = self.c("secretsmanager").create_secret(Name=name, SecretString="x", Tags=pairs(tags))
        return str(made["ARN"])

    def kms_key(self, name: str, tags: Mapping[str, str]) -> str:
        made = self.c("kms").create_key(
            Description=name, Tags=pairs({**tags, "Name": name}, "TagKey", "TagValue")
        )
        return str(made["KeyMetadata"]["KeyId"])

    def acm_certificate(self, name: str, tags: Mapping[str, str]) -> str:
        acm = self.c("acm")
        kept = {"Tags": pairs(tags)} if tags else {}
        domain = f"{name}.example.com"
        made = acm.request_certificate(DomainName=domain, ValidationMethod="DNS", **kept)
        return str(made["CertificateArn"])

    def sqs_queue(self, name: str, tags: Mapping[str, str]) -> str:
        self.c("sqs").create_queue(QueueName=name, tags=dict(tags))
        return name

    def events_rule(self, name: str, tags: Mapping[str, str]) -> str:
        rules = self.c("events")
        rules.put_rule(Name=name, ScheduleExpression="rate(1 day)", Tags=pairs(tags))
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
        rules.put_targets(Rule=name, Targets=[{"Id": f"t{n}", "Arn": queue} for n in range(3)])
        return name

    def route53_hosted_zone(self, name: str, tags: Mapping[str, str]) -> str:
        route53 = self.c("route53")
        made = route53.create_hosted_zone(Name=f"{name}.example.com", CallerReference=name)
        zone_id = str(made["HostedZone"]["Id"]).removeprefix("/hostedzone/")
        if tags:
            route53.change_tags_for_resource(
                ResourceType="hostedzone", ResourceId=zone_id, AddTags=pairs(tags)
            )
        self.record(zone_id, f"www.{name}.example.com", "A", "10.0.0.1")
        return zone_id

    def record(self, zone_id: str, name: str, type_: str, value: str) -> str:
        record = {
            "Name": name,
            "Type": type_,
            "TTL": 60,
            "ResourceRecords": [{"Value": value}],
        }
        self.c("route53").change_resource_record_sets(
            HostedZoneId=zone_id,
            ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
        )
        return f"{zone_id}/{name}./{type_}"

    def sagemaker_model(self, name: str, tags: Mapping[str, str]) -> str:
        self.c("sagemaker").create_model(
            ModelName=name, PrimaryContainer=IMAGE, ExecutionRoleArn=ROLE, Tags=pairs(tags)
        )
        return name

    def sagemaker_endpoint_config(self, name: str, tags: Mapping[str, str]) -> str:
        self.sagemaker_model(f"{name}-model", {})
        variant = {
            "VariantName": "all",
            "ModelName": f"{name}-model",
            "InitialInstanceCount": 2,
            "InstanceType": "ml.m5.large",
        }
        self.c("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=pairs(tags)
        )
        return name

    def sagemaker_endpoint(self, name: str, tags: Mapping[str, str]) -> str:
        self.sagemaker_endpoint_config(f"{name}-config", {})
        self.c("sagemaker").create_endpoint(
            EndpointName=name, EndpointConfigName=f"{name}-config", Tags=pairs(tags)
        )
        return name

    def sagemaker_notebook_instance(self, name: str, tags: Mapping[str, str]) -> str:
        self.c("sagemaker").create_notebook_instance(
            NotebookInstanceName=name,
            InstanceType="ml.t3.medium",
            RoleArn=ROLE,
            Tags=pairs(tags),
        )
        return name

    def sagemaker_pipeline(self, name: str, tags: Mapping[str, str]) -> str:
        self.c("sagemaker").create_pipeline(
            PipelineName=name,
            PipelineDefinition="{}",
            RoleArn=ROLE,
            ClientRequestToken=name.ljust(32, "x"),
            Tags=pairs(tags),
        )
        return name
