data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  partition = data.aws_partition.current.partition
  here      = "${var.region}:${data.aws_caller_identity.current.account_id}"
  ec2       = "arn:${local.partition}:ec2:${local.here}"
  elb       = "arn:${local.partition}:elasticloadbalancing:${local.here}"

  # The controller puts its cluster's name into this tag of everything that it makes.
  request_tag  = "aws:RequestTag/elbv2.k8s.aws/cluster"
  resource_tag = "aws:ResourceTag/elbv2.k8s.aws/cluster"
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
  name               = "${var.name}-lb-controller"
  path               = "/mlstacks/${var.install}/"
  description        = "AWS Load Balancer Controller of the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name = "${var.name}-lb-controller"
  }
}
