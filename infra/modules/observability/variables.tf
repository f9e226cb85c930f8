variable "engine" {
  description = "The engine that is observed: pass module.engine."
  type = object({
    name               = string
    state_machine_arns = map(string)
    page_topic_arn     = string
    log_group_names    = map(string)
  })
  nullable = false

  validation {
    condition     = length(setsubtract(["guard", "release", "retire", "rollback"], keys(var.engine.state_machine_arns))) == 0
    error_message = "engine.state_machine_arns must have guard, release, retire and rollback."
  }

  validation {
    condition     = length(setsubtract(["evaluate-health", "shift-weight", "rollback", "machine/release"], keys(var.engine.log_group_names))) == 0
    error_message = "engine.log_group_names must have the functions and, with \"machine/\" before their names, the machines."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = !anytrue([for key in keys(var.tags) : startswith(lower(key), "aws:") || startswith(key, "spillway:")])
    error_message = "tags must not begin with \"aws:\" or \"spillway:\", which others decide about."
  }
}

variable "events" {
  description = "Types of lifecycle events that are told of; docs/events.md tells of each."
  type        = set(string)
  default     = ["approval-needed", "held", "page", "promoted", "refused", "retired", "rolled-back", "shifted", "started"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.events, ["approval-needed", "held", "page", "promoted", "refused", "retired", "rolled-back", "shifted", "started"])) == 0
    error_message = "events takes approval-needed, held, page, promoted, refused, retired, rolled-back, shifted and started."
  }
}

variable "severities" {
  description = "Severities of lifecycle events that are told of."
  type        = set(string)
  default     = ["critical", "info", "warning"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.severities, ["critical", "info", "warning"])) == 0
    error_message = "severities takes critical, info and warning."
  }
}

variable "subscriptions" {
  description = "Who is told: subscriptions of the topic. An address of e-mail has to confirm."
  type = list(object({
    protocol = string
    endpoint = string
  }))
  default  = []
  nullable = false

  validation {
    condition = alltrue([
      for subscription in var.subscriptions :
      contains(["email", "email-json", "https", "lambda", "sms", "sqs"], subscription.protocol) && length(subscription.endpoint) > 0
    ])
    error_message = "subscriptions takes the protocols email, email-json, https, lambda, sms and sqs, each with an endpoint."
  }
}

variable "slack" {
  description = "The Slack channel that is told of releases and pages; null for none. The workspace must have been authorized in the account's console once."
  type = object({
    team_id    = string
    channel_id = string
  })
  default = null

  validation {
    condition     = var.slack == null || can(regex("^[0-9A-Z]{1,255}$", var.slack.team_id)) && can(regex("^[A-Za-z0-9]{1,255}$", var.slack.channel_id))
    error_message = "slack takes the ids of a workspace (such as T0123ABCD) and of a channel (such as C0123ABCD), not their names."
  }
}

variable "metrics" {
  description = "Whether holds, shifts and the endings of releases are counted as metrics. Each costs about 0.30 USD in a month with releases."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_queries" {
  description = "Whether queries for the operators are saved in CloudWatch Logs Insights."
  type        = bool
  default     = true
  nullable    = false
}

variable "cloudtrail" {
  description = "Whether a trail of this region's changes is kept, which also tells of shifts. Set it where the account has no trail: a second copy of the events costs 2 USD per 100 000."
  type        = bool
  default     = false
  nullable    = false
}

variable "cloudtrail_retention_days" {
  description = "Days that the trail is kept, 1 to 3650."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.cloudtrail_retention_days >= 1 && var.cloudtrail_retention_days <= 3650 && floor(var.cloudtrail_retention_days) == var.cloudtrail_retention_days
    error_message = "cloudtrail_retention_days must be a whole number, 1 to 3650."
  }
}

variable "cloudtrail_force_destroy" {
  description = "Whether the trail's bucket may be destroyed with what is in it."
  type        = bool
  default     = false
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "ARN of a policy that bounds the role of the chat integration; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, or null."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts topic, queue and trail; null for keys of AWS's own."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias), or null."
  }
}
