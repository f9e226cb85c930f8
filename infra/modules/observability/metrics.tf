locals {
  # What the functions log, and the states that the machines enter.
  counted = {
    held        = { log = "evaluate-health", metric = "Held", pattern = "{ ($.message = \"checked\") && ($.decision = \"Hold\") }" }
    shifted     = { log = "shift-weight", metric = "Shifted", pattern = "{ $.message = \"weights written\" }" }
    started     = { log = "machine/release", metric = "Started", pattern = "{ $.type = \"ExecutionStarted\" }" }
    promoted    = { log = "machine/release", metric = "Promoted", pattern = "{ ($.type = \"SucceedStateEntered\") && ($.details.name = \"Promoted\") }" }
    rolled_back = { log = "machine/release", metric = "RolledBack", pattern = "{ ($.type = \"FailStateEntered\") && (($.details.name = \"RolledBack\") || ($.details.name = \"StableDead\")) }" }
    refused     = { log = "machine/release", metric = "Refused", pattern = "{ ($.type = \"FailStateEntered\") && ($.details.name = \"Refused\") }" }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = { for name, counted in local.counted : name => counted if var.metrics || name == "held" && local.held }

  name           = "${local.name}-${replace(each.key, "_", "-")}"
  log_group_name = var.engine.log_group_names[each.value.log]
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metric_namespace
    name      = each.value.metric
    value     = "1"
  }
}

# A hold is no end, which an event would tell of: the alarm is on while a release is held.
resource "aws_cloudwatch_metric_alarm" "held" {
  count = local.held ? 1 : 0

  alarm_name          = "${local.name}-release-held"
  alarm_description   = "A release is held at its weight, since something is not as it should be. The saved query ${local.name}/decisions tells what."
  namespace           = local.metric_namespace
  metric_name         = local.counted.held.metric
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.releases.arn]
  ok_actions          = [aws_sns_topic.releases.arn]
  tags                = local.tags

  depends_on = [aws_cloudwatch_log_metric_filter.this]
}
