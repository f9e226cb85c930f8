output "service" {
  description = "Name of the service."
  value       = var.service
}

output "releases_enabled" {
  description = "Whether releases may start; for the triggers."
  value       = var.releases_enabled
}

output "on_conflict" {
  description = "What becomes of a release that comes while another one runs; for the triggers."
  value       = var.on_conflict
}

output "definition" {
  description = "The service's definition, JSON text, as the parameter store holds it."
  value       = local.document

  precondition {
    condition     = local.bytes <= 8192
    error_message = "The definition has ${local.bytes} bytes; allowed: 8192, which is what the parameter store holds in its advanced tier."
  }

  precondition {
    condition     = length(var.health.alarms) + length(local.own_alarms) <= 20
    error_message = "health.alarms and those of alarms.stop_releases are ${length(var.health.alarms) + length(local.own_alarms)}; allowed: 20."
  }

  precondition {
    condition     = local.worst_case_events <= 20000
    error_message = "The release could take ${local.worst_case_seconds} s and ${local.worst_case_events} history events; allowed: 20000 events, so shorten the steps, the hold or the hooks' time-outs, or check less often."
  }

  precondition {
    condition     = local.exposed_seconds <= local.kept_seconds
    error_message = "Users could be exposed for ${local.exposed_seconds} s; allowed: ${local.kept_seconds} s, for which metrics with health.period_seconds = ${var.health.period_seconds} are kept."
  }

  precondition {
    condition     = local.all_seconds <= 29 * 86400
    error_message = "The release could take ${local.all_seconds} s, waiting for people included; allowed: ${29 * 86400} s (29 days)."
  }
}

output "definition_bytes" {
  description = "Length of the definition in bytes: above 4096 it is in the advanced tier, at $0.05 a month."
  value       = local.bytes
}

output "longest_release_seconds" {
  description = "The longest that a release can take in seconds, waiting for people and in the queue not counted."
  value       = local.worst_case_seconds
}

output "parameter_name" {
  description = "Name of the parameter with the definition; it is there while releases_enabled."
  value       = "${var.engine.parameter_prefix}${var.service}"
}

output "target_group_arns" {
  description = "ARN of each slot's target group: blue and green; where there are several load balancers, that of the first."
  value       = { for slot in local.slots : slot => local.target_groups[slot][0] }
}

output "all_target_group_arns" {
  description = "ARNs of each slot's target groups, one for each load balancer."
  value       = local.target_groups
}

output "route_arns" {
  description = "ARNs of the routes: listener rules, or listeners."
  value       = local.routes
}

output "test_route_arns" {
  description = "ARNs of the routes that lead testers to the candidate."
  value       = local.test_routes
}

output "adopted_arns" {
  description = "What Spillway changes and this module did not make, so that it may lack the tag spillway:managed: listener_rules and listeners, for the engine's managed_arns."
  value = {
    listener_rules = [for arn in concat(var.adopt.routes, var.adopt.test_routes) : arn if strcontains(arn, ":listener-rule/")]
    listeners      = [for arn in concat(var.adopt.routes, var.adopt.test_routes) : arn if strcontains(arn, ":listener/")]
  }
}

output "compute" {
  description = "What runs each slot, as it was given; for housekeeping."
  value       = var.compute
}

output "alarm_arns" {
  description = "ARNs of the alarms, by name."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.service : name => alarm.arn }
}

output "dashboard_name" {
  description = "Name of the dashboard; null without one."
  value       = one(aws_cloudwatch_dashboard.service[*].dashboard_name)
}
