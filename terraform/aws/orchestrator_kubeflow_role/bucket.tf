# The stack has no bucket: one of this unit's own.
resource "aws_s3_bucket" "own" {
  count = local.own_bucket ? 1 : 0

  bucket = "${var.name}-kubeflow"

  # The stack owns the bucket: whether its data may go is what the stack says, not what S3 asks.
  force_destroy = var.delete_data

  tags = {
    Name = "${var.name}-kubeflow"
  }
}

resource "aws_s3_bucket_public_access_block" "own" {
  count = local.own_bucket ? 1 : 0

  bucket = aws_s3_bucket.own[0].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

data "aws_iam_policy_document" "tls_only" {
  count = local.own_bucket ? 1 : 0

  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.own[0].arn, "${aws_s3_bucket.own[0].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "own" {
  count = local.own_bucket ? 1 : 0

  bucket = aws_s3_bucket.own[0].id
  policy = data.aws_iam_policy_document.tls_only[0].json

  # S3 refuses two changes of one bucket at a time.
  depends_on = [aws_s3_bucket_public_access_block.own]
}
