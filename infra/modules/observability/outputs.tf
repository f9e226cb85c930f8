output "topic_arn" {
  description = "ARN of the topic that is told of releases."
  value       = aws_sns_topic.releases.arn
}

output "undelivered_queue_arn" {
  description = "ARN of the queue with what the topic could not be told."
  value       = aws_sqs_queue.undelivered.arn
}

output "rule_arn" {
  description = "ARN of the rule that lets events through; null where nothing is told of."
  value       = one(aws_cloudwatch_event_rule.events[*].arn)
}

output "metric_namespace" {
  description = "The namespace of the metrics: Held, Shifted, Started, Promoted, RolledBack and Refused."
  value       = local.metric_namespace
}

output "trail_bucket" {
  description = "Name of the trail's bucket; null without a trail."
  value       = one(aws_s3_bucket.trail[*].id)
}
