output "ecr_rule_arn" {
  description = "ARN of the rule that releases what is pushed; null without ecr."
  value       = one(aws_cloudwatch_event_rule.push[*].arn)
}

output "schedule_arn" {
  description = "ARN of the schedule; null without schedule."
  value       = one(aws_scheduler_schedule.release[*].arn)
}

output "dead_letter_queue_arn" {
  description = "ARN of the queue with the starts that could not be delivered; null without ecr and schedule."
  value       = one(aws_sqs_queue.dead_letter[*].arn)
}

output "dead_letter_queue_url" {
  description = "URL of that queue."
  value       = one(aws_sqs_queue.dead_letter[*].url)
}

output "codepipeline_action" {
  description = "The action of a pipeline that releases: name, category, owner, provider, version, input_artifacts and configuration of an action block of aws_codepipeline; null without codepipeline."
  value       = local.codepipeline_action
}

output "codepipeline_stage" {
  description = "A stage with that action alone: name and action; null without codepipeline."
  value       = var.codepipeline == null ? null : { name = var.codepipeline.stage_name, action = [local.codepipeline_action] }
}

output "codepipeline_policy" {
  description = "IAM policy, JSON text, that a pipeline's role needs for the action; role_names have it already."
  value       = jsonencode(local.codepipeline_policy)
}

output "codepipeline_timeout_seconds" {
  description = "Seconds after which CodePipeline gives up on the action, which cannot be set. The release goes on."
  value       = 604800
}
