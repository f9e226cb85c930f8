mock_provider "aws" {}

override_resource {
  target = aws_lb_target_group.slot["blue"]
  values = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/spillway-checkout-blue/73e2d6bc24d8a067" }
}

override_resource {
  target = aws_lb_target_group.slot["green"]
  values = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/spillway-checkout-green/94f3a1de60bb0c12" }
}

override_resource {
  target = aws_lb_listener_rule.route["users"]
  values = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee" }
}

override_resource {
  target = aws_lb_listener_rule.route["testers"]
  values = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/1f6b2c9d40e7a385" }
}

override_resource {
  target = aws_lb_listener_rule.route["sticky"]
  values = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/2f6b2c9d40e7a385" }
}

override_resource {
  target = aws_cloudwatch_metric_alarm.service["errors"]
  values = { arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:spillway-checkout-errors" }
}

override_resource {
  target = aws_cloudwatch_metric_alarm.service["healthy-hosts"]
  values = { arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:spillway-checkout-healthy-hosts" }
}

variables {
  engine  = { name = "spillway" }
  service = "checkout"
  tags    = { team = "shop" }
  compute = {
    blue  = { ecs_service = { cluster = "shop", service = "checkout-blue", container = "app" } }
    green = { ecs_service = { cluster = "shop", service = "checkout-green" } }
  }
  target_groups = { vpc_id = "vpc-0123456789abcdef0", port = 8080, health_check = { path = "/health" } }
  listener_rules = {
    users = {
      listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"
      priority     = 100
      paths        = ["/*"]
    }
  }
}

run "makes_target_groups_and_a_route" {
  assert {
    condition     = jsondecode(output.definition).slots.blue.target_groups == ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/spillway-checkout-blue/73e2d6bc24d8a067"]
    error_message = "The blue slot must have the group that was made: ${output.definition}"
  }

  assert {
    condition     = output.target_group_arns == { blue = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/spillway-checkout-blue/73e2d6bc24d8a067", green = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/spillway-checkout-green/94f3a1de60bb0c12" }
    error_message = "target_group_arns must be those of both slots."
  }

  assert {
    condition     = output.route_arns == ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"] && jsondecode(output.definition).routes == output.route_arns
    error_message = "The rule must be the one route."
  }

  assert {
    condition     = jsondecode(output.definition).slots.blue.compute == { ecs_service = { cluster = "shop", service = "checkout-blue", container = "app" } } && jsondecode(output.definition).slots.green.compute == { ecs_service = { cluster = "shop", service = "checkout-green" } }
    error_message = "A container that is not named must be left out."
  }

  assert {
    condition     = { for group in aws_lb_listener_rule.route["users"].action[0].forward[0].target_group : group.arn => group.weight } == { (output.target_group_arns.blue) = 100, (output.target_group_arns.green) = 0 } && length(aws_lb_listener_rule.route["users"].action[0].forward[0].stickiness) == 0
    error_message = "At first all goes to blue, and green is attached; nobody sticks."
  }

  assert {
    condition     = aws_lb_target_group.slot["green"].name == "spillway-checkout-green" && aws_lb_target_group.slot["green"].port == 8080 && aws_lb_target_group.slot["green"].health_check[0].path == "/health"
    error_message = "The groups must be named after engine, service and slot."
  }

  assert {
    condition     = alltrue([for tags in [aws_lb_target_group.slot["blue"].tags, aws_lb_listener_rule.route["users"].tags] : tags["spillway:managed"] == "true" && tags["spillway:service"] == "checkout" && tags.team == "shop"])
    error_message = "What Spillway may change carries spillway:managed."
  }

  assert {
    condition     = aws_ssm_parameter.definition[0].tags == tomap({ team = "shop", "spillway:service" = "checkout" })
    error_message = "The parameter is not Spillway's to change."
  }

  assert {
    condition     = aws_ssm_parameter.definition[0].name == "/spillway/services/checkout" && output.parameter_name == "/spillway/services/checkout" && aws_ssm_parameter.definition[0].value == output.definition && aws_ssm_parameter.definition[0].type == "String" && aws_ssm_parameter.definition[0].tier == "Standard"
    error_message = "The definition must be where the release state machine reads it, in the standard tier."
  }
}

run "makes_all_conditions_stickiness_and_a_test_route" {
  variables {
    listener_rules = {
      testers = {
        listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"
        priority     = 90
        test         = true
        headers      = { x-tester = ["yes"] }
      }
      sticky = {
        listener_arn       = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"
        priority           = 100
        paths              = ["/*"]
        hosts              = ["shop.example.com"]
        methods            = ["GET"]
        source_ips         = ["10.0.0.0/8"]
        headers            = { x-country = ["se"] }
        stickiness_seconds = 600
      }
    }
  }

  assert {
    condition     = jsondecode(output.definition).test_routes == ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/1f6b2c9d40e7a385"] && length(output.route_arns) == 1 && output.test_route_arns == jsondecode(output.definition).test_routes
    error_message = "The rule with test = true must be a test route, and no other."
  }

  assert {
    condition     = aws_lb_listener_rule.route["sticky"].action[0].forward[0].stickiness[0].duration == 600 && aws_lb_listener_rule.route["sticky"].action[0].forward[0].stickiness[0].enabled
    error_message = "Clients must stick for 600 s."
  }

  assert {
    condition = alltrue([
      for values in [["/*"], ["shop.example.com"], ["GET"], ["10.0.0.0/8"], ["se"]] : anytrue([
        for condition in aws_lb_listener_rule.route["sticky"].condition : anytrue([
          for kind in ["path_pattern", "host_header", "http_request_method", "source_ip", "http_header"] : anytrue([for block in condition[kind] : tolist(block.values) == tolist(values)])
        ])
      ])
    ]) && length(aws_lb_listener_rule.route["sticky"].condition) == 5
    error_message = "Every condition must be there."
  }
}

run "leaves_the_actions_of_a_rule_to_spillway" {
  variables {
    listener_rules = {
      sticky = {
        listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"
        priority     = 101
        paths        = ["/*"]
      }
    }
  }

  assert {
    condition     = length(aws_lb_listener_rule.route["sticky"].action[0].forward[0].stickiness) == 1 && aws_lb_listener_rule.route["sticky"].priority == 101
    error_message = "The action must stay as it was made; the rest is Terraform's."
  }
}

run "adopts_what_exists" {
  command = plan

  variables {
    target_groups  = null
    listener_rules = {}
    adopt = {
      target_groups = {
        blue  = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue-2/83e2d6bc24d8a067"]
        green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green-2/a4f3a1de60bb0c12"]
      }
      routes      = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/internal/60dc6c495c0c9188/a2f7dc8efc522ab2/9683b2d02a6cabee"]
      test_routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/1f6b2c9d40e7a385"]
    }
  }

  assert {
    condition     = length(aws_lb_target_group.slot) == 0 && length(aws_lb_listener_rule.route) == 0
    error_message = "Nothing of the load balancer may be made."
  }

  assert {
    condition     = jsondecode(output.definition).routes == output.route_arns && length(output.route_arns) == 2 && length(output.all_target_group_arns.green) == 2
    error_message = "What is adopted must be in the definition: ${output.definition}"
  }

  assert {
    condition     = length(output.adopted_arns.listener_rules) == 2 && output.adopted_arns.listeners == ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"]
    error_message = "The engine must be told of everything that lacks the tag."
  }

  assert {
    condition     = toset(keys(output.alarm_arns)) == toset(["errors", "errors-2", "healthy-hosts", "healthy-hosts-2"])
    error_message = "Each load balancer has alarms of its own: ${jsonencode(keys(output.alarm_arns))}"
  }

  assert {
    condition = alltrue([
      for query in aws_cloudwatch_metric_alarm.service["errors-2"].metric_query : one(query.metric[*].dimensions.LoadBalancer) == "app/internal/60dc6c495c0c9188" if length(query.metric) > 0
    ])
    error_message = "The second pair of groups belongs to the second route's load balancer."
  }
}

run "switches_between_strategies_by_one_variable" {
  command = plan

  variables {
    strategy = "blue_green"
  }

  assert {
    condition     = local.definition.strategy == merge(local.definition.strategy, { type = "blue_green" }) && length(local.definition.strategy.canary.steps) == 5
    error_message = "Only the type may change."
  }

  assert {
    condition     = length(local.steps) == 1
    error_message = "blue_green has one step."
  }
}

run "knows_linear" {
  command = plan

  variables {
    strategy = "linear"
    linear   = { increment = 33.3 }
  }

  assert {
    condition     = local.definition.strategy.type == "linear" && local.linear_weights == [33.3, 66.6, 95]
    error_message = "linear ends in 95 %: ${jsonencode(local.linear_weights)}"
  }
}

run "knows_all_at_once" {
  command = plan

  variables {
    strategy = "all_at_once"
  }

  assert {
    condition     = local.definition.strategy.type == "all_at_once" && length(local.steps) == 1
    error_message = "all_at_once has one step."
  }
}

run "switches_releases_off" {
  command = plan

  variables {
    releases_enabled = false
  }

  assert {
    condition     = length(aws_ssm_parameter.definition) == 0 && !output.releases_enabled && output.parameter_name == "/spillway/services/checkout"
    error_message = "Without the parameter every start is refused."
  }

  assert {
    condition     = length(aws_lb_target_group.slot) == 2 && length(aws_lb_listener_rule.route) == 1
    error_message = "Traffic must stay as it is."
  }
}

run "takes_the_advanced_tier_by_itself" {
  variables {
    health = {
      metrics = [
        for n in range(6) : {
          name        = "declined-${n}"
          count       = { namespace = "Shop", metric = "Declined", dimensions = { Slot = "{slot}", Filler = join("", [for i in range(120) : "x"]) } }
          denominator = { namespace = "Shop", metric = "Payments", dimensions = { Slot = "{slot}", Filler = join("", [for i in range(120) : "é"]) } }
        }
      ]
    }
  }

  assert {
    condition     = aws_ssm_parameter.definition[0].tier == "Advanced" && output.definition_bytes > 4096 && output.definition_bytes < 8192
    error_message = "${output.definition_bytes} bytes must go to the advanced tier."
  }

  assert {
    condition     = length(output.definition) < 4096 + 360 && output.definition_bytes == length(output.definition) + 720
    error_message = "What counts is bytes: é is two. ${length(output.definition)} characters, ${output.definition_bytes} bytes"
  }
}

run "takes_everything" {
  variables {
    engine               = { name = "production", parameter_prefix = "/production/services/" }
    canary               = { steps = [{ weight = 2.5 }, { weight = 95, minimum_time_seconds = 600, max_step_seconds = 1200 }] }
    minimum_time_seconds = 60
    max_step_seconds     = 300
    adapt                = "as_written"
    approval_at          = [0, 25]
    readiness            = { timeout_seconds = 600, poll_seconds = 5, minimum_healthy_percent = 50, warm_up_seconds = 30 }
    traffic              = { settle_seconds = 30, on_split_mismatch = "continue" }
    retirement           = { window_seconds = 60, quiet_seconds = 60 }
    on_conflict          = "queue"
    hooks                = { after_step = { function = "arn:aws:lambda:eu-west-1:123456789012:function:checkout-orders:live", timeout_seconds = 60 } }
    health = {
      max_error_rate  = 5
      on_inconclusive = "pause"
      latency         = { objectives = { p99 = 0.8 } }
      alarms          = [{ arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:checkout: orders" }]
      dry_run         = ["answers"]
    }
  }

  assert {
    condition     = aws_ssm_parameter.definition[0].name == "/production/services/checkout" && aws_lb_target_group.slot["blue"].name == "production-checkout-blue" && output.on_conflict == "queue"
    error_message = "Names come from the engine."
  }

  assert {
    condition     = local.definition.strategy.canary.steps == [{ weight = 2.5 }, { weight = 95, minimum_time_seconds = 600, max_step_seconds = 1200 }] && local.definition.strategy.approval_at == tolist([0, 25])
    error_message = "Steps must be as they were given: ${jsonencode(local.definition.strategy)}"
  }

  assert {
    condition     = keys(local.definition.hooks) == ["after_step"] && local.definition.health.latency.objectives == tomap({ p99 = 0.8 }) && local.definition.health.max_error_rate == 5 && local.definition.health.dry_run == tolist(["answers"]) && length(local.definition.health.alarms) == 1
    error_message = "Health and hooks must be as they were given: ${output.definition}"
  }
}

run "knows_the_other_kinds_of_compute" {
  command = plan

  variables {
    compute = { blue = { auto_scaling_group = { name = "checkout-blue" } }, green = { auto_scaling_group = { name = "checkout-green" } } }
  }

  assert {
    condition     = local.definition.slots.green.compute == { auto_scaling_group = { name = "checkout-green" } }
    error_message = "An Auto Scaling group must be one."
  }
}

run "knows_external_compute" {
  command = plan

  variables {
    compute        = { blue = { external = true }, green = { external = true } }
    price_per_hour = { green = 0.42 }
    hooks = {
      provision = { function = "arn:aws:lambda:eu-west-1:123456789012:function:checkout-fleet", timeout_seconds = 1800 }
      retire    = { function = "arn:aws:lambda:eu-west-1:123456789012:function:checkout-fleet" }
    }
  }

  assert {
    condition     = local.definition.slots.green.compute == "external"
    error_message = "What others deploy must be external."
  }

  assert {
    condition     = local.definition.slots.green.price_per_hour == 0.42 && !can(local.definition.slots.blue.price_per_hour)
    error_message = "A slot must have the price that it was given: ${jsonencode(local.definition.slots)}"
  }

  assert {
    condition     = local.definition.hooks.provision.timeout_seconds == 1800 && local.definition.hooks.retire.timeout_seconds == 600
    error_message = "The fleet must be asked: ${jsonencode(local.definition.hooks)}"
  }
}

run "makes_alarms" {
  variables {
    alarms = { actions = ["arn:aws:sns:eu-west-1:123456789012:operators"], minutes = 5, error_rate_percent = 2, latency_seconds = 0.5, load_balancer_errors = 10 }
  }

  assert {
    condition     = toset(keys(output.alarm_arns)) == toset(["errors", "latency", "load-balancer-errors", "healthy-hosts"])
    error_message = "Every alarm that is on must be made."
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.service) : alarm.evaluation_periods == 5 && alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:operators"]) && startswith(alarm.alarm_name, "spillway-checkout-")])
    error_message = "Alarms must be named after engine and service, and tell whom they were told to."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.service["errors"].threshold == 2 && aws_cloudwatch_metric_alarm.service["errors"].treat_missing_data == "notBreaching" && aws_cloudwatch_metric_alarm.service["latency"].threshold == 0.5 && aws_cloudwatch_metric_alarm.service["load-balancer-errors"].threshold == 10 && aws_cloudwatch_metric_alarm.service["healthy-hosts"].treat_missing_data == "breaching"
    error_message = "Thresholds must be the ones asked for; no hosts known is none."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.service["errors"].metric_query : query.id => query.metric[0].dimensions if length(query.metric) > 0 } == {
      for id, slot in { errors_blue = "blue", requests_blue = "blue", errors_green = "green", requests_green = "green" } : id => tomap({
        LoadBalancer = "app/shop/50dc6c495c0c9188"
        TargetGroup  = { blue = "targetgroup/spillway-checkout-blue/73e2d6bc24d8a067", green = "targetgroup/spillway-checkout-green/94f3a1de60bb0c12" }[slot]
      })
    }
    error_message = "Dimensions must be CloudWatch's own names."
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.service) : length([for query in alarm.metric_query : query if query.return_data == true]) == 1])
    error_message = "An alarm watches one value."
  }

  assert {
    condition     = !contains(keys(local.definition.health), "alarms")
    error_message = "Alarms stop releases only where they are told to."
  }
}

run "lets_its_alarms_stop_releases" {
  variables {
    alarms = { stop_releases = true }
  }

  assert {
    condition     = toset(jsondecode(output.definition).health.alarms[*].arn) == toset(["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:spillway-checkout-errors", "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:spillway-checkout-healthy-hosts"])
    error_message = "The alarms that were made must be in the definition: ${output.definition}"
  }
}

run "makes_no_alarms" {
  command = plan

  variables {
    alarms = { enabled = false }
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.service) == 0
    error_message = "alarms.enabled = false makes none."
  }
}

run "shows_both_slots_side_by_side" {
  variables {
    engine = { name = "spillway", log_group_names = { "shift-weight" = "/aws/lambda/spillway-shift-weight", rollback = "/aws/lambda/spillway-rollback" } }
  }

  assert {
    condition = alltrue([
      for title in ["requests a minute", "error rate, %", "response time, s", "hosts"] :
      one([for widget in jsondecode(aws_cloudwatch_dashboard.service[0].dashboard_body).widgets : "${widget.x} ${widget.y}" if widget.properties.title == "blue: ${title}"]) ==
      replace(one([for widget in jsondecode(aws_cloudwatch_dashboard.service[0].dashboard_body).widgets : "${widget.x} ${widget.y}" if widget.properties.title == "green: ${title}"]), "/^12 /", "0 ")
    ])
    error_message = "The slots must stand side by side, blue on the left."
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.service[0].dashboard_body).widgets : widget.properties.region == "eu-west-1"])
    error_message = "The dashboard must look where the routes are."
  }

  assert {
    condition     = one([for widget in jsondecode(aws_cloudwatch_dashboard.service[0].dashboard_body).widgets : widget.properties.query if widget.type == "log"]) == "SOURCE '/aws/lambda/spillway-shift-weight'\n| SOURCE '/aws/lambda/spillway-rollback'\n| fields @timestamp, route, actions, span.release as release\n| filter message in [\"weights written\", \"route written\"] and span.service = \"checkout\"\n| sort @timestamp desc\n| limit 50"
    error_message = "The weights that were written are in the functions' logs."
  }

  assert {
    condition     = output.dashboard_name == "spillway-checkout"
    error_message = "The dashboard must be named after engine and service."
  }
}

run "makes_no_dashboard" {
  command = plan

  variables {
    dashboard = false
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.service) == 0 && output.dashboard_name == null
    error_message = "dashboard = false makes none."
  }
}

run "shortens_long_names" {
  command = plan

  variables {
    service = "a_service-with-a-name-as-long-32"
  }

  assert {
    condition     = can(regex("^spillway-a-service-w-[0-9a-f]{5}-blue$", aws_lb_target_group.slot["blue"].name)) && length(aws_lb_target_group.slot["green"].name) == 32
    error_message = "A target group's name has 32 characters at most: ${aws_lb_target_group.slot["green"].name}"
  }
}
