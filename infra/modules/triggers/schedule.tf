# Roles of schedules trust a group, not a schedule:
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
resource "aws_scheduler_schedule_group" "release" {
  count = var.schedule == null ? 0 : 1

  name = "${local.name}-releases"
  tags = local.tags
}

resource "aws_scheduler_schedule" "release" {
  #checkov:skip=CKV_AWS_297:The input names a service and a version, and holds no secret
  count = var.schedule == null ? 0 : 1

  name                         = "${local.name}-release"
  description                  = "Releases ${var.service}"
  group_name                   = aws_scheduler_schedule_group.release[0].name
  schedule_expression          = var.schedule.expression
  schedule_expression_timezone = var.schedule.timezone
  state                        = local.state

  flexible_time_window {
    mode                      = var.schedule.flexible_minutes > 0 ? "FLEXIBLE" : "OFF"
    maximum_window_in_minutes = var.schedule.flexible_minutes > 0 ? var.schedule.flexible_minutes : null
  }

  # The API call as such, which takes the ARN of an alias.
  target {
    arn      = "arn:${local.partition}:scheduler:::aws-sdk:sfn:startExecution"
    role_arn = aws_iam_role.schedule[0].arn
    input = jsonencode({
      StateMachineArn = var.engine.release_state_machine_arn
      Input           = jsonencode({ service = var.service, version = { for kind, value in var.schedule.version : kind => value if value != null } })
    })

    retry_policy {
      maximum_event_age_in_seconds = 900
      maximum_retry_attempts       = 185
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letter[0].arn
    }
  }
}

resource "aws_iam_role" "schedule" {
  count = var.schedule == null ? 0 : 1

  name        = "${local.name}-schedule"
  description = "EventBridge Scheduler starts releases of ${var.service}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_scheduler_schedule_group.release[0].arn }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "schedule" {
  count = var.schedule == null ? 0 : 1

  name = "start-releases"
  role = aws_iam_role.schedule[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.start_policy.Statement, [{
      Sid      = "KeepWhatCouldNotBeStarted"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = aws_sqs_queue.dead_letter[0].arn
    }])
  })
}
