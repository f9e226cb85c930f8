# Lifecycle events: the function announce hears of beginnings, ends and pages, and puts them on the default bus.
locals {
  announced = {
    begun = { statuses = ["RUNNING"], machines = ["release"] }
    ended = { statuses = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"], machines = ["release", "retire", "rollback"] }
  }
  announce_rule_arns = { for name in keys(local.announced) : name => "arn:${local.partition}:events:${local.here}:rule/${var.name}-announce-${name}" }
}

resource "aws_cloudwatch_event_rule" "announce" {
  for_each = local.announced

  name        = "${var.name}-announce-${each.key}"
  description = "Executions that have ${each.key}, to be told of as lifecycle events."
  tags        = local.tags

  # An execution that was started through the alias: whichever of the two ARNs the event tells.
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = each.value.statuses
      stateMachineArn = flatten([for name in each.value.machines : [local.machine_arns[name], "${local.machine_arns[name]}:live"]])
    }
  })
}

resource "aws_cloudwatch_event_target" "announce" {
  for_each = local.announced

  rule      = aws_cloudwatch_event_rule.announce[each.key].name
  target_id = "announce"
  arn       = aws_lambda_function.this["announce"].arn

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = aws_sqs_queue.unannounced.arn
  }
}

resource "aws_lambda_permission" "announce" {
  for_each = local.announce_rule_arns

  statement_id   = "rule-${each.key}"
  function_name  = aws_lambda_function.this["announce"].function_name
  action         = "lambda:InvokeFunction"
  principal      = "events.amazonaws.com"
  source_arn     = each.value
  source_account = local.account
}

# Alarms page by the same topic; they are not of a release, and CloudWatch has events of its own for them.
resource "aws_sns_topic_subscription" "announce" {
  topic_arn           = aws_sns_topic.pages.arn
  protocol            = "lambda"
  endpoint            = aws_lambda_function.this["announce"].arn
  filter_policy_scope = "MessageBody"
  filter_policy       = jsonencode({ execution = [{ exists = true }] })
  redrive_policy      = jsonencode({ deadLetterTargetArn = aws_sqs_queue.unannounced.arn })
}

resource "aws_lambda_permission" "announce_pages" {
  statement_id   = "pages"
  function_name  = aws_lambda_function.this["announce"].function_name
  action         = "lambda:InvokeFunction"
  principal      = "sns.amazonaws.com"
  source_arn     = aws_sns_topic.pages.arn
  source_account = local.account
}

# What fails is invoked twice more, and then kept.
resource "aws_lambda_function_event_invoke_config" "announce" {
  function_name                = aws_lambda_function.this["announce"].function_name
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.unannounced.arn
    }
  }
}

resource "aws_sqs_queue" "unannounced" {
  name                      = local.unannounced_queue
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = local.tags
}

# The function sends what it could not tell with its role's permission; rules and topic, with this one.
resource "aws_sqs_queue_policy" "unannounced" {
  queue_url = aws_sqs_queue.unannounced.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for sender in [
        { sid = "FromTheRules", service = "events.amazonaws.com", sources = values(local.announce_rule_arns) },
        { sid = "FromTheTopic", service = "sns.amazonaws.com", sources = [local.page_topic_arn] },
        ] : {
        Sid       = sender.sid
        Effect    = "Allow"
        Principal = { Service = sender.service }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.unannounced.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnEquals    = { "aws:SourceArn" = sender.sources }
        }
      }
    ]
  })
}
