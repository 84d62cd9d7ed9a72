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

variable "repo_name" {
  description = "Name of the repository, unique in the account and region; null makes it the value of name."
  type        = string
  default     = null

  validation {
    condition = var.repo_name == null || (
      try(length(var.repo_name) >= 2 && length(var.repo_name) <= 256, false) &&
      can(regex("^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$", var.repo_name))
    )
    error_message = "repo_name must have 2 to 256 characters: lowercase letters and digits, with . _ - or / between them."
  }
}

variable "image_keep_count" {
  description = "Number of images to keep; the oldest beyond it expire."
  type        = number
  default     = 500
  nullable    = false

  validation {
    condition     = var.image_keep_count >= 1 && floor(var.image_keep_count) == var.image_keep_count
    error_message = "image_keep_count must be a whole number, 1 or more."
  }
}

variable "untagged_image_days" {
  description = "Days after which an image without a tag expires; a tag that is pushed again leaves the image before without one."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.untagged_image_days >= 1 && floor(var.untagged_image_days) == var.untagged_image_days
    error_message = "untagged_image_days must be a whole number, 1 or more."
  }
}

variable "node_role_name" {
  description = "Name of the IAM role of a cluster's nodes, which gets the right to pull; null without a cluster."
  type        = string
  default     = null
}

variable "delete_data" {
  description = "Whether a destroy may take the images in the repository along; false lets it fail while there are any."
  type        = bool
  default     = true
  nullable    = false
}
