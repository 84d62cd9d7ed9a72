data "aws_partition" "current" {}

locals {
  own_bucket = var.stack_bucket_name == null
  bucket     = local.own_bucket ? one(aws_s3_bucket.own[*].id) : var.stack_bucket_name
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket}"
}

# These service accounts of one namespace of one cluster, with a token that is meant for AWS.
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
      values   = [for account in var.service_account_names : "system:serviceaccount:${var.kubernetes_namespace}:${account}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  name               = "${var.name}-kubeflow"
  path               = "/mlstacks/${var.install}/"
  description        = "Kubeflow Pipelines on the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name = "${var.name}-kubeflow"
  }
}
