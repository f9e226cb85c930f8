locals {
  # What CloudWatch calls them. Slots have one target group for each load balancer, in the order of the routes.
  route_load_balancers = distinct([for arn in local.routes : join("/", slice(split("/", arn), 1, 4))])
  # By position, which is known before any ARN is.
  places = [
    for index in range(length(local.target_groups.blue)) : {
      load_balancer = local.route_load_balancers[index % max(length(local.route_load_balancers), 1)]
      groups        = { for slot in local.slots : slot => join(":", slice(split(":", local.target_groups[slot][index]), 5, 6)) }
      suffix        = index == 0 ? "" : "-${index + 1}"
    }
  ]

  alarm_kinds = !var.alarms.enabled ? [] : [
    for kind, is_on in {
      errors               = var.alarms.error_rate_percent != null
      latency              = var.alarms.latency_seconds != null
      load-balancer-errors = var.alarms.load_balancer_errors != null
      healthy-hosts        = var.alarms.healthy_hosts
    } : kind if is_on
  ]
  alarms = merge([
    for index in range(length(local.target_groups.blue)) : {
      for kind in local.alarm_kinds : "${kind}${index == 0 ? "" : "-${index + 1}"}" => { kind = kind, index = index }
    }
  ]...)

  # In each kind, what is read of both slots (metric and statistic), what is made of it, and what is too much.
  alarm_queries = {
    errors = {
      description = "5XX of both slots' targets, percent of all requests"
      metrics     = { errors = ["HTTPCode_Target_5XX_Count", "Sum"], requests = ["RequestCount", "Sum"] }
      expression  = "100 * (FILL(errors_blue, 0) + FILL(errors_green, 0)) / (FILL(requests_blue, 0) + FILL(requests_green, 0))"
      comparison  = "GreaterThanThreshold"
      threshold   = var.alarms.error_rate_percent
      missing     = "notBreaching"
    }
    latency = {
      description = "p99 of the slower slot's response time, seconds"
      metrics     = { latency = ["TargetResponseTime", "p99"] }
      expression  = "MAX([FILL(latency_blue, 0), FILL(latency_green, 0)])"
      comparison  = "GreaterThanThreshold"
      threshold   = var.alarms.latency_seconds
      missing     = "notBreaching"
    }
    healthy-hosts = {
      description = "healthy hosts of the slot that has more of them"
      metrics     = { hosts = ["HealthyHostCount", "Minimum"] }
      expression  = "MAX([FILL(hosts_blue, 0), FILL(hosts_green, 0)])"
      comparison  = "LessThanThreshold"
      threshold   = 1
      missing     = "breaching"
    }
    load-balancer-errors = {
      description = "5XX a minute that the load balancer made itself"
      metrics     = {}
      expression  = null
      comparison  = "GreaterThanThreshold"
      threshold   = var.alarms.load_balancer_errors
      missing     = "notBreaching"
    }
  }

  stopping_alarms = var.alarms.stop_releases ? [for alarm in values(aws_cloudwatch_metric_alarm.service) : alarm.arn] : []
}

resource "aws_cloudwatch_metric_alarm" "service" {
  for_each = local.alarms

  alarm_name          = "${var.engine.name}-${var.service}-${each.key}"
  alarm_description   = "${var.service}: ${local.alarm_queries[each.value.kind].description}"
  comparison_operator = local.alarm_queries[each.value.kind].comparison
  evaluation_periods  = var.alarms.minutes
  threshold           = local.alarm_queries[each.value.kind].threshold
  treat_missing_data  = local.alarm_queries[each.value.kind].missing
  alarm_actions       = var.alarms.actions
  ok_actions          = var.alarms.actions

  dynamic "metric_query" {
    for_each = local.alarm_queries[each.value.kind].expression[*]

    content {
      id          = "value"
      expression  = metric_query.value
      label       = local.alarm_queries[each.value.kind].description
      return_data = true
    }
  }

  dynamic "metric_query" {
    for_each = merge([
      for name, metric in local.alarm_queries[each.value.kind].metrics : { for slot in local.slots : "${name}_${slot}" => { slot = slot, metric = metric } }
    ]...)

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value.metric[0]
        stat        = metric_query.value.metric[1]
        period      = 60
        dimensions = {
          LoadBalancer = local.places[each.value.index].load_balancer
          TargetGroup  = local.places[each.value.index].groups[metric_query.value.slot]
        }
      }
    }
  }

  # Only the load balancer's own errors tell of requests to a slot without targets.
  dynamic "metric_query" {
    for_each = each.value.kind == "load-balancer-errors" ? [1] : []

    content {
      id          = "value"
      return_data = true

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = "HTTPCode_ELB_5XX_Count"
        stat        = "Sum"
        period      = 60
        dimensions  = { LoadBalancer = local.places[each.value.index].load_balancer }
      }
    }
  }

  tags = local.tags
}
