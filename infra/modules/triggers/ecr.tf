locals {
  # ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME
  repository = var.ecr == null ? null : {
    account = split(".", var.ecr.repository_url)[0]
    region  = split(".", var.ecr.repository_url)[3]
    name    = join("/", slice(split("/", var.ecr.repository_url), 1, length(split("/", var.ecr.repository_url))))
  }
}

resource "aws_cloudwatch_event_rule" "push" {
  count = var.ecr == null ? 0 : 1

  name           = "${local.name}-push"
  description    = "Images for ${var.service}"
  event_bus_name = var.ecr.event_bus_name
  event_pattern = jsonencode({
    source      = ["aws.ecr"]
    detail-type = ["ECR Image Action"]
    account     = [local.repository.account]
    region      = [local.repository.region]
    detail = {
      result          = ["SUCCESS"]
      action-type     = var.ecr.replicated ? ["PUSH", "REPLICATE"] : ["PUSH"]
      repository-name = [local.repository.name]
      # The images that a multi-architecture push is made of have no tag: any tag is one that is not empty.
      image-tag = [
        for tag in var.ecr.tags : jsondecode(tag == "*" ? jsonencode({ anything-but = [""] }) : strcontains(tag, "*") ? jsonencode({ wildcard = tag }) : jsonencode(tag))
      ]
    }
  })
  state = local.state
  tags  = local.tags
}

resource "aws_cloudwatch_event_target" "push" {
  count = var.ecr == null ? 0 : 1

  rule           = aws_cloudwatch_event_rule.push[0].name
  event_bus_name = var.ecr.event_bus_name
  target_id      = "release"
  arn            = var.engine.release_state_machine_arn
  role_arn       = aws_iam_role.push[0].arn

  # Not by jsonencode, which writes < and > as escapes that no placeholder is found in.
  input_transformer {
    input_paths    = { digest = "$.detail.image-digest" }
    input_template = "{\"service\":\"${var.service}\",\"version\":{\"image\":\"${var.ecr.repository_url}@<digest>\"}}"
  }

  # A start that comes late counts as newer than the pushes that have overtaken it: so it is not tried for a day.
  retry_policy {
    maximum_event_age_in_seconds = var.ecr.maximum_age_seconds
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letter[0].arn
  }
}

resource "aws_iam_role" "push" {
  count = var.ecr == null ? 0 : 1

  name        = "${local.name}-push"
  description = "EventBridge starts releases of ${var.service}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.push[0].arn }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "push" {
  count = var.ecr == null ? 0 : 1

  name   = "start-releases"
  role   = aws_iam_role.push[0].id
  policy = jsonencode(local.start_policy)
}

resource "aws_sqs_queue_policy" "push" {
  count = var.ecr == null ? 0 : 1

  queue_url = aws_sqs_queue.dead_letter[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EventBridge"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.dead_letter[0].arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.push[0].arn }
      }
    }]
  })
}
