data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  here = "${var.region}:${data.aws_caller_identity.current.account_id}"
  ec2  = "arn:${data.aws_partition.current.partition}:ec2:${local.here}"

  # Snapshots have no account in their ARN.
  snapshots = "arn:${data.aws_partition.current.partition}:ec2:${var.region}::snapshot/*"

  # The driver puts this tag on everything that it makes, as the chart's k8sTagClusterId has it; EKS
  # puts it on the nodes.
  cluster_tag = "kubernetes.io/cluster/${var.cluster_name}"
}

# One service account in one namespace of one cluster, with a token that is meant for AWS.
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:sub"
      values   = ["system:serviceaccount:${var.kubernetes_namespace}:${var.service_account_name}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  name               = "${var.name}-ebs-csi-driver"
  path               = "/mlstacks/${var.install}/"
  description        = "EBS CSI driver of the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name = "${var.name}-ebs-csi-driver"
  }
}
