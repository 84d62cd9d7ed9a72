variable "name" {
  description = "Prefix of everything that the unit makes, unique in the account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 24 lowercase letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "install" {
  description = "Id of the installation that owns the unit; part of the path of IAM roles."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]{1,32}$", var.install))
    error_message = "install must have 1 to 32 lowercase letters and digits."
  }
}

variable "region" {
  description = "AWS region, such as eu-north-1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,5}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-north-1."
  }
}

variable "tags" {
  description = "Tags of everything that can be tagged: the user's and the ownership marks."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.tags) <= 45
    error_message = "tags must be at most 45: AWS takes 50, and the unit adds some of its own."
  }
}

variable "private_subnet_ids" {
  description = "Ids of the private subnets for the nodes and the control plane's network interfaces, in at least two zones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "private_subnet_ids must name subnets in at least two zones."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version of the cluster and its nodes. The default, 1.35, is in EKS standard support until March 2027."
  type        = string
  default     = "1.35"
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[1-9][0-9]$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version in quotes, such as \"1.35\"."
  }
}

variable "api_endpoint_cidrs" {
  description = "IPv4 networks that reach the public API endpoint; every request is authenticated by IAM all the same. Narrow it to your own addresses. Machines inside the VPC use the private endpoint."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.api_endpoint_cidrs) > 0 && alltrue([for cidr in var.api_endpoint_cidrs : can(cidrhost(cidr, 0)) && !strcontains(cidr, ":")])
    error_message = "api_endpoint_cidrs must be a list of at least one IPv4 network, such as [\"203.0.113.0/24\"]."
  }
}

variable "cluster_log_retention_days" {
  description = "Days for which the control plane's logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.cluster_log_retention_days)
    error_message = "cluster_log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653."
  }
}

variable "secrets_kms_key_arn" {
  description = "ARN of a KMS key of yours to encrypt Kubernetes secrets with; null leaves it to EKS and its own key. It can't be taken back from a cluster."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.secrets_kms_key_arn))
    error_message = "secrets_kms_key_arn must be the ARN of a KMS key, such as arn:aws:kms:eu-north-1:111122223333:key/ID."
  }
}

variable "node_instance_types" {
  description = "EC2 instance types of the nodes, of the architecture of node_ami_type."
  type        = list(string)
  default     = ["t3.large"]
  nullable    = false

  validation {
    condition     = length(var.node_instance_types) > 0 && alltrue([for type in var.node_instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))])
    error_message = "node_instance_types must be a list with at least one instance type, such as [\"t3.large\"]."
  }
}

variable "node_ami_type" {
  description = "Machine image of the nodes, in EKS's words; AL2023_ARM_64_STANDARD for Graviton, AL2023_x86_64_NVIDIA for GPUs."
  type        = string
  default     = "AL2023_x86_64_STANDARD"
  nullable    = false

  validation {
    condition     = can(regex("^(AL2023|BOTTLEROCKET)_[A-Za-z0-9_]+$", var.node_ami_type))
    error_message = "node_ami_type must be an AL2023 or BOTTLEROCKET image of EKS, such as AL2023_x86_64_STANDARD."
  }
}

variable "node_min_count" {
  description = "Smallest number of nodes."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.node_min_count >= 0 && floor(var.node_min_count) == var.node_min_count
    error_message = "node_min_count must be a whole number, 0 or more."
  }
}

variable "node_desired_count" {
  description = "Number of nodes to run."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.node_desired_count >= var.node_min_count && var.node_desired_count <= var.node_max_count && floor(var.node_desired_count) == var.node_desired_count
    error_message = "node_desired_count must be a whole number from node_min_count to node_max_count."
  }
}

variable "node_max_count" {
  description = "Largest number of nodes."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.node_max_count >= 1 && floor(var.node_max_count) == var.node_max_count
    error_message = "node_max_count must be a whole number, 1 or more."
  }
}

variable "node_disk_gib" {
  description = "Size of each node's disk in GiB; container images and pods' scratch space live on it."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.node_disk_gib >= 20 && var.node_disk_gib <= 16384 && floor(var.node_disk_gib) == var.node_disk_gib
    error_message = "node_disk_gib must be a whole number from 20 to 16384."
  }
}
