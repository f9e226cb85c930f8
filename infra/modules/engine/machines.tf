module "definitions" {
  source = "./definitions"

  values = {
    plan_release_arn           = aws_lambda_function.this["plan-release"].qualified_arn
    prepare_candidate_arn      = aws_lambda_function.this["prepare-candidate"].qualified_arn
    shift_weight_arn           = aws_lambda_function.this["shift-weight"].qualified_arn
    evaluate_health_arn        = aws_lambda_function.this["evaluate-health"].qualified_arn
    rollback_arn               = aws_lambda_function.this["rollback"].qualified_arn
    teardown_arn               = aws_lambda_function.this["teardown"].qualified_arn
    retire_state_machine_arn   = "${local.machine_arns["retire"]}:live"
    rollback_state_machine_arn = "${local.machine_arns["rollback"]}:live"
    lease_table                = local.lease_table
    lease_milliseconds         = local.lease_milliseconds
    parameter_prefix           = var.parameter_prefix
    page_topic_arn             = local.page_topic_arn
  }
}

# Below /aws/vendedlogs/ the delivery of logs needs no resource policy of each group's own, whose length is limited:
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
resource "aws_cloudwatch_log_group" "machines" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is the owner's decision; 90 days are as long as executions keep their history.
  for_each = local.machines

  name              = "/aws/vendedlogs/states/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags
}

resource "aws_iam_role" "machines" {
  for_each = local.machines

  name = "${var.name}-machine-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = local.machine_arns[each.key] }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "machines" {
  for_each = local.machines

  name   = "calls"
  role   = aws_iam_role.machines[each.key].id
  policy = module.permissions.machines[each.key]
}

resource "aws_sfn_state_machine" "this" {
  #checkov:skip=CKV_AWS_285:Plans, and what hooks answer, belong into a log only where the owner says so; the executions' history has them.
  for_each = local.machines

  name       = "${var.name}-${each.key}"
  type       = "STANDARD"
  role_arn   = aws_iam_role.machines[each.key].arn
  definition = module.definitions.definitions[each.key]
  publish    = true
  tags       = local.tags

  # All levels: alarms and metrics are made from the names of the states that are entered.
  logging_configuration {
    level                  = "ALL"
    include_execution_data = var.log_execution_data
    log_destination        = "${aws_cloudwatch_log_group.machines[each.key].arn}:*"
  }

  tracing_configuration {
    enabled = var.tracing
  }

  # The delivery of logs is set up with the role.
  depends_on = [aws_iam_role_policy.machines]
}

# What starts executions; a running one keeps the version that it began with.
resource "aws_sfn_alias" "live" {
  for_each = local.machines

  name        = "live"
  description = "What releases, the guard and operators start."

  routing_configuration {
    state_machine_version_arn = aws_sfn_state_machine.this[each.key].state_machine_version_arn
    weight                    = 100
  }
}
