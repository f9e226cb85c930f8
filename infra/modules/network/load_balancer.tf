locals {
  ports    = var.certificate_arn == null ? [80] : [80, 443]
  listener = one(concat(aws_lb_listener.http, aws_lb_listener.https))
}

resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-load-balancer"
  description = "Clients of the load balancer ${var.name}"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.tags, { Name = "${var.name}-load-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = { for pair in setproduct(local.ports, var.allowed_cidr_blocks) : "${pair[1]}:${pair[0]}" => { port = pair[0], block = pair[1] } }

  #checkov:skip=CKV_AWS_260:A public demonstration answers the public; allowed_cidr_blocks narrows that.
  security_group_id = aws_security_group.load_balancer.id
  description       = "Clients, port ${each.value.port}"
  cidr_ipv4         = each.value.block
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "targets" {
  security_group_id = aws_security_group.load_balancer.id
  description       = "Targets in the VPC"
  cidr_ipv4         = var.cidr_block
  ip_protocol       = "tcp"
  from_port         = 0
  to_port           = 65535
  tags              = var.tags
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_150:A demonstration must be destroyed by one command; deletion_protection switches it on.
  #checkov:skip=CKV_AWS_91:Access logs need a bucket of the reader's own; access_logs_bucket names it.
  #checkov:skip=CKV2_AWS_20:With certificate_arn port 80 only redirects; a demonstration without a domain has no certificate.
  #checkov:skip=CKV2_AWS_28:A web application firewall costs by the hour and is no part of what is shown.
  name                       = var.name
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.load_balancer.id]
  subnets                    = [for subnet in aws_subnet.public : subnet.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  tags                       = merge(var.tags, { Name = var.name })

  dynamic "access_logs" {
    for_each = var.access_logs_bucket[*]

    content {
      bucket  = access_logs.value
      prefix  = var.name
      enabled = true
    }
  }

  # Until a subnet leads to the internet, requests and answers get nowhere.
  depends_on = [aws_route.internet]
}

# What no service's rule matches is nobody's: rules are added by the services.
resource "aws_lb_listener" "http" {
  count = var.certificate_arn == null ? 1 : 0

  #checkov:skip=CKV_AWS_2:A demonstration without a domain has no certificate; certificate_arn names one.
  #checkov:skip=CKV_AWS_103:As above: there is no TLS to have a version.
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  tags              = merge(var.tags, { Name = "${var.name}-http" })

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "No service here.\n"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener" "https" {
  count = var.certificate_arn == null ? 0 : 1

  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn
  tags              = merge(var.tags, { Name = "${var.name}-https" })

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "No service here.\n"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener" "redirect" {
  count = var.certificate_arn == null ? 0 : 1

  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  tags              = merge(var.tags, { Name = "${var.name}-redirect" })

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}
