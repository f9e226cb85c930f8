# The longest that a release may take, as functions/core/src/definition/length.rs has it: a release must fit into one
# execution, and its metrics must be kept while users are exposed.

locals {
  linear_weights = concat([for n in range(1, 21) : n * var.linear.increment if n * var.linear.increment < 95 - 0.000000001], [95])
  steps = {
    canary      = [for step in var.canary.steps : { minimum = coalesce(step.minimum_time_seconds, var.minimum_time_seconds), longest = coalesce(step.max_step_seconds, var.max_step_seconds) }]
    linear      = [for weight in local.linear_weights : { minimum = var.minimum_time_seconds, longest = var.max_step_seconds }]
    blue_green  = [{ minimum = var.minimum_time_seconds, longest = var.max_step_seconds }]
    all_at_once = [{ minimum = var.minimum_time_seconds, longest = var.max_step_seconds }]
  }[var.strategy]

  check  = var.health.check_seconds
  lag    = var.health.metric_lag_seconds
  period = var.health.period_seconds
  hold   = var.health.hold_seconds

  longest_steps   = [for step in local.steps : max(step.longest, step.minimum + local.lag + 2 * local.period + local.check)]
  exposure        = sum([for seconds in local.longest_steps : seconds + local.hold])
  longest_exposed = floor(local.exposure * 5 / 4) + (length(local.steps) + 2) * (2 * local.check + local.lag + local.period) + local.hold

  hook_seconds   = { for point, hook in var.hooks : point => try(hook.timeout_seconds, 0) }
  before_seconds = local.hook_seconds.provision + local.hook_seconds.before_traffic
  hooked_seconds = local.hook_seconds.after_step * (length(local.steps) + 1) + local.hook_seconds.before_promotion

  worst_case_events = (
    14 * (floor(var.readiness.timeout_seconds / var.readiness.poll_seconds) + floor((local.longest_exposed + var.readiness.warm_up_seconds) / local.check) + 400 + 200) + 850 +
    24 * (floor(local.hooked_seconds / local.check) + floor(local.before_seconds / var.readiness.poll_seconds))
  )
  worst_case_seconds = var.readiness.timeout_seconds + var.readiness.warm_up_seconds + local.longest_exposed + local.hooked_seconds + local.before_seconds
  exposed_seconds    = local.longest_exposed + local.hooked_seconds + var.readiness.warm_up_seconds + var.traffic.settle_seconds
  # CloudWatch keeps periods below a minute for 3 hours, minutes for 15 days, 5 minutes for 63 days.
  kept_seconds = local.period < 60 ? 10800 : local.period < 300 ? 1296000 : 5443200
  # Waiting for people, twice 1600 checks, and a day in the queue.
  all_seconds = local.worst_case_seconds + 2 * 1600 * local.check + 86400
}
