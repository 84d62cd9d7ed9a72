data "aws_partition" "current" {}

locals {
  given_bucket = var.bucket_name != null ? var.bucket_name : var.stack_bucket_name
  own_bucket   = local.given_bucket == null
  bucket       = local.own_bucket ? one(aws_s3_bucket.own[*].id) : local.given_bucket
  bucket_arn   = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket}"
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
  name               = "${var.name}-mlflow"
  path               = "/mlstacks/${var.install}/"
  description        = "MLflow server on the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name = "${var.name}-mlflow"
  }
}

data "aws_iam_policy_document" "artifacts" {
  statement {
    sid       = "Bucket"
    actions   = ["s3:GetBucketLocation"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [var.prefix, "${var.prefix}/*"]
    }
  }

  statement {
    sid = "Objects"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:ListMultipartUploadParts",
      "s3:PutObject",
    ]
    resources = ["${local.bucket_arn}/${var.prefix}/*"]
  }
}

resource "aws_iam_role_policy" "artifacts" {
  name   = "artifacts"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.artifacts.json
}
