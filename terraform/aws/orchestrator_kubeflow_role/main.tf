data "aws_partition" "current" {}

locals {
  own_bucket = var.stack_bucket_name == null
  bucket     = local.own_bucket ? one(aws_s3_bucket.own[*].id) : var.stack_bucket_name
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket}"

  # Their names are the chart's, and Kubeflow's own.
  service_accounts = {
    steps  = "pipeline-runner"
    server = "ml-pipeline"
    ui     = "ml-pipeline-ui"
  }
}

# One service account in one namespace of one cluster, with a token that is meant for AWS.
data "aws_iam_policy_document" "trust" {
  for_each = local.service_accounts

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:sub"
      values   = ["system:serviceaccount:${var.kubernetes_namespace}:${each.value}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

# Of the pipelines' pods, which may work anywhere in the bucket.
resource "aws_iam_role" "this" {
  name               = "${var.name}-kubeflow"
  path               = "/mlstacks/${var.install}/"
  description        = "Steps of Kubeflow Pipelines on the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust["steps"].json

  tags = {
    Name = "${var.name}-kubeflow"
  }
}

resource "aws_iam_role" "server" {
  name               = "${var.name}-kubeflow-server"
  path               = "/mlstacks/${var.install}/"
  description        = "API server of Kubeflow Pipelines on the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust["server"].json

  tags = {
    Name = "${var.name}-kubeflow-server"
  }
}

resource "aws_iam_role" "ui" {
  name               = "${var.name}-kubeflow-ui"
  path               = "/mlstacks/${var.install}/"
  description        = "User interface of Kubeflow Pipelines on the cluster ${var.cluster_name}"
  assume_role_policy = data.aws_iam_policy_document.trust["ui"].json

  tags = {
    Name = "${var.name}-kubeflow-ui"
  }
}
