locals {
  auto_scaling_compute = { for slot, name in local.names : slot => { auto_scaling_group = { name = name } } }
}

data "aws_ssm_parameter" "ami" {
  for_each = var.auto_scaling == null || try(var.auto_scaling.ami_id, null) != null ? [] : toset([var.architecture])

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${each.key}"
}

# One template for both slots: a release brings a version of it.
resource "aws_launch_template" "this" {
  for_each = var.auto_scaling == null ? {} : { this = var.auto_scaling }

  #checkov:skip=CKV_AWS_88:Without a NAT gateway an instance reaches nothing without a public address; its security group lets in the load balancer alone.
  name                   = var.name
  description            = "Instances of ${var.name}"
  image_id               = nonsensitive(coalesce(each.value.ami_id, try(data.aws_ssm_parameter.ami[var.architecture].value, null)))
  instance_type          = each.value.instance_type
  user_data              = base64encode(each.value.user_data)
  update_default_version = false
  tags                   = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    associate_public_ip_address = var.public_addresses
    delete_on_termination       = true
    security_groups             = [aws_security_group.application.id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      encrypted             = true
      volume_type           = "gp3"
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { "spillway:service" = var.name })
    }
  }

  lifecycle {
    # A pipeline makes versions with other user data; the latest version is what Terraform compares with.
    ignore_changes = [user_data]
  }
}

resource "aws_autoscaling_group" "slot" {
  for_each = var.auto_scaling == null ? {} : local.names

  name                      = each.value
  min_size                  = local.sizes[each.key]
  max_size                  = var.auto_scaling.max_size
  desired_capacity          = local.sizes[each.key]
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = [var.target_group_arns[each.key]]
  health_check_type         = "ELB"
  health_check_grace_period = var.auto_scaling.grace_seconds
  default_instance_warmup   = var.auto_scaling.grace_seconds

  launch_template {
    id      = aws_launch_template.this["this"].id
    version = aws_launch_template.this["this"].latest_version
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = each.value, "spillway:slot" = each.key })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = contains(["Name", "spillway:slot"], tag.key)
    }
  }

  lifecycle {
    # Spillway's: which version a slot runs, and how many instances.
    ignore_changes = [desired_capacity, min_size, max_size, suspended_processes, launch_template[0].version]
  }

  depends_on = [
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_ingress_rule.load_balancer,
    var.route_arns,
  ]
}
