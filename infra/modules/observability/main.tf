data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name      = var.engine.name
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  here      = "${local.region}:${local.account}"
  tags      = merge(var.tags, { "spillway:engine" = local.name })

  metric_namespace = "Spillway/${local.name}"
  told             = length(var.events) > 0 && length(var.severities) > 0 ? 1 : 0
  rule_arn         = "arn:${local.partition}:events:${local.here}:rule/${local.name}-release-events"
  publisher_arn    = "arn:${local.partition}:states:${local.here}:stateMachine:${local.name}-publisher"
}

resource "aws_sns_topic" "releases" {
  name              = "${local.name}-releases"
  kms_master_key_id = var.kms_key_arn
  tags              = local.tags
}

resource "aws_sns_topic" "chat" {
  count = var.slack == null ? 0 : local.told

  name              = "${local.name}-releases-chat"
  kms_master_key_id = var.kms_key_arn
  tags              = local.tags
}

# The publisher publishes with its role's permission; the rule, with this one.
resource "aws_sns_topic_policy" "chat" {
  count = var.slack == null ? 0 : local.told

  arn = aws_sns_topic.chat[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FromTheRule"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.chat[0].arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = local.rule_arn }
      }
    }]
  })
}

resource "aws_sns_topic_subscription" "releases" {
  for_each = { for subscription in var.subscriptions : "${subscription.protocol} ${subscription.endpoint}" => subscription }

  topic_arn = aws_sns_topic.releases.arn
  protocol  = each.value.protocol
  endpoint  = each.value.endpoint
}
