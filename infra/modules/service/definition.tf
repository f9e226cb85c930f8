locals {
  slots = ["blue", "green"]

  target_groups = {
    for slot in local.slots : slot => concat([for name, group in aws_lb_target_group.slot : group.arn if name == slot], var.adopt.target_groups[slot])
  }

  routes      = concat([for name, rule in var.listener_rules : aws_lb_listener_rule.route[name].arn if !rule.test], var.adopt.routes)
  test_routes = concat([for name, rule in var.listener_rules : aws_lb_listener_rule.route[name].arn if rule.test], var.adopt.test_routes)

  slot_definitions = {
    for slot, compute in var.compute : slot => merge({
      target_groups = local.target_groups[slot]
      # A conditional would need one type for the three; of a list of JSON texts any is taken.
      compute = jsondecode(compact([
        compute.ecs_service == null ? "" : jsonencode({ ecs_service = { for name, value in coalesce(compute.ecs_service, {}) : name => value if value != null } }),
        compute.auto_scaling_group == null ? "" : jsonencode({ auto_scaling_group = compute.auto_scaling_group }),
        compute.external ? jsonencode("external") : "",
      ])[0])
    }, { for price in compact([var.price_per_hour[slot]]) : "price_per_hour" => tonumber(price) })
  }

  own_alarms = [for alarm in local.stopping_alarms : { arn = alarm, on_insufficient_data = "ignore", dry_run = false }]

  # What is not set, or empty, is left out, as the schema has it.
  definition = {
    for name, value in {
      service = var.service
      routes  = local.routes
      slots   = local.slot_definitions
      strategy = {
        for name, value in {
          type                 = var.strategy
          canary               = { steps = [for step in var.canary.steps : { for name, value in step : name => value if value != null }] }
          linear               = var.linear
          minimum_time_seconds = var.minimum_time_seconds
          max_step_seconds     = var.max_step_seconds
          adapt                = var.adapt
          approval_at          = var.approval_at
        } : name => value if name != "approval_at" || length(var.approval_at) > 0
      }
      readiness   = var.readiness
      traffic     = var.traffic
      test_routes = local.test_routes
      hooks       = { for point, hook in var.hooks : point => hook if hook != null }
      health = {
        for name, value in merge(var.health, {
          latency = { for name, value in var.health.latency : name => value if name != "objectives" || length(var.health.latency.objectives) > 0 }
          alarms  = concat(var.health.alarms, local.own_alarms)
        }) : name => value if !contains(local.absent_health, name)
      }
      retirement  = var.retirement
      on_conflict = var.on_conflict
    } : name => value if !contains(local.absent, name)
  }

  absent_health = [
    for name, is_absent in {
      max_error_rate = var.health.max_error_rate == null
      metrics        = length(var.health.metrics) == 0
      alarms         = length(var.health.alarms) + length(local.own_alarms) == 0
      dry_run        = length(var.health.dry_run) == 0
    } : name if is_absent
  ]
  absent = [
    for name, is_absent in {
      test_routes = length(local.test_routes) == 0
      hooks       = alltrue([for hook in values(var.hooks) : hook == null])
    } : name if is_absent
  ]

  document = jsonencode(local.definition)
  # length() counts characters, and the parameter store's limit is in bytes: 4 characters of base64 are 3 bytes.
  encoded = base64encode(local.document)
  bytes   = length(local.encoded) / 4 * 3 - length(regexall("=", local.encoded))
}

resource "aws_ssm_parameter" "definition" {
  #checkov:skip=CKV2_AWS_34:A definition names resources and numbers, and holds no secret
  count = var.releases_enabled ? 1 : 0

  name        = "${var.engine.parameter_prefix}${var.service}"
  description = "How Spillway releases ${var.service}"
  type        = "String"
  tier        = local.bytes > 4096 ? "Advanced" : "Standard"
  value       = local.document
  tags        = local.tags
}
