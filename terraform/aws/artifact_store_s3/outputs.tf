# Whoever writes to the bucket finds it closed to the public.
output "bucket_name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id

  depends_on = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.this]
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "bucket_uri" {
  description = "The bucket as s3://NAME, as ZenML wants it."
  value       = "s3://${aws_s3_bucket.this.id}"
}

output "region" {
  description = "Region of the bucket."
  value       = var.region
}
