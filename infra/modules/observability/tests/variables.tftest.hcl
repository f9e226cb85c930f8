# What each variable refuses. The messages tell what is allowed.

mock_provider "aws" {}

variables {
  engine = {
    name               = "spillway"
    state_machine_arns = { for name in ["guard", "release", "retire", "rollback"] : name => "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-${name}" }
    page_topic_arn     = "arn:aws:sns:eu-west-1:123456789012:spillway-pages"
    log_group_names = merge(
      { for name in ["evaluate-health", "plan-release", "prepare-candidate", "rollback", "shift-weight", "teardown"] : name => "/aws/lambda/spillway-${name}" },
      { for name in ["guard", "release", "retire", "rollback"] : "machine/${name}" => "/aws/vendedlogs/states/spillway-${name}" },
    )
  }
}

run "tags_that_are_not_aws_s" {
  command = plan

  variables {
    tags = { "aws:team" = "shop" }
  }

  expect_failures = [var.tags]
}

run "severities_that_exist" {
  command = plan

  variables {
    severities = ["critical", "fatal"]
  }

  expect_failures = [var.severities]
}

run "events_that_exist" {
  command = plan

  variables {
    events = ["promoted", "lunch"]
  }

  expect_failures = [var.events]
}

run "subscriptions_with_a_protocol_that_exists" {
  command = plan

  variables {
    subscriptions = [{ protocol = "pager", endpoint = "team" }]
  }

  expect_failures = [var.subscriptions]
}

run "subscriptions_with_an_endpoint" {
  command = plan

  variables {
    subscriptions = [{ protocol = "email", endpoint = "" }]
  }

  expect_failures = [var.subscriptions]
}

run "slack_by_ids" {
  command = plan

  variables {
    slack = { team_id = "our workspace", channel_id = "C0123ABCD" }
  }

  expect_failures = [var.slack]
}

run "slack_channels_by_ids" {
  command = plan

  variables {
    slack = { team_id = "T0123ABCD", channel_id = "#releases" }
  }

  expect_failures = [var.slack]
}

run "retention_of_a_day_at_least" {
  command = plan

  variables {
    cloudtrail_retention_days = 0
  }

  expect_failures = [var.cloudtrail_retention_days]
}

run "retention_of_whole_days" {
  command = plan

  variables {
    cloudtrail_retention_days = 1.5
  }

  expect_failures = [var.cloudtrail_retention_days]
}

run "boundary_that_is_a_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:role/boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "key_that_is_no_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/spillway"
  }

  expect_failures = [var.kms_key_arn]
}

run "engine_with_its_machines" {
  command = plan

  variables {
    engine = { name = "spillway", state_machine_arns = {}, page_topic_arn = "arn:p", log_group_names = { evaluate-health = "a", shift-weight = "b", rollback = "c", "machine/release" = "d" } }
  }

  expect_failures = [var.engine]
}

run "engine_with_its_logs" {
  command = plan

  variables {
    engine = { name = "spillway", state_machine_arns = { guard = "g", release = "h", retire = "i", rollback = "j" }, page_topic_arn = "arn:p", log_group_names = { evaluate-health = "a", shift-weight = "b", rollback = "c" } }
  }

  expect_failures = [var.engine]
}
