locals {
  table_parts = split(":", var.engine.lease_table_arn)
  partition   = local.table_parts[1]
  region      = local.table_parts[3]
  account     = local.table_parts[4]
  # IAM policies name the state machine, also where the alias is what is started.
  retire_arn = join(":", slice(split(":", var.engine.retire_state_machine_arn), 0, 7))

  tags = merge(var.tags, { "spillway:engine" = var.engine.name })

  # Roles have 64 characters at most.
  full_names = { for name in keys(var.services) : name => "${var.engine.name}-${name}" }
  names      = { for name, full in local.full_names : name => "${length(full) <= 48 ? full : "${substr(full, 0, 42)}-${substr(sha256(full), 0, 5)}"}-housekeeping" }

  schedules = merge([
    for name, service in var.services : {
      for what, schedule in {
        retire = { mode = "retire", at = var.idle_slots_schedule, does = "retires the slot that the latest promotion of ${name} left, if it still has no weight and no requests" }
        sleep  = { mode = "sleep", at = try(service.working_hours.sleep, null), does = "scales both slots of ${name} to zero, unless a release runs or a freeze is on, and lets no release start" }
        wake   = { mode = "wake", at = try(service.working_hours.wake, null), ends = service.expires_on, does = "scales both slots of ${name} to what they had, and lets releases start" }
        # Daily, should a release have kept it awake on its last day, or somebody have woken it since.
        expire = { mode = "sleep", at = service.expires_on == null ? null : "cron(0 0 * * ? *)", timezone = "UTC", starts = service.expires_on, does = "scales both slots of ${name}, which has expired, to zero" }
      } : "${name}-${what}" => merge({ timezone = var.timezone, starts = null, ends = null }, schedule, { service = name, what = what }) if schedule.at != null
    }
  ]...)

  # Scheduler refuses times that are past, also when something else is changed: a start that has come is left out, and what has
  # ended is switched off.
  days   = { for name, schedule in local.schedules : name => { for what in ["starts", "ends"] : what => schedule[what] == null ? null : "${schedule[what]}T00:00:00Z" } }
  past   = { for name, days in local.days : name => { for what, day in days : what => day == null ? false : timecmp(day, plantimestamp()) <= 0 } }
  start  = { for name, days in local.days : name => local.past[name].starts ? null : days.starts }
  finish = { for name, days in local.days : name => local.past[name].ends ? null : days.ends }
}

resource "aws_scheduler_schedule_group" "housekeeping" {
  name = "${var.engine.name}-housekeeping"
  tags = local.tags
}

resource "aws_scheduler_schedule" "service" {
  #checkov:skip=CKV_AWS_297:The input is one word, and no secret
  for_each = local.schedules

  name                         = "${trimsuffix(local.names[each.value.service], "-housekeeping")}-${each.value.what}"
  description                  = "${var.dry_run ? "Dry run: would tell that this " : ""}${each.value.does}"
  group_name                   = aws_scheduler_schedule_group.housekeeping.name
  schedule_expression          = each.value.at
  schedule_expression_timezone = each.value.timezone
  start_date                   = local.start[each.key]
  end_date                     = local.finish[each.key]
  state                        = local.past[each.key].ends ? "DISABLED" : "ENABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.service[each.value.service].arn
    role_arn = aws_iam_role.schedule.arn
    input    = jsonencode({ mode = each.value.mode })

    retry_policy {
      maximum_event_age_in_seconds = 900
      maximum_retry_attempts       = 10
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letter.arn
    }
  }
}

# Executions that could not be started.
resource "aws_sqs_queue" "dead_letter" {
  name                      = "${var.engine.name}-housekeeping-dlq"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letter" {
  alarm_name          = "${var.engine.name}-housekeeping-dlq"
  alarm_description   = "Housekeeping could not be started; what should have been is in the dead-letter queue"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letter.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "failed" {
  for_each = var.services

  alarm_name          = "${local.names[each.key]}-failed"
  alarm_description   = "Housekeeping of ${each.key} failed: it may be half asleep or half awake; run it again"
  namespace           = "AWS/States"
  metric_name         = "ExecutionsFailed"
  dimensions          = { StateMachineArn = aws_sfn_state_machine.service[each.key].arn }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  tags                = merge(local.tags, { "spillway:service" = each.key })
}
