output "role_arn" {
  description = "ARN of the execution role."
  value       = aws_iam_role.this.arn
}

output "role_name" {
  description = "Name of the execution role."
  value       = aws_iam_role.this.name
}

output "region" {
  description = "Region in which jobs run."
  value       = var.region
}

output "bucket_name" {
  description = "Name of the bucket that jobs use; empty when the stack has none."
  value       = var.bucket_name == null ? "" : var.bucket_name
}
