variable "engine" {
  description = "The engine of the services, as its module puts it out: its name, lease table, and the alias of the retirement state machine."
  type = object({
    name                     = string
    lease_table_name         = string
    lease_table_arn          = string
    retire_state_machine_arn = string
  })

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,31}$", var.engine.name))
    error_message = "engine.name must have 1 to 32 letters, digits and hyphens, and begin with a letter."
  }

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}$", var.engine.lease_table_arn)) && endswith(var.engine.lease_table_arn, "/${var.engine.lease_table_name}")
    error_message = "engine.lease_table_arn must be the ARN of the table engine.lease_table_name."
  }

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[A-Za-z0-9_-]{1,80}(:[A-Za-z0-9_.-]{1,80})?$", var.engine.retire_state_machine_arn))
    error_message = "engine.retire_state_machine_arn must be the ARN of a state machine, arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, or that and :ALIAS."
  }
}

variable "tags" {
  description = "Tags of everything that is made here, besides spillway:engine and spillway:service."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "aws:") && !startswith(key, "spillway:")])
    error_message = "tags must not begin with aws: or spillway:, which others decide about."
  }
}

variable "dry_run" {
  description = "Whether everything runs and looks, and changes nothing: executions end with what they would have done, and their roles may not change anything. Look at that first, then switch it off."
  type        = bool
  default     = true
  nullable    = false
}

variable "timezone" {
  description = "Name of the time zone that all times are in, from the IANA time zone database."
  type        = string
  default     = "UTC"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_+/-]{1,50}$", var.timezone))
    error_message = "timezone must be a name of the IANA time zone database, such as Europe/Stockholm."
  }
}

variable "services" {
  description = "The services that are kept, by name; compute is the service module's output of that name. working_hours, for low-stakes environments alone: both slots are scaled to zero at sleep, and to what they had at wake, both cron(minute hour day month weekday year). expires_on, yyyy-mm-dd: from that day on the service sleeps and does not wake."
  type = map(object({
    compute = object({
      blue = object({
        ecs_service        = optional(object({ cluster = string, service = string }))
        auto_scaling_group = optional(object({ name = string }))
      })
      green = object({
        ecs_service        = optional(object({ cluster = string, service = string }))
        auto_scaling_group = optional(object({ name = string }))
      })
    })
    working_hours = optional(object({ sleep = string, wake = string }))
    expires_on    = optional(string)
  }))

  validation {
    condition     = length(var.services) > 0 && alltrue([for name in keys(var.services) : can(regex("^[A-Za-z][A-Za-z0-9_-]{0,31}$", name))])
    error_message = "services must be one or more, with names of 1 to 32 letters, digits, hyphens and underscores that begin with a letter."
  }

  validation {
    condition = alltrue([
      for service in values(var.services) :
      service.compute.blue.ecs_service != null && service.compute.green.ecs_service != null && service.compute.blue.auto_scaling_group == null && service.compute.green.auto_scaling_group == null ||
      service.compute.blue.auto_scaling_group != null && service.compute.green.auto_scaling_group != null && service.compute.blue.ecs_service == null && service.compute.green.ecs_service == null
    ])
    error_message = "services: compute must be an ecs_service in both slots, or an auto_scaling_group in both; what others scale is theirs."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : can(regex("^cron\\([^ ]+( [^ ]+){5}\\)$", service.working_hours.sleep)) && can(regex("^cron\\([^ ]+( [^ ]+){5}\\)$", service.working_hours.wake)) if service.working_hours != null])
    error_message = "services: working_hours.sleep and wake must be cron(minute hour day month weekday year)."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : can(timeadd("${service.expires_on}T00:00:00Z", "0s")) if service.expires_on != null])
    error_message = "services: expires_on must be a day, yyyy-mm-dd."
  }
}

variable "idle_slots_schedule" {
  description = "When the slot that the latest promotion left is retired once more, should its retirement have failed or somebody have scaled it up; cron(…) or rate(…), null for never. It is scaled down only if it has no weight and no requests, after its rollback window."
  type        = string
  default     = "cron(0 5 * * ? *)"

  validation {
    condition     = var.idle_slots_schedule == null || can(regex("^(cron|rate)\\(.+\\)$", var.idle_slots_schedule))
    error_message = "idle_slots_schedule must be cron(minute hour day month weekday year) or rate(value unit), or null."
  }
}

variable "longest_sleep_hours" {
  description = "How long no release starts after sleep, should wake not come: longer than the longest night or weekend."
  type        = number
  default     = 72
  nullable    = false

  validation {
    condition     = var.longest_sleep_hours >= 1 && var.longest_sleep_hours <= 2160 && floor(var.longest_sleep_hours) == var.longest_sleep_hours
    error_message = "longest_sleep_hours must be a whole number from 1 to 2160 (90 days)."
  }
}

variable "budget" {
  description = "A monthly budget: amount in currency, who is told (e-mail addresses, ARNs of SNS topics), and at what percent of it, spent and forecast. tag narrows the costs down to those with a cost allocation tag, which must be activated in the billing console; null counts the whole account."
  type = object({
    amount           = number
    currency         = optional(string, "USD")
    emails           = optional(list(string), [])
    topic_arns       = optional(list(string), [])
    actual_percent   = optional(number, 80)
    forecast_percent = optional(number, 100)
    tag              = optional(object({ key = string, value = string }))
  })
  default = null

  validation {
    condition     = var.budget == null || try(var.budget.amount > 0 && var.budget.actual_percent > 0 && var.budget.forecast_percent > 0, false)
    error_message = "budget.amount, actual_percent and forecast_percent must be above 0."
  }

  validation {
    condition     = var.budget == null || can(regex("^[A-Z]{3}$", var.budget.currency))
    error_message = "budget.currency must be a code of three letters, such as USD."
  }

  validation {
    condition     = var.budget == null || try(length(var.budget.emails) + length(var.budget.topic_arns) > 0 && length(var.budget.emails) <= 10 && length(var.budget.topic_arns) <= 1, false)
    error_message = "budget must tell 1 to 10 e-mail addresses, one SNS topic, or both."
  }

  validation {
    condition     = var.budget == null || try(alltrue([for email in var.budget.emails : can(regex("^[^@[:space:]]+@[^@[:space:]]+$", email))]) && alltrue([for arn in var.budget.topic_arns : can(regex("^arn:aws[a-z-]*:sns:", arn))]), false)
    error_message = "budget.emails must be e-mail addresses, and budget.topic_arns ARNs of SNS topics."
  }
}

variable "alarm_actions" {
  description = "ARNs of SNS topics and the like that are told when an execution failed or could not be started."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")])
    error_message = "alarm_actions must be ARNs."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the roles made here; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, or null."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the lease table, as the engine has it; null for one of AWS's own."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, not of an alias, or null."
  }
}
