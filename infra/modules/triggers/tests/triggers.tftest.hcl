mock_provider "aws" {
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/spillway-checkout-push" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:spillway-checkout-triggers-dlq", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/spillway-checkout-triggers-dlq" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/spillway-checkout" }
  }
  mock_resource "aws_scheduler_schedule_group" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/spillway-checkout-releases" }
  }
  mock_resource "aws_scheduler_schedule" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule/spillway-checkout-releases/spillway-checkout-release" }
  }
}

variables {
  engine = {
    name                      = "spillway"
    release_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live"
  }
  service = "checkout"
  tags    = { team = "shop" }
}

run "does_nothing_by_itself" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_event_rule.push) + length(aws_scheduler_schedule.release) + length(aws_sqs_queue.dead_letter) + length(aws_iam_role.push) + length(aws_iam_role.schedule) + length(aws_iam_role_policy.codepipeline) == 0
    error_message = "No trigger, no resource."
  }

  assert {
    condition     = output.codepipeline_stage == null && output.ecr_rule_arn == null && output.schedule_arn == null && output.dead_letter_queue_url == null
    error_message = "What is not there is null."
  }
}

run "releases_what_is_pushed" {
  variables {
    on_conflict   = "queue"
    alarm_actions = ["arn:aws:sns:eu-west-1:123456789012:operators"]
    ecr           = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout", tags = ["main-*", "stable", "*"] }
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.push[0].event_pattern) == {
      source      = ["aws.ecr"]
      detail-type = ["ECR Image Action"]
      account     = ["123456789012"]
      region      = ["eu-west-1"]
      detail = {
        result          = ["SUCCESS"]
        action-type     = ["PUSH"]
        repository-name = ["shop/checkout"]
        image-tag       = [{ wildcard = "main-*" }, "stable", { anything-but = [""] }]
      }
    }
    error_message = "The pattern must be of successful pushes under these tags: ${aws_cloudwatch_event_rule.push[0].event_pattern}"
  }

  # As EventBridge fills the template.
  assert {
    condition = jsondecode(replace(aws_cloudwatch_event_target.push[0].input_transformer[0].input_template, "<digest>", "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234abcd")) == {
      service = "checkout"
      version = { image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout@sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234abcd" }
    }
    error_message = "What is released is the digest: ${aws_cloudwatch_event_target.push[0].input_transformer[0].input_template}"
  }

  assert {
    condition     = aws_cloudwatch_event_target.push[0].input_transformer[0].input_paths == tomap({ digest = "$.detail.image-digest" })
    error_message = "The digest is the event's."
  }

  assert {
    condition     = aws_cloudwatch_event_target.push[0].arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live" && aws_cloudwatch_event_target.push[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letter[0].arn && aws_cloudwatch_event_target.push[0].retry_policy[0].maximum_event_age_in_seconds == 900
    error_message = "The alias must be started, and what cannot be kept for a person after a quarter of an hour."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.push[0].state == "ENABLED" && aws_cloudwatch_event_rule.push[0].name == "spillway-checkout-push" && aws_cloudwatch_event_rule.push[0].tags == tomap({ team = "shop", "spillway:service" = "checkout" })
    error_message = "The rule must be on, named and tagged."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.push[0].policy).Statement == [{ Sid = "StartReleases", Effect = "Allow", Action = "states:StartExecution", Resource = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release" }]
    error_message = "The role may start this machine and nothing else; policies name it without its alias."
  }

  assert {
    condition     = jsondecode(aws_iam_role.push[0].assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" }, ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.push[0].arn } } && jsondecode(aws_iam_role.push[0].assume_role_policy).Statement[0].Principal == { Service = "events.amazonaws.com" }
    error_message = "Only this rule may take the role."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_policy.push[0].policy).Statement[0].Condition.ArnEquals == { "aws:SourceArn" = aws_cloudwatch_event_rule.push[0].arn } && jsondecode(aws_sqs_queue_policy.push[0].policy).Statement[0].Action == "sqs:SendMessage"
    error_message = "Only this rule may write to the queue."
  }

  assert {
    condition     = aws_sqs_queue.dead_letter[0].sqs_managed_sse_enabled && aws_sqs_queue.dead_letter[0].message_retention_seconds == 1209600 && aws_cloudwatch_metric_alarm.dead_letter[0].threshold == 0 && aws_cloudwatch_metric_alarm.dead_letter[0].alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:operators"])
    error_message = "The queue must be encrypted, kept for two weeks, and watched."
  }
}

run "takes_replicas_and_other_buses" {
  command = plan

  variables {
    ecr = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop", replicated = true, event_bus_name = "images", maximum_age_seconds = 60 }
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.push[0].event_pattern).detail.action-type == ["PUSH", "REPLICATE"] && aws_cloudwatch_event_rule.push[0].event_bus_name == "images" && aws_cloudwatch_event_target.push[0].event_bus_name == "images" && aws_cloudwatch_event_target.push[0].retry_policy[0].maximum_event_age_in_seconds == 60
    error_message = "Replicas, bus and age must be as asked for."
  }
}

run "releases_at_a_time" {
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    schedule = {
      expression       = "at(2026-12-01T03:00:00)"
      timezone         = "Europe/Stockholm"
      flexible_minutes = 15
      version          = { task_definition = "checkout:7" }
    }
  }

  assert {
    condition     = aws_scheduler_schedule.release[0].target[0].arn == "arn:aws:scheduler:::aws-sdk:sfn:startExecution" && jsondecode(aws_scheduler_schedule.release[0].target[0].input).StateMachineArn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live" && jsondecode(jsondecode(aws_scheduler_schedule.release[0].target[0].input).Input) == { service = "checkout", version = { task_definition = "checkout:7" } }
    error_message = "The release must be started with its version: ${aws_scheduler_schedule.release[0].target[0].input}"
  }

  assert {
    condition     = aws_scheduler_schedule.release[0].schedule_expression == "at(2026-12-01T03:00:00)" && aws_scheduler_schedule.release[0].schedule_expression_timezone == "Europe/Stockholm" && aws_scheduler_schedule.release[0].flexible_time_window[0].mode == "FLEXIBLE" && aws_scheduler_schedule.release[0].flexible_time_window[0].maximum_window_in_minutes == 15 && aws_scheduler_schedule.release[0].state == "ENABLED"
    error_message = "The time must be the one asked for."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.schedule[0].policy).Statement : statement.Action => statement.Resource } == {
      "states:StartExecution" = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release"
      "sqs:SendMessage"       = "arn:aws:sqs:eu-west-1:123456789012:spillway-checkout-triggers-dlq"
    }
    error_message = "The role may start this machine, keep what failed, and nothing else."
  }

  assert {
    condition     = jsondecode(aws_iam_role.schedule[0].assume_role_policy).Statement[0].Condition.ArnEquals == { "aws:SourceArn" = aws_scheduler_schedule_group.release[0].arn } && aws_iam_role.schedule[0].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "Only schedules of this group may take the role, and the boundary bounds it."
  }

  assert {
    condition     = aws_scheduler_schedule.release[0].target[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letter[0].arn && length(aws_sqs_queue_policy.push) == 0
    error_message = "What cannot be started must be kept; no rule writes to the queue."
  }
}

run "starts_at_the_minute" {
  command = plan

  variables {
    schedule = { expression = "cron(0 3 * * ? *)", version = { opaque = "nightly" } }
  }

  assert {
    condition     = aws_scheduler_schedule.release[0].flexible_time_window[0].mode == "OFF" && aws_scheduler_schedule.release[0].flexible_time_window[0].maximum_window_in_minutes == null
    error_message = "Without flexible_minutes there is no window."
  }
}

run "is_switched_off_with_releases" {
  command = plan

  variables {
    releases_enabled = false
    ecr              = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop" }
    schedule         = { expression = "rate(1 day)", version = { launch_template_version = "7" } }
  }

  assert {
    condition     = aws_cloudwatch_event_rule.push[0].state == "DISABLED" && aws_scheduler_schedule.release[0].state == "DISABLED"
    error_message = "Nothing may start a release."
  }
}

run "gives_a_pipeline_its_stage" {
  variables {
    on_conflict             = "queue"
    longest_release_seconds = 518400
    codepipeline            = { version = { image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@#{Source.ImageDigest}" }, role_names = ["shop-pipeline"] }
  }

  assert {
    condition = output.codepipeline_stage == {
      name = "Release"
      action = [{
        name            = "Release"
        category        = "Invoke"
        owner           = "AWS"
        provider        = "StepFunctions"
        version         = "1"
        input_artifacts = []
        configuration = {
          StateMachineArn     = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live"
          ExecutionNamePrefix = "checkout"
          InputType           = "Literal"
          Input               = "{\"service\":\"checkout\",\"version\":{\"image\":\"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@#{Source.ImageDigest}\"}}"
        }
      }]
    }
    error_message = "The stage must be the one that CodePipeline takes: ${jsonencode(output.codepipeline_stage)}"
  }

  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.codepipeline["shop-pipeline"].policy).Statement : statement.Resource => statement.Action
      } == {
      "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release" = ["states:DescribeStateMachine", "states:StartExecution"]
      "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:*"  = "states:DescribeExecution"
    }
    error_message = "A pipeline may start and follow releases, and not stop them: ${aws_iam_role_policy.codepipeline["shop-pipeline"].policy}"
  }

  assert {
    condition     = output.codepipeline_policy == aws_iam_role_policy.codepipeline["shop-pipeline"].policy && output.codepipeline_timeout_seconds == 604800
    error_message = "Pipelines elsewhere need the same policy."
  }
}

run "reads_a_file_of_the_pipeline" {
  command = plan

  variables {
    codepipeline = { file_path = "release.json", input_artifact = "built", qualified = false, stage_name = "Production", action_name = "Canary" }
  }

  assert {
    condition     = output.codepipeline_action.configuration == { StateMachineArn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release", ExecutionNamePrefix = "checkout", InputType = "FilePath", Input = "release.json" } && output.codepipeline_action.input_artifacts == ["built"] && output.codepipeline_action.name == "Canary" && output.codepipeline_stage.name == "Production"
    error_message = "The file must be the input, of the machine without its alias: ${jsonencode(output.codepipeline_action)}"
  }
}

run "shortens_long_names" {
  command = plan

  variables {
    engine  = { name = "an-engine-with-a-name-as-long-32", release_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:release" }
    service = "a_service-with-a-name-as-long-32"
    ecr     = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop" }
  }

  assert {
    condition     = can(regex("^an-engine-with-a-name-as-long-32-a_service-[0-9a-f]{5}-push$", aws_iam_role.push[0].name)) && length(aws_iam_role.push[0].name) <= 64
    error_message = "A role's name has 64 characters at most: ${aws_iam_role.push[0].name}"
  }
}
