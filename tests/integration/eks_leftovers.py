"""Plants what an EKS cluster's stack and its controllers leave, with what a sweep must find of it.

The rows are those of the design's table of leftovers. What the emulator can't hold or delete (10c)
is left out, and tested elsewhere.
"""

from __future__ import annotations

import json
from typing import Any

from mlstacks_dagster.sweep.inventory.model import Ref
from tests.integration.eks_ground import ACCOUNT, Ground, Owner, Planted, pairs, policy
from tests.integration.eks_sagemaker import plant_domain, plant_registries, plant_serving

__all__ = ["ClusterNetwork", "plant_balancers", "plant_network", "plant_stack"]


class ClusterNetwork:
    """A VPC with two subnets and the groups that a cluster's controllers made in it."""

    def __init__(self, ground: Ground, owner: Owner) -> None:
        marks, name = owner.marks(), owner.cluster
        self.vpc = ground.vpc(marks)
        self.subnets = [ground.subnet(self.vpc, marks, number) for number in (1, 2)]
        lb = {**owner.of_balancers, "elbv2.k8s.aws/resource": "backend-sg"}
        managed = "[k8s] Managed SecurityGroup for LoadBalancer"
        shared = "[k8s] Shared Backend SecurityGroup for LoadBalancer"
        eks = {"aws:eks:cluster-name": name, **owner.of_cluster}
        self.own = ground.group(self.vpc, f"eks-cluster-sg-{name}-1", eks)
        self.classic = ground.group(self.vpc, f"k8s-elb-{name}", owner.of_cluster)
        self.managed = ground.group(self.vpc, "k8s-mlflow-web-1", owner.of_balancers, managed)
        self.backend = ground.group(self.vpc, f"k8s-traffic-{name}-1", lb, shared)
        # As controllers leave them: each group holds the next, and the last the first.
        ground.allow(self.managed, self.backend, "egress")
        ground.allow(self.backend, self.managed)
        ground.allow(self.own, self.backend)
        ground.allow(self.own, self.classic)
        ground.allow(self.classic, self.own, "egress")

    @property
    def groups(self) -> set[Ref]:
        return {self.own, self.classic, self.managed, self.backend}


def plant_stack(home: Ground, other: Ground, owner: Owner) -> Planted:
    """Plant everything that one stack leaves in two regions, row by row."""
    planted = Planted()
    network = ClusterNetwork(home, owner)
    planted.plain |= {network.vpc, *network.subnets, *network.groups}
    planted.plain |= _compute(home, owner, network)
    planted.plain |= plant_balancers(home, owner, network)
    planted.plain |= plant_network(home, owner, network)
    planted.plain |= _interfaces(home, owner, network)
    planted.plain |= _identity(home, owner) | _logs(home, owner) | _events(home, owner)
    planted.plain |= plant_serving(other, owner)
    planted.data |= plant_registries(other, owner)
    planted.data |= _data_network(home, owner) | _volumes(home, owner) | _stores(other, owner)
    planted.plain.add(home.volume({**owner.marks("delete"), **owner.of_cluster}))
    return planted


def _compute(ground: Ground, owner: Owner, network: ClusterNetwork) -> set[Ref]:
    """Rows 1 and 2: a node of Karpenter's, and a nodegroup's autoscaling group."""
    name, subnet = owner.cluster, network.subnets[0]
    karpenter = {"karpenter.sh/nodepool": "default", "karpenter.sh/nodeclaim": "default-x1"}
    node = {**karpenter, "eks:eks-cluster-name": name, **owner.of_cluster}
    template = ground.template(f"eks-{name}", {"eks:cluster-name": name})
    tags = {"eks:cluster-name": name, "eks:nodegroup-name": "nodes", **owner.of_cluster}
    return {
        ground.instance(subnet, [network.own], node),
        template,
        ground.template(f"karpenter.k8s.aws/{name}", {"karpenter.k8s.aws/cluster": name}),
        *ground.scaling_group(f"eks-nodes-{name}", template, subnet, tags),
    }


def plant_balancers(ground: Ground, owner: Owner, network: ClusterNetwork) -> set[Ref]:
    """Rows 3 to 5: load balancers of both controllers, and target groups."""
    tail, subnets, vpc = owner.stack_id[-8:], network.subnets, network.vpc
    web = {**owner.of_balancers, "ingress.k8s.aws/stack": "mlflow/web"}
    app_tags = {**web, "ingress.k8s.aws/resource": "LoadBalancer"}
    tcp = {**owner.of_balancers, "service.k8s.aws/stack": "minio/s3"}
    ingress = {**owner.of_cluster, "kubernetes.io/service-name": "ingress-nginx/controller"}
    groups = [network.managed, network.backend]
    app = ground.balancer(f"k8s-mlflow-web-{tail}", "application", subnets, groups, app_tags)
    net = ground.balancer(f"k8s-minio-s3-{tail}", "network", subnets, [], tcp)
    name = f"a{owner.stack_id}".ljust(32, "0")
    legacy = {"ingress.k8s.aws/cluster": owner.cluster, "ingress.k8s.aws/stack": "mlflow/v1"}
    return {
        app,
        net,
        ground.balancer(f"k8s-mlflow-v1-{tail}", "application", subnets, groups, legacy),
        ground.targets(f"k8s-mlflow-web-{tail}", vpc, web, app),
        ground.targets(f"k8s-minio-s3-{tail}", vpc, tcp, net, "TCP"),
        ground.targets(f"k8s-mlflow-old-{tail}", vpc, web),
        ground.classic(name, subnets, [network.classic], ingress),
    }


def plant_network(ground: Ground, owner: Owner, network: ClusterNetwork) -> set[Ref]:
    """Rows 6, 9 and 14: what Terraform left half way, and what GuardDuty put into the VPC."""
    marks, vpc, subnet = owner.marks(), network.vpc, network.subnets[0]
    ec2 = ground.client("ec2")
    call, key = "create_internet_gateway", "InternetGateway"
    gateway = ground.ec2(call, key, "InternetGatewayId", "internet-gateway", marks)
    ec2.attach_internet_gateway(InternetGatewayId=gateway.id, VpcId=vpc.id)
    call, key = "create_route_table", "RouteTable"
    table = ground.ec2(call, key, "RouteTableId", "route-table", marks, VpcId=vpc.id)
    ec2.associate_route_table(RouteTableId=table.id, SubnetId=subnet.id)
    address = ground.address(marks)
    where = {"SubnetId": subnet.id, "AllocationId": address.id}
    call, key = "create_nat_gateway", "NatGateway"
    nat = ground.ec2(call, key, "NatGatewayId", "nat-gateway", marks, **where)
    held = _interface_ids(ec2.describe_nat_gateways(NatGatewayIds=[nat.id])["NatGateways"])
    guard = ground.group(vpc, f"GuardDutyManagedSecurityGroup-{vpc.id}", {})
    endpoint = ground.ec2(
        "create_vpc_endpoint",
        "VpcEndpoint",
        "VpcEndpointId",
        "vpc-endpoint",
        {"GuardDutyManaged": "true"},
        VpcId=vpc.id,
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{ground.region}.guardduty-data",
        SubnetIds=[subnet.id],
        SecurityGroupIds=[guard.id],
    )
    held += _interface_ids(ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint.id])["VpcEndpoints"])
    interfaces = {ground.ref("ec2:network-interface", name) for name in held}
    return {gateway, table, address, nat, guard, endpoint, *interfaces}


def _interface_ids(raws: list[Any]) -> list[str]:
    """Return the interfaces of NAT gateways or endpoints, as these tell them."""
    ids = [i for raw in raws for i in raw.get("NetworkInterfaceIds", ())]
    return ids + [
        address["NetworkInterfaceId"]
        for raw in raws
        for address in raw.get("NatGatewayAddresses", ())
    ]


def _interfaces(ground: Ground, owner: Owner, network: ClusterNetwork) -> set[Ref]:
    """Rows 10a and 10b: interfaces of pods, with a cluster's tag and without."""
    node = {"node.k8s.amazonaws.com/instance_id": "i-0", "eks:eni:owner": "amazon-vpc-cni"}
    named = {**node, "cluster.k8s.amazonaws.com/name": owner.cluster}
    subnet, own = network.subnets[1], [network.own]
    return {
        ground.interface(subnet, own, "aws-K8S-i-0aaaaaaaaaaaaaaaa", named),
        ground.interface(subnet, own, "aws-K8S-i-0bbbbbbbbbbbbbbbb", node),
        ground.interface(subnet, own, "aws-k8s-branch-eni", {}),
        ground.interface(subnet, own, "aws-k8s-trunk-eni", {}),
    }


def _data_network(ground: Ground, owner: Owner) -> set[Ref]:
    """Rows 7 and 8, and of 20 the domain, in a VPC that their data keeps."""
    marks, efs, rds = owner.marks(), ground.client("efs"), ground.client("rds")
    vpc = ground.vpc(marks)
    subnets = [ground.subnet(vpc, marks, number) for number in (3, 4)]
    csi = {"efs.csi.aws.com/cluster": "true"}
    made = efs.create_file_system(CreationToken=owner.stack_id, Tags=pairs({**marks, **csi}))
    targets = [
        efs.create_mount_target(FileSystemId=made["FileSystemId"], SubnetId=subnet.id)
        for subnet in subnets
    ]
    name = f"{owner.cluster}-mlflow"
    rds.create_db_subnet_group(
        DBSubnetGroupName=name,
        DBSubnetGroupDescription="of a metadata store",
        SubnetIds=[subnet.id for subnet in subnets],
        Tags=pairs(marks),
    )
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="root",
        MasterUserPassword="not-a-secret-1",
        AllocatedStorage=20,
        DBSubnetGroupName=name,
        Tags=pairs(marks),
    )
    return {
        vpc,
        *subnets,
        ground.ref("efs:file-system", made["FileSystemId"]),
        ground.ref("rds:subnet-group", name),
        ground.ref("rds:instance", name),
        plant_domain(ground, owner.cluster, marks, vpc, subnets),
        *(ground.ref("ec2:network-interface", t["NetworkInterfaceId"]) for t in targets),
    }


def _volumes(ground: Ground, owner: Owner) -> set[Ref]:
    """Rows 12 and 13: volumes of claims, by each tag that names a cluster, and a snapshot."""
    claim = {
        "CSIVolumeName": "pvc-1",
        "ebs.csi.aws.com/cluster": "true",
        "kubernetes.io/created-for/pvc/namespace": "minio",
        "kubernetes.io/created-for/pvc/name": "data",
    }
    volumes = [
        ground.volume({**claim, **owner.of_cluster}),
        ground.volume({**claim, "KubernetesCluster": owner.cluster}),
        ground.volume({**claim, "ebs.csi.aws.com/cluster-name": owner.cluster}),
    ]
    kept = {"CSIVolumeSnapshotName": "snapshot-1", **owner.of_cluster}
    return {*volumes, ground.snapshot(volumes[0], kept)}


def _identity(ground: Ground, owner: Owner) -> set[Ref]:
    """Rows 15 and 16: identity provider, role, policy and instance profile."""
    iam, marks, name = ground.client("iam"), owner.marks(), owner.cluster
    path, issuer = f"/mlstacks/{owner.install}/", owner.stack_id.encode().hex().upper()
    role = ground.role(f"{name}-node", path, marks)
    tags = pairs(marks)
    provider = iam.create_open_id_connect_provider(
        Url=f"https://oidc.eks.{ground.region}.amazonaws.com/id/{issuer}",
        ThumbprintList=["a" * 40],
        Tags=tags,
    )["OpenIDConnectProviderArn"]
    made = iam.create_policy(PolicyName=name, Path=path, PolicyDocument=policy(), Tags=tags)
    arn = made["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role.id, PolicyArn=arn)
    iam.create_instance_profile(InstanceProfileName=name, Path=path, Tags=tags)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role.id)
    return {
        role,
        ground.ref("iam:oidc-provider", provider),
        ground.ref("iam:policy", arn),
        ground.ref("iam:instance-profile", name),
    }


def _logs(ground: Ground, owner: Owner) -> set[Ref]:
    """Row 17: what the control plane makes again, and what agents write."""
    name = owner.cluster
    return {
        ground.logs(f"/aws/eks/{name}/cluster", {}),
        ground.logs(f"/aws/containerinsights/{name}/application", {}),
        ground.logs(f"/aws/lambda/{name}-hook", owner.marks()),
    }


def _stores(ground: Ground, owner: Owner) -> set[Ref]:
    """Rows 18, 19 and of 21 the key: data in services, in the stack's other region."""
    marks, name, ecr = owner.marks(), owner.cluster, ground.client("ecr")
    ecr.create_repository(repositoryName=f"{name}-images", tags=pairs(marks))
    manifest = {"schemaVersion": 2, "config": {"digest": name}, "layers": []}
    ecr.put_image(
        repositoryName=f"{name}-images",
        imageManifest=json.dumps(manifest),
        imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
        imageTag="1",
    )
    key = ground.client("kms").create_key(Tags=pairs(marks, "TagKey", "TagValue"))
    return {
        ground.bucket(f"{name}-artifacts", marks),
        ground.ref("ecr:repository", f"{name}-images"),
        ground.ref("kms:key", key["KeyMetadata"]["KeyId"]),
    }


def _events(ground: Ground, owner: Owner) -> set[Ref]:
    """Row 21: Karpenter's queue and rule, and a secret."""
    marks, name = owner.marks(), owner.cluster
    ground.client("sqs").create_queue(QueueName=name, tags=marks)
    rules = ground.client("events")
    rules.put_rule(Name=name, ScheduleExpression="rate(1 day)", Tags=pairs(marks))
    queue = f"arn:aws:sqs:{ground.region}:{ACCOUNT}:{name}"
    rules.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue}])
    secret = ground.client("secretsmanager").create_secret(
        Name=f"{name}-mlflow", SecretString="x", Tags=pairs(marks)
    )
    return {
        ground.ref("sqs:queue", name),
        ground.ref("events:rule", name),
        ground.ref("secretsmanager:secret", secret["ARN"]),
    }
