output "cluster_name" {
  description = "Name of the EKS cluster."
  value       = aws_eks_cluster.this.name
}

output "cluster_arn" {
  description = "ARN of the EKS cluster; also the name that `aws eks update-kubeconfig` gives its context."
  value       = aws_eks_cluster.this.arn
}

output "cluster_endpoint" {
  description = "URL of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "cluster_ca" {
  description = "Certificate authority of the Kubernetes API, base64 of PEM. Public."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "oidc_provider_arn" {
  description = "ARN of the IAM identity provider of the cluster's service accounts."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "oidc_issuer" {
  description = "Issuer of the service accounts' tokens, without https://; the prefix of condition keys in trust policies."
  value       = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
}

output "cluster_security_group_id" {
  description = "Id of the security group that EKS makes for the cluster and its nodes; empty where there is none."
  value       = try(coalesce(aws_eks_cluster.this.vpc_config[0].cluster_security_group_id), "")
}

# A cluster is of use once it has nodes.
output "node_role_name" {
  description = "Name of the nodes' IAM role; other units add rights to it."
  value       = aws_iam_role.node.name

  depends_on = [aws_eks_node_group.this]
}

output "node_role_arn" {
  description = "ARN of the nodes' IAM role."
  value       = aws_iam_role.node.arn

  depends_on = [aws_eks_node_group.this]
}
