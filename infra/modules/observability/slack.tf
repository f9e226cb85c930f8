# Amazon Q Developer in chat applications, formerly AWS Chatbot.
resource "aws_iam_role" "slack" {
  count = var.slack == null ? 0 : 1

  name = "${local.name}-slack"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "chatbot.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:chatbot::${local.account}:chat-configuration/slack-channel/${local.name}" }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

# What the chart beside an alarm takes.
resource "aws_iam_role_policy" "slack" {
  count = var.slack == null ? 0 : 1
  #checkov:skip=CKV_AWS_355:Reads of metrics name no resource, and an alarm is read to draw it.

  name = "read-metrics"
  role = aws_iam_role.slack[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadMetrics"
      Effect   = "Allow"
      Action   = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics"]
      Resource = ["*"]
    }]
  })
}

resource "aws_chatbot_slack_channel_configuration" "this" {
  count = var.slack == null ? 0 : 1

  configuration_name = local.name
  iam_role_arn       = aws_iam_role.slack[0].arn
  slack_channel_id   = var.slack.channel_id
  slack_team_id      = var.slack.team_id
  sns_topic_arns     = concat(aws_sns_topic.chat[*].arn, [var.engine.page_topic_arn])
  logging_level      = "ERROR"
  # Without one, nothing bounds what a member of the channel may do but AdministratorAccess.
  guardrail_policy_arns = ["arn:${local.partition}:iam::aws:policy/CloudWatchReadOnlyAccess"]
  tags                  = local.tags
}
