# Resources that older providers or emulators don't know.

# EKS makes the cluster's security group itself, without our tags.
resource "aws_ec2_tag" "cluster_security_group" {
  for_each = var.tags

  resource_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  key         = each.key
  value       = each.value
}
