locals {
  untold = {
    kept      = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = aws_sqs_queue.undelivered.name } }
    failed    = { namespace = "AWS/States", name = "ExecutionsFailed", stat = "Sum", dimensions = { StateMachineArn = local.publisher_arn } }
    timed_out = { namespace = "AWS/States", name = "ExecutionsTimedOut", stat = "Sum", dimensions = { StateMachineArn = local.publisher_arn } }
  }
}

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

# What is kept in the queue, or failed with its event, nobody was told.
resource "aws_cloudwatch_metric_alarm" "untold" {
  count = local.told

  alarm_name          = "${local.name}-releases-untold"
  alarm_description   = "Nobody was told of a release's event: the queue ${local.name}-releases-undelivered, or a failed execution of ${local.name}-publisher, has it."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.engine.page_topic_arn]
  ok_actions          = [var.engine.page_topic_arn]
  tags                = local.tags

  metric_query {
    id          = "total"
    expression  = "SUM(FILL(METRICS(), 0))"
    label       = "untold"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.untold

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        stat        = metric_query.value.stat
        period      = 300
        dimensions  = metric_query.value.dimensions
      }
    }
  }
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
