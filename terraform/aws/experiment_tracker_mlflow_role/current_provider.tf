# Resources that older providers don't know, or know with other values.

resource "aws_s3_bucket_ownership_controls" "own" {
  count = local.own_bucket ? 1 : 0

  bucket = aws_s3_bucket.own[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }

  depends_on = [aws_s3_bucket_policy.own]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "own" {
  count = local.own_bucket ? 1 : 0

  bucket = aws_s3_bucket.own[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "own" {
  count = local.own_bucket ? 1 : 0

  bucket = aws_s3_bucket.own[0].id

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}
