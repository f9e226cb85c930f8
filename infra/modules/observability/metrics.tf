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
  for_each = { for name, counted in local.counted : name => counted if var.metrics }

  name           = "${local.name}-${replace(each.key, "_", "-")}"
  log_group_name = var.engine.log_group_names[each.value.log]
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metric_namespace
    name      = each.value.metric
    value     = "1"
  }
}
