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

variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
  nullable    = false
}

variable "oidc_provider_arn" {
  description = "ARN of the IAM identity provider of the cluster's service accounts."
  type        = string
  nullable    = false
}

variable "oidc_issuer" {
  description = "Issuer of the service accounts' tokens, without https://."
  type        = string
  nullable    = false

  validation {
    condition     = !startswith(var.oidc_issuer, "https://")
    error_message = "oidc_issuer must come without https://, as condition keys in trust policies want it."
  }
}

variable "bucket_name" {
  description = "Name of an existing bucket of yours for the artifacts; null takes the stack's artifact bucket, or makes one when the stack has none."
  type        = string
  default     = null

  validation {
    condition = var.bucket_name == null || (
      can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name)) &&
      !can(regex("\\.\\.|^[0-9]+(\\.[0-9]+){3}$", var.bucket_name))
    )
    error_message = "bucket_name must be the name of an S3 bucket: 3 to 63 lowercase letters, digits, hyphens and dots, a letter or digit first and last."
  }
}

variable "stack_bucket_name" {
  description = "Name of the stack's artifact bucket; null without one."
  type        = string
  default     = null
}

variable "prefix" {
  description = "Prefix of the artifacts in the bucket, without a slash at the end; the role sees nothing outside of it."
  type        = string
  default     = "mlflow"
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9/_-]{0,199}[a-zA-Z0-9]$", var.prefix)) && !strcontains(var.prefix, "//")
    error_message = "prefix must have 2 to 201 letters, digits, slashes, underscores and hyphens, a letter or digit first and last, no two slashes in a row."
  }
}

variable "kubernetes_namespace" {
  description = "Kubernetes namespace of the MLflow server."
  type        = string
  default     = "mlflow"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.kubernetes_namespace))
    error_message = "kubernetes_namespace must have 1 to 63 lowercase letters, digits and hyphens, no hyphen first or last."
  }
}

variable "service_account_name" {
  description = "Kubernetes service account of the MLflow server; it alone may take the role."
  type        = string
  default     = "mlflow"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.service_account_name))
    error_message = "service_account_name must have 1 to 63 lowercase letters, digits and hyphens, no hyphen first or last."
  }
}

variable "delete_data" {
  description = "Whether a destroy may take the objects in the bucket along; false lets it fail while there are any."
  type        = bool
  default     = true
  nullable    = false
}
