locals {
  dashboard_region = try(split(":", local.routes[0])[3], null)

  slot_colors = { blue = "#1f77b4", green = "#2ca02c" }

  # Six rows of both slots for each load balancer, after one row that compares them.
  widgets = flatten([
    for index, place in local.places : concat(
      [
        {
          type   = "metric"
          x      = 0
          y      = index * 30
          width  = 12
          height = 6
          properties = {
            title   = "Share of requests that was measured, %${place.suffix}"
            region  = local.dashboard_region
            view    = "timeSeries"
            stacked = true
            period  = 60
            yAxis   = { left = { min = 0, max = 100 } }
            metrics = concat(
              [for slot in local.slots : [{ id = "share_${slot}", expression = "100 * FILL(requests_${slot}, 0) / (FILL(requests_blue, 0) + FILL(requests_green, 0))", label = slot, color = local.slot_colors[slot] }]],
              [for slot in local.slots : ["AWS/ApplicationELB", "RequestCount", "TargetGroup", place.groups[slot], "LoadBalancer", place.load_balancer, { id = "requests_${slot}", stat = "Sum", visible = false }]],
            )
          }
        },
      ],
      [
        length(local.weight_log_groups) > 0 && index == 0 ? {
          type   = "log"
          x      = 12
          y      = index * 30
          width  = 12
          height = 6
          properties = {
            title  = "Weights that were written"
            region = local.dashboard_region
            view   = "table"
            query = join("\n| ", concat(
              [for group in local.weight_log_groups : "SOURCE '${group}'"],
              ["fields @timestamp, route, actions, span.release as release", "filter message in [\"weights written\", \"route written\"] and span.service = \"${var.service}\"", "sort @timestamp desc", "limit 50"],
            ))
          }
          } : {
          type   = "text"
          x      = 12
          y      = index * 30
          width  = 12
          height = 6
          properties = {
            markdown = "Weights that were asked for: `spillway status ${var.service}`"
          }
        },
      ],
      flatten([
        for column, slot in local.slots : [
          for row, widget in [
            {
              title = "requests a minute"
              metrics = [
                ["AWS/ApplicationELB", "RequestCount", "TargetGroup", place.groups[slot], "LoadBalancer", place.load_balancer, { stat = "Sum", label = "requests", color = local.slot_colors[slot] }],
              ]
            },
            {
              title = "error rate, %"
              metrics = [
                [{ id = "rate", expression = "100 * FILL(errors, 0) / requests", label = "5XX of the targets", color = "#d62728" }],
                ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "TargetGroup", place.groups[slot], "LoadBalancer", place.load_balancer, { id = "errors", stat = "Sum", visible = false }],
                ["AWS/ApplicationELB", "RequestCount", "TargetGroup", place.groups[slot], "LoadBalancer", place.load_balancer, { id = "requests", stat = "Sum", visible = false }],
              ]
            },
            {
              title = "response time, s"
              metrics = [
                for quantile in ["p50", "p90", "p99"] :
                ["AWS/ApplicationELB", "TargetResponseTime", "TargetGroup", place.groups[slot], "LoadBalancer", place.load_balancer, { stat = quantile, label = quantile }]
              ]
            },
            {
              title = "hosts"
              metrics = [
                for count in ["HealthyHostCount", "UnHealthyHostCount"] :
                ["AWS/ApplicationELB", count, "TargetGroup", place.groups[slot], "LoadBalancer", place.load_balancer, { stat = "Minimum", label = count }]
              ]
            },
            ] : {
            type   = "metric"
            x      = column * 12
            y      = index * 30 + 6 + row * 6
            width  = 12
            height = 6
            properties = {
              title   = "${slot}: ${widget.title}${place.suffix}"
              region  = local.dashboard_region
              view    = "timeSeries"
              stacked = false
              period  = 60
              yAxis   = { left = { min = 0 } }
              metrics = widget.metrics
            }
          }
        ]
      ]),
    )
  ])

  weight_log_groups = compact([for function in ["shift-weight", "rollback"] : lookup(var.engine.log_group_names, function, "")])
}

resource "aws_cloudwatch_dashboard" "service" {
  count = var.dashboard ? 1 : 0

  dashboard_name = "${var.engine.name}-${var.service}"
  dashboard_body = jsonencode({ start = "-PT3H", periodOverride = "inherit", widgets = local.widgets })
}
