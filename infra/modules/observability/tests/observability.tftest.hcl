mock_provider "aws" {
  override_during = plan

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

run "releases_are_told_of" {
  command = plan

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.events[0].event_pattern) == {
      source = ["spillway"]
      detail = {
        release = { execution = [
          { prefix = "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:" },
          { prefix = "arn:aws:states:eu-west-1:123456789012:execution:spillway-retire:" },
          { prefix = "arn:aws:states:eu-west-1:123456789012:execution:spillway-rollback:" },
        ] }
        type     = ["approval-needed", "held", "page", "promoted", "refused", "retired", "rolled-back", "shifted", "started"]
        severity = ["critical", "info", "warning"]
      }
    }
    error_message = "Other events are told of than all of this engine's."
  }

  assert {
    condition     = aws_cloudwatch_event_target.text[0].arn == aws_sfn_state_machine.publisher[0].arn && aws_cloudwatch_event_target.text[0].dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn && length(aws_cloudwatch_event_target.chat) == 0
    error_message = "An event does not go to the publisher alone, or has no dead-letter queue."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.events[0].name == "spillway-release-events" && jsondecode(aws_sqs_queue_policy.undelivered[0].policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:events:eu-west-1:123456789012:rule/spillway-release-events"
    error_message = "The queue does not take what the rule cannot deliver, or takes others'."
  }
}

run "messages_are_the_events_text" {
  command = plan

  assert {
    condition = jsondecode(aws_sfn_state_machine.publisher[0].definition).States.Publish.Arguments == {
      TopicArn = "arn:aws:sns:eu-west-1:123456789012:spillway-releases"
      Subject  = "{% 'Spillway: ' & $states.input.detail.service & ' ' & $states.input.detail.type %}"
      Message  = "{% $states.input.detail.text %}"
      MessageAttributes = {
        type     = { DataType = "String", StringValue = "{% $states.input.detail.type %}" }
        severity = { DataType = "String", StringValue = "{% $states.input.detail.severity %}" }
      }
    }
    error_message = "What is published is not the event's text."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.publisher[0].policy).Statement == [{ Sid = "Publish", Effect = "Allow", Action = ["sns:Publish"], Resource = ["arn:aws:sns:eu-west-1:123456789012:spillway-releases"] }]
    error_message = "The publisher may do more than publish to its topic."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.rule[0].policy).Statement[0].Resource == ["arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-publisher"] && jsondecode(aws_iam_role.rule[0].assume_role_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:events:eu-west-1:123456789012:rule/spillway-release-events"
    error_message = "The rule may start something else than the publisher, or something else may."
  }
}

run "who_is_not_told_is_noticed" {
  command = plan

  assert {
    condition = jsonencode({
      for query in aws_cloudwatch_metric_alarm.untold[0].metric_query : query.id => one(query.metric).dimensions if query.id != "total"
      }) == jsonencode({
      kept      = { QueueName = "spillway-releases-undelivered" }
      failed    = { StateMachineArn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-publisher" }
      timed_out = { StateMachineArn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-publisher" }
    }) && aws_cloudwatch_metric_alarm.untold[0].alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:spillway-pages"])
    error_message = "Nobody notices that nobody is told."
  }
}

# The names that rules and filters wait for are those of the code.
run "what_is_waited_for_exists" {
  command = plan

  assert {
    condition = alltrue([
      for type in jsondecode(aws_cloudwatch_event_rule.events[0].event_pattern).detail.type :
      strcontains(file("../../../functions/core/src/event/mod.rs"), "=> \"${type}\"")
    ])
    error_message = "The rule waits for events that nobody tells."
  }

  assert {
    condition = alltrue([
      for state in flatten([for filter in values(aws_cloudwatch_log_metric_filter.this) : regexall("details.name = \"([A-Za-z]+)\"", filter.pattern)]) :
      contains(keys(jsondecode(file("../../../statemachine/release.asl.json")).States), state)
    ])
    error_message = "A filter waits for a state that does not exist."
  }

  assert {
    condition = alltrue([
      for name, log in { held = "evaluate-health", shifted = "shift-weight" } : alltrue([
        for message in flatten(regexall("message = \"([a-z ]+)\"", aws_cloudwatch_log_metric_filter.this[name].pattern)) :
        strcontains(file("../../../functions/${log}/src/lib.rs"), "\"${message}\"")
      ])
    ])
    error_message = "A filter waits for a message that the function does not log."
  }

  assert {
    condition     = strcontains(file("../../../functions/core/src/decision/mod.rs"), "    ${one(flatten(regexall("decision = \"([A-Za-z]+)\"", aws_cloudwatch_log_metric_filter.this["held"].pattern)))},\n")
    error_message = "A hold has another name."
  }
}

run "defaults" {
  command = plan

  assert {
    condition     = length(aws_cloudtrail.this) == 0 && length(aws_s3_bucket.trail) == 0 && output.trail_bucket == null
    error_message = "There is a trail that nobody asked for."
  }

  assert {
    condition     = length(aws_chatbot_slack_channel_configuration.this) == 0 && length(aws_iam_role.slack) == 0 && length(aws_sns_topic_subscription.releases) == 0
    error_message = "Somebody is told who was not named."
  }

  assert {
    condition     = keys(aws_cloudwatch_log_metric_filter.this) == ["held", "promoted", "refused", "rolled_back", "shifted", "started"]
    error_message = "The metrics are not the documented ones."
  }

  assert {
    condition     = toset([for query in values(aws_cloudwatch_query_definition.this) : query.name]) == toset([for name in ["decisions", "durations", "errors", "failed-states", "holds", "one-release", "weights"] : "spillway/${name}"]) && alltrue([for query in values(aws_cloudwatch_query_definition.this) : length(query.log_group_names) > 0])
    error_message = "The queries are not the documented ones."
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this["errors"].log_group_names) == 6 && length(aws_cloudwatch_query_definition.this["failed-states"].log_group_names) == 4
    error_message = "A query does not look into all functions' or all machines' logs."
  }
}

run "events_can_be_chosen" {
  command = plan

  variables {
    events     = ["page", "promoted"]
    severities = ["critical"]
    metrics    = false
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.events[0].event_pattern).detail.type == ["page", "promoted"] && jsondecode(aws_cloudwatch_event_rule.events[0].event_pattern).detail.severity == ["critical"] && length(aws_cloudwatch_log_metric_filter.this) == 0
    error_message = "Something else is told of than was chosen."
  }
}

run "nothing_is_told_of" {
  command = plan

  variables {
    events = []
    slack  = { team_id = "T0123ABCD", channel_id = "C0123ABCD" }
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.events) == 0 && length(aws_sfn_state_machine.publisher) == 0 && length(aws_sns_topic_policy.chat) == 0 && output.rule_arn == null
    error_message = "Something is told of though nothing was asked for."
  }

  assert {
    condition     = aws_chatbot_slack_channel_configuration.this[0].sns_topic_arns == toset(["arn:aws:sns:eu-west-1:123456789012:spillway-pages"])
    error_message = "The channel is not told of pages alone."
  }
}

run "a_trail_is_kept_safe" {
  command = plan

  variables {
    cloudtrail                = true
    cloudtrail_retention_days = 30
    cloudtrail_force_destroy  = true
  }

  assert {
    condition     = aws_s3_bucket.trail[0].bucket == "spillway-trail-123456789012-eu-west-1" && aws_s3_bucket.trail[0].force_destroy && aws_s3_bucket_lifecycle_configuration.trail[0].rule[0].expiration[0].days == 30
    error_message = "The bucket is not the documented one."
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.trail[0].block_public_acls && aws_s3_bucket_public_access_block.trail[0].block_public_policy &&
      aws_s3_bucket_public_access_block.trail[0].ignore_public_acls && aws_s3_bucket_public_access_block.trail[0].restrict_public_buckets &&
      aws_s3_bucket_versioning.trail[0].versioning_configuration[0].status == "Enabled"
    )
    error_message = "The bucket may be public, or has no versions."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_server_side_encryption_configuration.trail[0].rule : one(rule.apply_server_side_encryption_by_default).sse_algorithm]) == "AES256"
    error_message = "The bucket is not encrypted."
  }

  assert {
    condition = {
      for statement in jsondecode(aws_s3_bucket_policy.trail[0].policy).Statement : statement.Sid => [statement.Effect, statement.Action] } == {
      TheTrailLooks    = ["Allow", "s3:GetBucketAcl"]
      TheTrailWrites   = ["Allow", "s3:PutObject"]
      NobodyInTheClear = ["Deny", "s3:*"]
    }
    error_message = "The bucket's policy is not the expected one."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.trail[0].policy).Statement :
      statement.Condition.StringEquals["aws:SourceArn"] == "arn:aws:cloudtrail:eu-west-1:123456789012:trail/spillway" && statement.Condition.StringEquals["aws:SourceAccount"] == "123456789012"
      if statement.Effect == "Allow"
    ])
    error_message = "Another trail may write into the bucket."
  }

  assert {
    condition     = aws_cloudtrail.this[0].enable_log_file_validation && aws_cloudtrail.this[0].event_selector[0].read_write_type == "WriteOnly" && aws_cloudtrail.this[0].name == "spillway"
    error_message = "The trail does not record changes, or can be tampered with."
  }
}

run "slack_is_told_of_releases_and_pages" {
  command = plan

  override_resource {
    target          = aws_sns_topic.chat[0]
    override_during = plan
    values          = { arn = "arn:aws:sns:eu-west-1:123456789012:spillway-releases-chat" }
  }

  variables {
    slack                    = { team_id = "T0123ABCD", channel_id = "C0123ABCD" }
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_chatbot_slack_channel_configuration.this[0].sns_topic_arns == toset(["arn:aws:sns:eu-west-1:123456789012:spillway-pages", "arn:aws:sns:eu-west-1:123456789012:spillway-releases-chat"])
    error_message = "The channel is not told of releases and pages."
  }

  # The form that a chat integration shows.
  assert {
    condition = (
      aws_cloudwatch_event_target.chat[0].arn == "arn:aws:sns:eu-west-1:123456789012:spillway-releases-chat" &&
      jsondecode(aws_cloudwatch_event_target.chat[0].input_transformer[0].input_template).version == "1.0" &&
      jsondecode(aws_cloudwatch_event_target.chat[0].input_transformer[0].input_template).source == "custom" &&
      length(setsubtract(flatten(regexall("<([a-z]+)>", aws_cloudwatch_event_target.chat[0].input_transformer[0].input_template)), keys(aws_cloudwatch_event_target.chat[0].input_transformer[0].input_paths))) == 0 &&
      !strcontains(aws_cloudwatch_event_target.chat[0].input_transformer[0].input_template, "\\u003c")
    )
    error_message = "A message is not one that a chat integration shows, or has a placeholder without a path."
  }

  assert {
    condition     = jsondecode(aws_sns_topic_policy.chat[0].policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:events:eu-west-1:123456789012:rule/spillway-release-events"
    error_message = "The chat's topic does not take messages of the rule alone."
  }

  assert {
    condition     = aws_chatbot_slack_channel_configuration.this[0].guardrail_policy_arns == tolist(["arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"]) && aws_iam_role.slack[0].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "The channel's members may do more than look."
  }

  assert {
    condition = jsondecode(aws_iam_role.slack[0].assume_role_policy).Statement[0].Condition == {
      StringEquals = { "aws:SourceAccount" = "123456789012" }
      ArnLike      = { "aws:SourceArn" = "arn:aws:chatbot::123456789012:chat-configuration/slack-channel/spillway" }
    }
    error_message = "The role trusts other channels."
  }

  assert {
    condition     = alltrue([for action in jsondecode(aws_iam_role_policy.slack[0].policy).Statement[0].Action : can(regex("^cloudwatch:(Describe|Get|List)[A-Za-z]+$", action))])
    error_message = "The role may do more than read metrics."
  }
}

run "a_key_encrypts_what_is_stored" {
  command = plan

  variables {
    cloudtrail  = true
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11112222-3333-4444-5555-666677778888"
  }

  assert {
    condition = (
      aws_sns_topic.releases.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.undelivered.kms_master_key_id == var.kms_key_arn &&
      aws_cloudtrail.this[0].kms_key_id == var.kms_key_arn && jsondecode(aws_iam_role_policy.publisher[0].policy).Statement[1].Resource == [var.kms_key_arn] &&
      one([for rule in aws_s3_bucket_server_side_encryption_configuration.trail[0].rule : one(rule.apply_server_side_encryption_by_default).kms_master_key_id]) == var.kms_key_arn
    )
    error_message = "Something is stored without the key."
  }
}

run "subscriptions_and_tags" {
  command = plan

  variables {
    subscriptions = [{ protocol = "email", endpoint = "team@example.com" }]
    tags          = { team = "shop" }
  }

  assert {
    condition     = [for subscription in values(aws_sns_topic_subscription.releases) : [subscription.protocol, subscription.endpoint]] == [["email", "team@example.com"]] && aws_sns_topic.releases.tags == tomap({ team = "shop", "spillway:engine" = "spillway" })
    error_message = "The team is not told, or the topic not tagged."
  }
}

run "queries_can_be_left_out" {
  command = plan

  variables {
    log_queries = false
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == 0
    error_message = "Nobody asked for saved queries."
  }
}
