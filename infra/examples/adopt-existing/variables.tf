variable "listener_rule_arn" {
  description = "ARN of the listener rule that forwards the service's traffic to one of the two target groups, or to both. The engine is installed in its region and account."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener-rule/app/[^/]+/[^/]+/[^/]+/[^/]+$", var.listener_rule_arn))
    error_message = "listener_rule_arn must be the ARN of a rule of an Application Load Balancer, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/LB-ID/LISTENER-ID/RULE-ID."
  }
}

variable "target_group_arns" {
  description = "ARNs of the two target groups. The rule need not name both."
  type        = object({ blue = string, green = string })

  validation {
    condition     = alltrue([for arn in values(var.target_group_arns) : startswith(arn, join(":", concat(slice(split(":", "${var.listener_rule_arn}:::::"), 0, 5), ["targetgroup/"])))])
    error_message = "target_group_arns must be ARNs of target groups of the rule's region and account."
  }
}

variable "compute" {
  description = "What runs each slot, by name: an ECS service, an Auto Scaling group, or external, where others deploy and scale it and Spillway moves traffic alone."
  type = object({
    blue = object({
      ecs_service        = optional(object({ cluster = string, service = string, container = optional(string) }))
      auto_scaling_group = optional(object({ name = string }))
      external           = optional(bool, false)
    })
    green = object({
      ecs_service        = optional(object({ cluster = string, service = string, container = optional(string) }))
      auto_scaling_group = optional(object({ name = string }))
      external           = optional(bool, false)
    })
  })
  default = { blue = { external = true }, green = { external = true } }

  validation {
    condition     = alltrue([for slot in values(var.compute) : can(regex("^[A-Za-z0-9_-]{1,255}$", try(slot.ecs_service.cluster, "x"))) && can(regex("^[A-Za-z0-9_-]{1,255}$", try(slot.ecs_service.service, "x")))])
    error_message = "compute: cluster and service of an ecs_service must be names, not ARNs."
  }
}

variable "task_role_arns" {
  description = "ARNs of the task role and the execution role of the ECS services' task definition, which a new revision passes on."
  type        = list(string)
  default     = []
}

variable "launch_template_arns" {
  description = "ARNs of the launch templates of the Auto Scaling groups."
  type        = list(string)
  default     = []
}

variable "instance_role_arns" {
  description = "ARNs of the roles in the instance profiles of those launch templates."
  type        = list(string)
  default     = []
}

variable "scalable_target_arns" {
  description = "ARNs of the ECS services' scalable targets of Application Auto Scaling, which must not scale in during a release."
  type        = list(string)
  default     = []
}

variable "service" {
  description = "Name of the service."
  type        = string
  default     = "adopted"
}

variable "name" {
  description = "Prefix of the engine's names, SPILLWAY_INSTALLATION for the command line."
  type        = string
  default     = "spillway"
}

variable "strategy" {
  description = "How releases go: canary, linear, blue_green or all_at_once."
  type        = string
  default     = "canary"
}

variable "releases_enabled" {
  description = "Whether releases may start."
  type        = bool
  default     = true
}

variable "alarms_enabled" {
  description = "Whether there are alarms on the service."
  type        = bool
  default     = true
}

variable "architecture" {
  description = "Processors of the functions: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "package_directory" {
  description = "Where infra/package.sh has left the functions; null: target/packages of this repository, for the architecture."
  type        = string
  default     = null
}

variable "page_email" {
  description = "Address that is told when a person is needed, once it has confirmed; null: nobody is."
  type        = string
  default     = null
}
