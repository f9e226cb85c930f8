mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1b", "eu-west-1c", "eu-west-1a"] }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/demo/50dc6c495c0c9188"
      arn_suffix = "app/demo/50dc6c495c0c9188"
      dns_name   = "demo-1.eu-west-1.elb.amazonaws.com"
    }
  }

  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/demo/50dc6c495c0c9188/f2f7dc8efc522ab2" }
  }
}

variables {
  name = "demo"
  tags = { Team = "shop" }
}

run "public_by_default" {
  assert {
    condition     = { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block } == { "eu-west-1a" = "10.42.0.0/20", "eu-west-1b" = "10.42.16.0/20" }
    error_message = "There must be one public subnet in each of the first two zones."
  }

  assert {
    condition     = length(aws_subnet.private) == 0 && length(aws_nat_gateway.this) == 0 && length(aws_eip.nat) == 0
    error_message = "A NAT gateway costs money, and must be asked for."
  }

  assert {
    condition     = toset(output.application_subnet_ids) == toset([for subnet in aws_subnet.public : subnet.id]) && output.public_addresses
    error_message = "Without a NAT gateway the application runs in the public subnets, with public addresses."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.client : rule.from_port] == [80] && output.url == "http://demo-1.eu-west-1.elb.amazonaws.com"
    error_message = "Without a certificate the load balancer serves HTTP, and nothing else is let in."
  }

  assert {
    condition     = one(aws_lb_listener.http[*].default_action[0].fixed_response[0].status_code) == "404" && length(aws_lb_listener.https) == 0
    error_message = "What no service's rule matches is answered with 404."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-west-1.s3" && length(aws_vpc_endpoint.s3.route_table_ids) == 1
    error_message = "S3 must be reachable without leaving AWS's network."
  }

  assert {
    condition     = aws_vpc.this.tags == tomap({ Name = "demo", Team = "shop" }) && aws_lb.this.tags["Team"] == "shop"
    error_message = "Everything carries the tags."
  }
}

run "private_with_a_nat_gateway" {
  variables {
    nat_gateway        = true
    availability_zones = 3
  }

  assert {
    condition     = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == { "eu-west-1a" = "10.42.128.0/20", "eu-west-1b" = "10.42.144.0/20", "eu-west-1c" = "10.42.160.0/20" }
    error_message = "There must be one private subnet in each zone, apart from the public ones."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && aws_route.nat[0].nat_gateway_id == aws_nat_gateway.this[0].id && length(aws_vpc_endpoint.s3.route_table_ids) == 2
    error_message = "One NAT gateway is the private subnets' way out."
  }

  assert {
    condition     = toset(output.application_subnet_ids) == toset([for subnet in aws_subnet.private : subnet.id]) && !output.public_addresses
    error_message = "With a NAT gateway the application runs in the private subnets."
  }
}

run "https_with_a_certificate" {
  variables {
    certificate_arn     = "arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
    allowed_cidr_blocks = ["203.0.113.0/24", "198.51.100.0/24"]
    access_logs_bucket  = "logs"
    deletion_protection = true
  }

  assert {
    condition     = length(aws_lb_listener.http) == 0 && aws_lb_listener.https[0].protocol == "HTTPS" && aws_lb_listener.redirect[0].default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "With a certificate port 443 serves and port 80 redirects."
  }

  assert {
    condition     = output.url == "https://demo-1.eu-west-1.elb.amazonaws.com" && output.listener_arn == aws_lb_listener.https[0].arn
    error_message = "Services add their rules to the HTTPS listener."
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.client) == ["198.51.100.0/24:443", "198.51.100.0/24:80", "203.0.113.0/24:443", "203.0.113.0/24:80"]
    error_message = "Only the blocks that were named are let in, to both ports."
  }

  assert {
    condition     = aws_lb.this.access_logs[0].bucket == "logs" && aws_lb.this.enable_deletion_protection
    error_message = "Access logs and deletion protection can be switched on."
  }
}

run "refuses_a_bad_name" {
  command = plan

  variables {
    name = "internal-demo"
  }

  expect_failures = [var.name]
}

run "refuses_a_vpc_too_small_for_a_load_balancer" {
  command = plan

  variables {
    cidr_block = "10.0.0.0/24"
  }

  expect_failures = [var.cidr_block]
}

run "refuses_one_zone" {
  command = plan

  variables {
    availability_zones = 1
  }

  expect_failures = [var.availability_zones]
}

run "refuses_nobody" {
  command = plan

  variables {
    allowed_cidr_blocks = []
  }

  expect_failures = [var.allowed_cidr_blocks]
}

run "refuses_what_is_no_certificate" {
  command = plan

  variables {
    certificate_arn = "shop.example.com"
  }

  expect_failures = [var.certificate_arn]
}

run "refuses_tags_of_its_own" {
  command = plan

  variables {
    tags = { "spillway:managed" = "true" }
  }

  expect_failures = [var.tags]
}

run "refuses_aws_s_tags" {
  command = plan

  variables {
    tags = { "aws:owner" = "x" }
  }

  expect_failures = [var.tags]
}

run "refuses_a_bucket_s_arn" {
  command = plan

  variables {
    access_logs_bucket = "arn:aws:s3:::logs"
  }

  expect_failures = [var.access_logs_bucket]
}

run "refuses_a_bucket_s_url" {
  command = plan

  variables {
    access_logs_bucket = "s3://logs/"
  }

  expect_failures = [var.access_logs_bucket]
}
