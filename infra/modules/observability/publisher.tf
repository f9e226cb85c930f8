# One Task: the event's text, published as it is. It keeps the rules of the engine's machines (statemachine/README.md).
locals {
  publisher = jsonencode({
    Comment        = "Publishes the text of a lifecycle event."
    QueryLanguage  = "JSONata"
    StartAt        = "Publish"
    TimeoutSeconds = 300
    States = {
      Publish = {
        Type           = "Task"
        Resource       = "arn:${local.partition}:states:::sns:publish"
        TimeoutSeconds = 20
        Arguments = {
          TopicArn = aws_sns_topic.releases.arn
          Subject  = "{% 'Spillway: ' & $states.input.detail.service & ' ' & $states.input.detail.type %}"
          Message  = "{% $states.input.detail.text %}"
          MessageAttributes = {
            type     = { DataType = "String", StringValue = "{% $states.input.detail.type %}" }
            severity = { DataType = "String", StringValue = "{% $states.input.detail.severity %}" }
          }
        }
        Retry = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 1, BackoffRate = 2, MaxAttempts = 5, MaxDelaySeconds = 20, JitterStrategy = "FULL" }]
        End   = true
      }
    }
  })
}

# A standard one: an execution that fails is kept, with its event, for 90 days.
resource "aws_sfn_state_machine" "publisher" {
  #checkov:skip=CKV_AWS_284:One transition is told by its history.
  #checkov:skip=CKV_AWS_285:The executions' history is kept for 90 days; a log group would only copy it.
  count = local.told

  name       = "${local.name}-publisher"
  role_arn   = aws_iam_role.publisher[0].arn
  definition = local.publisher
  type       = "STANDARD"
  tags       = local.tags

  depends_on = [aws_iam_role_policy.publisher]
}

resource "aws_iam_role" "publisher" {
  count = local.told

  name = "${local.name}-publisher"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = local.publisher_arn }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "publisher" {
  count = local.told

  name = "publish"
  role = aws_iam_role.publisher[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Sid = "Publish", Effect = "Allow", Action = ["sns:Publish"], Resource = [aws_sns_topic.releases.arn] }],
      var.kms_key_arn == null ? [] : [{ Sid = "Encrypt", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.kms_key_arn] }],
    )
  })
}
