data "aws_iam_policy_document" "load_balancers" {
  statement {
    sid = "NewOnesOfTheCluster"
    actions = [
      "elasticloadbalancing:CreateLoadBalancer",
      "elasticloadbalancing:CreateTargetGroup",
    ]
    resources = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]

    condition {
      test     = "StringEquals"
      variable = local.request_tag
      values   = [var.cluster_name]
    }
  }

  statement {
    sid       = "TagsOfNewOnes"
    actions   = ["elasticloadbalancing:AddTags"]
    resources = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]

    condition {
      test     = "StringEquals"
      variable = "elasticloadbalancing:CreateAction"
      values   = ["CreateLoadBalancer", "CreateTargetGroup"]
    }

    condition {
      test     = "StringEquals"
      variable = local.request_tag
      values   = [var.cluster_name]
    }
  }

  statement {
    sid       = "TagsOfItsOwn"
    actions   = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"]
    resources = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]

    condition {
      test     = "Null"
      variable = local.request_tag
      values   = ["true"]
    }

    condition {
      test     = "StringEquals"
      variable = local.resource_tag
      values   = [var.cluster_name]
    }
  }

  statement {
    sid = "ItsOwn"
    actions = [
      "elasticloadbalancing:DeleteLoadBalancer",
      "elasticloadbalancing:DeleteTargetGroup",
      "elasticloadbalancing:DeregisterTargets",
      "elasticloadbalancing:ModifyCapacityReservation",
      "elasticloadbalancing:ModifyLoadBalancerAttributes",
      "elasticloadbalancing:ModifyTargetGroup",
      "elasticloadbalancing:ModifyTargetGroupAttributes",
      "elasticloadbalancing:RegisterTargets",
      "elasticloadbalancing:SetIpAddressType",
      "elasticloadbalancing:SetSecurityGroups",
      "elasticloadbalancing:SetSubnets",
    ]
    resources = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]

    condition {
      test     = "StringEquals"
      variable = local.resource_tag
      values   = [var.cluster_name]
    }
  }

  # A listener is asked for on a load balancer, which has the tag.
  statement {
    sid       = "NewListeners"
    actions   = ["elasticloadbalancing:CreateListener"]
    resources = ["${local.elb}:loadbalancer/*"]

    condition {
      test     = "StringEquals"
      variable = local.resource_tag
      values   = [var.cluster_name]
    }
  }

  # The controller's published policy names neither tag nor resource here, since listeners made by
  # its older versions have no tags.
  statement {
    sid = "Listeners"
    actions = [
      "elasticloadbalancing:AddListenerCertificates",
      "elasticloadbalancing:AddTags",
      "elasticloadbalancing:DeleteListener",
      "elasticloadbalancing:ModifyListener",
      "elasticloadbalancing:ModifyListenerAttributes",
      "elasticloadbalancing:RemoveListenerCertificates",
      "elasticloadbalancing:RemoveTags",
    ]
    resources = ["${local.elb}:listener/net/*"]
  }
}

resource "aws_iam_role_policy" "load_balancers" {
  name   = "load-balancers"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.load_balancers.json
}
