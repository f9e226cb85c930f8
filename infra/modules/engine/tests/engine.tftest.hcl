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

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/some-role" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:some-group" }
  }

  mock_resource "aws_sfn_state_machine" {
    defaults = {
      arn                       = "arn:aws:states:eu-west-1:123456789012:stateMachine:some-machine"
      state_machine_version_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:some-machine:7"
    }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:spillway-pages" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:spillway-guard-undelivered" }
  }

  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/spillway-leases" }
  }
}

override_resource {
  target          = aws_lambda_function.this["announce"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-announce"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-announce:7"
  }
}

override_resource {
  target          = aws_lambda_function.this["evaluate-health"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-evaluate-health"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-evaluate-health:7"
  }
}

override_resource {
  target          = aws_lambda_function.this["plan-release"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-plan-release"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-plan-release:7"
  }
}

override_resource {
  target          = aws_lambda_function.this["prepare-candidate"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate:7"
  }
}

override_resource {
  target          = aws_lambda_function.this["rollback"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback:7"
  }
}

override_resource {
  target          = aws_lambda_function.this["shift-weight"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-shift-weight"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-shift-weight:7"
  }
}

override_resource {
  target          = aws_lambda_function.this["teardown"]
  override_during = plan
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-teardown"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-teardown:7"
  }
}

override_resource {
  target          = aws_sfn_alias.live["guard"]
  override_during = plan
  values          = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-guard:live" }
}

override_resource {
  target          = aws_sfn_alias.live["release"]
  override_during = plan
  values          = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live" }
}

override_resource {
  target          = aws_sfn_alias.live["retire"]
  override_during = plan
  values          = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live" }
}

override_resource {
  target          = aws_sfn_alias.live["rollback"]
  override_during = plan
  values          = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback:live" }
}

variables {
  package_directory = "tests/packages"
}

run "the_machines_are_the_files_of_the_repository" {
  command = plan

  assert {
    condition = alltrue([
      for machine in values(aws_sfn_state_machine.this) :
      can(jsondecode(machine.definition).States) && length(regexall("\\$\\{", machine.definition)) == 0
    ])
    error_message = "A definition is not JSON, or has a placeholder left."
  }

  # The same text with the values put in one after the other: functions by version, machines by alias.
  assert {
    condition = alltrue([
      for name, machine in aws_sfn_state_machine.this :
      machine.definition == replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        file("../../../statemachine/${name}.asl.json"),
        "$${evaluate_health_arn}", "arn:aws:lambda:eu-west-1:123456789012:function:spillway-evaluate-health:7"),
        "$${plan_release_arn}", "arn:aws:lambda:eu-west-1:123456789012:function:spillway-plan-release:7"),
        "$${prepare_candidate_arn}", "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate:7"),
        "$${rollback_arn}", "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback:7"),
        "$${shift_weight_arn}", "arn:aws:lambda:eu-west-1:123456789012:function:spillway-shift-weight:7"),
        "$${teardown_arn}", "arn:aws:lambda:eu-west-1:123456789012:function:spillway-teardown:7"),
        "$${retire_state_machine_arn}", "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live"),
        "$${rollback_state_machine_arn}", "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback:live"),
        "$${lease_table}", "spillway-leases"),
        "$${lease_milliseconds}", "95000"),
        "$${parameter_prefix}", "/spillway/services/"),
      "$${page_topic_arn}", "arn:aws:sns:eu-west-1:123456789012:spillway-pages")
    ])
    error_message = "A definition is not its file with the documented values."
  }
}

run "machines_are_versioned_and_logged_without_data" {
  command = plan

  assert {
    condition     = toset(keys(aws_sfn_state_machine.this)) == toset(["guard", "release", "retire", "rollback"]) && alltrue([for machine in values(aws_sfn_state_machine.this) : machine.publish && machine.type == "STANDARD"])
    error_message = "The machines are not four of type STANDARD with versions."
  }

  assert {
    condition     = alltrue([for machine in values(aws_sfn_state_machine.this) : !machine.logging_configuration[0].include_execution_data && machine.logging_configuration[0].level == "ALL" && machine.tracing_configuration[0].enabled])
    error_message = "A machine logs execution data, or not everything else, or is not traced."
  }

  assert {
    condition     = alltrue([for alias in values(aws_sfn_alias.live) : alias.name == "live" && alias.routing_configuration[0].weight == 100 && endswith(alias.routing_configuration[0].state_machine_version_arn, ":7")])
    error_message = "An alias is not the latest version."
  }

  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.functions), values(aws_cloudwatch_log_group.machines)) : group.retention_in_days == 90 && group.kms_key_id == null])
    error_message = "A log group is not kept for 90 days by default."
  }
}

run "functions_are_small_and_pinned" {
  command = plan

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this :
      function.function_name == "spillway-${name}" && function.runtime == "provided.al2023" && function.memory_size == 128 &&
      function.timeout == 30 && function.publish && function.architectures[0] == "x86_64" && function.tracing_config[0].mode == "Active" &&
      function.filename == "tests/packages/${name}.zip" && function.source_code_hash == filebase64sha256("tests/packages/${name}.zip")
    ])
    error_message = "A function is not configured as documented."
  }

  assert {
    condition     = alltrue([for function in values(aws_lambda_function.this) : function.environment[0].variables == tomap({ SPILLWAY_LEASE_TABLE = "spillway-leases" })])
    error_message = "A function's environment is not the lease table alone."
  }

  assert {
    condition     = length(distinct(values(aws_iam_role.functions)[*].name)) == 7 && alltrue([for name, role in aws_iam_role.functions : role.name == "spillway-${name}"])
    error_message = "The functions do not have a role each."
  }

  assert {
    condition     = alltrue([for name, policy in aws_iam_role_policy.functions : policy.policy == module.permissions.functions[name]]) && alltrue([for name, policy in aws_iam_role_policy.machines : policy.policy == module.permissions.machines[name]])
    error_message = "A role's policy is not the one of permissions.json."
  }
}

run "roles_trust_one_resource_of_this_account" {
  command = plan

  assert {
    condition = alltrue([
      for name, role in aws_iam_role.functions : jsondecode(role.assume_role_policy).Statement == [{
        Effect    = "Allow"
        Principal = { Service = "lambda.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = { "aws:SourceAccount" = "123456789012" }
          ArnLike      = { "aws:SourceArn" = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-${name}" }
        }
      }]
    ])
    error_message = "A function's role trusts others than that function."
  }

  assert {
    condition = alltrue([
      for name, role in aws_iam_role.machines : jsondecode(role.assume_role_policy).Statement == [{
        Effect    = "Allow"
        Principal = { Service = "states.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = { "aws:SourceAccount" = "123456789012" }
          ArnLike      = { "aws:SourceArn" = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-${name}" }
        }
      }]
    ])
    error_message = "A machine's role trusts others than that machine."
  }

  assert {
    condition = jsondecode(aws_iam_role.guard_events.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = "123456789012" }
        ArnLike = { "aws:SourceArn" = [
          "arn:aws:events:eu-west-1:123456789012:rule/spillway-guard-ended",
          "arn:aws:events:eu-west-1:123456789012:rule/spillway-guard-recovered",
          "arn:aws:events:eu-west-1:123456789012:rule/spillway-guard-schedule",
        ] }
      }
    }]
    error_message = "The role of the guard's rules trusts others than those."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.guard_events.policy).Statement == [{
      Sid      = "StartTheGuard"
      Effect   = "Allow"
      Action   = ["states:StartExecution"]
      Resource = ["arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-guard"]
    }]
    error_message = "The guard's rules may do more than start the guard."
  }
}

run "leases_are_recoverable" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.leases.hash_key == "service" && aws_dynamodb_table.leases.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.leases.point_in_time_recovery[0].enabled
    error_message = "The table is not keyed by service, on demand, with point-in-time recovery."
  }

  assert {
    condition = [for index in aws_dynamodb_table.leases.global_secondary_index : [index.name, index.hash_key, index.projection_type, tolist(index.non_key_attributes)]] == [
      ["owner", "owner", "INCLUDE", tolist(["fence"])]
    ]
    error_message = "The index is not the one that the guard scans."
  }

  assert {
    condition     = length(aws_dynamodb_table.leases.server_side_encryption) == 0 && !aws_dynamodb_table.leases.deletion_protection_enabled
    error_message = "The table's defaults are not the documented ones."
  }
}

run "the_guard_is_started_by_ends_and_on_a_schedule" {
  command = plan

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.guard["ended"].event_pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        status = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
        stateMachineArn = [
          "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release",
          "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live",
          "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire",
          "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live",
        ]
      }
    }
    error_message = "The guard is not started by every end of releases and retirements."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.guard["recovered"].event_pattern).detail == {
      status = ["SUCCEEDED"]
      stateMachineArn = [
        "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback",
        "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback:live",
      ]
    }
    error_message = "The guard is not started by successful undos alone."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.guard["schedule"].schedule_expression == "rate(10 minutes)" && aws_cloudwatch_event_rule.guard["schedule"].event_pattern == null
    error_message = "The guard's schedule is not every 10 minutes."
  }

  assert {
    condition = alltrue([
      for target in values(aws_cloudwatch_event_target.guard) :
      target.arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-guard:live" &&
      target.dead_letter_config[0].arn == "arn:aws:sqs:eu-west-1:123456789012:spillway-guard-undelivered"
    ])
    error_message = "A rule does not start the guard, or has no dead-letter queue."
  }

  assert {
    condition = jsondecode(aws_sqs_queue_policy.undelivered.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == [
      for name in ["ended", "recovered", "schedule"] : "arn:aws:events:eu-west-1:123456789012:rule/spillway-guard-${name}"
    ]
    error_message = "The queue takes messages of others than the guard's rules."
  }

  assert {
    condition     = aws_sqs_queue.undelivered.sqs_managed_sse_enabled && aws_sqs_queue.undelivered.message_retention_seconds == 1209600
    error_message = "The queue is not encrypted, or does not keep messages for 14 days."
  }
}

run "beginnings_ends_and_pages_are_announced" {
  command = plan

  assert {
    condition = { for name, rule in aws_cloudwatch_event_rule.announce : name => jsondecode(rule.event_pattern).detail } == {
      begun = {
        status          = ["RUNNING"]
        stateMachineArn = ["arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release", "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live"]
      }
      ended = {
        status = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
        stateMachineArn = flatten([
          for name in ["release", "retire", "rollback"] : [
            "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-${name}", "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-${name}:live",
          ]
        ])
      }
    }
    error_message = "Other executions are announced than releases that begin, and all that end."
  }

  assert {
    condition = alltrue([
      for target in values(aws_cloudwatch_event_target.announce) :
      target.arn == "arn:aws:lambda:eu-west-1:123456789012:function:spillway-announce" && target.dead_letter_config[0].arn == aws_sqs_queue.unannounced.arn
    ])
    error_message = "A rule does not invoke announce, or has no dead-letter queue."
  }

  assert {
    condition = (
      aws_sns_topic_subscription.announce.endpoint == "arn:aws:lambda:eu-west-1:123456789012:function:spillway-announce" &&
      jsondecode(aws_sns_topic_subscription.announce.filter_policy) == { execution = [{ exists = true }] } && aws_sns_topic_subscription.announce.filter_policy_scope == "MessageBody"
    )
    error_message = "announce does not hear of the machines' pages alone."
  }

  # What the machines page with has the field that the subscription asks for.
  assert {
    condition = alltrue(flatten([
      for machine in values(aws_sfn_state_machine.this) : [
        for state in values(jsondecode(machine.definition).States) : can(state.Arguments.Message.execution)
        if try(state.Resource, "") == "arn:aws:states:::sns:publish"
      ]
    ]))
    error_message = "A page does not tell its execution."
  }

  assert {
    condition = { for permission in concat(values(aws_lambda_permission.announce), [aws_lambda_permission.announce_pages]) : permission.source_arn => permission.principal } == {
      "arn:aws:events:eu-west-1:123456789012:rule/spillway-announce-begun" = "events.amazonaws.com"
      "arn:aws:events:eu-west-1:123456789012:rule/spillway-announce-ended" = "events.amazonaws.com"
      (aws_sns_topic.pages.arn)                                            = "sns.amazonaws.com"
    }
    error_message = "Others than the rules and the topic may invoke announce."
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.announce.maximum_retry_attempts == 2 && aws_lambda_function_event_invoke_config.announce.destination_config[0].on_failure[0].destination == aws_sqs_queue.unannounced.arn
    error_message = "What announce cannot tell is not kept."
  }

  assert {
    condition = {
      for statement in jsondecode(aws_sqs_queue_policy.unannounced.policy).Statement : statement.Principal.Service => statement.Condition.ArnEquals["aws:SourceArn"] } == {
      "events.amazonaws.com" = ["arn:aws:events:eu-west-1:123456789012:rule/spillway-announce-begun", "arn:aws:events:eu-west-1:123456789012:rule/spillway-announce-ended"]
      "sns.amazonaws.com"    = ["arn:aws:sns:eu-west-1:123456789012:spillway-pages"]
    }
    error_message = "The queue takes messages of others than the rules and the topic."
  }
}

run "every_alarm_is_there_and_the_urgent_ones_page" {
  command = plan

  variables {
    alarm_actions = ["arn:aws:sns:eu-west-1:123456789012:team"]
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => contains(alarm.alarm_actions, "arn:aws:sns:eu-west-1:123456789012:spillway-pages") } == {
      guard_failing     = true
      guard_silent      = true
      page_undelivered  = false
      release_died      = false
      retirement_failed = false
      rollback_erring   = true
      rollback_failed   = true
      throttled         = false
      unannounced       = false
      undelivered       = true
    }
    error_message = "Other alarms page than the documented ones."
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.this) : contains(alarm.alarm_actions, "arn:aws:sns:eu-west-1:123456789012:team") && alarm.ok_actions == alarm.alarm_actions])
    error_message = "An alarm does not tell the team."
  }

  assert {
    condition     = toset([for filter in values(aws_cloudwatch_log_metric_filter.rollback_failed) : filter.pattern]) == toset(["{ ($.type = \"FailStateEntered\") && ($.details.name = \"RollBackFailed\") }"]) && length(aws_cloudwatch_log_metric_filter.rollback_failed) == 2
    error_message = "A failed rollback is not counted in both machines' logs."
  }

  # The name that the filter waits for is a state of both machines.
  assert {
    condition     = alltrue([for name in keys(aws_cloudwatch_log_metric_filter.rollback_failed) : jsondecode(file("../../../statemachine/${name}.asl.json")).States.RollBackFailed.Type == "Fail"])
    error_message = "The state that a failed rollback ends in has another name."
  }

  assert {
    condition = [for query in aws_cloudwatch_metric_alarm.this["rollback_failed"].metric_query : "${query.metric[0].namespace} ${query.metric[0].metric_name}" if length(query.metric) > 0] == [
      "${aws_cloudwatch_log_metric_filter.rollback_failed["release"].metric_transformation[0].namespace} ${aws_cloudwatch_log_metric_filter.rollback_failed["release"].metric_transformation[0].name}"
    ]
    error_message = "The alarm does not watch what the filters count."
  }

  # What is watched, over which period in seconds, and how often of how many it must be so.
  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.this : name => join(" ", concat(
        distinct(flatten([for query in alarm.metric_query : [for metric in query.metric : "${metric.metric_name}/${metric.period}"]])),
        [alarm.comparison_operator == "LessThanThreshold" ? "<" : ">=", tostring(alarm.threshold), "${alarm.datapoints_to_alarm}/${alarm.evaluation_periods}"],
      ))
      } == {
      guard_failing     = "ExecutionsFailed/600 ExecutionsTimedOut/600 ExecutionsAborted/600 >= 1 2/3"
      guard_silent      = "ExecutionsStarted/600 < 1 3/3"
      page_undelivered  = "NumberOfNotificationsFailed/300 >= 1 1/1"
      release_died      = "ExecutionsAborted/300 ExecutionsTimedOut/300 >= 1 1/1"
      retirement_failed = "ExecutionsFailed/300 ExecutionsTimedOut/300 ExecutionsAborted/300 >= 1 1/1"
      rollback_erring   = "Errors/300 >= 5 1/1"
      rollback_failed   = "RollbackFailed/60 >= 1 1/1"
      throttled         = "Throttles/300 >= 1 2/2"
      unannounced       = "ApproximateNumberOfMessagesVisible/300 >= 1 1/1"
      undelivered       = "ApproximateNumberOfMessagesVisible/300 >= 1 1/1"
    }
    error_message = "An alarm watches something else than is documented."
  }

  assert {
    condition = alltrue([
      for alarm in values(aws_cloudwatch_metric_alarm.this) :
      [for query in alarm.metric_query : query.expression if query.return_data] == ["SUM(FILL(METRICS(), 0))"]
    ])
    error_message = "An alarm is not on the sum of its metrics."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["guard_silent"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.this["guard_failing"].treat_missing_data == "notBreaching"
    error_message = "Silence is not what alarms only for the guard that should run."
  }
}

run "alarms_of_this_account_may_page" {
  command = plan

  assert {
    condition = jsondecode(aws_sns_topic_policy.pages.policy).Statement == [{
      Sid       = "FromAlarms"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = "arn:aws:sns:eu-west-1:123456789012:spillway-pages"
      Condition = {
        StringEquals = { "aws:SourceAccount" = "123456789012" }
        ArnLike      = { "aws:SourceArn" = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:*" }
      }
    }]
    error_message = "Others than this account's alarms may page, or those may not."
  }
}

run "alarms_can_be_chosen" {
  command = plan

  variables {
    alarms = ["guard_silent"]
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["guard_silent"] && length(aws_cloudwatch_log_metric_filter.rollback_failed) == 0
    error_message = "Other alarms are there than the one that was chosen."
  }
}

run "no_alarms" {
  command = plan

  variables {
    alarms = []
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0
    error_message = "There are alarms though none were asked for."
  }
}

run "a_key_encrypts_what_is_stored" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11112222-3333-4444-5555-666677778888"
  }

  assert {
    condition = (
      aws_dynamodb_table.leases.server_side_encryption[0].kms_key_arn == var.kms_key_arn &&
      aws_sns_topic.pages.kms_master_key_id == var.kms_key_arn &&
      aws_sqs_queue.undelivered.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.undelivered.sqs_managed_sse_enabled != true &&
      alltrue([for group in concat(values(aws_cloudwatch_log_group.functions), values(aws_cloudwatch_log_group.machines)) : group.kms_key_id == var.kms_key_arn]) &&
      alltrue([for function in values(aws_lambda_function.this) : function.kms_key_arn == var.kms_key_arn])
    )
    error_message = "Something is stored without the key."
  }

  assert {
    condition     = alltrue([for policy in concat(values(aws_iam_role_policy.functions), values(aws_iam_role_policy.machines)) : strcontains(policy.policy, var.kms_key_arn)])
    error_message = "A role may not use the key."
  }
}

run "a_boundary_bounds_every_role" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.functions), values(aws_iam_role.machines), [aws_iam_role.guard_events]) : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "A role has no boundary."
  }
}

run "toggles" {
  command = plan

  variables {
    name                   = "canal-2"
    tags                   = { team = "shop" }
    architecture           = "arm64"
    parameter_prefix       = "/canal/"
    allowed_homes          = ["eu-west-1:123456789012", "us-gov-west-1:210987654321"]
    log_retention_days     = 7
    log_execution_data     = true
    tracing                = false
    deletion_protection    = true
    guard_interval_minutes = 1
    page_subscriptions     = [{ protocol = "email", endpoint = "on-call@example.com" }]
    managed_arns           = { listener_rules = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc/f2f7/9683"] }
    hook_function_arns     = ["arn:aws:lambda:eu-west-1:123456789012:function:checkout-smoke:live"]
  }

  assert {
    condition     = alltrue([for function in values(aws_lambda_function.this) : function.architectures[0] == "arm64" && function.tracing_config[0].mode == "PassThrough" && startswith(function.function_name, "canal-2-")])
    error_message = "Architecture, tracing or name did not reach a function."
  }

  assert {
    condition     = { for name, function in aws_lambda_function.this : name => lookup(function.environment[0].variables, "SPILLWAY_ALLOWED_HOMES", "-") if lookup(function.environment[0].variables, "SPILLWAY_ALLOWED_HOMES", "-") != "-" } == { plan-release = "eu-west-1:123456789012,us-gov-west-1:210987654321" }
    error_message = "The allowed homes are not told to plan-release alone."
  }

  assert {
    condition     = alltrue([for machine in values(aws_sfn_state_machine.this) : machine.logging_configuration[0].include_execution_data && !machine.tracing_configuration[0].enabled && startswith(machine.name, "canal-2-")])
    error_message = "Logging of data, tracing or name did not reach a machine."
  }

  assert {
    condition     = aws_dynamodb_table.leases.deletion_protection_enabled && aws_dynamodb_table.leases.name == "canal-2-leases"
    error_message = "Protection or name did not reach the table."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.guard["schedule"].schedule_expression == "rate(1 minute)"
    error_message = "The guard's schedule is not every minute."
  }

  assert {
    condition     = [for subscription in values(aws_sns_topic_subscription.pages) : [subscription.protocol, subscription.endpoint]] == [["email", "on-call@example.com"]]
    error_message = "Nobody is paged."
  }

  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.functions), values(aws_cloudwatch_log_group.machines)) : group.retention_in_days == 7 && group.tags == tomap({ team = "shop", "spillway:engine" = "canal-2" })])
    error_message = "Retention or tags did not reach a log group."
  }

  assert {
    condition     = strcontains(aws_sfn_state_machine.this["release"].definition, "'/canal/'") && strcontains(aws_iam_role_policy.machines["release"].policy, ":parameter/canal/*")
    error_message = "The prefix did not reach the release."
  }

  assert {
    condition     = strcontains(aws_iam_role_policy.functions["rollback"].policy, "listener-rule/app/shop/50dc/f2f7/9683") && strcontains(aws_iam_role_policy.machines["rollback"].policy, "checkout-smoke:live")
    error_message = "What was named is not allowed."
  }
}

run "packages_must_exist" {
  command = plan

  variables {
    package_directory = "tests/nowhere"
  }

  expect_failures = [aws_lambda_function.this]
}
