variable "name" {
  description = "What the names of the engine's resources begin with."
  type        = string
  nullable    = false
}

variable "partition" {
  description = "The partition of ARNs, such as aws."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The region of the engine and of what it changes."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The account of the engine and of what it changes, 12 digits."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "lease_table" {
  description = "The name of the lease table."
  type        = string
  nullable    = false
}

variable "page_topic" {
  description = "The name of the topic for pages."
  type        = string
  nullable    = false
}

variable "unannounced_queue" {
  description = "The name of the queue for what could not be told of."
  type        = string
  nullable    = false
}

variable "parameter_prefix" {
  description = "The path before a service's name in the parameter store."
  type        = string
  nullable    = false
}

variable "hook_function_arns" {
  description = "ARNs of the functions that definitions name as hooks, as they name them."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "managed_arns" {
  description = "ARNs that Spillway may change, or hand on, beside what has the tag spillway:managed = true."
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
    condition = alltrue([
      for arn in flatten(values(var.managed_arns)) : can(regex("^arn:[^*?]+$", arn))
    ])
    error_message = "managed_arns takes whole ARNs: each begins with \"arn:\", and none has a wildcard."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts table, topics, queues and logs; null for keys of AWS's own."
  type        = string
  default     = null
}

variable "tracing" {
  description = "Whether functions and machines send traces to X-Ray."
  type        = bool
  default     = true
  nullable    = false
}
