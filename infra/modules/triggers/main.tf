locals {
  # IAM policies name the state machine, also where the alias is what is started:
  # https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
  machine_parts     = split(":", var.engine.release_state_machine_arn)
  machine_arn       = join(":", slice(local.machine_parts, 0, 7))
  partition         = local.machine_parts[1]
  account           = local.machine_parts[4]
  execution_pattern = "${join(":", concat(slice(local.machine_parts, 0, 5), ["execution", local.machine_parts[6]]))}:*"

  tags = merge(var.tags, { "spillway:service" = var.service })

  # Rules and roles have 64 characters at most.
  full_name = "${var.engine.name}-${var.service}"
  name      = length(local.full_name) <= 48 ? local.full_name : "${substr(local.full_name, 0, 42)}-${substr(sha256(local.full_name), 0, 5)}"
  state     = var.releases_enabled ? "ENABLED" : "DISABLED"

  start_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid      = "StartReleases"
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = local.machine_arn
    }]
  }
  has_queue = var.ecr != null || var.schedule != null
}

# Starts that could not be delivered.
resource "aws_sqs_queue" "dead_letter" {
  count = local.has_queue ? 1 : 0

  name                      = "${local.name}-triggers-dlq"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letter" {
  count = local.has_queue ? 1 : 0

  alarm_name          = "${local.name}-triggers-dlq"
  alarm_description   = "${var.service}: a release could not be started; its input is in the dead-letter queue"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letter[0].name }
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
