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
    function_role_arns = { for name in ["evaluate-health", "plan-release", "prepare-candidate", "rollback", "shift-weight", "teardown"] : name => "arn:aws:iam::123456789012:role/spillway-${name}" }
  }
}

run "releases_are_told_of" {
  command = plan

  assert {
    condition     = keys(aws_cloudwatch_event_rule.this) == ["died", "page", "promoted", "refused", "rolled_back", "shifted", "started", "undone"]
    error_message = "A rule is missing."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.this["started"].event_pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        status = ["RUNNING"]
        stateMachineArn = [
          "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release",
          "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live",
        ]
      }
    }
    error_message = "The start of a release is not what is told of."
  }

  assert {
    condition = {
      for name in ["promoted", "rolled_back", "refused", "undone", "died", "page"] :
      name => [jsondecode(aws_cloudwatch_event_rule.this[name].event_pattern).detail.status, length(jsondecode(aws_cloudwatch_event_rule.this[name].event_pattern).detail.stateMachineArn)]
      } == {
      promoted    = [["SUCCEEDED"], 2]
      rolled_back = [["FAILED"], 2]
      refused     = [["FAILED"], 2]
      undone      = [["SUCCEEDED"], 2]
      died        = [["ABORTED", "TIMED_OUT"], 4]
      page        = [["FAILED"], 4]
    }
    error_message = "An ending is told of by other statuses or machines."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.this["promoted"].event_pattern).detail["$or"][0] == { output = [{ wildcard = "*\"promoted\"*" }] } && jsondecode(aws_cloudwatch_event_rule.this["undone"].event_pattern).detail["$or"][0] == { output = [{ wildcard = "*\"rolled_back\"*" }] }
    error_message = "A promotion or an undo is told by another outcome."
  }

  # No ending is told of twice.
  assert {
    condition = toset(jsondecode(aws_cloudwatch_event_rule.this["refused"].event_pattern).detail.error[0].anything-but) == toset(concat(
      jsondecode(aws_cloudwatch_event_rule.this["rolled_back"].event_pattern).detail["$or"][0].error,
      jsondecode(aws_cloudwatch_event_rule.this["page"].event_pattern).detail.error,
    ))
    error_message = "What is refused is not what neither rolled back nor failed to."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.this["shifted"].event_pattern).detail == {
      eventSource  = ["elasticloadbalancing.amazonaws.com"]
      eventName    = ["ModifyListener", "ModifyRule"]
      errorCode    = [{ exists = false }]
      userIdentity = { sessionContext = { sessionIssuer = { arn = ["arn:aws:iam::123456789012:role/spillway-rollback", "arn:aws:iam::123456789012:role/spillway-shift-weight"] } } }
    }
    error_message = "A shift is not what the two functions' roles do to routes."
  }
}

# The names that rules and filters wait for are those of the code.
run "what_is_waited_for_exists" {
  command = plan

  assert {
    condition = alltrue([
      for error in concat(
        jsondecode(aws_cloudwatch_event_rule.this["rolled_back"].event_pattern).detail["$or"][0].error,
        jsondecode(aws_cloudwatch_event_rule.this["page"].event_pattern).detail.error,
      ) : jsondecode(file("../../../statemachine/release.asl.json")).States[error].Error == error
    ])
    error_message = "A release ends in other errors."
  }

  assert {
    condition = (
      jsondecode(aws_cloudwatch_event_rule.this["promoted"].event_pattern).detail["$or"][0].output[0].wildcard == "*\"${jsondecode(file("../../../statemachine/release.asl.json")).States.Promoted.Output.outcome}\"*" &&
      jsondecode(aws_cloudwatch_event_rule.this["undone"].event_pattern).detail["$or"][0].output[0].wildcard == "*\"${jsondecode(file("../../../statemachine/rollback.asl.json")).States.RolledBack.Output.outcome}\"*"
    )
    error_message = "A promotion or an undo has another outcome."
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

run "messages_are_for_people_and_for_chats" {
  command = plan

  assert {
    condition = alltrue([
      for name, target in aws_cloudwatch_event_target.this :
      jsondecode(target.input_transformer[0].input_template).version == "1.0" &&
      jsondecode(target.input_transformer[0].input_template).source == "custom" &&
      length(jsondecode(target.input_transformer[0].input_template).content.description) > 0 &&
      jsondecode(target.input_transformer[0].input_template).metadata.eventType == name
    ])
    error_message = "A message is not one that a chat integration shows."
  }

  assert {
    condition = alltrue([
      for target in values(aws_cloudwatch_event_target.this) :
      length(setsubtract(flatten(regexall("<([a-z]+)>", target.input_transformer[0].input_template)), keys(target.input_transformer[0].input_paths))) == 0 &&
      !strcontains(target.input_transformer[0].input_template, "\\u003c") && strcontains(target.input_transformer[0].input_template, "<execution>")
    ])
    error_message = "A message has a placeholder without a path, or none."
  }

  assert {
    condition     = alltrue([for target in values(aws_cloudwatch_event_target.this) : target.arn == aws_sns_topic.releases.arn && target.dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn])
    error_message = "A message does not go to the topic, or has no dead-letter queue."
  }

  assert {
    condition     = jsondecode(aws_sns_topic_policy.releases[0].policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == jsondecode(aws_sqs_queue_policy.undelivered[0].policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] && toset(jsondecode(aws_sns_topic_policy.releases[0].policy).Statement[0].Condition.ArnEquals["aws:SourceArn"]) == toset([for rule in values(aws_cloudwatch_event_rule.this) : "arn:aws:events:eu-west-1:123456789012:rule/${rule.name}"])
    error_message = "Topic and queue do not take messages of the rules, and of no others."
  }

  assert {
    condition     = jsondecode(aws_sns_topic_policy.releases[0].policy).Statement[1].Condition.ArnEquals["aws:SourceArn"] == ["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:${aws_cloudwatch_metric_alarm.held[0].alarm_name}"]
    error_message = "The topic does not take messages of the alarm."
  }
}

run "a_hold_is_an_alarm" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.held[0].metric_name == aws_cloudwatch_log_metric_filter.this["held"].metric_transformation[0].name &&
      aws_cloudwatch_metric_alarm.held[0].namespace == aws_cloudwatch_log_metric_filter.this["held"].metric_transformation[0].namespace &&
      aws_cloudwatch_metric_alarm.held[0].alarm_actions == toset([aws_sns_topic.releases.arn]) &&
      aws_cloudwatch_metric_alarm.held[0].treat_missing_data == "notBreaching"
    )
    error_message = "The alarm does not watch the holds, or does not tell of them."
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
    events  = ["page", "promoted"]
    metrics = false
  }

  assert {
    condition     = keys(aws_cloudwatch_event_rule.this) == ["page", "promoted"] && length(aws_cloudwatch_metric_alarm.held) == 0 && length(aws_cloudwatch_log_metric_filter.this) == 0
    error_message = "Something else is told of than was chosen."
  }

  assert {
    condition     = length(jsondecode(aws_sns_topic_policy.releases[0].policy).Statement) == 1
    error_message = "The topic takes messages of an alarm that is not there."
  }
}

run "a_hold_is_counted_where_it_is_told_of" {
  command = plan

  variables {
    events      = ["held"]
    metrics     = false
    log_queries = false
  }

  assert {
    condition     = keys(aws_cloudwatch_log_metric_filter.this) == ["held"] && length(aws_cloudwatch_metric_alarm.held) == 1 && length(aws_sqs_queue_policy.undelivered) == 0 && length(aws_cloudwatch_query_definition.this) == 0
    error_message = "The hold's metric is not there, or others are."
  }

  assert {
    condition     = jsondecode(aws_sns_topic_policy.releases[0].policy).Statement[0].Sid == "FromTheAlarm"
    error_message = "The topic does not take the alarm's messages."
  }
}

run "nothing_is_told_of" {
  command = plan

  variables {
    events = []
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.this) == 0 && length(aws_sns_topic_policy.releases) == 0
    error_message = "Something is told of though nothing was asked for."
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

  variables {
    slack                    = { team_id = "T0123ABCD", channel_id = "C0123ABCD" }
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_chatbot_slack_channel_configuration.this[0].sns_topic_arns == toset(["arn:aws:sns:eu-west-1:123456789012:spillway-pages", "arn:aws:sns:eu-west-1:123456789012:spillway-releases"])
    error_message = "The channel is not told of releases and pages."
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
      aws_cloudtrail.this[0].kms_key_id == var.kms_key_arn &&
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
