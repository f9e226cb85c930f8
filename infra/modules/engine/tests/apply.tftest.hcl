mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/some-role" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:some-group" }
  }

  mock_resource "aws_sfn_state_machine" {
    defaults = {
      arn                       = "arn:aws:states:eu-west-1:123456789012:stateMachine:some-machine"
      state_machine_version_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:some-machine:7"
    }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:spillway-pages" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:spillway-guard-undelivered" }
  }

  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/spillway-leases" }
  }
}

override_resource {
  target = aws_lambda_function.this["announce"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-announce"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-announce:7"
  }
}

override_resource {
  target = aws_lambda_function.this["evaluate-health"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-evaluate-health"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-evaluate-health:7"
  }
}

override_resource {
  target = aws_lambda_function.this["plan-release"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-plan-release"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-plan-release:7"
  }
}

override_resource {
  target = aws_lambda_function.this["prepare-candidate"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-prepare-candidate:7"
  }
}

override_resource {
  target = aws_lambda_function.this["rollback"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-rollback:7"
  }
}

override_resource {
  target = aws_lambda_function.this["shift-weight"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-shift-weight"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-shift-weight:7"
  }
}

override_resource {
  target = aws_lambda_function.this["teardown"]
  values = {
    arn           = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-teardown"
    qualified_arn = "arn:aws:lambda:eu-west-1:123456789012:function:spillway-teardown:7"
  }
}

override_resource {
  target = aws_sfn_alias.live["guard"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-guard:live" }
}

override_resource {
  target = aws_sfn_alias.live["release"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live" }
}

override_resource {
  target = aws_sfn_alias.live["retire"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live" }
}

override_resource {
  target = aws_sfn_alias.live["rollback"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback:live" }
}

variables {
  package_directory = "tests/packages"
}

run "it_can_be_applied" {
  command = apply

  assert {
    condition = (
      output.release_state_machine_arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live" &&
      output.rollback_state_machine_arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-rollback:live" &&
      output.retire_state_machine_arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live" &&
      output.guard_state_machine_arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-guard:live"
    )
    error_message = "A state machine's output is not the ARN of its alias."
  }

  assert {
    condition     = output.name == "spillway" && output.lease_table_name == "spillway-leases" && output.parameter_prefix == "/spillway/services/"
    error_message = "The names are not the documented ones."
  }

  assert {
    condition     = keys(output.function_names) == ["announce", "evaluate-health", "plan-release", "prepare-candidate", "rollback", "shift-weight", "teardown"] && output.function_names["teardown"] == "spillway-teardown"
    error_message = "The functions' names are not the documented ones."
  }

  assert {
    condition     = output.log_group_names["rollback"] == "/aws/lambda/spillway-rollback" && output.log_group_names["machine/rollback"] == "/aws/vendedlogs/states/spillway-rollback"
    error_message = "The log groups' names are not the documented ones."
  }
}
