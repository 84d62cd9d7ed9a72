data "aws_partition" "current" {}

locals {
  aws_policies = "arn:${data.aws_partition.current.partition}:iam::aws:policy"
}

data "aws_iam_policy_document" "cluster_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["eks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "${var.name}-cluster"
  path               = "/mlstacks/${var.install}/"
  description        = "EKS control plane of ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.cluster_trust.json

  tags = {
    Name = "${var.name}-cluster"
  }
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.aws_policies}/AmazonEKSClusterPolicy"
}

data "aws_iam_policy_document" "cluster_secrets" {
  count = var.secrets_kms_key_arn == null ? 0 : 1

  statement {
    sid       = "SecretsKey"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ListGrants"]
    resources = [var.secrets_kms_key_arn]
  }
}

resource "aws_iam_role_policy" "cluster_secrets" {
  count = var.secrets_kms_key_arn == null ? 0 : 1

  name   = "${var.name}-secrets-key"
  role   = aws_iam_role.cluster.name
  policy = data.aws_iam_policy_document.cluster_secrets[0].json
}

data "aws_iam_policy_document" "node_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

resource "aws_iam_role" "node" {
  name               = "${var.name}-node"
  path               = "/mlstacks/${var.install}/"
  description        = "Nodes of the cluster ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.node_trust.json

  # Other units of the stack add rights of their own, such as pulling from the registry.
  force_detach_policies = true

  tags = {
    Name = "${var.name}-node"
  }
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset([
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryPullOnly",
  ])

  role       = aws_iam_role.node.name
  policy_arn = "${local.aws_policies}/${each.key}"
}
