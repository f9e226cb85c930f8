mock_provider "aws" {}

variables {
  engine  = { name = "spillway" }
  service = "checkout"
  compute = {
    blue  = { ecs_service = { cluster = "shop", service = "checkout-blue" } }
    green = { ecs_service = { cluster = "shop", service = "checkout-green" } }
  }
  adopt = {
    target_groups = {
      blue  = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"]
      green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"]
    }
    routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"]
  }
}

run "refuses_a_bad_engine_name" {
  command = plan

  variables {
    engine = { name = "1" }
  }

  expect_failures = [var.engine]
}

run "refuses_a_prefix_without_a_slash" {
  command = plan

  variables {
    engine = { name = "spillway", parameter_prefix = "/spillway/services" }
  }

  expect_failures = [var.engine]
}

run "refuses_a_name_that_begins_with_a_digit" {
  command = plan

  variables {
    service = "1st"
  }

  expect_failures = [var.service]
}

run "refuses_a_name_of_33_characters" {
  command = plan

  variables {
    service = "a23456789012345678901234567890123"
  }

  expect_failures = [var.service]
}

run "refuses_tags_of_its_own" {
  command = plan

  variables {
    tags = { "spillway:managed" = "false" }
  }

  expect_failures = [var.tags]
}

run "refuses_no_compute" {
  command = plan

  variables {
    compute = { blue = {}, green = {} }
  }

  expect_failures = [var.compute]
}

run "refuses_two_kinds_in_a_slot" {
  command = plan

  variables {
    compute = { blue = { external = true, auto_scaling_group = { name = "b" } }, green = { auto_scaling_group = { name = "g" } } }
  }

  expect_failures = [var.compute]
}

run "refuses_different_kinds" {
  command = plan

  variables {
    compute = { blue = { ecs_service = { cluster = "shop", service = "b" } }, green = { external = true } }
  }

  expect_failures = [var.compute]
}

run "refuses_the_same_service_twice" {
  command = plan

  variables {
    compute = { blue = { ecs_service = { cluster = "shop", service = "b" } }, green = { ecs_service = { cluster = "shop", service = "b" } } }
  }

  expect_failures = [var.compute]
}

run "refuses_a_bad_ecs_name" {
  command = plan

  variables {
    compute = { blue = { ecs_service = { cluster = "shop", service = "b" } }, green = { ecs_service = { cluster = "shop", service = "g g" } } }
  }

  expect_failures = [var.compute]
}

run "refuses_a_bad_group_name" {
  command = plan

  variables {
    compute = { blue = { auto_scaling_group = { name = "b" } }, green = { auto_scaling_group = { name = "g:1" } } }
  }

  expect_failures = [var.compute]
}

run "refuses_a_long_group_name" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", name = "a23456789012345678901234567" }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_bad_vpc" {
  command = plan

  variables {
    target_groups = { vpc_id = "1" }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_bad_port" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", port = 0 }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_bad_protocol" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", protocol = "TCP" }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_bad_protocol_version" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", protocol_version = "HTTP3" }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_bad_target_type" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", target_type = "lambda" }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_long_deregistration_delay" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", deregistration_delay_seconds = 3601 }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_health_check_that_takes_longer_than_its_interval" {
  command = plan

  variables {
    target_groups = { vpc_id = "vpc-1", health_check = { interval_seconds = 5, timeout_seconds = 5 } }
  }

  expect_failures = [var.target_groups]
}

run "refuses_a_bad_rule_name" {
  command = plan

  variables {
    listener_rules = { "a b" = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1, paths = ["/*"] } }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_a_listener_of_a_network_load_balancer" {
  command = plan

  variables {
    listener_rules = { other = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/net/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1, paths = ["/*"] } }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_rules_of_two_load_balancers" {
  command = plan

  variables {
    listener_rules = {
      one = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1, paths = ["/*"] }
      two = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/other/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1, paths = ["/*"] }
    }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_a_priority_of_0" {
  command = plan

  variables {
    listener_rules = { other = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 0, paths = ["/*"] } }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_a_rule_without_conditions" {
  command = plan

  variables {
    listener_rules = { other = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1 } }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_a_rule_of_six_values" {
  command = plan

  variables {
    listener_rules = { other = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1, paths = ["/1", "/2", "/3"], headers = { x = ["1", "2", "3"] } } }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_stickiness_of_more_than_a_week" {
  command = plan

  variables {
    listener_rules = { other = { listener_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2", priority = 1, paths = ["/*"], stickiness_seconds = 604801 } }
  }

  expect_failures = [var.listener_rules]
}

run "refuses_a_bad_target_group" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["checkout-blue"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_more_groups_in_one_slot" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/b2/1"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_the_same_group_in_both_slots" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_no_target_groups" {
  command = plan

  variables {
    adopt = { target_groups = { blue = [], green = [] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_eleven_target_groups" {
  command = plan

  variables {
    adopt = { target_groups = { blue = [for n in range(11) : "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/${n}"], green = [for n in range(11) : "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/green/${n}"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_a_bad_route" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_a_route_that_is_a_test_route" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"] }
  }

  expect_failures = [var.adopt]
}

run "refuses_no_routes" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = [], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_eleven_routes" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = [for n in range(11) : "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/${n}"], test_routes = [] }
  }

  expect_failures = [var.adopt]
}

run "refuses_eleven_test_routes" {
  command = plan

  variables {
    adopt = { target_groups = { blue = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-green/94f3a1de60bb0c12"] }, routes = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"], test_routes = [for n in range(11) : "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/${n}"] }
  }

  expect_failures = [var.adopt]
}

run "refuses_actions_that_are_no_arns" {
  command = plan

  variables {
    alarms = { actions = ["operators"] }
  }

  expect_failures = [var.alarms]
}

run "refuses_no_minutes" {
  command = plan

  variables {
    alarms = { minutes = 0 }
  }

  expect_failures = [var.alarms]
}

run "refuses_an_error_rate_of_0" {
  command = plan

  variables {
    alarms = { error_rate_percent = 0 }
  }

  expect_failures = [var.alarms]
}

run "refuses_a_latency_of_0" {
  command = plan

  variables {
    alarms = { latency_seconds = 0 }
  }

  expect_failures = [var.alarms]
}

run "refuses_load_balancer_errors_of_0" {
  command = plan

  variables {
    alarms = { load_balancer_errors = 0 }
  }

  expect_failures = [var.alarms]
}

run "refuses_an_unknown_strategy" {
  command = plan

  variables {
    strategy = "rolling"
  }

  expect_failures = [var.strategy]
}

run "refuses_no_steps" {
  command = plan

  variables {
    canary = { steps = [] }
  }

  expect_failures = [var.canary]
}

run "refuses_twenty_one_steps" {
  command = plan

  variables {
    canary           = { steps = [for n in range(1, 22) : { weight = n }] }
    max_step_seconds = 180
  }

  expect_failures = [var.canary]
}

run "refuses_a_weight_of_0" {
  command = plan

  variables {
    canary = { steps = [{ weight = 0 }] }
  }

  expect_failures = [var.canary]
}

run "refuses_a_weight_in_hundredths" {
  command = plan

  variables {
    canary = { steps = [{ weight = 0.25 }] }
  }

  expect_failures = [var.canary]
}

run "refuses_weights_that_do_not_grow" {
  command = plan

  variables {
    canary = { steps = [{ weight = 5 }, { weight = 5 }] }
  }

  expect_failures = [var.canary]
}

run "refuses_half_seconds" {
  command = plan

  variables {
    canary = { steps = [{ weight = 5, minimum_time_seconds = 0.5 }] }
  }

  expect_failures = [var.canary]
}

run "refuses_a_step_of_more_than_a_week" {
  command = plan

  variables {
    canary = { steps = [{ weight = 5, max_step_seconds = 604801 }] }
    health = { check_seconds = 3600 }
  }

  expect_failures = [var.canary]
}

run "refuses_a_step_that_is_over_before_it_may_be" {
  command = plan

  variables {
    canary = { steps = [{ weight = 5, max_step_seconds = 179 }] }
  }

  expect_failures = [var.canary]
}

run "refuses_an_increment_of_4" {
  command = plan

  variables {
    linear = { increment = 4 }
  }

  expect_failures = [var.linear]
}

run "refuses_a_minimum_of_more_than_a_day" {
  command = plan

  variables {
    minimum_time_seconds = 86401
    max_step_seconds     = 90000
    canary               = { steps = [{ weight = 5 }] }
    health               = { check_seconds = 3600 }
  }

  expect_failures = [var.minimum_time_seconds]
}

run "refuses_no_longest_time" {
  command = plan

  variables {
    max_step_seconds     = 0
    minimum_time_seconds = 0
  }

  expect_failures = [var.max_step_seconds]
}

run "refuses_a_longest_time_below_the_minimum" {
  command = plan

  variables {
    max_step_seconds = 179
  }

  expect_failures = [var.max_step_seconds]
}

run "refuses_an_unknown_adaption" {
  command = plan

  variables {
    adapt = "never"
  }

  expect_failures = [var.adapt]
}

run "refuses_an_approval_twice" {
  command = plan

  variables {
    approval_at = [25, 25]
  }

  expect_failures = [var.approval_at]
}

run "refuses_an_approval_at_the_end" {
  command = plan

  variables {
    approval_at = [100]
  }

  expect_failures = [var.approval_at]
}

run "refuses_a_short_readiness" {
  command = plan

  variables {
    readiness = { timeout_seconds = 9 }
  }

  expect_failures = [var.readiness]
}

run "refuses_a_rare_poll" {
  command = plan

  variables {
    readiness = { poll_seconds = 301 }
  }

  expect_failures = [var.readiness]
}

run "refuses_no_healthy_hosts" {
  command = plan

  variables {
    readiness = { minimum_healthy_percent = 0 }
  }

  expect_failures = [var.readiness]
}

run "refuses_a_long_warm_up" {
  command = plan

  variables {
    readiness = { warm_up_seconds = 3601 }
  }

  expect_failures = [var.readiness]
}

run "refuses_a_long_settling" {
  command = plan

  variables {
    traffic = { settle_seconds = 3601 }
  }

  expect_failures = [var.traffic]
}

run "refuses_an_unknown_end_of_a_mismatch" {
  command = plan

  variables {
    traffic = { on_split_mismatch = "ignore" }
  }

  expect_failures = [var.traffic]
}

run "refuses_a_hook_that_is_no_function" {
  command = plan

  variables {
    hooks = { after_step = { function = "checkout-orders" } }
  }

  expect_failures = [var.hooks]
}

run "refuses_a_hook_without_time" {
  command = plan

  variables {
    hooks = { after_step = { function = "arn:aws:lambda:eu-west-1:123456789012:function:f", timeout_seconds = 0 } }
  }

  expect_failures = [var.hooks]
}

run "refuses_to_ask_for_what_spillway_scales" {
  command = plan

  variables {
    hooks = { provision = { function = "arn:aws:lambda:eu-west-1:123456789012:function:f" } }
  }

  expect_failures = [var.hooks]
}

run "refuses_a_negative_price" {
  command = plan

  variables {
    price_per_hour = { blue = -1 }
  }

  expect_failures = [var.price_per_hour]
}

run "refuses_a_period_of_90_seconds" {
  command = plan

  variables {
    health = { period_seconds = 90 }
  }

  expect_failures = [var.health]
}

run "refuses_a_long_lag" {
  command = plan

  variables {
    health = { metric_lag_seconds = 901 }
  }

  expect_failures = [var.health]
}

run "refuses_no_time_between_checks" {
  command = plan

  variables {
    health = { check_seconds = 0.5 }
  }

  expect_failures = [var.health]
}

run "refuses_an_unknown_end_without_proof" {
  command = plan

  variables {
    health = { on_inconclusive = "wait" }
  }

  expect_failures = [var.health]
}

run "refuses_an_error_rate_without_room" {
  command = plan

  variables {
    health = { max_error_rate = 0 }
  }

  expect_failures = [var.health]
}

run "refuses_an_unknown_quantile" {
  command = plan

  variables {
    health = { latency = { quantiles = ["p95"] } }
  }

  expect_failures = [var.health]
}

run "refuses_an_objective_that_is_not_compared" {
  command = plan

  variables {
    health = { latency = { quantiles = ["p50"], objectives = { p99 = 1 } } }
  }

  expect_failures = [var.health]
}

run "refuses_the_same_metric_twice" {
  command = plan

  variables {
    health = { metrics = [{ name = "m", count = { namespace = "N", metric = "M", dimensions = { Slot = "{slot}" } }, denominator = { namespace = "N", metric = "D", dimensions = { Group = "{target_group}" } } }, { name = "m", count = { namespace = "N", metric = "M", dimensions = { Slot = "{slot}" } }, denominator = { namespace = "N", metric = "D", dimensions = { Group = "{target_group}" } } }] }
  }

  expect_failures = [var.health]
}

run "refuses_a_bad_metric_name" {
  command = plan

  variables {
    health = { metrics = [{ name = "a b", count = { namespace = "N", metric = "M", dimensions = { Slot = "{slot}" } }, denominator = { namespace = "N", metric = "D", dimensions = { Group = "{target_group}" } } }] }
  }

  expect_failures = [var.health]
}

run "refuses_a_tolerance_below_1" {
  command = plan

  variables {
    health = { metrics = [{ name = "m", count = { namespace = "N", metric = "M", dimensions = { Slot = "{slot}" } }, denominator = { namespace = "N", metric = "D", dimensions = { Group = "{target_group}" } }, tolerance = 0.9 }] }
  }

  expect_failures = [var.health]
}

run "refuses_a_metric_that_is_the_same_for_both_slots" {
  command = plan

  variables {
    health = { metrics = [{ name = "m", count = { namespace = "N", metric = "M", dimensions = { Service = "checkout" } }, denominator = { namespace = "N", metric = "D", dimensions = { Group = "{target_group}" } } }] }
  }

  expect_failures = [var.health]
}

run "refuses_the_same_alarm_twice" {
  command = plan

  variables {
    health = { alarms = [for n in range(2) : { arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a" }] }
  }

  expect_failures = [var.health]
}

run "refuses_an_alarm_that_is_none" {
  command = plan

  variables {
    health = { alarms = [{ arn = "arn:aws:sns:eu-west-1:123456789012:a:b:c" }] }
  }

  expect_failures = [var.health]
}

run "refuses_an_alarm_of_another_region" {
  command = plan

  variables {
    health = { alarms = [{ arn = "arn:aws:cloudwatch:eu-north-1:123456789012:alarm:a" }] }
  }

  expect_failures = [var.health]
}

run "refuses_an_unknown_meaning_of_no_data" {
  command = plan

  variables {
    health = { alarms = [{ arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a", on_insufficient_data = "alarm" }] }
  }

  expect_failures = [var.health]
}

run "refuses_an_unknown_dry_run" {
  command = plan

  variables {
    health = { dry_run = ["everything"] }
  }

  expect_failures = [var.health]
}

run "refuses_a_window_of_30_days" {
  command = plan

  variables {
    retirement = { window_seconds = 2592000 }
  }

  expect_failures = [var.retirement]
}

run "refuses_an_unknown_conflict" {
  command = plan

  variables {
    on_conflict = "abort"
  }

  expect_failures = [var.on_conflict]
}

run "refuses_a_definition_of_more_than_8192_bytes" {
  command = plan

  variables {
    health = { metrics = [for n in range(10) : { name = "m${n}", count = { namespace = "N", metric = "M", dimensions = { Slot = "{slot}", Filler = join("", [for i in range(250) : "xx"]) } }, denominator = { namespace = "N", metric = "D", dimensions = { Slot = "{slot}", Filler = join("", [for i in range(250) : "xx"]) } } }] }
  }

  expect_failures = [output.definition]
}

run "refuses_more_alarms_than_20" {
  command = plan

  variables {
    alarms = { stop_releases = true }
    health = { alarms = [for n in range(19) : { arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a${n}" }] }
  }

  expect_failures = [output.definition]
}

run "refuses_more_history_than_an_execution_has" {
  command = plan

  variables {
    max_step_seconds = 21600
  }

  expect_failures = [output.definition]
}

run "refuses_more_exposure_than_metrics_are_kept" {
  command = plan

  variables {
    health           = { period_seconds = 30, check_seconds = 60 }
    max_step_seconds = 3600
  }

  expect_failures = [output.definition]
}

run "refuses_more_than_29_days" {
  command = plan

  variables {
    strategy = "all_at_once"
    health   = { period_seconds = 300, check_seconds = 3600 }
  }

  expect_failures = [output.definition]
}
