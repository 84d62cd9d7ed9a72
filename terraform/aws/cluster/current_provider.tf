# Resources that older providers or emulators don't know.

# EKS makes the cluster's security group itself, without our tags.
resource "aws_ec2_tag" "cluster_security_group" {
  for_each = var.tags

  resource_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  key         = each.key
  value       = each.value
}

# The network plugin makes interfaces on the nodes, which stay behind when a node dies. They get
# the tags too, so that it can be told whose they are. The add-on's schema has no CLUSTER_NAME.
# Without its policy agent the API server takes network policies, and nobody keeps to them.
resource "aws_eks_addon" "network" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "vpc-cni"
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  preserve                    = true # the nodes need it until they are gone, and then nobody does
  configuration_values = jsonencode({
    enableNetworkPolicy = "true" # a string: the add-on's schema refuses a boolean
    env = {
      ADDITIONAL_ENI_TAGS = jsonencode(var.tags)
    }
  })
}
