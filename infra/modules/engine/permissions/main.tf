locals {
  permissions = jsondecode(file("${path.module}/permissions.json"))

  here   = "${var.region}:${var.account_id}"
  arn    = "arn:${var.partition}"
  states = "${local.arn}:states:${local.here}"
  table  = "${local.arn}:dynamodb:${local.here}:table/${var.lease_table}"
  key    = compact([var.kms_key_arn])

  managed = { StringEquals = { "aws:ResourceTag/spillway:managed" = "true" } }
  # Of what can be tagged: any of the account's that has the tag, or one that is named.
  taggable = {
    auto_scaling_groups = "${local.arn}:autoscaling:${local.here}:autoScalingGroup:*:autoScalingGroupName/*"
    ecs_services        = "${local.arn}:ecs:${local.here}:service/*"
    listener_rules      = "${local.arn}:elasticloadbalancing:${local.here}:listener-rule/app/*"
    listeners           = "${local.arn}:elasticloadbalancing:${local.here}:listener/app/*"
    scalable_targets    = "${local.arn}:application-autoscaling:${local.here}:scalable-target/*"
  }

  # What a name in permissions.json stands for: statements without their actions. Without resources there is none.
  scopes = merge(
    {
      for name, pattern in local.taggable : name => [
        { suffix = "Tagged", resources = [pattern], condition = local.managed },
        { suffix = "Named", resources = var.managed_arns[name], condition = null },
      ]
    },
    {
      any = [{ suffix = "", resources = ["*"], condition = null }]
      # Nobody else's events.
      event_bus = [{
        suffix    = ""
        resources = ["${local.arn}:events:${local.here}:event-bus/default"]
        condition = { StringEquals = { "events:source" = "spillway" } }
      }]
      hooks             = [{ suffix = "", resources = var.hook_function_arns, condition = null }]
      key               = [{ suffix = "", resources = local.key, condition = null }]
      lease_index       = [{ suffix = "", resources = ["${local.table}/index/owner"], condition = null }]
      lease_table       = [{ suffix = "", resources = [local.table], condition = null }]
      unannounced_queue = [{ suffix = "", resources = ["${local.arn}:sqs:${local.here}:${var.unannounced_queue}"], condition = null }]
      page_topic        = [{ suffix = "", resources = ["${local.arn}:sns:${local.here}:${var.page_topic}"], condition = null }]
      parameters = [{
        suffix    = ""
        resources = ["${local.arn}:ssm:${local.here}:parameter${var.parameter_prefix}*"]
        condition = null
      }]

      # A launch involves a dozen kinds of resources, all of which tell of the template.
      launch_templates = [{
        suffix = ""
        resources = length(var.managed_arns.launch_templates) == 0 ? [] : [
          "${local.arn}:ec2:${local.here}:*",
          "${local.arn}:ec2:${var.region}::image/*",
          "${local.arn}:ec2:${var.region}::snapshot/*",
        ]
        condition = { ArnEquals = { "ec2:LaunchTemplate" = var.managed_arns.launch_templates } }
      }]
      # Whatever a launch makes, while it does.
      launch_tags = [{
        suffix    = ""
        resources = length(var.managed_arns.launch_templates) == 0 ? [] : ["${local.arn}:ec2:${local.here}:*/*"]
        condition = { StringEquals = { "ec2:CreateAction" = "RunInstances" } }
      }]
      instance_roles = [{
        suffix    = ""
        resources = var.managed_arns.instance_roles
        condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      }]
      task_roles = [{
        suffix    = ""
        resources = var.managed_arns.task_roles
        condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      }]
      # A revision is new: it is known by the tag that it is registered with.
      task_definitions = [{
        suffix    = ""
        resources = ["*"]
        condition = { Null = { "aws:RequestTag/spillway:release" = "false" } }
      }]
      task_definition_tags = [{
        suffix    = ""
        resources = ["${local.arn}:ecs:${local.here}:task-definition/*:*"]
        condition = { StringEquals = { "ecs:CreateAction" = "RegisterTaskDefinition" } }
      }]

      log_delivery = [{ suffix = "", resources = ["*"], condition = null }]
      task_tokens  = [{ suffix = "", resources = ["*"], condition = null }]
      traces       = [{ suffix = "", resources = var.tracing ? ["*"] : [], condition = null }]
    },
    # Any version of the function: a running execution goes on with the one that it began with.
    { for name in keys(local.permissions.functions) : "function/${name}" => [
      { suffix = "", resources = ["${local.arn}:lambda:${local.here}:function:${var.name}-${name}:*"], condition = null }
    ] },
    # Permission to start an alias is permission for its machine:
    # https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    { for name in keys(local.permissions.machines) : "machine/${name}" => [
      { suffix = "", resources = ["${local.states}:stateMachine:${var.name}-${name}"], condition = null }
    ] },
    { for name in keys(local.permissions.machines) : "execution/${name}" => [
      { suffix = "", resources = ["${local.states}:execution:${var.name}-${name}:*"], condition = null }
    ] },
  )

  roles = merge(
    { for name, own in local.permissions.functions : "function/${name}" => {
      actions = merge(local.permissions.every_function, own)
      scopes = merge(local.scopes, { own_log_group = [
        { suffix = "", resources = ["${local.arn}:logs:${local.here}:log-group:/aws/lambda/${var.name}-${name}:*"], condition = null }
      ] })
    } },
    { for name, own in local.permissions.machines : "machine/${name}" => {
      actions = merge(local.permissions.every_machine, own)
      scopes  = local.scopes
    } },
  )

  policies = { for role, wanted in local.roles : role => jsonencode({
    Version = "2012-10-17"
    Statement = flatten([
      for scope in sort(distinct(flatten(values(wanted.actions)))) : [
        for statement in wanted.scopes[scope] : {
          # Left out where there is none.
          for key, value in {
            Sid       = "${replace(title(replace(scope, "/[^a-z]/", " ")), " ", "")}${statement.suffix}"
            Effect    = "Allow"
            Action    = sort([for action, scopes in wanted.actions : action if contains(scopes, scope)])
            Resource  = statement.resources
            Condition = statement.condition
          } : key => value if value != null
        } if length(statement.resources) > 0
      ]
    ])
  }) }
}
