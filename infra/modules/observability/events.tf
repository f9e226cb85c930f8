locals {
  # An execution that was started through the alias: whichever of the two ARNs the event tells.
  arns_of = { for name, arn in var.engine.state_machine_arns : name => [arn, "${arn}:live"] }

  status_change = {
    for name, detail in {
      started     = { status = ["RUNNING"], stateMachineArn = local.arns_of["release"] }
      promoted    = merge({ status = ["SUCCEEDED"], stateMachineArn = local.arns_of["release"] }, local.output_tells["promoted"])
      rolled_back = merge({ status = ["FAILED"], stateMachineArn = local.arns_of["release"] }, local.error_tells["rolled_back"])
      refused     = merge({ status = ["FAILED"], stateMachineArn = local.arns_of["release"] }, local.error_tells["refused"])
      undone      = merge({ status = ["SUCCEEDED"], stateMachineArn = local.arns_of["rollback"] }, local.output_tells["rolled_back"])
      died        = { status = ["ABORTED", "TIMED_OUT"], stateMachineArn = concat(local.arns_of["release"], local.arns_of["rollback"]) }
      page        = merge({ status = ["FAILED"], stateMachineArn = concat(local.arns_of["release"], local.arns_of["rollback"]) }, local.error_tells["page"])
    } : name => jsonencode({ source = ["aws.states"], detail-type = ["Step Functions Execution Status Change"], detail = detail })
  }

  # An event leaves out an output that is large.
  output_tells = {
    for outcome in ["promoted", "rolled_back"] :
    outcome => { "$or" = [{ output = [{ wildcard = "*\"${outcome}\"*" }] }, { output = [null] }, { output = [{ exists = false }] }] }
  }

  # An event without the error's name is told of as the most likely one, once.
  error_tells = {
    rolled_back = { "$or" = [{ error = ["RolledBack", "StableDead"] }, { error = [null] }, { error = [{ exists = false }] }] }
    refused     = { error = [{ anything-but = ["RolledBack", "StableDead", "RollBackFailed"] }] }
    page        = { error = ["RollBackFailed"] }
  }

  # Weights are changed by two functions alone; the API's calls are told of where a trail records them.
  shifted = jsonencode({
    source      = ["aws.elasticloadbalancing"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail = {
      eventSource  = ["elasticloadbalancing.amazonaws.com"]
      eventName    = ["ModifyListener", "ModifyRule"]
      errorCode    = [{ exists = false }]
      userIdentity = { sessionContext = { sessionIssuer = { arn = [var.engine.function_role_arns["rollback"], var.engine.function_role_arns["shift-weight"]] } } }
    }
  })

  execution = {
    paths = {
      arn       = "$.detail.executionArn"
      error     = "$.detail.error"
      execution = "$.detail.name"
      region    = "$.region"
      status    = "$.detail.status"
    }
    link = "[<execution>](https://<region>.console.aws.amazon.com/states/home?region=<region>#/v2/executions/details/<arn>)"
  }
  shift = {
    paths = {
      call      = "$.detail.eventName"
      execution = "$.detail.eventID"
      listener  = "$.detail.requestParameters.listenerArn"
      role      = "$.detail.userIdentity.sessionContext.sessionIssuer.userName"
      rule      = "$.detail.requestParameters.ruleArn"
    }
  }

  rules = {
    for name, rule in {
      started     = { pattern = local.status_change["started"], paths = local.execution.paths, title = "Release started", text = local.execution.link }
      shifted     = { pattern = local.shifted, paths = local.shift.paths, title = "Traffic shifted", text = "<role>: <call> of <rule><listener>" }
      promoted    = { pattern = local.status_change["promoted"], paths = local.execution.paths, title = "Release promoted", text = "${local.execution.link}: all traffic is on the new version." }
      rolled_back = { pattern = local.status_change["rolled_back"], paths = local.execution.paths, title = "Release rolled back", text = "${local.execution.link}: <status> <error>. The execution tells why." }
      refused     = { pattern = local.status_change["refused"], paths = local.execution.paths, title = "Release ended without a change", text = "${local.execution.link}: <error>. The execution tells why." }
      undone      = { pattern = local.status_change["undone"], paths = local.execution.paths, title = "Release undone", text = "${local.execution.link}: all traffic is on the version before." }
      died        = { pattern = local.status_change["died"], paths = local.execution.paths, title = "Release died", text = "${local.execution.link}: <status>. The guard takes over from it." }
      page        = { pattern = local.status_change["page"], paths = local.execution.paths, title = "Rollback failed: a person is needed", text = "${local.execution.link}: traffic may be split." }
    } : name => rule if contains(var.events, name)
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.rules

  name          = "${local.name}-release-${replace(each.key, "_", "-")}"
  event_pattern = each.value.pattern
  description   = "${each.value.title}: told to ${local.name}-releases."
  tags          = local.tags
}

# The message is one that chat integrations show as it is:
# https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
resource "aws_cloudwatch_event_target" "this" {
  for_each = local.rules

  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "topic"
  arn       = aws_sns_topic.releases.arn

  input_transformer {
    input_paths = each.value.paths
    # jsonencode writes < and > as numbers, and a placeholder would not be one any more.
    input_template = replace(replace(jsonencode({
      version  = "1.0"
      source   = "custom"
      content  = { textType = "client-markdown", title = each.value.title, description = each.value.text }
      metadata = { threadId = "<execution>", eventType = each.key }
    }), "\\u003c", "<"), "\\u003e", ">")
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${local.name}-releases-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = local.tags
}

resource "aws_sqs_queue_policy" "undelivered" {
  count = length(local.rules) > 0 ? 1 : 0

  queue_url = aws_sqs_queue.undelivered.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FromTheRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = local.rule_arns }
      }
    }]
  })
}
