variables {
  name               = "spillway"
  partition          = "aws"
  region             = "eu-west-1"
  account_id         = "123456789012"
  lease_table        = "spillway-leases"
  page_topic         = "spillway-pages"
  unannounced_queue  = "spillway-unannounced"
  parameter_prefix   = "/spillway/services/"
  hook_function_arns = ["arn:aws:lambda:eu-west-1:123456789012:function:checkout-smoke:live"]
  kms_key_arn        = "arn:aws:kms:eu-west-1:123456789012:key/11112222-3333-4444-5555-666677778888"
  managed_arns = {
    auto_scaling_groups = ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:0a1b:autoScalingGroupName/checkout-blue"]
    ecs_services        = ["arn:aws:ecs:eu-west-1:123456789012:service/shop/checkout-blue"]
    instance_roles      = ["arn:aws:iam::123456789012:role/checkout-instances"]
    launch_templates    = ["arn:aws:ec2:eu-west-1:123456789012:launch-template/lt-0123456789abcdef0"]
    listener_rules      = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc/f2f7/9683"]
    listeners           = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc/f2f7"]
    scalable_targets    = ["arn:aws:application-autoscaling:eu-west-1:123456789012:scalable-target/0ec5"]
    task_roles          = ["arn:aws:iam::123456789012:role/checkout-task", "arn:aws:iam::123456789012:role/checkout-execution"]
  }
}

run "events_are_put_as_our_own" {
  command = plan

  assert {
    condition = alltrue([
      for text in [output.functions["announce"], output.machines["release"]] : [
        for statement in jsondecode(text).Statement : [statement.Resource, statement.Condition] if contains(statement.Action, "events:PutEvents")
        ] == [
        [["arn:aws:events:eu-west-1:123456789012:event-bus/default"], { StringEquals = { "events:source" = "spillway" } }]
      ]
    ])
    error_message = "Events may be put on another bus, or as somebody else's."
  }
}

# With everything named, so that no statement is left out.
run "policies_allow_what_the_table_says_and_no_more" {
  command = plan

  assert {
    condition = alltrue([
      for name, own in jsondecode(file("permissions.json")).functions :
      toset(flatten(jsondecode(output.functions[name]).Statement[*].Action)) == toset(concat(keys(own), keys(jsondecode(file("permissions.json")).every_function)))
    ])
    error_message = "A function's policy has other actions than permissions.json."
  }

  assert {
    condition = alltrue([
      for name, own in jsondecode(file("permissions.json")).machines :
      toset(flatten(jsondecode(output.machines[name]).Statement[*].Action)) == toset(concat(keys(own), keys(jsondecode(file("permissions.json")).every_machine)))
    ])
    error_message = "A machine's policy has other actions than permissions.json."
  }

  assert {
    condition = alltrue([
      for statement in flatten([for text in concat(values(output.functions), values(output.machines)) : jsondecode(text).Statement]) :
      statement.Effect == "Allow" && length(statement.Action) > 0 && length(statement.Resource) > 0
    ])
    error_message = "A statement allows nothing, or on nothing."
  }

  assert {
    condition = alltrue([
      for text in concat(values(output.functions), values(output.machines)) :
      length(distinct(jsondecode(text).Statement[*].Sid)) == length(jsondecode(text).Statement) &&
      alltrue([for statement in jsondecode(text).Statement : can(regex("^[A-Za-z]+$", statement.Sid))])
    ])
    error_message = "A policy's statement ids are not letters, or not different from each other."
  }

  assert {
    condition     = alltrue([for text in concat(values(output.functions), values(output.machines)) : length(text) < 10240])
    error_message = "A policy is longer than a role can have."
  }
}

run "no_action_has_a_wildcard" {
  command = plan

  assert {
    condition = alltrue([
      for action in flatten([for text in concat(values(output.functions), values(output.machines)) : jsondecode(text).Statement[*].Action]) :
      can(regex("^[a-z0-9-]+:[A-Za-z0-9]+$", action))
    ])
    error_message = "An action has a wildcard."
  }
}

run "only_reads_are_allowed_on_everything" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for statement in flatten([for text in concat(values(output.functions), values(output.machines)) : jsondecode(text).Statement]) : [
        for action in statement.Action :
        can(regex("^[a-z0-9-]+:(Describe|Get|List)", action)) || contains(keys(jsondecode(file("permissions.json")).without_a_resource), action)
      ] if contains(statement.Resource, "*")
    ]))
    error_message = "Something that changes is allowed on everything."
  }
}

run "only_shift_weight_and_rollback_change_routes" {
  command = plan

  assert {
    condition = toset([
      for name, text in merge(output.functions, { for name, text in output.machines : "machine ${name}" => text }) : name
      if anytrue([
        for action in flatten(jsondecode(text).Statement[*].Action) :
        startswith(action, "elasticloadbalancing:") && !startswith(action, "elasticloadbalancing:Describe")
      ])
    ]) == toset(["rollback", "shift-weight"])
    error_message = "Others than shift-weight and rollback may change load balancers, or one of them may not."
  }
}

run "changes_are_of_what_has_the_tag_or_is_named" {
  command = plan

  assert {
    condition = [for statement in jsondecode(output.functions["shift-weight"]).Statement : statement if startswith(statement.Sid, "Listener")] == [
      {
        Sid       = "ListenerRulesTagged"
        Effect    = "Allow"
        Action    = ["elasticloadbalancing:ModifyRule"]
        Resource  = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/*"]
        Condition = { StringEquals = { "aws:ResourceTag/spillway:managed" = "true" } }
      },
      {
        Sid      = "ListenerRulesNamed"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:ModifyRule"]
        Resource = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc/f2f7/9683"]
      },
      {
        Sid       = "ListenersTagged"
        Effect    = "Allow"
        Action    = ["elasticloadbalancing:ModifyListener"]
        Resource  = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/*"]
        Condition = { StringEquals = { "aws:ResourceTag/spillway:managed" = "true" } }
      },
      {
        Sid      = "ListenersNamed"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:ModifyListener"]
        Resource = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc/f2f7"]
      },
    ]
    error_message = "shift-weight may change other routes than those with the tag and those that are named."
  }

  # What has no condition names what it is about: a pattern stands only for versions, executions, log streams and definitions.
  assert {
    condition = alltrue(flatten([
      for statement in flatten([for text in concat(values(output.functions), values(output.machines)) : jsondecode(text).Statement]) : [
        for resource in statement.Resource :
        resource == "*" || !can(regex("[*?]", resource)) || can(regex("^arn:aws:(lambda:.*:function:[a-z-]+:|states:.*:execution:[a-z-]+:|logs:.*:log-group:[a-z/-]+:|ssm:.*:parameter/.*/)\\*$", resource))
      ] if !contains(keys(statement), "Condition")
    ]))
    error_message = "A statement without a condition has a pattern for a resource."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(output.functions["teardown"]).Statement :
      contains(keys(statement), "Condition") ? statement.Condition == { StringEquals = { "aws:ResourceTag/spillway:managed" = "true" } } : true
      if length(setintersection(statement.Action, ["ecs:UpdateService", "autoscaling:UpdateAutoScalingGroup"])) > 0
    ])
    error_message = "teardown may change what has neither the tag nor a name."
  }
}

run "a_revision_is_registered_with_its_tag_and_the_roles_that_are_named" {
  command = plan

  assert {
    condition = [for statement in jsondecode(output.functions["prepare-candidate"]).Statement : statement if startswith(statement.Sid, "Task") || startswith(statement.Sid, "Instance")] == [
      {
        Sid       = "InstanceRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = ["arn:aws:iam::123456789012:role/checkout-instances"]
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      },
      {
        Sid       = "TaskDefinitionTags"
        Effect    = "Allow"
        Action    = ["ecs:TagResource"]
        Resource  = ["arn:aws:ecs:eu-west-1:123456789012:task-definition/*:*"]
        Condition = { StringEquals = { "ecs:CreateAction" = "RegisterTaskDefinition" } }
      },
      {
        Sid       = "TaskDefinitions"
        Effect    = "Allow"
        Action    = ["ecs:RegisterTaskDefinition"]
        Resource  = ["*"]
        Condition = { Null = { "aws:RequestTag/spillway:release" = "false" } }
      },
      {
        Sid       = "TaskRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = ["arn:aws:iam::123456789012:role/checkout-task", "arn:aws:iam::123456789012:role/checkout-execution"]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ]
    error_message = "prepare-candidate's rights on task definitions and roles are not the expected ones."
  }
}

run "what_is_launched_is_tagged_while_it_is" {
  command = plan

  assert {
    condition = [for statement in jsondecode(output.functions["prepare-candidate"]).Statement : statement if startswith(statement.Sid, "Launch")] == [
      {
        Sid       = "LaunchTags"
        Effect    = "Allow"
        Action    = ["ec2:CreateTags"]
        Resource  = ["arn:aws:ec2:eu-west-1:123456789012:*/*"]
        Condition = { StringEquals = { "ec2:CreateAction" = "RunInstances" } }
      },
      {
        Sid       = "LaunchTemplates"
        Effect    = "Allow"
        Action    = ["ec2:RunInstances"]
        Resource  = ["arn:aws:ec2:eu-west-1:123456789012:*", "arn:aws:ec2:eu-west-1::image/*", "arn:aws:ec2:eu-west-1::snapshot/*"]
        Condition = { ArnEquals = { "ec2:LaunchTemplate" = ["arn:aws:ec2:eu-west-1:123456789012:launch-template/lt-0123456789abcdef0"] } }
      },
    ]
    error_message = "prepare-candidate's rights on launches are not the expected ones."
  }
}

run "whoever_writes_routes_may_read_the_clients_of_user_pools" {
  command = plan

  assert {
    condition     = toset([for name, text in output.functions : name if contains(flatten(jsondecode(text).Statement[*].Action), "cognito-idp:DescribeUserPoolClient")]) == toset(["rollback", "shift-weight"])
    error_message = "A rule with an authenticate-cognito action could not be written back, or others may read clients of user pools."
  }
}

run "a_machine_invokes_its_functions_and_hooks" {
  command = plan

  assert {
    condition = toset(flatten([for statement in jsondecode(output.machines["rollback"]).Statement : statement.Resource if contains(statement.Action, "lambda:InvokeFunction")])) == toset([
      "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate:*",
      "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback:*",
      "arn:aws:lambda:eu-west-1:123456789012:function:checkout-smoke:live",
    ])
    error_message = "The undo may invoke other functions than its own."
  }

  assert {
    condition     = flatten([for statement in jsondecode(output.machines["guard"]).Statement : statement.Resource if contains(statement.Action, "states:StartExecution")]) == ["arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire", "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback"]
    error_message = "The guard may start something else than undos and retirements."
  }

  assert {
    condition     = flatten([for statement in jsondecode(output.machines["release"]).Statement : statement.Resource if contains(statement.Action, "ssm:GetParameter")]) == ["arn:aws:ssm:eu-west-1:123456789012:parameter/spillway/services/*"]
    error_message = "The release may read other parameters than definitions."
  }
}

run "what_is_not_named_is_not_allowed" {
  command = plan

  variables {
    hook_function_arns = []
    kms_key_arn        = null
    managed_arns       = {}
    tracing            = false
  }

  assert {
    condition = length(setintersection(
      flatten([for text in concat(values(output.functions), values(output.machines)) : jsondecode(text).Statement[*].Action]),
      ["ec2:CreateTags", "ec2:RunInstances", "iam:PassRole", "kms:Decrypt", "kms:GenerateDataKey", "xray:PutTraceSegments", "xray:GetSamplingRules"],
    )) == 0
    error_message = "Something is allowed that nothing asks for."
  }

  assert {
    condition     = !anytrue([for text in concat(values(output.functions), values(output.machines)) : strcontains(text, "Named") || strcontains(text, "Hooks")])
    error_message = "A statement about named resources is there without names."
  }
}

run "other_places_have_other_arns" {
  command = plan

  variables {
    partition          = "aws-us-gov"
    region             = "us-gov-west-1"
    account_id         = "210987654321"
    name               = "canal"
    hook_function_arns = []
  }

  assert {
    condition = alltrue([
      for resource in flatten([for statement in jsondecode(output.machines["retire"]).Statement : statement.Resource]) :
      resource == "*" || startswith(resource, "arn:aws-us-gov:dynamodb:us-gov-west-1:210987654321:") || startswith(resource, "arn:aws-us-gov:lambda:us-gov-west-1:210987654321:function:canal-") || startswith(resource, "arn:aws:kms:")
    ])
    error_message = "The ARNs are of another place."
  }
}

run "wildcards_are_refused" {
  command = plan

  variables {
    managed_arns = { task_roles = ["arn:aws:iam::123456789012:role/*"] }
  }

  expect_failures = [var.managed_arns]
}

run "an_account_is_12_digits" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}
