locals {
  # Exactly what the action calls: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-StepFunctions.html
  codepipeline_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StartReleases"
        Effect   = "Allow"
        Action   = ["states:DescribeStateMachine", "states:StartExecution"]
        Resource = local.machine_arn
      },
      {
        Sid      = "FollowReleases"
        Effect   = "Allow"
        Action   = "states:DescribeExecution"
        Resource = local.execution_pattern
      },
    ]
  }

  codepipeline_action = var.codepipeline == null ? null : {
    name            = var.codepipeline.action_name
    category        = "Invoke"
    owner           = "AWS"
    provider        = "StepFunctions"
    version         = "1"
    input_artifacts = [for artifact in var.codepipeline.input_artifact[*] : artifact]
    configuration = {
      StateMachineArn = var.codepipeline.qualified ? var.engine.release_state_machine_arn : local.machine_arn
      # An execution's name has 80 characters, and the action's own id takes 37 of them.
      ExecutionNamePrefix = substr(var.service, 0, 43)
      InputType           = var.codepipeline.file_path == null ? "Literal" : "FilePath"
      Input               = var.codepipeline.file_path == null ? jsonencode({ service = var.service, version = var.codepipeline.version }) : var.codepipeline.file_path
    }
  }
}

resource "aws_iam_role_policy" "codepipeline" {
  for_each = toset(var.codepipeline == null ? [] : var.codepipeline.role_names)

  name   = "${local.name}-releases"
  role   = each.value
  policy = jsonencode(local.codepipeline_policy)
}
