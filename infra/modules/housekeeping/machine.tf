# One state machine for each service: sleep, wake and retire. It keeps the rules of the engine's machines
# (statemachine/README.md), and begins a freeze instead of taking the lease, so that there is nothing to recover.

locals {
  slots = ["blue", "green"]
  title = { blue = "Blue", green = "Green" }
  # The variables of the machine that hold what a slot has.
  variable = { blue = "$blue", green = "$green" }

  integration = "arn:${local.partition}:states:::aws-sdk"
  retry_all = {
    ErrorEquals     = ["States.ALL"]
    IntervalSeconds = 1
    BackoffRate     = 2
    MaxAttempts     = 5
    MaxDelaySeconds = 20
    JitterStrategy  = "FULL"
  }
  no_retry = { for error in ["States.QueryEvaluationError", "DynamoDB.ConditionalCheckFailedException"] : error => { ErrorEquals = [error], MaxAttempts = 0 } }
  fail     = [{ ErrorEquals = ["States.ALL"], Next = "Failed", Assign = { failure = "{% $states.errorOutput %}" } }]

  # How each kind of compute is read and scaled. Numbers are kept as text: DynamoDB has them so, and they compare.
  calls = {
    for name, service in var.services : name => {
      for slot in local.slots : slot => jsondecode(service.compute[slot].ecs_service != null ? jsonencode({
        describe  = "${local.integration}:ecs:describeServices"
        arguments = { Cluster = service.compute[slot].ecs_service.cluster, Services = [service.compute[slot].ecs_service.service] }
        desired   = "{% $string($states.result.Services.DesiredCount) %}"
        minimum   = "0"
        scale     = "${local.integration}:ecs:updateService"
        to_zero   = { Cluster = service.compute[slot].ecs_service.cluster, Service = service.compute[slot].ecs_service.service, DesiredCount = 0 }
        back      = { Cluster = service.compute[slot].ecs_service.cluster, Service = service.compute[slot].ecs_service.service, DesiredCount = "{% $parse(${local.variable[slot]}_recorded) %}" }
        }) : jsonencode({
        describe  = "${local.integration}:autoscaling:describeAutoScalingGroups"
        arguments = { AutoScalingGroupNames = [service.compute[slot].auto_scaling_group.name] }
        desired   = "{% $string($states.result.AutoScalingGroups.DesiredCapacity) %}"
        minimum   = "{% $string($states.result.AutoScalingGroups.MinSize) %}"
        scale     = "${local.integration}:autoscaling:updateAutoScalingGroup"
        to_zero   = { AutoScalingGroupName = service.compute[slot].auto_scaling_group.name, MinSize = 0, DesiredCapacity = 0 }
        back      = { AutoScalingGroupName = service.compute[slot].auto_scaling_group.name, MinSize = "{% $parse(${local.variable[slot]}_recorded_minimum) %}", DesiredCapacity = "{% $parse(${local.variable[slot]}_recorded) %}" }
      }))
    }
  }

  key = { for name in keys(var.services) : name => { TableName = var.engine.lease_table_name, Key = { service = { S = name } } } }

  looks = {
    for name, calls in local.calls : name => merge(
      {
        Start = {
          Type = "Choice"
          Choices = [
            { Condition = "{% $states.input.mode = 'retire' %}", Next = "ReadPromotion" },
            { Condition = "{% $states.input.mode = 'sleep' %}", Next = "DescribeBlue" },
            { Condition = "{% $states.input.mode = 'wake' %}", Next = "DescribeBlue" },
          ]
          Default = "UnknownMode"
        }
        UnknownMode = { Type = "Fail", Error = "UnknownMode", Cause = "mode must be sleep, wake or retire" }
        Failed      = { Type = "Fail", Error = "HousekeepingFailed", Cause = "{% $string($failure) %}" }
      },
      {
        for slot in local.slots : "Describe${local.title[slot]}" => {
          Type           = "Task"
          Resource       = calls[slot].describe
          TimeoutSeconds = 20
          Arguments      = calls[slot].arguments
          Assign = merge(
            { (slot) = calls[slot].desired, "${slot}_minimum" = calls[slot].minimum },
            { for variable, value in { mode = "{% $states.input.mode %}" } : variable => value if slot == "blue" },
          )
          Retry = [local.no_retry["States.QueryEvaluationError"], local.retry_all]
          Catch = local.fail
          Next  = slot == "blue" ? "DescribeGreen" : "WhichWay"
        }
      },
      {
        WhichWay = {
          Type    = "Choice"
          Choices = [{ Condition = "{% $mode = 'sleep' %}", Next = "IsBlueAtZero" }]
          Default = "ReadRecord"
        }
        IsBlueAtZero = {
          Type    = "Choice"
          Choices = [{ Condition = "{% $blue = '0' %}", Next = "IsGreenAtZero" }]
          Default = var.dry_run ? "WouldSleep" : "FallAsleep"
        }
        IsGreenAtZero = {
          Type    = "Choice"
          Choices = [{ Condition = "{% $green = '0' %}", Next = "IsAsleep" }]
          Default = var.dry_run ? "WouldSleep" : "FallAsleep"
        }
        IsAsleep = { Type = "Succeed", Output = { outcome = "is_asleep", service = name } }
        ReadRecord = {
          Comment        = "What sleep has recorded; nothing, where nobody put the service to sleep."
          Type           = "Task"
          Resource       = "arn:${local.partition}:states:::dynamodb:getItem"
          TimeoutSeconds = 10
          Arguments      = merge(local.key[name], { ConsistentRead = true, ProjectionExpression = "asleep" })
          Assign = merge([
            for slot in local.slots : {
              "${slot}_recorded"         = "{% $states.result.Item.asleep.M.${slot}.S %}"
              "${slot}_recorded_minimum" = "{% $states.result.Item.asleep.M.${slot}_minimum.S %}"
            }
          ]...)
          Retry = [local.no_retry["States.QueryEvaluationError"], local.retry_all]
          Catch = concat([{ ErrorEquals = ["States.QueryEvaluationError"], Next = "IsAwake" }], local.fail)
          Next  = var.dry_run ? "WouldWake" : "IsBlueToWake"
        }
        IsAwake = { Type = "Succeed", Output = { outcome = "is_awake", service = name } }
        ReadPromotion = {
          Comment        = "Which slot the latest promotion left, and the release's plan, which the retirement needs; nothing once it is undone or a newer release is planned."
          Type           = "Task"
          Resource       = "arn:${local.partition}:states:::dynamodb:getItem"
          TimeoutSeconds = 10
          Arguments      = merge(local.key[name], { ConsistentRead = true, ProjectionExpression = "promoted_plan, planned_fence" })
          Assign         = { plan = "{% $parse($states.result.Item.promoted_plan.S) %}", fence = "{% $states.result.Item.planned_fence.N %}" }
          Retry          = [local.no_retry["States.QueryEvaluationError"], local.retry_all]
          Catch          = concat([{ ErrorEquals = ["States.QueryEvaluationError"], Next = "NothingToRetire" }], local.fail)
          Next           = var.dry_run ? "WouldRetire" : "Retire"
        }
        NothingToRetire = { Type = "Succeed", Output = { outcome = "nothing_to_retire", service = name } }
      },
    )
  }

  # In a dry run the machine ends here.
  says = {
    for name, calls in local.calls : name => {
      WouldSleep = {
        Type   = "Succeed"
        Output = { outcome = "would_sleep", service = name, blue = "{% $blue %}", green = "{% $green %}" }
      }
      WouldWake = {
        Type   = "Succeed"
        Output = { outcome = "would_wake", service = name, blue = "{% $blue_recorded %}", green = "{% $green_recorded %}" }
      }
      WouldRetire = {
        Type   = "Succeed"
        Output = { outcome = "would_retire", service = name, slot = "{% $plan.stable.slot %}" }
      }
    }
  }

  does = {
    for name, calls in local.calls : name => merge(
      {
        FallAsleep = {
          Comment        = "Begins a freeze, unless somebody else has, or a release, an undo or a retirement is on or still owes something to what scales the slots: then the service stays awake. From here on no release starts. What is recorded stays until it wakes, also if this ends half-way."
          Type           = "Task"
          Resource       = "arn:${local.partition}:states:::dynamodb:updateItem"
          TimeoutSeconds = 10
          Arguments = merge(local.key[name], {
            ConditionExpression      = "attribute_not_exists(#owner) AND (attribute_not_exists(lease_until) OR lease_until < :now) AND (attribute_not_exists(#freeze) OR #freeze.#until < :now OR #freeze.#owner = :me) AND (attribute_not_exists(scaling) OR scaling = :nothing)"
            UpdateExpression         = "SET #freeze = :freeze, asleep = if_not_exists(asleep, :asleep)"
            ExpressionAttributeNames = { "#owner" = "owner", "#freeze" = "freeze", "#until" = "until" }
            ExpressionAttributeValues = {
              ":now" = { S = "{% $states.context.State.EnteredTime %}" }
              ":me"  = { S = local.freezer }
              # What is owed is a list, as text.
              ":nothing" = { S = "[]" }
              ":freeze" = { M = {
                reason = { S = "asleep outside working hours" }
                owner  = { S = local.freezer }
                until  = { S = "{% $fromMillis($millis() + ${var.longest_sleep_hours * 3600000}) %}" }
              } }
              ":asleep" = { M = merge([for slot in local.slots : { (slot) = { S = "{% ${local.variable[slot]} %}" }, "${slot}_minimum" = { S = "{% ${local.variable[slot]}_minimum %}" } }]...) }
            }
            ReturnValues = "NONE"
          })
          Retry = [local.no_retry["DynamoDB.ConditionalCheckFailedException"], local.retry_all]
          Catch = concat([{ ErrorEquals = ["DynamoDB.ConditionalCheckFailedException"], Next = "Busy" }], local.fail)
          Next  = "ScaleBlueToZero"
        }
        Busy   = { Type = "Succeed", Output = { outcome = "busy", service = name } }
        Asleep = { Type = "Succeed", Output = { outcome = "asleep", service = name, blue = "{% $blue %}", green = "{% $green %}" } }
        Thaw = {
          Comment        = "Releases may start again."
          Type           = "Task"
          Resource       = "arn:${local.partition}:states:::dynamodb:updateItem"
          TimeoutSeconds = 10
          Arguments = merge(local.key[name], {
            ConditionExpression       = "#freeze.#owner = :me"
            UpdateExpression          = "REMOVE asleep, #freeze"
            ExpressionAttributeNames  = { "#owner" = "owner", "#freeze" = "freeze" }
            ExpressionAttributeValues = { ":me" = { S = local.freezer } }
            ReturnValues              = "NONE"
          })
          Retry = [local.no_retry["DynamoDB.ConditionalCheckFailedException"], local.retry_all]
          Catch = concat([{ ErrorEquals = ["DynamoDB.ConditionalCheckFailedException"], Next = "Forget" }], local.fail)
          Next  = "Awake"
        }
        Forget = {
          Comment        = "Somebody has lifted the freeze, or begun one of their own, which stays."
          Type           = "Task"
          Resource       = "arn:${local.partition}:states:::dynamodb:updateItem"
          TimeoutSeconds = 10
          Arguments      = merge(local.key[name], { UpdateExpression = "REMOVE asleep", ReturnValues = "NONE" })
          Retry          = [local.retry_all]
          Catch          = local.fail
          Next           = "Awake"
        }
        Awake = { Type = "Succeed", Output = { outcome = "awake", service = name, blue = "{% $blue_recorded %}", green = "{% $green_recorded %}" } }
        Retire = {
          Comment        = "The retirement looks at weights, requests, the lease and newer releases itself, and waits for its rollback window anew."
          Type           = "Task"
          Resource       = "arn:${local.partition}:states:::states:startExecution"
          TimeoutSeconds = 20
          Arguments = {
            StateMachineArn = var.engine.retire_state_machine_arn
            Input           = { service = name, plan = "{% $plan %}", slot = "{% $plan.stable.slot %}", fence = "{% $fence %}" }
          }
          Retry = [local.retry_all]
          Catch = local.fail
          Next  = "Retiring"
        }
        Retiring = { Type = "Succeed", Output = { outcome = "retiring", service = name, slot = "{% $plan.stable.slot %}" } }
      },
      {
        for slot in local.slots : "Scale${local.title[slot]}ToZero" => {
          Type           = "Task"
          Resource       = calls[slot].scale
          TimeoutSeconds = 20
          Arguments      = calls[slot].to_zero
          Retry          = [local.retry_all]
          Catch          = local.fail
          Next           = slot == "blue" ? "ScaleGreenToZero" : "Asleep"
        }
      },
      {
        for slot in local.slots : "Is${local.title[slot]}ToWake" => {
          Comment = slot == "blue" ? "Not if somebody has scaled it up meanwhile." : null
          Type    = "Choice"
          Choices = [{ Condition = "{% ${local.variable[slot]} = '0' %}", Next = "Wake${local.title[slot]}" }]
          Default = slot == "blue" ? "IsGreenToWake" : "Thaw"
        }
      },
      {
        for slot in local.slots : "Wake${local.title[slot]}" => {
          Type           = "Task"
          Resource       = calls[slot].scale
          TimeoutSeconds = 20
          Arguments      = calls[slot].back
          Retry          = [local.no_retry["States.QueryEvaluationError"], local.retry_all]
          Catch          = local.fail
          Next           = slot == "blue" ? "IsGreenToWake" : "Thaw"
        }
      },
    )
  }

  freezer = "housekeeping"

  machines = {
    for name in keys(var.services) : name => jsonencode({
      Comment        = "Puts ${name} to sleep, wakes it, and retires its idle slot${var.dry_run ? "; looks only" : ""}."
      QueryLanguage  = "JSONata"
      StartAt        = "Start"
      TimeoutSeconds = 900
      States         = { for state, body in merge(local.looks[name], jsondecode(var.dry_run ? jsonencode(local.says[name]) : jsonencode(local.does[name]))) : state => { for field, value in body : field => value if value != null } }
    })
  }
}

resource "aws_sfn_state_machine" "service" {
  #checkov:skip=CKV_AWS_284:A dozen transitions a day are told by their history, which is kept for 90 days
  #checkov:skip=CKV_AWS_285:The executions' history is kept for 90 days; a log group would only copy it
  for_each = local.machines

  name       = local.names[each.key]
  role_arn   = aws_iam_role.machine[each.key].arn
  definition = each.value
  type       = "STANDARD"
  tags       = merge(local.tags, { "spillway:service" = each.key })
}
