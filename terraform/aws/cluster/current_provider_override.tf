# Arguments of the current provider that older ones don't know.

resource "aws_eks_cluster" "this" {
  # Who may use the cluster is said by access entries; whoever creates it is its administrator.
  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }
}

resource "aws_launch_template" "node" {
  # These stand in for those of nodes.tf.
  dynamic "tag_specifications" {
    for_each = toset(["instance", "network-interface", "volume"])

    content {
      resource_type = tag_specifications.key
      tags          = local.node_tags
    }
  }
}

resource "aws_eks_node_group" "this" {
  ami_type = var.node_ami_type

  update_config {
    max_unavailable = 1
  }
}

resource "aws_iam_openid_connect_provider" "this" {
  thumbprint_list = null
}
