data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  sagemaker  = "arn:${data.aws_partition.current.partition}:sagemaker:${var.region}:${local.account_id}"
  logs       = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${local.account_id}:log-group:/aws/sagemaker"
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
  name               = "${var.name}-kubernetes-orchestrator"
  path               = "/mlstacks/${var.install}/"
  description        = "Pipelines on the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name = "${var.name}-kubernetes-orchestrator"
  }
}
