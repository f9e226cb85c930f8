output "name" {
  description = "Name of the service."
  value       = var.name
}

output "compute" {
  description = "What runs in each slot, as a service definition says it: slots.blue.compute and slots.green.compute. Known before anything is made."
  value       = { for slot in local.slots : slot => var.ecs == null ? { ecs_service = null, auto_scaling_group = local.auto_scaling_compute[slot].auto_scaling_group } : { ecs_service = local.ecs_compute[slot].ecs_service, auto_scaling_group = null } }
}

output "target_type" {
  description = "How the target groups must register targets: ip or instance."
  value       = var.ecs == null ? "instance" : "ip"
}

output "port" {
  description = "TCP port that the application listens on."
  value       = var.port
}

output "passed_role_arns" {
  description = "ARNs of the roles that whoever registers a task definition must be allowed to pass."
  value       = [for role in aws_iam_role.execution : role.arn]
}

output "ecs_service_arns" {
  description = "ARN of each slot's ECS service; empty with Auto Scaling."
  value       = { for slot, service in aws_ecs_service.slot : slot => service.id }
}

output "task_definition_arn" {
  description = "ARN of the revision that Terraform made last; null with Auto Scaling. A release with it brings changes of its size, environment or roles."
  value       = one([for definition in aws_ecs_task_definition.this : definition.arn])
}

output "auto_scaling_group_arns" {
  description = "ARN of each slot's Auto Scaling group; empty with ECS."
  value       = { for slot, group in aws_autoscaling_group.slot : slot => group.arn }
}

output "launch_template" {
  description = "ID and ARN of the launch template, and the version that Terraform knows as the latest; null with ECS."
  value       = one([for template in aws_launch_template.this : { id = template.id, arn = template.arn, latest_version = template.latest_version }])
}

output "log_group_name" {
  description = "Name of the log group with the tasks' output; null with Auto Scaling."
  value       = one([for group in aws_cloudwatch_log_group.application : group.name])
}
