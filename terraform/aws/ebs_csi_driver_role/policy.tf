data "aws_iam_policy_document" "volumes" {
  # These take no resource; the region is what can be held.
  statement {
    sid = "Look"
    actions = [
      "ec2:DescribeAvailabilityZones",
      "ec2:DescribeInstances",
      "ec2:DescribeSnapshots",
      "ec2:DescribeTags",
      "ec2:DescribeVolumes",
      "ec2:DescribeVolumesModifications",
      "ec2:DescribeVolumeStatus",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid       = "NewOnesOfTheCluster"
    actions   = ["ec2:CreateSnapshot", "ec2:CreateVolume"]
    resources = ["${local.ec2}:volume/*", local.snapshots]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/${local.cluster_tag}"
      values   = ["owned"]
    }
  }

  # A volume from a snapshot, a snapshot of a volume: what is there already is asked for too.
  statement {
    sid       = "FromItsOwn"
    actions   = ["ec2:CreateSnapshot", "ec2:CreateVolume"]
    resources = ["${local.ec2}:volume/*", local.snapshots]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/${local.cluster_tag}"
      values   = ["owned"]
    }
  }

  statement {
    sid       = "TagsOfNewOnes"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.ec2}:volume/*", local.snapshots]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = ["CreateSnapshot", "CreateVolume"]
    }
  }

  statement {
    sid = "ItsOwn"
    actions = [
      "ec2:AttachVolume",
      "ec2:DeleteSnapshot",
      "ec2:DeleteVolume",
      "ec2:DetachVolume",
      "ec2:ModifyVolume",
    ]
    resources = ["${local.ec2}:volume/*", local.snapshots]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/${local.cluster_tag}"
      values   = ["owned"]
    }
  }

  statement {
    sid       = "ToItsNodes"
    actions   = ["ec2:AttachVolume", "ec2:DetachVolume"]
    resources = ["${local.ec2}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/${local.cluster_tag}"
      values   = ["owned"]
    }
  }
}

resource "aws_iam_role_policy" "volumes" {
  name   = "volumes"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.volumes.json
}
