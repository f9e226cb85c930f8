mock_provider "aws" {
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
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
  vpc_id                          = "vpc-1"
  subnet_ids                      = ["subnet-1", "subnet-2"]
  load_balancer_security_group_id = "sg-1"
  target_group_arns = {
    blue  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-blue/73e2d6bc24d8a067"
    green = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-green/94f3a1de60bb0c12"
  }
  live_slot    = "green"
  size         = 3
  auto_scaling = { user_data = "#!/bin/sh\ntrue\n" }
}

run "auto_scaling" {
  assert {
    condition     = { for slot, group in aws_autoscaling_group.slot : slot => [group.min_size, group.desired_capacity, group.max_size] } == { blue = [0, 0, 4], green = [3, 3, 4] }
    error_message = "The live slot has the instances, the idle one none."
  }

  assert {
    condition     = alltrue([for slot, group in aws_autoscaling_group.slot : group.target_group_arns == toset([var.target_group_arns[slot]]) && group.launch_template[0].version == "1" && group.health_check_type == "ELB"])
    error_message = "Each group serves its slot's target group, from the template's first version."
  }

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.slot : contains([for tag in group.tag : "${tag.key}=${tag.value}"], "spillway:managed=true")])
    error_message = "Spillway may change only what carries its tag."
  }

  # An instance is nothing that Spillway changes.
  assert {
    condition     = alltrue(flatten([for group in aws_autoscaling_group.slot : [for tag in group.tag : !tag.propagate_at_launch if startswith(tag.key, "spillway:managed")]]))
    error_message = "Instances must not carry the tag."
  }

  assert {
    condition     = aws_launch_template.this["this"].image_id == "ami-0123456789abcdef0" && aws_launch_template.this["this"].metadata_options[0].http_tokens == "required" && aws_launch_template.this["this"].block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "Instances start from the latest Amazon Linux, with session-oriented metadata and encrypted volumes."
  }

  assert {
    condition     = base64decode(aws_launch_template.this["this"].user_data) == "#!/bin/sh\ntrue\n"
    error_message = "The first version runs the user data."
  }

  assert {
    condition     = output.compute == { for slot, group in aws_autoscaling_group.slot : slot => { ecs_service = null, auto_scaling_group = { name = group.name } } } && output.target_type == "instance"
    error_message = "The definition must name what is made."
  }

  assert {
    condition     = length(aws_ecs_service.slot) == 0 && length(aws_ecs_cluster.this) == 0 && output.passed_role_arns == [] && output.task_definition_arn == null && output.log_group_name == null
    error_message = "Of the two kinds there is one."
  }
}

# What Spillway and a pipeline have set in between stays: the state of the run before is the world of this one.
run "leaves_groups_to_spillway" {
  variables {
    live_slot    = "blue"
    size         = 1
    auto_scaling = { user_data = "#!/bin/sh\nfalse\n", max_size = 9 }
  }

  assert {
    condition     = { for slot, group in aws_autoscaling_group.slot : slot => [group.min_size, group.desired_capacity, group.max_size] } == { blue = [0, 0, 4], green = [3, 3, 4] }
    error_message = "Terraform must not scale what releases scale."
  }

  assert {
    condition     = base64decode(aws_launch_template.this["this"].user_data) == "#!/bin/sh\ntrue\n"
    error_message = "Terraform must not take back a version's user data."
  }
}

run "an_image_of_ones_own_on_arm" {
  variables {
    architecture = "arm64"
    auto_scaling = { user_data = "#cloud-config\n", instance_type = "t4g.micro", ami_id = "ami-1" }
  }

  assert {
    condition     = aws_launch_template.this["this"].image_id == "ami-1" && length(data.aws_ssm_parameter.ami) == 0
    error_message = "The image that was named must be used."
  }
}

run "refuses_user_data_that_nothing_runs" {
  command = plan

  variables {
    auto_scaling = { user_data = "echo" }
  }

  expect_failures = [var.auto_scaling]
}

run "refuses_the_other_processors" {
  command = plan

  variables {
    auto_scaling = { user_data = "#!/bin/sh", instance_type = "t4g.micro" }
  }

  expect_failures = [var.auto_scaling]
}

run "refuses_no_instance_type" {
  command = plan

  variables {
    auto_scaling = { user_data = "#!/bin/sh", instance_type = "small" }
  }

  expect_failures = [var.auto_scaling]
}

run "refuses_what_is_no_image" {
  command = plan

  variables {
    auto_scaling = { user_data = "#!/bin/sh", ami_id = "al2023" }
  }

  expect_failures = [var.auto_scaling]
}

run "refuses_less_than_the_size" {
  command = plan

  variables {
    auto_scaling = { user_data = "#!/bin/sh", max_size = 2 }
  }

  expect_failures = [var.auto_scaling]
}

run "refuses_a_negative_grace" {
  command = plan

  variables {
    auto_scaling = { user_data = "#!/bin/sh", grace_seconds = -1 }
  }

  expect_failures = [var.auto_scaling]
}

run "addresses_are_as_asked_for" {
  command = plan

  variables {
    public_addresses = true
  }

  assert {
    condition     = aws_launch_template.this["this"].network_interfaces[0].associate_public_ip_address == "true"
    error_message = "Instances in public subnets would reach nothing."
  }
}

run "addresses_are_private_by_default" {
  command = plan

  assert {
    condition     = aws_launch_template.this["this"].network_interfaces[0].associate_public_ip_address == "false"
    error_message = "Nobody asked for public addresses."
  }
}
