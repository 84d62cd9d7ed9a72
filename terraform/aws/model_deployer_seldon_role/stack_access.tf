data "aws_iam_policy_document" "models" {
  count = var.bucket_arn == null ? 0 : 1

  statement {
    sid       = "Bucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [var.bucket_arn]
  }

  statement {
    sid       = "Models"
    actions   = ["s3:GetObject"]
    resources = ["${var.bucket_arn}/*"]
  }
}

resource "aws_iam_role_policy" "models" {
  count = var.bucket_arn == null ? 0 : 1

  name   = "models"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.models[0].json
}

data "aws_iam_policy_document" "images" {
  count = var.repository_arn == null ? 0 : 1

  statement {
    sid       = "Token"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "Pull"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer",
    ]
    resources = [var.repository_arn]
  }
}

resource "aws_iam_role_policy" "images" {
  count = var.repository_arn == null ? 0 : 1

  name   = "images"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.images[0].json
}
