mock_provider "aws" {
  mock_resource "aws_sfn_state_machine" {
    defaults = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-shop-housekeeping" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/spillway-housekeeping" }
  }
  mock_resource "aws_scheduler_schedule_group" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/spillway-housekeeping" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:spillway-housekeeping-dlq" }
  }
}

variables {
  engine = {
    name                     = "spillway"
    lease_table_name         = "spillway-leases"
    lease_table_arn          = "arn:aws:dynamodb:eu-west-1:123456789012:table/spillway-leases"
    retire_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live"
  }
  tags     = { team = "shop" }
  timezone = "Europe/Stockholm"
  services = {
    shop = {
      compute = {
        blue  = { ecs_service = { cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/shops", service = "shop-blue" } }
        green = { ecs_service = { cluster = "shops", service = "shop-green" } }
      }
      working_hours = { sleep = "cron(0 19 ? * MON-FRI *)", wake = "cron(0 7 ? * MON-FRI *)" }
    }
    store = {
      compute = {
        blue  = { auto_scaling_group = { name = "store-blue" } }
        green = { auto_scaling_group = { name = "store-green" } }
      }
    }
  }
}

run "looks_first" {
  assert {
    condition     = output.dry_run
    error_message = "A dry run is what comes first."
  }

  assert {
    condition = alltrue([
      for policy in values(aws_iam_role_policy.machine) :
      length(setsubtract([for statement in jsondecode(policy.policy).Statement : statement.Action], ["ecs:DescribeServices", "autoscaling:DescribeAutoScalingGroups", "dynamodb:GetItem"])) == 0
    ])
    error_message = "In a dry run nothing may be changed: ${jsonencode([for policy in values(aws_iam_role_policy.machine) : policy.policy])}"
  }

  assert {
    condition = alltrue([
      for machine in values(aws_sfn_state_machine.service) : alltrue([
        for state in values(jsondecode(machine.definition).States) : can(regex("(describeServices|describeAutoScalingGroups|getItem)$", state.Resource)) if state.Type == "Task"
      ])
    ])
    error_message = "In a dry run no state may change anything."
  }

  assert {
    condition     = toset(keys(output.plan)) == toset(["shop-retire", "shop-sleep", "shop-wake", "store-retire"]) && jsonencode(output.plan["shop-wake"]) == jsonencode({ at = "cron(0 7 ? * MON-FRI *)", timezone = "Europe/Stockholm", until = null, does = "scales both slots of shop to what they had, and lets releases start" })
    error_message = "The plan must tell what happens when: ${jsonencode(output.plan)}"
  }

  assert {
    condition     = alltrue([for schedule in values(aws_scheduler_schedule.service) : startswith(schedule.description, "Dry run: would tell that this ") && schedule.state == "ENABLED"])
    error_message = "A dry run runs, and says that it is one."
  }
}

run "puts_to_sleep_and_wakes" {
  variables {
    dry_run                  = false
    alarm_actions            = ["arn:aws:sns:eu-west-1:123456789012:operators"]
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = { for name, schedule in aws_scheduler_schedule.service : schedule.name => [schedule.schedule_expression, schedule.schedule_expression_timezone, jsondecode(schedule.target[0].input).mode] if startswith(name, "shop-") } == { spillway-shop-retire = ["cron(0 5 * * ? *)", "Europe/Stockholm", "retire"], spillway-shop-sleep = ["cron(0 19 ? * MON-FRI *)", "Europe/Stockholm", "sleep"], spillway-shop-wake = ["cron(0 7 ? * MON-FRI *)", "Europe/Stockholm", "wake"] }
    error_message = "Each schedule must start its mode at its time."
  }

  assert {
    condition     = alltrue([for schedule in values(aws_scheduler_schedule.service) : !startswith(schedule.description, "Dry run") && schedule.start_date == null && schedule.end_date == null && schedule.target[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letter.arn])
    error_message = "What cannot be started is kept, and nothing ends by itself."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.machine["shop"].policy).Statement : statement.Action => statement.Resource } == {
      "ecs:DescribeServices"  = ["arn:aws:ecs:eu-west-1:123456789012:service/shops/shop-blue", "arn:aws:ecs:eu-west-1:123456789012:service/shops/shop-green"]
      "dynamodb:GetItem"      = ["arn:aws:dynamodb:eu-west-1:123456789012:table/spillway-leases"]
      "dynamodb:UpdateItem"   = ["arn:aws:dynamodb:eu-west-1:123456789012:table/spillway-leases"]
      "ecs:UpdateService"     = ["arn:aws:ecs:eu-west-1:123456789012:service/shops/shop-blue", "arn:aws:ecs:eu-west-1:123456789012:service/shops/shop-green"]
      "states:StartExecution" = ["arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire"]
    }
    error_message = "The role may change this service and nothing else: ${aws_iam_role_policy.machine["shop"].policy}"
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.machine["shop"].policy).Statement : statement.Condition == { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["shop"] } } if startswith(statement.Action, "dynamodb:")])
    error_message = "Of the lease table the role may see and change its own item only."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.machine["store"].policy).Statement : statement.Action => statement.Resource if startswith(statement.Action, "autoscaling:") } == {
      "autoscaling:DescribeAutoScalingGroups" = ["*"]
      "autoscaling:UpdateAutoScalingGroup"    = ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:*:autoScalingGroupName/store-blue", "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:*:autoScalingGroupName/store-green"]
    }
    error_message = "Groups are described all, and changed by name."
  }

  assert {
    condition     = jsondecode(aws_iam_role.machine["shop"].assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" }, ArnEquals = { "aws:SourceArn" = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-shop-housekeeping" } } && aws_iam_role.machine["shop"].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "Only this machine may take the role, and the boundary bounds it."
  }

  assert {
    condition     = jsondecode(aws_iam_role.schedule.assume_role_policy).Statement[0].Condition.ArnEquals == { "aws:SourceArn" = aws_scheduler_schedule_group.housekeeping.arn } && toset([for statement in jsondecode(aws_iam_role_policy.schedule.policy).Statement : statement.Action]) == toset(["states:StartExecution", "sqs:SendMessage"])
    error_message = "Only these schedules may take the role, to start these machines."
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.failed), [aws_cloudwatch_metric_alarm.dead_letter]) : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:operators"])]) && length(aws_cloudwatch_metric_alarm.failed) == 2
    error_message = "What failed must be told of."
  }

  assert {
    condition     = aws_sfn_state_machine.service["shop"].tags == tomap({ team = "shop", "spillway:engine" = "spillway", "spillway:service" = "shop" })
    error_message = "Everything must be tagged."
  }

  assert {
    condition     = alltrue([for tags in [aws_scheduler_schedule_group.housekeeping.tags, aws_sqs_queue.dead_letter.tags, aws_cloudwatch_metric_alarm.dead_letter.tags, aws_iam_role.schedule.tags] : tags == tomap({ team = "shop", "spillway:engine" = "spillway" })])
    error_message = "What is no service's own must be tagged with the engine."
  }
}

run "sleeps_for_good" {
  command = plan

  variables {
    services = {
      shop = {
        compute       = { blue = { ecs_service = { cluster = "shops", service = "shop-blue" } }, green = { ecs_service = { cluster = "shops", service = "shop-green" } } }
        working_hours = { sleep = "cron(0 19 ? * MON-FRI *)", wake = "cron(0 7 ? * MON-FRI *)" }
        expires_on    = "2999-01-31"
      }
    }
  }

  assert {
    condition     = aws_scheduler_schedule.service["shop-expire"].start_date == "2999-01-31T00:00:00Z" && jsondecode(aws_scheduler_schedule.service["shop-expire"].target[0].input).mode == "sleep" && aws_scheduler_schedule.service["shop-wake"].end_date == "2999-01-31T00:00:00Z" && aws_scheduler_schedule.service["shop-sleep"].end_date == null
    error_message = "From that day on it sleeps and does not wake."
  }

  assert {
    condition     = { for name, schedule in aws_scheduler_schedule.service : name => [schedule.schedule_expression_timezone, schedule.state] } == { shop-expire = ["UTC", "ENABLED"], shop-retire = ["Europe/Stockholm", "ENABLED"], shop-sleep = ["Europe/Stockholm", "ENABLED"], shop-wake = ["Europe/Stockholm", "ENABLED"] }
    error_message = "A day begins in UTC, working hours where people are."
  }

  assert {
    condition     = jsonencode(output.expiry_tags) == jsonencode({ shop = { expires-on = "2999-01-31" } })
    error_message = "The tag must say when."
  }
}

run "can_be_changed_after_the_last_day" {
  command = plan

  variables {
    services = {
      shop = {
        compute       = { blue = { ecs_service = { cluster = "shops", service = "shop-blue" } }, green = { ecs_service = { cluster = "shops", service = "shop-green" } } }
        working_hours = { sleep = "cron(0 19 ? * MON-FRI *)", wake = "cron(0 7 ? * MON-FRI *)" }
        expires_on    = "2020-01-31"
      }
    }
  }

  assert {
    condition     = alltrue([for schedule in values(aws_scheduler_schedule.service) : schedule.start_date == null && schedule.end_date == null])
    error_message = "Scheduler refuses a start or an end that is past, whatever else is changed."
  }

  assert {
    condition     = { for name, schedule in aws_scheduler_schedule.service : name => schedule.state } == { shop-expire = "ENABLED", shop-retire = "ENABLED", shop-sleep = "ENABLED", shop-wake = "DISABLED" }
    error_message = "An expired service sleeps and does not wake."
  }
}

run "retires_nothing" {
  command = plan

  variables {
    idle_slots_schedule = null
  }

  assert {
    condition     = toset(keys(aws_scheduler_schedule.service)) == toset(["shop-sleep", "shop-wake"])
    error_message = "Without a schedule there is no retirement."
  }
}

run "freezes_for_as_long_as_asked_for" {
  command = plan

  variables {
    dry_run             = false
    longest_sleep_hours = 14
  }

  assert {
    condition     = jsondecode(local.machines["shop"]).States.FallAsleep.Arguments.ExpressionAttributeValues[":freeze"].M.until.S == "{% $fromMillis($millis() + 50400000) %}"
    error_message = "The freeze must end after 14 hours."
  }
}

run "uses_the_tables_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition     = one([for statement in local.policies["shop"].Statement : statement if statement.Action == "kms:Decrypt"]).Condition == { StringEquals = { "kms:ViaService" = ["dynamodb.eu-west-1.amazonaws.com"] } }
    error_message = "A table under a key of one's own is read with it."
  }
}

run "watches_what_is_spent" {
  variables {
    budget = { amount = 50, emails = ["shop@example.com"], topic_arns = ["arn:aws:sns:eu-west-1:123456789012:operators"], actual_percent = 90, forecast_percent = 110, tag = { key = "team", value = "shop" } }
  }

  assert {
    condition     = aws_budgets_budget.monthly[0].limit_amount == "50" && aws_budgets_budget.monthly[0].limit_unit == "USD" && aws_budgets_budget.monthly[0].time_unit == "MONTHLY" && output.budget_name == "spillway-housekeeping"
    error_message = "The budget must be the one asked for."
  }

  assert {
    condition     = { for notification in aws_budgets_budget.monthly[0].notification : notification.notification_type => notification.threshold } == { ACTUAL = 90, FORECASTED = 110 } && alltrue([for notification in aws_budgets_budget.monthly[0].notification : notification.subscriber_email_addresses == toset(["shop@example.com"]) && notification.subscriber_sns_topic_arns == toset(["arn:aws:sns:eu-west-1:123456789012:operators"])])
    error_message = "People must be told, of what is spent and of what will be."
  }

  assert {
    condition     = one([for filter in aws_budgets_budget.monthly[0].cost_filter : tolist(filter.values)[0] if filter.name == "TagKeyValue"]) == join("$", ["user:team", "shop"])
    error_message = "Costs must be narrowed down by the tag."
  }
}

run "has_no_budget_by_itself" {
  command = plan

  assert {
    condition     = length(aws_budgets_budget.monthly) == 0 && output.budget_name == null
    error_message = "A budget is asked for."
  }
}

run "shortens_long_names" {
  command = plan

  variables {
    services = {
      a_service-with-a-name-as-long-32 = {
        compute       = { blue = { ecs_service = { cluster = "shops", service = "shop-blue" } }, green = { ecs_service = { cluster = "shops", service = "shop-green" } } }
        working_hours = { sleep = "cron(0 19 ? * MON-FRI *)", wake = "cron(0 7 ? * MON-FRI *)" }
      }
    }
    engine = {
      name                     = "an-engine-with-a-name-as-long-32"
      lease_table_name         = "leases"
      lease_table_arn          = "arn:aws:dynamodb:eu-west-1:123456789012:table/leases"
      retire_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:retire"
    }
  }

  assert {
    condition     = alltrue([for role in values(aws_iam_role.machine) : length(role.name) <= 64]) && alltrue([for schedule in values(aws_scheduler_schedule.service) : length(schedule.name) <= 64])
    error_message = "Roles and schedules have 64 characters at most."
  }
}
