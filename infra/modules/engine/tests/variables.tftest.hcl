# What each variable refuses. The messages tell what is allowed.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  package_directory = "tests/packages"
}

run "name_without_capitals" {
  command = plan

  variables {
    name = "Spillway"
  }

  expect_failures = [var.name]
}

run "name_of_24_at_most" {
  command = plan

  variables {
    name = "spillway-for-all-the-shop"
  }

  expect_failures = [var.name]
}

run "name_without_a_hyphen_at_its_end" {
  command = plan

  variables {
    name = "spillway-"
  }

  expect_failures = [var.name]
}

run "tags_that_are_not_aws_s" {
  command = plan

  variables {
    tags = { "aws:team" = "shop" }
  }

  expect_failures = [var.tags]
}

run "tags_that_are_not_spillway_s" {
  command = plan

  variables {
    tags = { "spillway:service" = "shop" }
  }

  expect_failures = [var.tags]
}

run "directory_without_a_slash_at_its_end" {
  command = plan

  variables {
    package_directory = "tests/packages/"
  }

  expect_failures = [var.package_directory]
}

run "architecture_that_exists" {
  command = plan

  variables {
    architecture = "x64"
  }

  expect_failures = [var.architecture]
}

run "prefix_with_slashes" {
  command = plan

  variables {
    parameter_prefix = "/spillway/services"
  }

  expect_failures = [var.parameter_prefix]
}

run "prefix_that_is_not_aws_s" {
  command = plan

  variables {
    parameter_prefix = "/aws/services/"
  }

  expect_failures = [var.parameter_prefix]
}

run "listener_rules_in_their_list" {
  command = plan

  variables {
    managed_arns = { listener_rules = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc/f2f7"] }
  }

  expect_failures = [var.managed_arns]
}

run "listeners_of_application_load_balancers" {
  command = plan

  variables {
    managed_arns = { listeners = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/net/shop/50dc/f2f7"] }
  }

  expect_failures = [var.managed_arns]
}

run "roles_without_wildcards" {
  command = plan

  variables {
    managed_arns = { task_roles = ["arn:aws:iam::123456789012:role/checkout-*"] }
  }

  expect_failures = [var.managed_arns]
}

run "services_that_are_arns" {
  command = plan

  variables {
    managed_arns = { ecs_services = ["checkout-blue"] }
  }

  expect_failures = [var.managed_arns]
}

run "hooks_without_wildcards" {
  command = plan

  variables {
    hook_function_arns = ["arn:aws:lambda:eu-west-1:123456789012:function:*"]
  }

  expect_failures = [var.hook_function_arns]
}

run "homes_of_region_and_account" {
  command = plan

  variables {
    allowed_homes = ["123456789012:eu-west-1"]
  }

  expect_failures = [var.allowed_homes]
}

run "boundary_that_is_a_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:role/boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "key_that_is_no_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/spillway"
  }

  expect_failures = [var.kms_key_arn]
}

run "retention_that_cloudwatch_has" {
  command = plan

  variables {
    log_retention_days = 10
  }

  expect_failures = [var.log_retention_days]
}

run "interval_of_an_hour_at_most" {
  command = plan

  variables {
    guard_interval_minutes = 61
  }

  expect_failures = [var.guard_interval_minutes]
}

run "interval_of_whole_minutes" {
  command = plan

  variables {
    guard_interval_minutes = 2.5
  }

  expect_failures = [var.guard_interval_minutes]
}

run "subscription_with_a_protocol_that_exists" {
  command = plan

  variables {
    page_subscriptions = [{ protocol = "pager", endpoint = "on-call" }]
  }

  expect_failures = [var.page_subscriptions]
}

run "alarms_that_exist" {
  command = plan

  variables {
    alarms = ["rollback_failed", "lunch"]
  }

  expect_failures = [var.alarms]
}

run "alarm_actions_that_are_arns" {
  command = plan

  variables {
    alarm_actions = ["team"]
  }

  expect_failures = [var.alarm_actions]
}

run "alarm_actions_of_four_at_most" {
  command = plan

  variables {
    alarm_actions = ["arn:1", "arn:2", "arn:3", "arn:4", "arn:5"]
  }

  expect_failures = [var.alarm_actions]
}
