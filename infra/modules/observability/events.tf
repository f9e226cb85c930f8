# Lifecycle events (docs/events.md): one rule, by type and severity, and who hears of what it lets through.
locals {
  pattern = jsonencode({
    source = ["spillway"]
    detail = {
      # An installation of another name in this account tells on the same bus.
      release  = { execution = [for machine in ["release", "retire", "rollback"] : { prefix = "${replace(var.engine.state_machine_arns[machine], ":stateMachine:", ":execution:")}:" }] }
      type     = sort(var.events)
      severity = sort(var.severities)
    }
  })

  # Chats have a form of their own: https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
  chat = {
    paths = {
      console = "$.detail.links.console"
      reason  = "$.detail.reason"
      release = "$.detail.release.name"
      service = "$.detail.service"
      type    = "$.detail.type"
    }
    # jsonencode writes < and > as numbers, and a placeholder would not be one any more.
    template = replace(replace(jsonencode({
      version  = "1.0"
      source   = "custom"
      content  = { textType = "client-markdown", title = "<service>: <type>", description = "<reason>\n[<release>](<console>)" }
      metadata = { threadId = "<release>", eventType = "<type>" }
    }), "\\u003c", "<"), "\\u003e", ">")
  }
}

resource "aws_cloudwatch_event_rule" "events" {
  count = local.told

  name          = "${local.name}-release-events"
  description   = "Lifecycle events of releases: told to ${local.name}-releases."
  event_pattern = local.pattern
  tags          = local.tags
}

# A rule that hands text to a topic by itself puts it into quotes, line ends and all; the machine publishes it as it is.
resource "aws_cloudwatch_event_target" "text" {
  count = local.told

  rule      = aws_cloudwatch_event_rule.events[0].name
  target_id = "text"
  arn       = aws_sfn_state_machine.publisher[0].arn
  role_arn  = aws_iam_role.rule[0].arn

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_cloudwatch_event_target" "chat" {
  count = var.slack == null ? 0 : local.told

  rule      = aws_cloudwatch_event_rule.events[0].name
  target_id = "chat"
  arn       = aws_sns_topic.chat[0].arn

  input_transformer {
    input_paths    = local.chat.paths
    input_template = local.chat.template
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_iam_role" "rule" {
  count = local.told

  name = "${local.name}-release-events"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = local.rule_arn }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "rule" {
  count = local.told

  name = "start-the-publisher"
  role = aws_iam_role.rule[0].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "StartThePublisher", Effect = "Allow", Action = ["states:StartExecution"], Resource = [local.publisher_arn] }]
  })
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${local.name}-releases-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = local.tags
}

resource "aws_sqs_queue_policy" "undelivered" {
  count = local.told

  queue_url = aws_sqs_queue.undelivered.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FromTheRule"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = local.rule_arn }
      }
    }]
  })
}
