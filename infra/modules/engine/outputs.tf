output "name" {
  description = "What the names of the engine's resources begin with."
  value       = var.name
}

output "release_state_machine_arn" {
  description = "ARN of the alias that starts releases."
  value       = aws_sfn_alias.live["release"].arn
}

output "rollback_state_machine_arn" {
  description = "ARN of the alias that starts undos."
  value       = aws_sfn_alias.live["rollback"].arn
}

output "retire_state_machine_arn" {
  description = "ARN of the alias that starts retirements."
  value       = aws_sfn_alias.live["retire"].arn
}

output "guard_state_machine_arn" {
  description = "ARN of the alias that starts the guard."
  value       = aws_sfn_alias.live["guard"].arn
}

output "state_machine_arns" {
  description = "ARNs of the state machines themselves, by machine. Policies name these: permission to start an alias is permission for its machine."
  value       = { for name in local.machines : name => aws_sfn_state_machine.this[name].arn }
}

output "lease_table_name" {
  description = "Name of the lease table."
  value       = aws_dynamodb_table.leases.name
}

output "lease_table_arn" {
  description = "ARN of the lease table."
  value       = aws_dynamodb_table.leases.arn
}

output "page_topic_arn" {
  description = "ARN of the topic for what needs a person at once."
  value       = aws_sns_topic.pages.arn
}

output "parameter_prefix" {
  description = "The path before a service's name in the parameter store."
  value       = var.parameter_prefix
}

output "function_arns" {
  description = "ARNs of the functions, without a version, by function."
  value       = { for name in local.functions : name => aws_lambda_function.this[name].arn }
}

output "function_names" {
  description = "Names of the functions, by function."
  value       = { for name in local.functions : name => aws_lambda_function.this[name].function_name }
}

output "function_role_arns" {
  description = "ARNs of the functions' roles, by function."
  value       = { for name in local.functions : name => aws_iam_role.functions[name].arn }
}

output "log_group_names" {
  description = "Names of the log groups, by function, and by machine with \"machine/\" before its name."
  value = merge(
    { for name in local.functions : name => aws_cloudwatch_log_group.functions[name].name },
    { for name in local.machines : "machine/${name}" => aws_cloudwatch_log_group.machines[name].name },
  )
}

output "undelivered_queue_arn" {
  description = "ARN of the queue with what should have started the guard and could not."
  value       = aws_sqs_queue.undelivered.arn
}

output "alarm_arns" {
  description = "ARNs of the alarms on the engine, by alarm."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.arn }
}
