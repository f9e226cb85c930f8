variables {
  values = {
    plan_release_arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-plan-release:7"
    prepare_candidate_arn      = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate:7"
    shift_weight_arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-shift-weight:7"
    evaluate_health_arn        = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-evaluate-health:7"
    rollback_arn               = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback:7"
    teardown_arn               = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-teardown:7"
    retire_state_machine_arn   = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live"
    rollback_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback:live"
    lease_table                = "spillway-leases"
    lease_milliseconds         = 95000
    parameter_prefix           = "/spillway/services/"
    page_topic_arn             = "arn:aws:sns:eu-west-1:123456789012:spillway-pages"
  }
}

run "all_machines_are_rendered" {
  command = plan

  assert {
    condition     = toset(keys(output.definitions)) == toset([for file in fileset("../../../../statemachine", "*.asl.json") : trimsuffix(file, ".asl.json")])
    error_message = "The rendered machines are not those of statemachine/."
  }

  assert {
    condition     = alltrue([for text in values(output.definitions) : can(jsondecode(text).States)])
    error_message = "A rendered definition is not JSON with states."
  }

  assert {
    condition     = alltrue([for text in values(output.definitions) : length(regexall("\\$\\{", text)) == 0])
    error_message = "A placeholder is left."
  }
}

# Filled in another way, value by value, the text is the same: templatefile took nothing else for its own. The braces are
# written as numbers, since scanners take one that is not closed for an interpolation.
run "placeholders_and_nothing_else_are_replaced" {
  command = plan

  assert {
    condition = alltrue([
      for machine, text in output.definitions :
      text == join("", flatten([
        for index, part in split("\u0024\u007b", file("../../../../statemachine/${machine}.asl.json")) :
        index == 0 ? [part] : [var.values[split("\u007d", part)[0]], join("\u007d", slice(split("\u007d", part), 1, length(split("\u007d", part))))]
      ]))
    ])
    error_message = "A rendered definition is not its file with the placeholders replaced."
  }
}

run "the_values_are_where_they_belong" {
  command = plan

  assert {
    condition     = jsondecode(output.definitions["release"]).States.PlanRelease.Arguments.FunctionName == var.values.plan_release_arn
    error_message = "The release does not call plan-release."
  }

  assert {
    condition     = jsondecode(output.definitions["retire"]).States.Teardown.Arguments.FunctionName == var.values.teardown_arn
    error_message = "The retirement does not call teardown."
  }

  assert {
    condition     = jsondecode(output.definitions["guard"]).States.Recover.Arguments.StateMachineArn == var.values.rollback_state_machine_arn
    error_message = "The guard does not start the undo."
  }

  assert {
    condition     = jsondecode(output.definitions["release"]).States.LoadService.Arguments.Name == "{% '/spillway/services/' & $states.input.service %}"
    error_message = "The release does not read the definition below the prefix."
  }
}

run "a_lease_is_long_enough" {
  command = plan

  variables {
    values = {
      plan_release_arn           = "arn:a"
      prepare_candidate_arn      = "arn:b"
      shift_weight_arn           = "arn:c"
      evaluate_health_arn        = "arn:d"
      rollback_arn               = "arn:e"
      teardown_arn               = "arn:f"
      retire_state_machine_arn   = "arn:g"
      rollback_state_machine_arn = "arn:h"
      lease_table                = "leases"
      lease_milliseconds         = 74999
      parameter_prefix           = "/services/"
      page_topic_arn             = "arn:i"
    }
  }

  expect_failures = [var.values]
}
