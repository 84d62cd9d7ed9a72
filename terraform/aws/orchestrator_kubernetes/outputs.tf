output "role_arn" {
  description = "ARN of the role that the pipelines' service account takes; for its annotation eks.amazonaws.com/role-arn."
  value       = aws_iam_role.this.arn
}

output "cluster_name" {
  description = "Name of the EKS cluster on which pipelines run."
  value       = var.cluster_name
}

output "region" {
  description = "Region of the cluster."
  value       = var.region
}

output "kubernetes_context" {
  description = "Context that `aws eks update-kubeconfig` makes for the cluster."
  value       = var.cluster_arn
}

output "kubernetes_namespace" {
  description = "Kubernetes namespace in which pipelines run."
  value       = var.kubernetes_namespace
}

output "service_account_name" {
  description = "Kubernetes service account that may take the role."
  value       = var.service_account_name
}
