locals {
  function_logs = [for name, group in var.engine.log_group_names : group if !startswith(name, "machine/")]
  machine_logs  = [for name, group in var.engine.log_group_names : group if startswith(name, "machine/")]

  queries = {
    decisions = {
      logs = [var.engine.log_group_names["evaluate-health"]]
      text = <<-EOT
        fields @timestamp, span.service, span.release, span.step, decision, reason
        | filter message = "checked"
        | sort @timestamp desc
        | limit 200
      EOT
    }
    holds = {
      logs = [var.engine.log_group_names["evaluate-health"]]
      text = <<-EOT
        filter message = "checked" and decision = "Hold"
        | stats count(*) as checks, min(@timestamp) as first, max(@timestamp) as last by span.service, span.release, reason
        | sort last desc
      EOT
    }
    weights = {
      logs = [var.engine.log_group_names["shift-weight"], var.engine.log_group_names["rollback"]]
      text = <<-EOT
        fields @timestamp, span.service, span.release, route, actions
        | filter message in ["weights written", "route written"]
        | sort @timestamp desc
        | limit 200
      EOT
    }
    one-release = {
      logs = local.function_logs
      text = <<-EOT
        fields @timestamp, @log, level, message, decision, next, reason, error
        | filter span.release = "THE EXECUTION'S NAME"
        | sort @timestamp asc
        | limit 1000
      EOT
    }
    errors = {
      logs = local.function_logs
      text = <<-EOT
        fields @timestamp, @log, span.service, span.release, error, message
        | filter level in ["ERROR", "WARN"]
        | sort @timestamp desc
        | limit 200
      EOT
    }
    failed-states = {
      logs = local.machine_logs
      text = <<-EOT
        fields @timestamp, execution_arn, type, details.name, details.error
        | filter type like /Failed|TimedOut|Aborted|FailStateEntered/
        | sort @timestamp desc
        | limit 200
      EOT
    }
    durations = {
      logs = local.function_logs
      text = <<-EOT
        filter type = "platform.report"
        | stats count(*) as invocations, pct(record.metrics.durationMs, 50) as p50_ms, pct(record.metrics.durationMs, 99) as p99_ms, max(record.metrics.initDurationMs) as longest_start_ms, max(record.metrics.maxMemoryUsedMB) as most_memory_mb by @log
      EOT
    }
  }
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = { for name, query in local.queries : name => query if var.log_queries }

  name            = "${local.name}/${each.key}"
  log_group_names = each.value.logs
  query_string    = trimspace(each.value.text)
}
