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

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:spillway-releases" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/spillway-release-events" }
  }

  mock_resource "aws_sfn_state_machine" {
    defaults = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-publisher" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:spillway-releases-undelivered" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/spillway-slack" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::some-bucket" }
  }
}

variables {
  engine = {
    name               = "spillway"
    state_machine_arns = { for name in ["guard", "release", "retire", "rollback"] : name => "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-${name}" }
    page_topic_arn     = "arn:aws:sns:eu-west-1:123456789012:spillway-pages"
    log_group_names = merge(
      { for name in ["evaluate-health", "plan-release", "prepare-candidate", "rollback", "shift-weight", "teardown"] : name => "/aws/lambda/spillway-${name}" },
      { for name in ["guard", "release", "retire", "rollback"] : "machine/${name}" => "/aws/vendedlogs/states/spillway-${name}" },
    )
  }
}

run "it_can_be_applied_with_everything" {
  command = apply

  variables {
    cloudtrail    = true
    slack         = { team_id = "T0123ABCD", channel_id = "C0123ABCD" }
    subscriptions = [{ protocol = "email", endpoint = "team@example.com" }]
  }

  assert {
    condition     = output.topic_arn == "arn:aws:sns:eu-west-1:123456789012:spillway-releases" && output.metric_namespace == "Spillway/spillway"
    error_message = "The outputs are not those of the topic and the metrics."
  }

  assert {
    condition     = output.rule_arn != null && output.trail_bucket != null
    error_message = "The rule or the trail's bucket is not told of."
  }
}
