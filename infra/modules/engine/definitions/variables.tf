variable "values" {
  description = "What the placeholders of statemachine/*.asl.json stand for; statemachine/README.md tells of each."
  type = object({
    plan_release_arn           = string
    prepare_candidate_arn      = string
    shift_weight_arn           = string
    evaluate_health_arn        = string
    rollback_arn               = string
    teardown_arn               = string
    retire_state_machine_arn   = string
    rollback_state_machine_arn = string
    lease_table                = string
    lease_milliseconds         = number
    parameter_prefix           = string
    page_topic_arn             = string
  })
  nullable = false

  validation {
    condition     = var.values.lease_milliseconds >= 95000
    error_message = "lease_milliseconds must be at least 95000: two invocations of 30 s, 31 s between them, and a margin."
  }
}
