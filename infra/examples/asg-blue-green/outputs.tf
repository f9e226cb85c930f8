output "url" {
  description = "Where the service answers. With the header X-Preview: yes the candidate does, once a release has made it ready."
  value       = module.network.url
}

output "source" {
  description = "Where to upload the source: a zip file with app.py."
  value       = "s3://${aws_s3_bucket.pipeline.bucket}/${local.source_key}"
}

output "pipeline" {
  description = "Name of the pipeline."
  value       = aws_codepipeline.this.name
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

output "rollback_state_machine_arn" {
  description = "ARN to start the undo of the latest release with."
  value       = module.engine.rollback_state_machine_arn
}
