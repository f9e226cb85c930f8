# source.zip in the bucket > a launch template version > a release.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  source_key = "source.zip"
  # By name, since the role's trust and the pipeline need each other.
  pipeline_arn = "arn:${local.partition}:codepipeline:${var.region}:${local.account}:${var.service}"
  project_arn  = "arn:${local.partition}:codebuild:${var.region}:${local.account}:project/${var.service}"
}

resource "aws_s3_bucket" "pipeline" {
  #checkov:skip=CKV_AWS_18:Access logs need another bucket; nothing but a demonstration's source is here.
  #checkov:skip=CKV_AWS_144:Another region's copy of a demonstration's source helps nobody.
  #checkov:skip=CKV_AWS_145:S3 encrypts with a key of its own; a demonstration's source needs none of the reader's.
  bucket_prefix = "${var.service}-pipeline-"
  # Destroyed with the sources that were uploaded.
  force_destroy = true
  tags          = { "spillway:service" = var.service }
}

resource "aws_s3_bucket_public_access_block" "pipeline" {
  bucket                  = aws_s3_bucket.pipeline.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# A pipeline takes its source from versioned buckets only.
resource "aws_s3_bucket_versioning" "pipeline" {
  bucket = aws_s3_bucket.pipeline.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "pipeline" {
  bucket = aws_s3_bucket.pipeline.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.pipeline]
}

resource "aws_s3_bucket_policy" "pipeline" {
  bucket = aws_s3_bucket.pipeline.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EncryptedConnectionsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.pipeline.arn, "${aws_s3_bucket.pipeline.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.pipeline]
}

resource "aws_s3_bucket_notification" "pipeline" {
  bucket      = aws_s3_bucket.pipeline.id
  eventbridge = true
}

resource "aws_cloudwatch_event_rule" "source" {
  name        = "${var.service}-source"
  description = "A new source for ${var.service}"
  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail      = { bucket = { name = [aws_s3_bucket.pipeline.bucket] }, object = { key = [local.source_key] } }
  })
}

resource "aws_cloudwatch_event_target" "source" {
  rule      = aws_cloudwatch_event_rule.source.name
  target_id = "pipeline"
  arn       = aws_codepipeline.this.arn
  role_arn  = aws_iam_role.source.arn
}

resource "aws_iam_role" "source" {
  name        = "${var.service}-source"
  description = "EventBridge starts the pipeline of ${var.service}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.source.arn }
      }
    }]
  })
}

resource "aws_iam_role_policy" "source" {
  name = "start"
  role = aws_iam_role.source.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "codepipeline:StartPipelineExecution", Resource = local.pipeline_arn }]
  })
}

resource "aws_cloudwatch_log_group" "build" {
  #checkov:skip=CKV_AWS_158:CloudWatch Logs encrypts with a key of its own; a demonstration's builds need none of the reader's.
  #checkov:skip=CKV_AWS_338:The builds of a demonstration are not evidence.
  name              = "/${var.service}/build"
  retention_in_days = 14
}

resource "aws_iam_role" "build" {
  name        = "${var.service}-build"
  description = "CodeBuild makes launch template versions for ${var.service}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "codebuild.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceArn" = local.project_arn } }
    }]
  })
}

resource "aws_iam_role_policy" "build" {
  name = "build"
  role = aws_iam_role.build.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "ec2:CreateLaunchTemplateVersion", Resource = module.application.launch_template.arn },
      { Effect = "Allow", Action = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], Resource = "${aws_s3_bucket.pipeline.arn}/*" },
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = "${aws_cloudwatch_log_group.build.arn}:*" },
    ]
  })
}

resource "aws_codebuild_project" "this" {
  #checkov:skip=CKV_AWS_147:S3 and CodeBuild encrypt with keys of their own; a demonstration needs none of the reader's.
  name          = var.service
  description   = "Makes a launch template version of the source"
  service_role  = aws_iam_role.build.arn
  build_timeout = 10

  artifacts {
    type = "CODEPIPELINE"
  }

  environment {
    type         = "LINUX_CONTAINER"
    compute_type = "BUILD_GENERAL1_SMALL"
    image        = "aws/codebuild/amazonlinux-x86_64-standard:5.0"

    environment_variable {
      name  = "LAUNCH_TEMPLATE"
      value = module.application.launch_template.id
    }

    environment_variable {
      name  = "SERVICE"
      value = module.service.service
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.build.name
    }
  }

  source {
    type = "CODEPIPELINE"
    buildspec = yamlencode({
      version   = 0.2
      env       = { shell = "bash" }
      phases    = { build = { commands = [file("${path.module}/build.sh")] } }
      artifacts = { files = ["release.json"] }
    })
  }
}

resource "aws_iam_role" "pipeline" {
  name        = "${var.service}-pipeline"
  description = "The pipeline of ${var.service}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "codepipeline.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account }, ArnLike = { "aws:SourceArn" = local.pipeline_arn } }
    }]
  })
}

# What starts releases, the triggers add.
resource "aws_iam_role_policy" "pipeline" {
  name = "pipeline"
  role = aws_iam_role.pipeline.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "s3:GetBucketVersioning", Resource = aws_s3_bucket.pipeline.arn },
      { Effect = "Allow", Action = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], Resource = "${aws_s3_bucket.pipeline.arn}/*" },
      { Effect = "Allow", Action = ["codebuild:BatchGetBuilds", "codebuild:StartBuild"], Resource = aws_codebuild_project.this.arn },
    ]
  })
}

resource "aws_codepipeline" "this" {
  #checkov:skip=CKV_AWS_219:S3 encrypts with a key of its own; a demonstration's source needs none of the reader's.
  name           = var.service
  role_arn       = aws_iam_role.pipeline.arn
  pipeline_type  = "V2"
  execution_mode = "SUPERSEDED"
  tags           = { "spillway:service" = var.service }

  artifact_store {
    type     = "S3"
    location = aws_s3_bucket.pipeline.bucket
  }

  stage {
    name = "Source"

    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      output_artifacts = ["source"]
      configuration = {
        S3Bucket             = aws_s3_bucket.pipeline.bucket
        S3ObjectKey          = local.source_key
        PollForSourceChanges = "false"
      }
    }
  }

  stage {
    name = "Build"

    action {
      name             = "Version"
      category         = "Build"
      owner            = "AWS"
      provider         = "CodeBuild"
      version          = "1"
      input_artifacts  = ["source"]
      output_artifacts = ["release"]
      configuration    = { ProjectName = aws_codebuild_project.this.name }
    }
  }

  # Red unless the release was promoted.
  stage {
    name = module.triggers.codepipeline_stage.name

    dynamic "action" {
      for_each = module.triggers.codepipeline_stage.action

      content {
        name            = action.value.name
        category        = action.value.category
        owner           = action.value.owner
        provider        = action.value.provider
        version         = action.value.version
        input_artifacts = action.value.input_artifacts
        configuration   = action.value.configuration
      }
    }
  }

  depends_on = [aws_iam_role_policy.pipeline, aws_s3_bucket_versioning.pipeline]
}
