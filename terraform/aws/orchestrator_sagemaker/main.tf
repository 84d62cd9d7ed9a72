data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  sagemaker  = "arn:${data.aws_partition.current.partition}:sagemaker:${var.region}:${local.account_id}"
  logs       = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${local.account_id}:log-group:/aws/sagemaker"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }

    # Nobody else's SageMaker may take the role on their behalf.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_iam_role" "this" {
  name               = "${var.name}-sagemaker-orchestrator"
  path               = "/mlstacks/${var.install}/"
  description        = "SageMaker pipelines of the stack ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = {
    Name = "${var.name}-sagemaker-orchestrator"
  }
}

data "aws_iam_policy_document" "telemetry" {
  statement {
    sid = "Logs"
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogStreams",
      "logs:PutLogEvents",
    ]
    resources = ["${local.logs}/*"]
  }

  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/*", "aws/sagemaker/*"]
    }
  }
}

resource "aws_iam_role_policy" "telemetry" {
  name   = "telemetry"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.telemetry.json
}

# A pipeline starts its steps as jobs under this same role; SageMaker names them pipelines-....
data "aws_iam_policy_document" "jobs" {
  statement {
    sid = "PipelineJobs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateProcessingJob",
      "sagemaker:CreateTrainingJob",
      "sagemaker:DescribeProcessingJob",
      "sagemaker:DescribeTrainingJob",
      "sagemaker:StopProcessingJob",
      "sagemaker:StopTrainingJob",
    ]
    resources = [
      "${local.sagemaker}:processing-job/pipelines-*",
      "${local.sagemaker}:training-job/pipelines-*",
    ]
  }

  statement {
    sid       = "PassItself"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.this.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "jobs" {
  name   = "jobs"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.jobs.json
}
