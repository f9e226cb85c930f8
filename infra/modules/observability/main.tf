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
  held             = contains(var.events, "held")
  rule_arns        = [for name in keys(local.rules) : "arn:${local.partition}:events:${local.here}:rule/${local.name}-release-${replace(name, "_", "-")}"]
}

resource "aws_sns_topic" "releases" {
  name              = "${local.name}-releases"
  kms_master_key_id = var.kms_key_arn
  tags              = local.tags
}

resource "aws_sns_topic_policy" "releases" {
  count = length(var.events) > 0 ? 1 : 0

  arn = aws_sns_topic.releases.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for sender in [
        { sid = "FromTheRules", service = "events.amazonaws.com", sources = local.rule_arns },
        { sid = "FromTheAlarm", service = "cloudwatch.amazonaws.com", sources = local.held ? ["arn:${local.partition}:cloudwatch:${local.here}:alarm:${local.name}-release-held"] : [] },
        ] : {
        Sid       = sender.sid
        Effect    = "Allow"
        Principal = { Service = sender.service }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.releases.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnEquals    = { "aws:SourceArn" = sender.sources }
        }
      } if length(sender.sources) > 0
    ]
  })
}

resource "aws_sns_topic_subscription" "releases" {
  for_each = { for subscription in var.subscriptions : "${subscription.protocol} ${subscription.endpoint}" => subscription }

  topic_arn = aws_sns_topic.releases.arn
  protocol  = each.value.protocol
  endpoint  = each.value.endpoint
}
