resource "aws_cloudwatch_log_group" "functions" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is the owner's decision; 90 days are as long as executions keep their history.
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags
}

resource "aws_iam_role" "functions" {
  for_each = local.functions

  name = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:lambda:${local.here}:function:${var.name}-${each.key}" }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "functions" {
  for_each = local.functions

  name   = "calls"
  role   = aws_iam_role.functions[each.key].id
  policy = module.permissions.functions[each.key]
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115:A limit of its own would take concurrency from the account, and a rollback that is throttled by it helps nobody; an alarm tells of throttling.
  #checkov:skip=CKV_AWS_116:The machines invoke and wait for the answer; what is invoked by events, announce, has a destination for what fails.
  #checkov:skip=CKV_AWS_117:The functions call AWS's APIs alone; a VPC would add endpoints that can fail, and takes nothing away.
  #checkov:skip=CKV_AWS_272:Whoever may sign may also deploy here; the packages' hashes are in the plan.
  for_each = local.functions

  function_name    = "${var.name}-${each.key}"
  role             = aws_iam_role.functions[each.key].arn
  filename         = "${var.package_directory}/${each.key}.zip"
  source_code_hash = try(filebase64sha256("${var.package_directory}/${each.key}.zip"), null)
  architectures    = [var.architecture]
  handler          = "bootstrap"
  runtime          = "provided.al2023"
  memory_size      = 128
  timeout          = local.function_timeout_seconds
  kms_key_arn      = var.kms_key_arn
  # A running execution goes on with the versions that it began with.
  publish = true
  tags    = local.tags

  environment {
    variables = merge(
      { SPILLWAY_LEASE_TABLE = local.lease_table },
      each.key == "plan-release" && length(var.allowed_homes) > 0 ? { SPILLWAY_ALLOWED_HOMES = join(",", var.allowed_homes) } : {},
    )
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.functions[each.key].name
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  lifecycle {
    precondition {
      condition     = fileexists("${var.package_directory}/${each.key}.zip")
      error_message = "${var.package_directory}/${each.key}.zip does not exist: bash infra/package.sh builds the packages."
    }
  }

  # Without its policy a function could be invoked and fail.
  depends_on = [aws_iam_role_policy.functions]
}
