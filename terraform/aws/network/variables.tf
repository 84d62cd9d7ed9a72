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

variable "vpc_cidr" {
  description = "IPv4 network of the VPC. The cluster's nodes and pods get their addresses from it."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition = (
      can(cidrhost(var.vpc_cidr, 0)) && !strcontains(var.vpc_cidr, ":") &&
      try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], false) &&
      try(tonumber(split("/", var.vpc_cidr)[1]) >= 16, false) &&
      try(tonumber(split("/", var.vpc_cidr)[1]) <= 23, false)
    )
    error_message = "vpc_cidr must be an IPv4 network with no host bits set, /16 to /23, such as 10.0.0.0/16."
  }
}

variable "az_count" {
  description = "Number of availability zones to spread over. EKS asks for at least two."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3], var.az_count)
    error_message = "az_count must be 2 or 3."
  }
}

variable "nat_gateway_per_az" {
  description = "One NAT gateway in each zone, instead of one for all: keeps working when a zone fails, costs more."
  type        = bool
  default     = false
  nullable    = false
}
