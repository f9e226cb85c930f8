locals {
  trail_arn = "arn:${local.partition}:cloudtrail:${local.here}:trail/${local.name}"
}

resource "aws_s3_bucket" "trail" {
  count = var.cloudtrail ? 1 : 0
  #checkov:skip=CKV_AWS_18:What reads the trail's bucket is in CloudTrail where data events are recorded; a log of the log would need a third bucket.
  #checkov:skip=CKV_AWS_144:The trail of one region, kept for months; who needs copies elsewhere has an organization's trail.
  #checkov:skip=CKV2_AWS_62:Nothing acts on a new file of the trail; its events reach EventBridge by themselves.

  bucket        = "${local.name}-trail-${local.account}-${local.region}"
  force_destroy = var.cloudtrail_force_destroy
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "trail" {
  count = var.cloudtrail ? 1 : 0

  bucket                  = aws_s3_bucket.trail[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "trail" {
  count = var.cloudtrail ? 1 : 0

  bucket = aws_s3_bucket.trail[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "trail" {
  count = var.cloudtrail ? 1 : 0

  bucket = aws_s3_bucket.trail[0].id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "trail" {
  count = var.cloudtrail ? 1 : 0

  bucket = aws_s3_bucket.trail[0].id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.cloudtrail_retention_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.trail]
}

# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
resource "aws_s3_bucket_policy" "trail" {
  count = var.cloudtrail ? 1 : 0

  bucket = aws_s3_bucket.trail[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheTrailLooks"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = aws_s3_bucket.trail[0].arn
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn, "aws:SourceAccount" = local.account } }
      },
      {
        Sid       = "TheTrailWrites"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.trail[0].arn}/AWSLogs/${local.account}/*"
        Condition = {
          StringEquals = {
            "aws:SourceArn"     = local.trail_arn
            "aws:SourceAccount" = local.account
            "s3:x-amz-acl"      = "bucket-owner-full-control"
          }
        }
      },
      {
        Sid       = "NobodyInTheClear"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.trail[0].arn, "${aws_s3_bucket.trail[0].arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudtrail" "this" {
  count = var.cloudtrail ? 1 : 0
  #checkov:skip=CKV2_AWS_10:What is to be acted on reaches EventBridge from the trail; a copy in CloudWatch Logs costs more than the bucket.

  name                          = local.name
  s3_bucket_name                = aws_s3_bucket.trail[0].id
  enable_log_file_validation    = true
  include_global_service_events = false
  is_multi_region_trail         = false
  kms_key_id                    = var.kms_key_arn
  tags                          = local.tags

  event_selector {
    include_management_events = true
    read_write_type           = "WriteOnly"
  }

  depends_on = [aws_s3_bucket_policy.trail]
}
