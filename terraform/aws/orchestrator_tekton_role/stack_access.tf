data "aws_iam_policy_document" "artifacts" {
  count = var.bucket_arn == null ? 0 : 1

  statement {
    sid = "Bucket"
    actions = [
      "s3:GetBucketLocation",
      "s3:GetBucketVersioning",
      "s3:ListBucket",
      "s3:ListBucketVersions",
    ]
    resources = [var.bucket_arn]
  }

  statement {
    sid = "Objects"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:DeleteObjectVersion",
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:ListMultipartUploadParts",
      "s3:PutObject",
    ]
    resources = ["${var.bucket_arn}/*"]
  }
}

resource "aws_iam_role_policy" "artifacts" {
  count = var.bucket_arn == null ? 0 : 1

  name   = "artifacts"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.artifacts[0].json
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
