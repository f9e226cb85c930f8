# How the service is released: the rest of its definition, with the defaults of functions/core/definition.

variable "strategy" {
  description = "How traffic moves: canary, linear, blue_green or all_at_once. This alone switches; the settings of the others may stay."
  type        = string
  default     = "canary"
  nullable    = false

  validation {
    condition     = contains(["canary", "linear", "blue_green", "all_at_once"], var.strategy)
    error_message = "strategy must be canary, linear, blue_green or all_at_once."
  }
}

variable "canary" {
  description = "Steps of the canary strategy: growing weights in percent, in steps of 0.1, and optionally a step's own times in seconds."
  type = object({
    steps = list(object({
      weight               = number
      minimum_time_seconds = optional(number)
      max_step_seconds     = optional(number)
    }))
  })
  default  = { steps = [{ weight = 1 }, { weight = 5 }, { weight = 25 }, { weight = 50 }, { weight = 95 }] }
  nullable = false

  validation {
    condition     = length(var.canary.steps) >= 1 && length(var.canary.steps) <= 20
    error_message = "canary.steps must be 1 to 20."
  }

  validation {
    condition     = alltrue([for step in var.canary.steps : step.weight > 0 && step.weight <= 100 && abs(step.weight * 10 - floor(step.weight * 10 + 0.5)) < 0.000001])
    error_message = "canary.steps: weight must be above 0 and at most 100 percent, in steps of 0.1."
  }

  validation {
    condition     = alltrue([for index, step in var.canary.steps : index == 0 || step.weight > var.canary.steps[max(index - 1, 0)].weight])
    error_message = "canary.steps must have growing weights."
  }

  validation {
    condition = alltrue([
      for range in concat(
        [for step in var.canary.steps : [coalesce(step.minimum_time_seconds, 0), 0, 86400]],
        [for step in var.canary.steps : [coalesce(step.max_step_seconds, 1), 1, 604800]],
      ) : range[0] >= range[1] && range[0] <= range[2] && floor(range[0]) == range[0]
    ])
    error_message = "canary.steps: whole seconds, minimum_time_seconds from 0 to 86400, max_step_seconds from 1 to 604800."
  }

  validation {
    condition = alltrue([
      for step in var.canary.steps : step.minimum_time_seconds == null && step.max_step_seconds == null ||
      coalesce(step.max_step_seconds, var.max_step_seconds) >= coalesce(step.minimum_time_seconds, var.minimum_time_seconds)
    ])
    error_message = "canary.steps: max_step_seconds must be at least minimum_time_seconds; where a step does not say, those of the strategy count."
  }
}

variable "linear" {
  description = "The linear strategy: percent added by each step, from 5 to 95 in steps of 0.1; the last step is 95 %."
  type        = object({ increment = number })
  default     = { increment = 20 }
  nullable    = false

  validation {
    condition     = var.linear.increment >= 5 && var.linear.increment <= 95 && abs(var.linear.increment * 10 - floor(var.linear.increment * 10 + 0.5)) < 0.000001
    error_message = "linear.increment must be from 5 to 95 percent, in steps of 0.1."
  }
}

variable "minimum_time_seconds" {
  description = "Seconds that a step lasts at least; the bake of blue_green and all_at_once."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = var.minimum_time_seconds >= 0 && var.minimum_time_seconds <= 86400 && floor(var.minimum_time_seconds) == var.minimum_time_seconds
    error_message = "minimum_time_seconds must be whole seconds from 0 to 86400."
  }
}

variable "max_step_seconds" {
  description = "Seconds after which a step without proof is decided by health.on_inconclusive."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.max_step_seconds >= 1 && var.max_step_seconds <= 604800 && floor(var.max_step_seconds) == var.max_step_seconds
    error_message = "max_step_seconds must be whole seconds from 1 to 604800."
  }

  validation {
    condition     = var.max_step_seconds >= var.minimum_time_seconds
    error_message = "max_step_seconds must be at least minimum_time_seconds."
  }
}

variable "adapt" {
  description = "Whether planning may fit the steps to the expected traffic: auto or as_written."
  type        = string
  default     = "auto"
  nullable    = false

  validation {
    condition     = contains(["auto", "as_written"], var.adapt)
    error_message = "adapt must be auto or as_written."
  }
}

variable "approval_at" {
  description = "Weights in percent beyond which a release goes only with a person's approval; 0 is before the first users."
  type        = list(number)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.approval_at) <= 20 && length(distinct(var.approval_at)) == length(var.approval_at)
    error_message = "approval_at must be 20 weights at most, each once."
  }

  validation {
    condition     = alltrue([for weight in var.approval_at : weight >= 0 && weight <= 99.9 && abs(weight * 10 - floor(weight * 10 + 0.5)) < 0.000001])
    error_message = "approval_at must be from 0 to 99.9 percent, in steps of 0.1."
  }
}

variable "readiness" {
  description = "When the candidate's capacity counts as ready: within timeout_seconds, looked at every poll_seconds, minimum_healthy_percent of its hosts healthy. warm_up_seconds after the first shift are not judged."
  type = object({
    timeout_seconds         = optional(number, 1800)
    poll_seconds            = optional(number, 15)
    minimum_healthy_percent = optional(number, 100)
    warm_up_seconds         = optional(number, 0)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for range in [
        [var.readiness.timeout_seconds, 10, 86400],
        [var.readiness.poll_seconds, 1, 300],
        [var.readiness.minimum_healthy_percent, 1, 100],
        [var.readiness.warm_up_seconds, 0, 3600],
      ] : range[0] >= range[1] && range[0] <= range[2] && floor(range[0]) == range[0]
    ])
    error_message = "readiness: whole numbers, timeout_seconds from 10 to 86400, poll_seconds from 1 to 300, minimum_healthy_percent from 1 to 100, warm_up_seconds from 0 to 3600."
  }
}

variable "traffic" {
  description = "What the measured traffic must be like: settle_seconds after a shift the split must be the one asked for; where it is not for health.hold_seconds, on_split_mismatch: rollback or continue."
  type = object({
    settle_seconds    = optional(number, 60)
    on_split_mismatch = optional(string, "rollback")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.traffic.settle_seconds >= 0 && var.traffic.settle_seconds <= 3600 && floor(var.traffic.settle_seconds) == var.traffic.settle_seconds
    error_message = "traffic.settle_seconds must be whole seconds from 0 to 3600."
  }

  validation {
    condition     = contains(["rollback", "continue"], var.traffic.on_split_mismatch)
    error_message = "traffic.on_split_mismatch must be rollback or continue."
  }
}

variable "hooks" {
  description = "Lambda functions of the service's own that are asked at these points, and have timeout_seconds to say ok; provision and retire scale external compute. The engine must be allowed to invoke them."
  type = object({
    before_traffic   = optional(object({ function = string, timeout_seconds = optional(number, 600) }))
    after_step       = optional(object({ function = string, timeout_seconds = optional(number, 600) }))
    before_promotion = optional(object({ function = string, timeout_seconds = optional(number, 600) }))
    after_rollback   = optional(object({ function = string, timeout_seconds = optional(number, 600) }))
    provision        = optional(object({ function = string, timeout_seconds = optional(number, 600) }))
    retire           = optional(object({ function = string, timeout_seconds = optional(number, 600) }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for hook in values(var.hooks) : can(regex("^arn:aws[a-z-]*:lambda:[A-Za-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,140}(:[A-Za-z0-9$_-]{1,128})?$", hook.function)) if hook != null])
    error_message = "hooks: function must be the ARN of a Lambda function, arn:aws:lambda:REGION:ACCOUNT:function:NAME, or that and :VERSION-OR-ALIAS."
  }

  validation {
    condition     = alltrue([for hook in values(var.hooks) : hook.timeout_seconds >= 1 && hook.timeout_seconds <= 86400 && floor(hook.timeout_seconds) == hook.timeout_seconds if hook != null])
    error_message = "hooks: timeout_seconds must be whole seconds from 1 to 86400."
  }

  validation {
    condition     = var.compute.blue.external || (var.hooks.provision == null && var.hooks.retire == null)
    error_message = "hooks: provision and retire are asked for external compute only."
  }
}

variable "health" {
  description = "How health is judged; see functions/core/definition/README.md. Times in seconds, max_error_rate and margin_percent in percent, objectives in seconds by quantile."
  type = object({
    period_seconds     = optional(number, 60)
    check_seconds      = optional(number, 60)
    metric_lag_seconds = optional(number, 120)
    hold_seconds       = optional(number, 1200)
    on_inconclusive    = optional(string, "advance")
    max_error_rate     = optional(number)
    latency = optional(object({
      quantiles          = optional(list(string), ["p50", "p90", "p99"])
      objectives         = optional(map(number), {})
      margin_percent     = optional(number, 10)
      floor_milliseconds = optional(number, 5)
    }), {})
    metrics = optional(list(object({
      name        = string
      count       = object({ namespace = string, metric = string, dimensions = map(string) })
      denominator = object({ namespace = string, metric = string, dimensions = map(string) })
      tolerance   = optional(number, 1.25)
      dry_run     = optional(bool, false)
    })), [])
    alarms = optional(list(object({
      arn                  = string
      on_insufficient_data = optional(string, "hold")
      dry_run              = optional(bool, false)
    })), [])
    dry_run = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([1, 5, 10, 30], var.health.period_seconds) || var.health.period_seconds >= 60 && var.health.period_seconds <= 3600 && var.health.period_seconds % 60 == 0
    error_message = "health.period_seconds must be 1, 5, 10, 30 or a multiple of 60 up to 3600."
  }

  validation {
    condition = alltrue([
      for range in [
        [var.health.check_seconds, 1, 3600],
        [var.health.metric_lag_seconds, 0, 900],
        [var.health.hold_seconds, 0, 86400],
        [var.health.latency.margin_percent, 0, 1000],
        [var.health.latency.floor_milliseconds, 0, 3600000],
      ] : range[0] >= range[1] && range[0] <= range[2] && floor(range[0]) == range[0]
    ])
    error_message = "health: whole numbers, check_seconds from 1 to 3600, metric_lag_seconds from 0 to 900, hold_seconds from 0 to 86400, latency.margin_percent from 0 to 1000, latency.floor_milliseconds from 0 to 3600000."
  }

  validation {
    condition     = contains(["advance", "pause", "rollback"], var.health.on_inconclusive)
    error_message = "health.on_inconclusive must be advance, pause or rollback."
  }

  validation {
    condition     = var.health.max_error_rate == null || try(var.health.max_error_rate > 0 && var.health.max_error_rate <= 100 && abs(var.health.max_error_rate * 10 - floor(var.health.max_error_rate * 10 + 0.5)) < 0.000001, false)
    error_message = "health.max_error_rate must be above 0 and at most 100 percent, in steps of 0.1, or null for no limit."
  }

  validation {
    condition     = length(setsubtract(var.health.latency.quantiles, ["p50", "p90", "p99"])) == 0 && length(distinct(var.health.latency.quantiles)) == length(var.health.latency.quantiles)
    error_message = "health.latency.quantiles must be of p50, p90 and p99, each once; none switches the comparison off."
  }

  validation {
    condition     = alltrue([for quantile, seconds in var.health.latency.objectives : contains(var.health.latency.quantiles, quantile) && seconds >= 0.000001 && seconds <= 3600])
    error_message = "health.latency.objectives must be of quantiles that are compared, with seconds from 0.000001 to 3600."
  }

  validation {
    condition     = length(var.health.metrics) <= 10 && length(distinct(var.health.metrics[*].name)) == length(var.health.metrics)
    error_message = "health.metrics must be 10 at most, each with a name of its own."
  }

  validation {
    condition     = alltrue([for metric in var.health.metrics : can(regex("^[A-Za-z0-9_.-]{1,64}$", metric.name)) && metric.tolerance >= 1 && metric.tolerance <= 100])
    error_message = "health.metrics: name must have 1 to 64 letters, digits, hyphens, underscores and dots, and tolerance must be from 1 to 100."
  }

  validation {
    condition = alltrue(flatten([
      for metric in var.health.metrics : [
        for source in [metric.count, metric.denominator] : [
          trimspace(source.namespace) != "", length(source.namespace) <= 255, trimspace(source.metric) != "", length(source.metric) <= 255,
          length(source.dimensions) >= 1, length(source.dimensions) <= 30,
          anytrue([for value in values(source.dimensions) : strcontains(value, "{slot}") || strcontains(value, "{target_group}")]),
        ]
      ]
    ]))
    error_message = "health.metrics: namespace and metric must have 1 to 255 characters, and 1 to 30 dimensions, one of them with {slot} or {target_group} in its value."
  }

  validation {
    condition     = length(var.health.alarms) <= 20 && length(distinct(var.health.alarms[*].arn)) == length(var.health.alarms)
    error_message = "health.alarms must be 20 at most, each once."
  }

  validation {
    condition     = alltrue([for alarm in var.health.alarms : can(regex("^arn:aws[a-z-]*:cloudwatch:[A-Za-z0-9-]+:[0-9]{12}:alarm:[^[:cntrl:]]{1,255}$", alarm.arn))])
    error_message = "health.alarms: arn must be that of a metric or composite alarm, arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME."
  }

  validation {
    condition = alltrue([
      for alarm in var.health.alarms :
      slice(split(":", alarm.arn), 3, 5) == slice(split(":", try([for rule in values(var.listener_rules) : rule.listener_arn if !rule.test][0], var.adopt.routes[0])), 3, 5)
    ])
    error_message = "health.alarms must be of the region and account of the routes."
  }

  validation {
    condition     = alltrue([for alarm in var.health.alarms : contains(["hold", "ignore", "rollback"], alarm.on_insufficient_data)])
    error_message = "health.alarms: on_insufficient_data must be hold, ignore or rollback."
  }

  validation {
    condition     = length(setsubtract(var.health.dry_run, ["errors", "latency", "hard_failure", "max_error_rate", "hosts", "answers", "load_balancer"])) == 0 && length(distinct(var.health.dry_run)) == length(var.health.dry_run)
    error_message = "health.dry_run must be of errors, latency, hard_failure, max_error_rate, hosts, answers and load_balancer, each once."
  }
}

variable "retirement" {
  description = "When the slot without traffic is scaled down: after the rollback window, once it had no request for quiet_seconds."
  type = object({
    window_seconds = optional(number, 3600)
    quiet_seconds  = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for range in [[var.retirement.window_seconds, 0, 2505600], [var.retirement.quiet_seconds, 1, 86400]] :
      range[0] >= range[1] && range[0] <= range[2] && floor(range[0]) == range[0]
    ])
    error_message = "retirement: whole seconds, window_seconds from 0 to 2505600 (29 days), quiet_seconds from 1 to 86400."
  }
}

variable "on_conflict" {
  description = "What becomes of a release that comes while another one runs: reject, queue (it waits, and the newest that waits takes the place of those before) or supersede (the same, and the running one is rolled back)."
  type        = string
  default     = "reject"
  nullable    = false

  validation {
    condition     = contains(["reject", "queue", "supersede"], var.on_conflict)
    error_message = "on_conflict must be reject, queue or supersede."
  }
}
