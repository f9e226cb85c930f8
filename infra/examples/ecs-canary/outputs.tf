output "url" {
  description = "Where the service answers."
  value       = module.network.url
}

output "repository_url" {
  description = "The repository that a push to releases from."
  value       = aws_ecr_repository.application.repository_url
}

output "service" {
  description = "Name of the service, for the command line."
  value       = module.service.service
}

output "installation" {
  description = "Prefix of the engine's names, for the command line: SPILLWAY_INSTALLATION."
  value       = module.engine.name
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard with both slots side by side."
  value       = module.service.dashboard_name
}

output "definition" {
  description = "The service's definition, JSON text, as spillway validate takes it."
  value       = module.service.definition
}

output "task_definition_arn" {
  description = "The task definition revision that Terraform made last, to release with its changes."
  value       = module.application.task_definition_arn
}

output "rollback_state_machine_arn" {
  description = "ARN to start the undo of the latest release with."
  value       = module.engine.rollback_state_machine_arn
}
