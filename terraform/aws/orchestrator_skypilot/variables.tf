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
