locals {
  node_tags = merge(var.tags, { Name = "${var.name}-node" })
}

resource "aws_launch_template" "node" {
  name                   = "${var.name}-node"
  description            = "Nodes of the cluster ${var.name}"
  update_default_version = true

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.node_disk_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  # One hop: pods can't reach the node's credentials; they have roles of their own.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # Default tags don't reach what a launch template makes.
  tag_specifications {
    resource_type = "instance"
    tags          = local.node_tags
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.node_tags
  }

  tags = {
    Name = "${var.name}-node"
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "${var.name}-nodes"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = var.private_subnet_ids
  version         = var.kubernetes_version
  instance_types  = var.node_instance_types

  launch_template {
    id      = aws_launch_template.node.id
    version = aws_launch_template.node.latest_version
  }

  scaling_config {
    min_size     = var.node_min_count
    desired_size = var.node_desired_count
    max_size     = var.node_max_count
  }

  tags = {
    Name = "${var.name}-nodes"
  }

  # Nodes without these rights never join, and can't be deleted cleanly.
  depends_on = [aws_iam_role_policy_attachment.node]
}
