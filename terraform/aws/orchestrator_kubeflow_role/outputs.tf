# Pipelines write at once: rights and bucket are there.
output "role_arn" {
  description = "ARN of the pipelines' role; for the annotation eks.amazonaws.com/role-arn of pipeline-runner."
  value       = aws_iam_role.this.arn

  depends_on = [
    aws_iam_role_policy.artifacts,
    aws_s3_bucket_policy.own,
    aws_s3_bucket_public_access_block.own,
  ]
}

output "server_role_arn" {
  description = "ARN of the API server's role; for the same annotation of ml-pipeline."
  value       = aws_iam_role.server.arn

  depends_on = [aws_iam_role_policy.server]
}

output "ui_role_arn" {
  description = "ARN of the user interface's role; for the same annotation of ml-pipeline-ui."
  value       = aws_iam_role.ui.arn

  depends_on = [aws_iam_role_policy.ui]
}

output "bucket_name" {
  description = "Name of the bucket of Kubeflow's artifacts."
  value       = local.bucket
}

output "prefix" {
  description = "Folder in the bucket that the API server and the user interface may use."
  value       = var.prefix
}

output "region" {
  description = "Region of the roles and of a bucket that the unit makes."
  value       = var.region
}

output "s3_host" {
  description = "Host of S3 in the region, without https://."
  value       = "s3.${var.region}.${data.aws_partition.current.dns_suffix}"
}
