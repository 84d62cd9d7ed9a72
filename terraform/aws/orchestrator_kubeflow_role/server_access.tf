# What serves pipelines needs the folder that Kubeflow writes, not the rest of the bucket.
data "aws_iam_policy_document" "server" {
  statement {
    sid       = "Bucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [local.bucket_arn]
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

resource "aws_iam_role_policy" "server" {
  name   = "artifacts"
  role   = aws_iam_role.server.name
  policy = data.aws_iam_policy_document.server.json
}

# Whoever reaches the user interface acts with its rights, so it only reads.
data "aws_iam_policy_document" "ui" {
  statement {
    sid       = "Location"
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
      values   = ["${var.prefix}/*"]
    }
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject"]
    resources = ["${local.bucket_arn}/${var.prefix}/*"]
  }
}

resource "aws_iam_role_policy" "ui" {
  name   = "artifacts"
  role   = aws_iam_role.ui.name
  policy = data.aws_iam_policy_document.ui.json
}
