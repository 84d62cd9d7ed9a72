output "repository_uri" {
  description = "The repository as REGISTRY/NAME, to push to and pull from."
  value       = aws_ecr_repository.this.repository_url
}

output "registry_uri" {
  description = "Host of the account's registry in the region."
  value       = split("/", aws_ecr_repository.this.repository_url)[0]
}

output "repository_arn" {
  description = "ARN of the repository."
  value       = aws_ecr_repository.this.arn
}

output "repository_name" {
  description = "Name of the repository."
  value       = aws_ecr_repository.this.name
}
