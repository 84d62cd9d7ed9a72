# The server writes at once: rights and bucket are there.
output "role_arn" {
  description = "ARN of the role; for the service account's annotation eks.amazonaws.com/role-arn."
  value       = aws_iam_role.this.arn

  depends_on = [
    aws_iam_role_policy.artifacts,
    aws_s3_bucket_policy.own,
    aws_s3_bucket_public_access_block.own,
  ]
}

output "bucket_name" {
  description = "Name of the bucket of MLflow's artifacts."
  value       = local.bucket
}

output "artifact_uri" {
  description = "Where MLflow keeps artifacts, as s3://BUCKET/PREFIX."
  value       = "s3://${local.bucket}/${var.prefix}"
}

output "region" {
  description = "Region of the role and of a bucket that the unit makes."
  value       = var.region
}
