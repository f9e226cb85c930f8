resource "aws_budgets_budget" "monthly" {
  count = var.budget == null ? 0 : 1

  name         = "${var.engine.name}-housekeeping"
  budget_type  = "COST"
  limit_amount = tostring(var.budget.amount)
  limit_unit   = var.budget.currency
  time_unit    = "MONTHLY"

  dynamic "cost_filter" {
    for_each = var.budget.tag[*]

    content {
      name = "TagKeyValue"
      # As the billing console calls a tag of one's own; the dollar is a part of it.
      values = [join("$", ["user:${cost_filter.value.key}", cost_filter.value.value])]
    }
  }

  dynamic "notification" {
    for_each = { ACTUAL = var.budget.actual_percent, FORECASTED = var.budget.forecast_percent }

    content {
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      notification_type          = notification.key
      subscriber_email_addresses = var.budget.emails
      subscriber_sns_topic_arns  = var.budget.topic_arns
    }
  }

  tags = local.tags
}
