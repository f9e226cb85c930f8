locals {
  guard_rules = {
    # An execution that was started through the alias: whichever of the two ARNs the event tells.
    ended = {
      description = "A release or a retirement has ended: a lease may be orphaned, or a release may wait for it."
      schedule    = null
      pattern = jsonencode({
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        detail = {
          status          = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
          stateMachineArn = flatten([for name in ["release", "retire"] : [local.machine_arns[name], "${local.machine_arns[name]}:live"]])
        }
      })
    }
    # Its failures are left to the schedule: they would start the next recovery at once.
    recovered = {
      description = "An undo or a recovery has succeeded: a release may wait for the lease."
      schedule    = null
      pattern = jsonencode({
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        detail = {
          status          = ["SUCCEEDED"]
          stateMachineArn = [local.machine_arns["rollback"], "${local.machine_arns["rollback"]}:live"]
        }
      })
    }
    schedule = {
      description = "Events can be lost."
      schedule    = var.guard_interval_minutes == 1 ? "rate(1 minute)" : "rate(${var.guard_interval_minutes} minutes)"
      pattern     = null
    }
  }
  guard_rule_arns = { for name in keys(local.guard_rules) : name => "arn:${local.partition}:events:${local.here}:rule/${var.name}-guard-${name}" }
}

resource "aws_cloudwatch_event_rule" "guard" {
  for_each = local.guard_rules

  name                = "${var.name}-guard-${each.key}"
  schedule_expression = each.value.schedule
  event_pattern       = each.value.pattern
  description         = each.value.description
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "guard" {
  for_each = local.guard_rules

  rule      = aws_cloudwatch_event_rule.guard[each.key].name
  target_id = "guard"
  arn       = aws_sfn_alias.live["guard"].arn
  role_arn  = aws_iam_role.guard_events.arn

  # One that is older finds nothing that the schedule has not.
  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }

  depends_on = [aws_iam_role_policy.guard_events]
}

resource "aws_iam_role" "guard_events" {
  name = "${var.name}-guard-events"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = values(local.guard_rule_arns) }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

# Permission to start an alias is permission for its machine:
# https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
resource "aws_iam_role_policy" "guard_events" {
  name = "start-the-guard"
  role = aws_iam_role.guard_events.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "StartTheGuard"
      Effect   = "Allow"
      Action   = ["states:StartExecution"]
      Resource = [local.machine_arns["guard"]]
    }]
  })
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-guard-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = local.tags
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FromTheGuardsRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = values(local.guard_rule_arns) }
      }
    }]
  })
}
