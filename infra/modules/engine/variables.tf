variable "name" {
  description = "What the names of all resources begin with: 2 to 24 lower-case letters, digits and hyphens."
  type        = string
  default     = "spillway"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 24 lower-case letters, digits and hyphens, begin with a letter and end with a letter or digit."
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

variable "package_directory" {
  description = "Where the functions' packages are, such as target/packages/x86_64: plan-release.zip and six more."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.package_directory) > 0 && !endswith(var.package_directory, "/")
    error_message = "package_directory must be a path that does not end with a slash."
  }
}

variable "architecture" {
  description = "What the packages are built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "parameter_prefix" {
  description = "The path before a service's name in the parameter store, with a slash at both ends."
  type        = string
  default     = "/spillway/services/"
  nullable    = false

  validation {
    condition = (
      can(regex("^/([A-Za-z0-9_.-]+/){1,13}$", var.parameter_prefix)) &&
      !can(regex("^/(aws|ssm)", lower(var.parameter_prefix)))
    )
    error_message = "parameter_prefix must begin and end with a slash, have 1 to 13 levels of letters, digits, '_', '.' and '-', and not begin with /aws or /ssm."
  }
}

variable "managed_arns" {
  description = <<-EOT
    ARNs that Spillway may change beside what has the tag spillway:managed = true: Auto Scaling groups, ECS services,
    listener rules, listeners (for their default actions) and scalable targets. And those that it needs by name, since a tag
    is not enough: the launch templates of Auto Scaling groups, the roles of their instances, and the task and execution
    roles of ECS tasks.
  EOT
  type = object({
    auto_scaling_groups = optional(list(string), [])
    ecs_services        = optional(list(string), [])
    instance_roles      = optional(list(string), [])
    launch_templates    = optional(list(string), [])
    listener_rules      = optional(list(string), [])
    listeners           = optional(list(string), [])
    scalable_targets    = optional(list(string), [])
    task_roles          = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue(flatten([
      for kind, pattern in {
        auto_scaling_groups = ":autoscaling:[^:]+:[0-9]{12}:autoScalingGroup:[^:]+:autoScalingGroupName/.+"
        ecs_services        = ":ecs:[^:]+:[0-9]{12}:service/.+"
        instance_roles      = ":iam::[0-9]{12}:role/.+"
        launch_templates    = ":ec2:[^:]+:[0-9]{12}:launch-template/.+"
        listener_rules      = ":elasticloadbalancing:[^:]+:[0-9]{12}:listener-rule/app/.+"
        listeners           = ":elasticloadbalancing:[^:]+:[0-9]{12}:listener/app/.+"
        scalable_targets    = ":application-autoscaling:[^:]+:[0-9]{12}:scalable-target/.+"
        task_roles          = ":iam::[0-9]{12}:role/.+"
      } : [for arn in var.managed_arns[kind] : can(regex("^arn:[a-z-]+${pattern}$", arn)) && !can(regex("[*?]", arn))]
    ]))
    error_message = "managed_arns takes whole ARNs of the kind that each list is named after, without wildcards."
  }
}

variable "hook_function_arns" {
  description = "ARNs of the functions that definitions name as hooks, with their version or alias where the definition has one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.hook_function_arns :
      can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?$", arn))
    ])
    error_message = "hook_function_arns takes whole ARNs of Lambda functions, without wildcards."
  }
}

variable "allowed_homes" {
  description = "Where definitions may name what is elsewhere, beside the engine's own region and account: REGION:ACCOUNT."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for home in var.allowed_homes : can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]:[0-9]{12}$", home))])
    error_message = "allowed_homes takes REGION:ACCOUNT, such as eu-west-1:123456789012."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a policy that bounds every role; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, or null."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts table, topic, queue, logs and the functions' environment; null for keys of AWS's own."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias), or null."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept, one of those that CloudWatch Logs has."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days must be 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "log_execution_data" {
  description = "Whether the machines log inputs and outputs of their states: plans, versions, what hooks answered. The executions' history has them either way, for 90 days."
  type        = bool
  default     = false
  nullable    = false
}

variable "tracing" {
  description = "Whether functions and machines send traces to X-Ray."
  type        = bool
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the lease table refuses to be deleted."
  type        = bool
  default     = false
  nullable    = false
}

variable "guard_interval_minutes" {
  description = "Minutes between two runs of the guard's schedule, 1 to 60. What an event did not tell of is found this much later."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.guard_interval_minutes >= 1 && var.guard_interval_minutes <= 60 && floor(var.guard_interval_minutes) == var.guard_interval_minutes
    error_message = "guard_interval_minutes must be a whole number, 1 to 60."
  }
}

variable "page_subscriptions" {
  description = "Who is paged: subscriptions of the page topic. An address of e-mail has to confirm."
  type = list(object({
    protocol = string
    endpoint = string
  }))
  default  = []
  nullable = false

  validation {
    condition = alltrue([
      for subscription in var.page_subscriptions :
      contains(["email", "email-json", "https", "lambda", "sms", "sqs"], subscription.protocol) && length(subscription.endpoint) > 0
    ])
    error_message = "page_subscriptions takes the protocols email, email-json, https, lambda, sms and sqs, each with an endpoint."
  }
}

variable "alarms" {
  description = "Which alarms on the engine there are; the module's README tells of each. One costs about 0.10 USD a month."
  type        = set(string)
  default = [
    "guard_failing",
    "guard_silent",
    "page_undelivered",
    "release_died",
    "retirement_failed",
    "rollback_erring",
    "rollback_failed",
    "throttled",
    "unannounced",
    "undelivered",
  ]
  nullable = false

  validation {
    condition = length(setsubtract(var.alarms, [
      "guard_failing", "guard_silent", "page_undelivered", "release_died", "retirement_failed", "rollback_erring",
      "rollback_failed", "throttled", "unannounced", "undelivered",
    ])) == 0
    error_message = "alarms takes guard_failing, guard_silent, page_undelivered, release_died, retirement_failed, rollback_erring, rollback_failed, throttled, unannounced and undelivered."
  }
}

variable "alarm_actions" {
  description = "ARNs of what is told of every alarm of the engine, such as a topic of the team's; those that need a person at once also go to the page topic."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")]) && length(var.alarm_actions) <= 4
    error_message = "alarm_actions takes at most 4 ARNs."
  }
}
