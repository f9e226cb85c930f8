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

override_resource {
  target = module.service.aws_lb_listener_rule.route["testers"]
  values = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/1f6b2c9d40e7a385" }
}

override_resource {
  target = aws_s3_bucket.pipeline
  values = { bucket = "shop-on-ec2-pipeline-1", arn = "arn:aws:s3:::shop-on-ec2-pipeline-1" }
}

variables {
  package_directory = "../../modules/engine/tests/packages"
}

run "planned_as_it_is" {
  command = plan

  assert {
    condition     = [for slot in ["blue", "green"] : module.service.compute[slot].auto_scaling_group.name] == ["shop-on-ec2-blue", "shop-on-ec2-green"]
    error_message = "What the definition names must be known before anything is made."
  }
}

run "applied_as_it_is" {
  assert {
    condition     = jsondecode(output.definition).strategy.type == "blue_green" && jsondecode(output.definition).strategy.minimum_time_seconds == 300 && jsondecode(output.definition).health.max_error_rate == 2
    error_message = "The definition is not the example's: ${output.definition}"
  }

  assert {
    condition     = { for slot, value in jsondecode(output.definition).slots : slot => value.compute } == { for slot in ["blue", "green"] : slot => { auto_scaling_group = { name = "shop-on-ec2-${slot}" } } }
    error_message = "The definition must name the groups that are made."
  }

  assert {
    condition     = length(jsondecode(output.definition).routes) == 1 && jsondecode(output.definition).test_routes == ["arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/1f6b2c9d40e7a385"]
    error_message = "There is one route for users and one for testers."
  }

  assert {
    condition     = [for stage in aws_codepipeline.this.stage : [stage.name, stage.action[0].provider]] == [["Source", "S3"], ["Build", "CodeBuild"], ["Release", "StepFunctions"]]
    error_message = "The pipeline leads from a source to a release."
  }

  assert {
    condition     = aws_codepipeline.this.stage[2].action[0].configuration == tomap({ StateMachineArn = "arn:aws:states:us-east-1:123456789012:stateMachine:some-machine:live", ExecutionNamePrefix = "shop-on-ec2", InputType = "FilePath", Input = "release.json" }) && aws_codepipeline.this.stage[2].action[0].input_artifacts == tolist(["release"])
    error_message = "The release's input is what the build has written."
  }

  assert {
    condition     = contains(yamldecode(aws_codebuild_project.this.source[0].buildspec).artifacts.files, "release.json") && strcontains(yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.build.commands[0], "create-launch-template-version")
    error_message = "The build writes the release's input."
  }

  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.build.policy).Statement : jsonencode(statement.Action) => statement.Resource }["\"ec2:CreateLaunchTemplateVersion\""] == "arn:aws:ec2:us-east-1:123456789012:launch-template/lt-0123456789abcdef0"
    error_message = "The build may make versions of this launch template alone."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.source.event_pattern).detail == { bucket = { name = ["shop-on-ec2-pipeline-1"] }, object = { key = ["source.zip"] } } && output.source == "s3://shop-on-ec2-pipeline-1/source.zip"
    error_message = "An upload of the source, and of nothing else, starts the pipeline."
  }
}

run "every_toggle" {
  variables {
    strategy            = "linear"
    bake_seconds        = 60
    releases_enabled    = false
    nat_gateway         = true
    page_email          = "on-call@example.com"
    certificate_arn     = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
    allowed_cidr_blocks = ["203.0.113.0/24"]
    architecture        = "arm64"
  }

  assert {
    condition     = jsondecode(output.definition).strategy.type == "linear" && jsondecode(output.definition).strategy.minimum_time_seconds == 60
    error_message = "One variable switches the strategy."
  }

  assert {
    condition     = !module.service.releases_enabled && !module.network.public_addresses && startswith(output.url, "https://")
    error_message = "A toggle has no effect."
  }
}

run "refuses_bad_values" {
  command = plan

  variables {
    region  = "europe"
    name    = "Spillway"
    service = "Shop"
  }

  expect_failures = [var.region, var.name, var.service]
}
