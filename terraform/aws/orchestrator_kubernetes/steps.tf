# A step for the SageMaker step operator: the pipeline's own job asks for another one, under the
# step operator's role. ZenML names these after the pipeline, so their names have no common prefix.
data "aws_iam_policy_document" "steps" {
  count = var.step_role_arn == null ? 0 : 1

  statement {
    sid = "StepJobs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateTrainingJob",
      "sagemaker:DescribeTrainingJob",
      "sagemaker:StopTrainingJob",
    ]
    resources = ["${local.sagemaker}:training-job/*"]
  }

  statement {
    sid       = "StepRole"
    actions   = ["iam:PassRole"]
    resources = [var.step_role_arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  statement {
    sid       = "StepLogs"
    actions   = ["logs:DescribeLogStreams", "logs:GetLogEvents"]
    resources = ["${local.logs}/TrainingJobs:*"]
  }
}

resource "aws_iam_role_policy" "steps" {
  count = var.step_role_arn == null ? 0 : 1

  name   = "steps"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.steps[0].json
}
