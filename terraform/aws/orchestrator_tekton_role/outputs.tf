output "role_arn" {
  description = "ARN of the role; for the service account's annotation eks.amazonaws.com/role-arn."
  value       = aws_iam_role.this.arn

  depends_on = [aws_iam_role_policy.artifacts, aws_iam_role_policy.images]
}

output "role_name" {
  description = "Name of the role."
  value       = aws_iam_role.this.name
}
