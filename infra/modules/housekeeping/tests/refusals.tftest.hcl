mock_provider "aws" {}

variables {
  engine   = { name = "spillway", lease_table_name = "leases", lease_table_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/leases", retire_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:retire:live" }
  services = { shop = { compute = { blue = { ecs_service = { cluster = "c", service = "b" } }, green = { ecs_service = { cluster = "c", service = "g" } } } } }
}

run "refuses_a_bad_engine_name" {
  command = plan

  variables {
    engine = { name = "1", lease_table_name = "leases", lease_table_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/leases", retire_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:retire:live" }
  }

  expect_failures = [var.engine]
}

run "refuses_another_table" {
  command = plan

  variables {
    engine = { name = "spillway", lease_table_name = "leases", lease_table_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/leases2", retire_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:retire:live" }
  }

  expect_failures = [var.engine]
}

run "refuses_a_machine_that_is_none" {
  command = plan

  variables {
    engine = { name = "spillway", lease_table_name = "leases", lease_table_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/leases", retire_state_machine_arn = "arn:aws:lambda:eu-west-1:123456789012:function:retire" }
  }

  expect_failures = [var.engine]
}

run "refuses_tags_of_its_own" {
  command = plan

  variables {
    tags = { "spillway:service" = "x" }
  }

  expect_failures = [var.tags]
}

run "refuses_a_time_zone_that_is_none" {
  command = plan

  variables {
    timezone = ""
  }

  expect_failures = [var.timezone]
}

run "refuses_no_services" {
  command = plan

  variables {
    services = {}
  }

  expect_failures = [var.services]
}

run "refuses_a_service_with_a_bad_name" {
  command = plan

  variables {
    services = { "1st" = { compute = { blue = { ecs_service = { cluster = "c", service = "b" } }, green = { ecs_service = { cluster = "c", service = "g" } } } } }
  }

  expect_failures = [var.services]
}

run "refuses_external_compute" {
  command = plan

  variables {
    services = { shop = { compute = { blue = {}, green = {} } } }
  }

  expect_failures = [var.services]
}

run "refuses_different_kinds" {
  command = plan

  variables {
    services = { shop = { compute = { blue = { ecs_service = { cluster = "c", service = "b" } }, green = { auto_scaling_group = { name = "g" } } } } }
  }

  expect_failures = [var.services]
}

run "refuses_hours_that_are_no_cron" {
  command = plan

  variables {
    services = { shop = { compute = { blue = { ecs_service = { cluster = "c", service = "b" } }, green = { ecs_service = { cluster = "c", service = "g" } } }, working_hours = { sleep = "19:00", wake = "cron(0 7 ? * * *)" } } }
  }

  expect_failures = [var.services]
}

run "refuses_a_day_that_is_none" {
  command = plan

  variables {
    services = { shop = { compute = { blue = { ecs_service = { cluster = "c", service = "b" } }, green = { ecs_service = { cluster = "c", service = "g" } } }, expires_on = "2027-02-30" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_schedule_that_is_none" {
  command = plan

  variables {
    idle_slots_schedule = "daily"
  }

  expect_failures = [var.idle_slots_schedule]
}

run "refuses_a_sleep_of_no_length" {
  command = plan

  variables {
    longest_sleep_hours = 0
  }

  expect_failures = [var.longest_sleep_hours]
}

run "refuses_a_sleep_of_more_than_90_days" {
  command = plan

  variables {
    longest_sleep_hours = 2161
  }

  expect_failures = [var.longest_sleep_hours]
}

run "refuses_a_budget_of_nothing" {
  command = plan

  variables {
    budget = { amount = 0, emails = ["shop@example.com"] }
  }

  expect_failures = [var.budget]
}

run "refuses_a_currency_that_is_none" {
  command = plan

  variables {
    budget = { amount = 50, emails = ["shop@example.com"], currency = "dollars" }
  }

  expect_failures = [var.budget]
}

run "refuses_a_budget_that_tells_nobody" {
  command = plan

  variables {
    budget = { amount = 50 }
  }

  expect_failures = [var.budget]
}

run "refuses_an_address_that_is_none" {
  command = plan

  variables {
    budget = { amount = 50, emails = ["shop"] }
  }

  expect_failures = [var.budget]
}

run "refuses_actions_that_are_no_arns" {
  command = plan

  variables {
    alarm_actions = ["operators"]
  }

  expect_failures = [var.alarm_actions]
}

run "refuses_a_boundary_that_is_no_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "refuses_a_key_that_is_an_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/spillway"
  }

  expect_failures = [var.kms_key_arn]
}
