data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  slots = toset(["blue", "green"])
  names = { for slot in local.slots : slot => "${var.name}-${slot}" }
  sizes = { for slot in local.slots : slot => slot == var.live_slot ? var.size : 0 }

  # The engine's policies let Spillway change what carries the first, and nothing else.
  tags = merge(var.tags, { "spillway:managed" = "true", "spillway:service" = var.name })
}

resource "aws_security_group" "application" {
  name        = "${var.name}-application"
  description = "Both slots of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-application", "spillway:service" = var.name })
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  #checkov:skip=CKV_AWS_260:The source is the security group of the load balancer, no address.
  security_group_id            = aws_security_group.application.id
  description                  = "The load balancer alone"
  referenced_security_group_id = var.load_balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  tags                         = merge(var.tags, { "spillway:service" = var.name })
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.application.id
  description       = "Registries and AWS's APIs"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = merge(var.tags, { "spillway:service" = var.name })
}
