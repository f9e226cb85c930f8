mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }

  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/shop-execution" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop:1" }
  }

  mock_resource "aws_launch_template" {
    defaults = {
      id             = "lt-0123456789abcdef0"
      arn            = "arn:aws:ec2:eu-west-1:123456789012:launch-template/lt-0123456789abcdef0"
      latest_version = 1
    }
  }
}

variables {
  name                            = "shop"
  tags                            = { Team = "shop" }
  vpc_id                          = "vpc-1"
  subnet_ids                      = ["subnet-1", "subnet-2"]
  load_balancer_security_group_id = "sg-1"
  target_group_arns = {
    blue  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-blue/73e2d6bc24d8a067"
    green = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-green/94f3a1de60bb0c12"
  }
}

run "ecs" {
  variables {
    ecs = { image = "public.ecr.aws/docker/library/httpd:2.4", environment = { COLOUR = "red" } }
  }

  assert {
    condition     = { for slot, service in aws_ecs_service.slot : slot => service.desired_count } == { blue = 2, green = 0 }
    error_message = "The live slot has the tasks, the idle one none."
  }

  assert {
    condition     = alltrue([for slot, service in aws_ecs_service.slot : one(service.load_balancer).target_group_arn == var.target_group_arns[slot] && service.tags["spillway:managed"] == "true" && service.tags["spillway:service"] == "shop" && service.tags["spillway:slot"] == slot && service.tags["Team"] == "shop"])
    error_message = "Each service serves its slot's target group, and carries the tags by which Spillway may change it."
  }

  assert {
    condition     = alltrue([for tags in [aws_security_group.application.tags, aws_vpc_security_group_ingress_rule.load_balancer.tags, aws_vpc_security_group_egress_rule.https.tags, aws_ecs_cluster.this["this"].tags] : tags["spillway:service"] == "shop" && !contains(keys(tags), "spillway:managed")])
    error_message = "Everything carries the service's name, and what no release changes is not marked as managed."
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.slot : service.deployment_circuit_breaker[0].enable && !service.deployment_circuit_breaker[0].rollback])
    error_message = "The circuit breaker tells of a failed deployment, and leaves it to the release."
  }

  assert {
    condition     = output.compute == { for slot, service in aws_ecs_service.slot : slot => { ecs_service = { cluster = aws_ecs_cluster.this["this"].name, service = service.name, container = "app" }, auto_scaling_group = null } }
    error_message = "The definition must name what is made."
  }

  assert {
    condition = jsondecode(aws_ecs_task_definition.this["this"].container_definitions) == [{
      name         = "app"
      image        = "public.ecr.aws/docker/library/httpd:2.4"
      essential    = true
      environment  = [{ name = "COLOUR", value = "red" }]
      portMappings = [{ containerPort = 80, protocol = "tcp" }]
      logConfiguration = {
        logDriver = "awslogs"
        options   = { awslogs-group = "/shop/application", awslogs-region = "eu-west-1", awslogs-stream-prefix = "app" }
      }
    }]
    error_message = "The container is not as expected."
  }

  assert {
    condition     = jsondecode(aws_iam_role.execution["this"].assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" }, ArnLike = { "aws:SourceArn" = "arn:aws:ecs:eu-west-1:123456789012:*" } }
    error_message = "Only this account's ECS may take the role."
  }

  assert {
    condition     = one(aws_ecs_cluster.this["this"].setting).value == "disabled" && aws_ecs_task_definition.this["this"].runtime_platform[0].cpu_architecture == "X86_64"
    error_message = "What costs money must be asked for."
  }

  assert {
    condition     = length(aws_autoscaling_group.slot) == 0 && length(aws_launch_template.this) == 0 && output.launch_template == null && output.target_type == "ip"
    error_message = "Of the two kinds there is one."
  }

  assert {
    condition     = output.passed_role_arns == ["arn:aws:iam::123456789012:role/shop-execution"] && output.task_definition_arn == "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop:1"
    error_message = "The engine must be told whose roles a task definition passes."
  }
}

# What Spillway has set in between stays: the state of the run before is the world of this one.
run "leaves_ecs_to_spillway" {
  variables {
    ecs       = { image = "public.ecr.aws/docker/library/httpd:2.4", memory = 1024 }
    size      = 5
    live_slot = "green"
  }

  assert {
    condition     = { for slot, service in aws_ecs_service.slot : slot => service.desired_count } == { blue = 2, green = 0 }
    error_message = "Terraform must not scale what releases scale."
  }
}

run "ecs_on_arm" {
  variables {
    ecs          = { image = "public.ecr.aws/docker/library/httpd:2.4", container_insights = true }
    architecture = "arm64"
    live_slot    = "green"
  }

  plan_options {
    refresh = false
  }

  command = plan

  assert {
    condition     = aws_ecs_task_definition.this["this"].runtime_platform[0].cpu_architecture == "ARM64" && one(aws_ecs_cluster.this["this"].setting).value == "enabled"
    error_message = "Tasks must run on the processors that were asked for."
  }
}

run "refuses_both_kinds" {
  command = plan

  variables {
    ecs          = { image = "httpd" }
    auto_scaling = { user_data = "#!/bin/sh" }
  }

  expect_failures = [var.ecs]
}

run "refuses_no_kind" {
  command = plan

  expect_failures = [var.ecs]
}

run "refuses_what_fargate_does_not_have" {
  command = plan

  variables {
    ecs = { image = "httpd", cpu = 300 }
  }

  expect_failures = [var.ecs]
}

run "refuses_too_little_memory" {
  command = plan

  variables {
    ecs = { image = "httpd", cpu = 1024, memory = 1024 }
  }

  expect_failures = [var.ecs]
}

run "refuses_too_much_memory" {
  command = plan

  variables {
    ecs = { image = "httpd", cpu = 256, memory = 3072 }
  }

  expect_failures = [var.ecs]
}

run "refuses_an_unknown_retention" {
  command = plan

  variables {
    ecs = { image = "httpd", log_retention_days = 15 }
  }

  expect_failures = [var.ecs]
}

run "refuses_a_negative_grace" {
  command = plan

  variables {
    ecs = { image = "httpd", grace_seconds = -1 }
  }

  expect_failures = [var.ecs]
}

run "refuses_an_image_with_spaces" {
  command = plan

  variables {
    ecs = { image = "httpd latest" }
  }

  expect_failures = [var.ecs]
}

run "refuses_bad_values" {
  command = plan

  variables {
    name                            = "Shop"
    vpc_id                          = "shop"
    subnet_ids                      = []
    load_balancer_security_group_id = "default"
    target_group_arns               = { blue = "shop-blue", green = "shop-green" }
    port                            = 0
    live_slot                       = "red"
    size                            = 0
    architecture                    = "amd64"
    ecs                             = { image = "httpd" }
  }

  expect_failures = [
    var.name, var.vpc_id, var.subnet_ids, var.load_balancer_security_group_id, var.target_group_arns, var.port,
    var.live_slot, var.size, var.architecture,
  ]
}

run "refuses_tags_of_its_own" {
  command = plan

  variables {
    ecs  = { image = "httpd" }
    tags = { "spillway:service" = "x" }
  }

  expect_failures = [var.tags]
}

run "refuses_aws_s_tags" {
  command = plan

  variables {
    ecs  = { image = "httpd" }
    tags = { "aws:owner" = "x" }
  }

  expect_failures = [var.tags]
}

run "refuses_what_is_no_route" {
  command = plan

  variables {
    ecs        = { image = "httpd" }
    route_arns = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-blue/73e2d6bc24d8a067"]
  }

  expect_failures = [var.route_arns]
}

run "waits_for_rules_and_listeners" {
  command = plan

  variables {
    ecs        = { image = "httpd" }
    route_arns = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc/f2f7/9683", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc/f2f7"]
  }

  assert {
    condition     = length(aws_ecs_service.slot) == 2
    error_message = "A route is a rule, or a listener for its default action."
  }
}

run "tasks_have_addresses_as_asked_for" {
  command = plan

  variables {
    ecs              = { image = "public.ecr.aws/docker/library/httpd:2.4" }
    public_addresses = true
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.slot : service.network_configuration[0].assign_public_ip])
    error_message = "Tasks in public subnets would reach nothing."
  }
}
