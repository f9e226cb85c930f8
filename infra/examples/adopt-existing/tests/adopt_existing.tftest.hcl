mock_provider "aws" {
  source = "../mocks"
}

override_data {
  target = data.aws_autoscaling_group.slot["shop-a"]
  values = { arn = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1b2c:autoScalingGroupName/shop-a" }
}

override_data {
  target = data.aws_autoscaling_group.slot["shop-b"]
  values = { arn = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:3d4e:autoScalingGroupName/shop-b" }
}

override_data {
  target = module.engine.data.aws_region.current
  values = { region = "eu-west-1" }
}

variables {
  package_directory = "../../modules/engine/tests/packages"
  listener_rule_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
  target_group_arns = {
    blue  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-a/73e2d6bc24d8a067"
    green = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-b/94f3a1de60bb0c12"
  }
}

run "planned_with_what_is_required" {
  command = plan

  assert {
    condition     = { for slot, value in jsondecode(output.definition).slots : slot => value } == { blue = { target_groups = [var.target_group_arns.blue], compute = "external" }, green = { target_groups = [var.target_group_arns.green], compute = "external" } }
    error_message = "The definition must name what exists: ${output.definition}"
  }

  assert {
    condition     = jsondecode(output.definition).routes == [var.listener_rule_arn]
    error_message = "The rule must be the one route."
  }
}

run "adopts_ecs_services" {
  variables {
    compute = {
      blue  = { ecs_service = { cluster = "shop", service = "a", container = "app" } }
      green = { ecs_service = { cluster = "shop", service = "b", container = "app" } }
    }
    task_role_arns       = ["arn:aws:iam::123456789012:role/shop-task"]
    scalable_target_arns = ["arn:aws:application-autoscaling:eu-west-1:123456789012:scalable-target/1234abcd5678"]
  }

  assert {
    condition     = { for slot, value in jsondecode(output.definition).slots : slot => value.compute.ecs_service } == { blue = { cluster = "shop", service = "a", container = "app" }, green = { cluster = "shop", service = "b", container = "app" } }
    error_message = "The definition must name the services that exist."
  }

  assert {
    condition = jsonencode(local.managed_arns) == jsonencode({
      listener_rules      = [var.listener_rule_arn]
      ecs_services        = ["arn:aws:ecs:eu-west-1:123456789012:service/shop/a", "arn:aws:ecs:eu-west-1:123456789012:service/shop/b"]
      auto_scaling_groups = []
      task_roles          = var.task_role_arns
      launch_templates    = []
      instance_roles      = []
      scalable_targets    = var.scalable_target_arns
    })
    error_message = "Spillway may change what was named, and nothing else."
  }
}

run "adopts_auto_scaling_groups" {
  variables {
    compute = {
      blue  = { auto_scaling_group = { name = "shop-a" } }
      green = { auto_scaling_group = { name = "shop-b" } }
    }
    launch_template_arns = ["arn:aws:ec2:eu-west-1:123456789012:launch-template/lt-0123456789abcdef0"]
    instance_role_arns   = ["arn:aws:iam::123456789012:role/shop-instance"]
  }

  assert {
    condition     = { for slot, value in jsondecode(output.definition).slots : slot => value.compute.auto_scaling_group.name } == { blue = "shop-a", green = "shop-b" }
    error_message = "The definition must name the groups that exist."
  }

  assert {
    condition     = local.managed_arns.auto_scaling_groups == ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1b2c:autoScalingGroupName/shop-a", "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:3d4e:autoScalingGroupName/shop-b"] && local.managed_arns.ecs_services == []
    error_message = "Spillway may change the groups that were named."
  }
}

run "every_toggle" {
  variables {
    strategy         = "all_at_once"
    releases_enabled = false
    alarms_enabled   = false
    page_email       = "on-call@example.com"
    architecture     = "arm64"
  }

  assert {
    condition     = jsondecode(output.definition).strategy.type == "all_at_once" && !module.service.releases_enabled && length(module.service.alarm_arns) == 0
    error_message = "A toggle has no effect."
  }
}

run "refuses_bad_values" {
  command = plan

  variables {
    listener_rule_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"
    compute           = { blue = { ecs_service = { cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/shop", service = "a" } }, green = { ecs_service = { cluster = "shop", service = "b" } } }
  }

  expect_failures = [var.listener_rule_arn, var.compute]
}

run "refuses_target_groups_from_elsewhere" {
  command = plan

  variables {
    target_group_arns = {
      blue  = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-a/73e2d6bc24d8a067"
      green = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-b/94f3a1de60bb0c12"
    }
  }

  expect_failures = [var.target_group_arns]
}
