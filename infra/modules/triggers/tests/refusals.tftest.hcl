mock_provider "aws" {}

variables {
  engine  = { name = "spillway", release_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release:live" }
  service = "checkout"
}

run "refuses_a_bad_engine_name" {
  command = plan

  variables {
    engine = { name = "1", release_state_machine_arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:release" }
  }

  expect_failures = [var.engine]
}

run "refuses_a_machine_that_is_none" {
  command = plan

  variables {
    engine = { name = "spillway", release_state_machine_arn = "arn:aws:lambda:eu-west-1:123456789012:function:release" }
  }

  expect_failures = [var.engine]
}

run "refuses_a_name_that_begins_with_a_digit" {
  command = plan

  variables {
    service = "1st"
  }

  expect_failures = [var.service]
}

run "refuses_tags_of_its_own" {
  command = plan

  variables {
    tags = { "spillway:service" = "x" }
  }

  expect_failures = [var.tags]
}

run "refuses_an_unknown_conflict" {
  command = plan

  variables {
    on_conflict = "abort"
  }

  expect_failures = [var.on_conflict]
}

run "refuses_a_release_of_no_length" {
  command = plan

  variables {
    longest_release_seconds = 0
  }

  expect_failures = [var.longest_release_seconds]
}

run "refuses_a_public_repository" {
  command = plan

  variables {
    ecr = { repository_url = "public.ecr.aws/shop/checkout" }
  }

  expect_failures = [var.ecr]
}

run "refuses_no_tags" {
  command = plan

  variables {
    ecr = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop", tags = [] }
  }

  expect_failures = [var.ecr]
}

run "refuses_two_wildcards_in_a_row" {
  command = plan

  variables {
    ecr = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop", tags = ["main**"] }
  }

  expect_failures = [var.ecr]
}

run "refuses_a_bus_without_a_name" {
  command = plan

  variables {
    ecr = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop", event_bus_name = "" }
  }

  expect_failures = [var.ecr]
}

run "refuses_a_start_that_is_tried_for_more_than_a_day" {
  command = plan

  variables {
    ecr = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop", maximum_age_seconds = 86401 }
  }

  expect_failures = [var.ecr]
}

run "refuses_pushes_that_would_be_lost" {
  command = plan

  variables {
    ecr         = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop" }
    on_conflict = "reject"
  }

  expect_failures = [var.ecr]
}

run "refuses_a_time_that_is_none" {
  command = plan

  variables {
    schedule = { expression = "tomorrow", version = { opaque = "v2" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_time_zone_that_is_none" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", timezone = "", version = { opaque = "v2" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_window_of_more_than_a_day" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", flexible_minutes = 1441, version = { opaque = "v2" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_schedule_without_a_version" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", version = {} }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_schedule_with_two_versions" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", version = { opaque = "v2", launch_template_version = "2" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_an_image_that_moves" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", version = { image = "shop:latest" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_task_definition_that_moves" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", version = { task_definition = "shop" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_launch_template_version_that_moves" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", version = { launch_template_version = "$Latest" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_an_empty_label" {
  command = plan

  variables {
    schedule = { expression = "rate(1 day)", version = { opaque = "" } }
  }

  expect_failures = [var.schedule]
}

run "refuses_a_pipeline_without_a_version" {
  command = plan

  variables {
    codepipeline = {}
  }

  expect_failures = [var.codepipeline]
}

run "refuses_a_file_without_its_artifact" {
  command = plan

  variables {
    codepipeline = { file_path = "release.json" }
  }

  expect_failures = [var.codepipeline]
}

run "refuses_a_version_of_an_unknown_kind" {
  command = plan

  variables {
    codepipeline = { version = { tag = "v2" } }
  }

  expect_failures = [var.codepipeline]
}

run "refuses_an_image_that_moves_from_a_pipeline" {
  command = plan

  variables {
    codepipeline = { version = { image = "shop:latest" } }
  }

  expect_failures = [var.codepipeline]
}

run "refuses_a_bad_stage_name" {
  command = plan

  variables {
    codepipeline = { version = { opaque = "v2" }, stage_name = "a stage" }
  }

  expect_failures = [var.codepipeline]
}

run "refuses_roles_that_are_arns" {
  command = plan

  variables {
    codepipeline = { version = { opaque = "v2" }, role_names = ["arn:aws:iam::123456789012:role/pipeline"] }
  }

  expect_failures = [var.codepipeline]
}

run "refuses_a_release_that_outlasts_the_pipeline" {
  command = plan

  variables {
    codepipeline            = { version = { opaque = "v2" } }
    on_conflict             = "queue"
    longest_release_seconds = 518401
  }

  expect_failures = [var.codepipeline]
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
