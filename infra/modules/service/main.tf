locals {
  tags = merge(var.tags, { "spillway:service" = var.service })
  # What the engine may change.
  managed = merge(local.tags, { "spillway:managed" = "true" })

  full_name = replace("${var.engine.name}-${var.service}", "_", "-")
  # A target group's name has 32 characters at most.
  group_name = length(local.full_name) <= 26 ? local.full_name : "${substr(local.full_name, 0, 20)}-${substr(sha256(local.full_name), 0, 5)}"
}

resource "aws_lb_target_group" "slot" {
  for_each = toset(var.target_groups == null ? [] : local.slots)

  name                 = "${coalesce(var.target_groups.name, local.group_name)}-${each.key}"
  port                 = var.target_groups.port
  protocol             = var.target_groups.protocol
  protocol_version     = var.target_groups.protocol_version
  vpc_id               = var.target_groups.vpc_id
  target_type          = var.target_groups.target_type
  deregistration_delay = var.target_groups.deregistration_delay_seconds

  health_check {
    path                = var.target_groups.health_check.path
    port                = var.target_groups.health_check.port
    protocol            = var.target_groups.protocol
    matcher             = var.target_groups.health_check.matcher
    interval            = var.target_groups.health_check.interval_seconds
    timeout             = var.target_groups.health_check.timeout_seconds
    healthy_threshold   = var.target_groups.health_check.healthy_threshold
    unhealthy_threshold = var.target_groups.health_check.unhealthy_threshold
  }

  tags = merge(local.managed, { "spillway:slot" = each.key })
}

resource "aws_lb_listener_rule" "route" {
  for_each = var.listener_rules

  listener_arn = each.value.listener_arn
  priority     = each.value.priority

  action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = { blue = 100, green = 0 }

        content {
          arn    = local.target_groups[target_group.key][0]
          weight = target_group.value
        }
      }

      dynamic "stickiness" {
        for_each = each.value.stickiness_seconds[*]

        content {
          enabled  = true
          duration = stickiness.value
        }
      }
    }
  }

  dynamic "condition" {
    for_each = length(each.value.paths) > 0 ? [each.value.paths] : []

    content {
      path_pattern {
        values = condition.value
      }
    }
  }

  dynamic "condition" {
    for_each = length(each.value.hosts) > 0 ? [each.value.hosts] : []

    content {
      host_header {
        values = condition.value
      }
    }
  }

  dynamic "condition" {
    for_each = length(each.value.methods) > 0 ? [each.value.methods] : []

    content {
      http_request_method {
        values = condition.value
      }
    }
  }

  dynamic "condition" {
    for_each = length(each.value.source_ips) > 0 ? [each.value.source_ips] : []

    content {
      source_ip {
        values = condition.value
      }
    }
  }

  dynamic "condition" {
    for_each = each.value.headers

    content {
      http_header {
        http_header_name = condition.key
        values           = condition.value
      }
    }
  }

  tags = local.managed

  lifecycle {
    # The weights are Spillway's, and Terraform cannot ignore them alone.
    ignore_changes = [action]
  }
}
