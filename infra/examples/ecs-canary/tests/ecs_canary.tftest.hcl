mock_provider "aws" {
  source = "../mocks"
}

override_resource {
  target = module.service.aws_lb_target_group.slot["blue"]
  values = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-blue/73e2d6bc24d8a067" }
}

override_resource {
  target = module.service.aws_lb_target_group.slot["green"]
  values = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-green/94f3a1de60bb0c12" }
}

variables {
  package_directory = "../../modules/engine/tests/packages"
}

run "planned_as_it_is" {
  command = plan

  assert {
    condition     = [for slot in ["blue", "green"] : module.service.compute[slot].ecs_service] == [for slot in ["blue", "green"] : module.application.compute[slot].ecs_service]
    error_message = "What the definition names must be known before anything is made."
  }
}

run "applied_as_it_is" {
  assert {
    condition     = jsondecode(output.definition).strategy.type == "canary" && jsondecode(output.definition).on_conflict == "queue" && jsondecode(output.definition).service == "shop-on-ecs"
    error_message = "The definition is not the example's: ${output.definition}"
  }

  assert {
    condition     = { for slot, value in jsondecode(output.definition).slots : slot => value.compute.ecs_service } == { for slot in ["blue", "green"] : slot => { cluster = "shop-on-ecs", service = "shop-on-ecs-${slot}", container = "app" } }
    error_message = "The definition must name the services that are made."
  }

  assert {
    condition     = { for slot, value in jsondecode(output.definition).slots : slot => value.target_groups } == { blue = ["arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-blue/73e2d6bc24d8a067"], green = ["arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-green/94f3a1de60bb0c12"] }
    error_message = "The definition must name the target groups that are made."
  }

  assert {
    condition     = length(jsondecode(output.definition).routes) == 1 && length(module.triggers.ecr_rule_arn) > 0
    error_message = "A push must start a release of the one route."
  }

  assert {
    condition     = output.url == "http://shop-1.us-east-1.elb.amazonaws.com" && output.installation == "spillway-ecs" && output.repository_url == "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop-on-ecs"
    error_message = "The outputs must be what the README uses."
  }

  assert {
    condition     = aws_ecr_repository.application.force_delete && aws_ecr_repository.application.image_tag_mutability == "IMMUTABLE"
    error_message = "The repository must go with its images, and a tag must stay what it is."
  }
}

run "every_toggle" {
  variables {
    strategy            = "blue_green"
    releases_enabled    = false
    nat_gateway         = true
    page_email          = "on-call@example.com"
    certificate_arn     = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
    allowed_cidr_blocks = ["203.0.113.0/24"]
    architecture        = "arm64"
    image               = "public.ecr.aws/docker/library/nginx:1.28"
    port                = 8080
    health_path         = "/health"
  }

  assert {
    condition     = jsondecode(output.definition).strategy.type == "blue_green"
    error_message = "One variable switches the strategy."
  }

  assert {
    condition     = !module.service.releases_enabled && !module.network.public_addresses && startswith(output.url, "https://")
    error_message = "A toggle has no effect."
  }

  assert {
    condition     = module.application.port == 8080
    error_message = "The port must be the application's."
  }
}

run "refuses_bad_values" {
  command = plan

  variables {
    region  = "europe"
    name    = "Spillway"
    service = "shop--on-ecs"
  }

  expect_failures = [var.region, var.name, var.service]
}
