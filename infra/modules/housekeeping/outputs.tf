output "dry_run" {
  description = "Whether nothing is changed."
  value       = var.dry_run
}

output "plan" {
  description = "What happens when, by schedule: at, timezone, and what it does, or, in a dry run, only tells that it would."
  value       = { for name, schedule in local.schedules : name => { at = schedule.at, timezone = schedule.timezone, until = schedule.ends, does = schedule.does } }
}

output "state_machine_arns" {
  description = "ARNs of the state machines, by service: start one with {\"mode\": \"sleep\"}, wake or retire, by hand too."
  value       = { for name, machine in aws_sfn_state_machine.service : name => machine.arn }
}

output "expiry_tags" {
  description = "Tags that say when a service expires, by service, for everything of its environment: of the service module, say, or of a provider's default_tags."
  value       = { for name, service in var.services : name => service.expires_on == null ? {} : { "expires-on" = service.expires_on } }
}

output "dead_letter_queue_arn" {
  description = "ARN of the queue with the executions that could not be started."
  value       = aws_sqs_queue.dead_letter.arn
}

output "budget_name" {
  description = "Name of the budget; null without one."
  value       = one(aws_budgets_budget.monthly[*].name)
}
