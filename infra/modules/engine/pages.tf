resource "aws_sns_topic" "pages" {
  name              = local.page_topic
  kms_master_key_id = var.kms_key_arn
  tags              = local.tags
}

# The machines publish with their roles' permission; alarms of the engine and of services, with this one.
resource "aws_sns_topic_policy" "pages" {
  arn = aws_sns_topic.pages.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FromAlarms"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.pages.arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${local.here}:alarm:*" }
      }
    }]
  })
}

resource "aws_sns_topic_subscription" "pages" {
  for_each = { for subscription in var.page_subscriptions : "${subscription.protocol} ${subscription.endpoint}" => subscription }

  topic_arn = aws_sns_topic.pages.arn
  protocol  = each.value.protocol
  endpoint  = each.value.endpoint
}

locals {
  metric_namespace = "Spillway/${var.name}"
  states_metric    = { for name in local.machines : name => { StateMachineArn = local.machine_arns[name] } }
  guard_seconds    = var.guard_interval_minutes * 60

  # Each is the sum of its metrics over a period; a period without data counts as 0. One that pages needs a person at once.
  alarms = {
    rollback_failed = {
      description = "A rollback could not restore all traffic: users may be on a version that is not healthy. The lease is kept; find the execution, and give the weights back by hand if need be."
      page        = true
      metrics     = [{ namespace = local.metric_namespace, name = "RollbackFailed", stat = "Sum", dimensions = {} }]
      period      = 60, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    rollback_erring = {
      description = "The rollback function keeps failing: a release or an undo may not be able to give traffic back."
      page        = true
      metrics     = [{ namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = "${var.name}-rollback" } }]
      period      = 300, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 5
    }
    guard_failing = {
      description = "The guard fails again and again: what a dead release left behind may not be rolled back."
      page        = true
      metrics     = [for metric in ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] : { namespace = "AWS/States", name = metric, stat = "Sum", dimensions = local.states_metric["guard"] }]
      period      = local.guard_seconds, periods = 3, points = 2
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    guard_silent = {
      description = "The guard has not been started for three intervals of its schedule: what a dead release left behind is not rolled back."
      page        = true
      metrics     = [{ namespace = "AWS/States", name = "ExecutionsStarted", stat = "Sum", dimensions = local.states_metric["guard"] }]
      period      = local.guard_seconds, periods = 3, points = 3
      comparison  = "LessThanThreshold", threshold = 1
    }
    undelivered = {
      description = "The guard could not be started for an event or on its schedule; the queue ${var.name}-guard-undelivered tells why."
      page        = true
      metrics     = [{ namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = "${var.name}-guard-undelivered" } }]
      period      = 300, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    unannounced = {
      description = "A lifecycle event could not be told; the queue ${local.unannounced_queue} has it. Releases and pages do not wait for it."
      page        = false
      metrics     = [{ namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = local.unannounced_queue } }]
      period      = 300, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    page_undelivered = {
      description = "A page could not be delivered to a subscriber."
      page        = false
      metrics     = [{ namespace = "AWS/SNS", name = "NumberOfNotificationsFailed", stat = "Sum", dimensions = { TopicName = local.page_topic } }]
      period      = 300, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    release_died = {
      description = "A release or an undo was stopped by hand or ran out of its time. The guard takes over from it."
      page        = false
      metrics     = flatten([for name in ["release", "rollback"] : [for metric in ["ExecutionsAborted", "ExecutionsTimedOut"] : { namespace = "AWS/States", name = metric, stat = "Sum", dimensions = local.states_metric[name] }]])
      period      = 300, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    retirement_failed = {
      description = "A slot without traffic could not be scaled down, or what a release took from a slot's scaling was not given back: it costs money, and harms no user."
      page        = false
      metrics     = [for metric in ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] : { namespace = "AWS/States", name = metric, stat = "Sum", dimensions = local.states_metric["retire"] }]
      period      = 300, periods = 1, points = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    throttled = {
      description = "Functions were throttled: the account's concurrency is used up, and releases and rollbacks take longer."
      page        = false
      metrics     = [for name in local.functions : { namespace = "AWS/Lambda", name = "Throttles", stat = "Sum", dimensions = { FunctionName = "${var.name}-${name}" } }]
      period      = 300, periods = 2, points = 2
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 1
    }
  }
}

# A machine's log tells the names of the states that it enters, with or without execution data.
resource "aws_cloudwatch_log_metric_filter" "rollback_failed" {
  for_each = toset(contains(var.alarms, "rollback_failed") ? ["release", "rollback"] : [])

  name           = "${var.name}-${each.key}-rollback-failed"
  log_group_name = aws_cloudwatch_log_group.machines[each.key].name
  pattern        = "{ ($.type = \"FailStateEntered\") && ($.details.name = \"RollBackFailed\") }"

  metric_transformation {
    namespace = local.metric_namespace
    name      = "RollbackFailed"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.alarms : name => alarm if contains(var.alarms, name) }

  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.description
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.points
  treat_missing_data  = each.value.comparison == "LessThanThreshold" ? "breaching" : "notBreaching"
  alarm_actions       = concat(each.value.page ? [aws_sns_topic.pages.arn] : [], var.alarm_actions)
  ok_actions          = concat(each.value.page ? [aws_sns_topic.pages.arn] : [], var.alarm_actions)
  tags                = local.tags

  metric_query {
    id          = "total"
    expression  = "SUM(FILL(METRICS(), 0))"
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { for index, metric in each.value.metrics : "m${index}" => metric }

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        stat        = metric_query.value.stat
        period      = each.value.period
        dimensions  = metric_query.value.dimensions
      }
    }
  }
}
