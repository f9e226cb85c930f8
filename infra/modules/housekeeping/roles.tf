locals {
  # What may be read and changed of each slot. Auto Scaling groups have an id in their ARNs that nobody else has.
  compute_arns = {
    for name, service in var.services : name => service.compute.blue.ecs_service != null ? [
      for slot in local.slots :
      startswith(service.compute[slot].ecs_service.service, "arn:") ? service.compute[slot].ecs_service.service :
      "arn:${local.partition}:ecs:${local.region}:${local.account}:service/${reverse(split("/", service.compute[slot].ecs_service.cluster))[0]}/${service.compute[slot].ecs_service.service}"
      ] : [
      for slot in local.slots :
      "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${service.compute[slot].auto_scaling_group.name}"
    ]
  }

  policies = {
    for name, service in var.services : name => {
      Version = "2012-10-17"
      Statement = [
        for statement in [
          {
            Sid       = "Look"
            Effect    = "Allow"
            Action    = service.compute.blue.ecs_service != null ? "ecs:DescribeServices" : "autoscaling:DescribeAutoScalingGroups"
            Resource  = service.compute.blue.ecs_service != null ? local.compute_arns[name] : ["*"]
            Condition = null
            changes   = false
          },
          {
            Sid       = "ReadLease"
            Effect    = "Allow"
            Action    = "dynamodb:GetItem"
            Resource  = [var.engine.lease_table_arn]
            Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = [name] } }
            changes   = false
          },
          {
            Sid       = "Freeze"
            Effect    = "Allow"
            Action    = "dynamodb:UpdateItem"
            Resource  = [var.engine.lease_table_arn]
            Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = [name] } }
            changes   = true
          },
          {
            Sid       = "Scale"
            Effect    = "Allow"
            Action    = service.compute.blue.ecs_service != null ? "ecs:UpdateService" : "autoscaling:UpdateAutoScalingGroup"
            Resource  = local.compute_arns[name]
            Condition = null
            changes   = true
          },
          {
            Sid       = "Retire"
            Effect    = "Allow"
            Action    = "states:StartExecution"
            Resource  = [local.retire_arn]
            Condition = null
            changes   = true
          },
          {
            Sid       = "UseKey"
            Effect    = "Allow"
            Action    = "kms:Decrypt"
            Resource  = [coalesce(var.kms_key_arn, "none")]
            Condition = { StringEquals = { "kms:ViaService" = ["dynamodb.${local.region}.amazonaws.com"] } }
            changes   = false
          },
        ] : { for field, value in statement : field => value if field != "changes" && value != null }
        if !(var.dry_run && statement.changes) && (statement.Sid != "UseKey" || var.kms_key_arn != null)
      ]
    }
  }
}

resource "aws_iam_role" "machine" {
  for_each = var.services

  name        = local.names[each.key]
  description = "Housekeeping of ${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = "arn:${local.partition}:states:${local.region}:${local.account}:stateMachine:${local.names[each.key]}" }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = merge(local.tags, { "spillway:service" = each.key })
}

resource "aws_iam_role_policy" "machine" {
  for_each = var.services

  name   = "housekeeping"
  role   = aws_iam_role.machine[each.key].id
  policy = jsonencode(local.policies[each.key])
}

resource "aws_iam_role" "schedule" {
  name        = "${var.engine.name}-housekeeping-schedule"
  description = "EventBridge Scheduler starts housekeeping"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_scheduler_schedule_group.housekeeping.arn }
      }
    }]
  })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "schedule" {
  name = "start-housekeeping"
  role = aws_iam_role.schedule.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StartHousekeeping"
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = [for machine in values(aws_sfn_state_machine.service) : machine.arn]
      },
      {
        Sid      = "KeepWhatCouldNotBeStarted"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = [aws_sqs_queue.dead_letter.arn]
      },
    ]
  })
}
