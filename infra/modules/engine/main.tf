data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  here      = "${local.region}:${local.account}"

  functions = toset(["announce", "evaluate-health", "plan-release", "prepare-candidate", "rollback", "shift-weight", "teardown"])
  machines  = toset(["guard", "release", "retire", "rollback"])

  lease_table = "${var.name}-leases"
  page_topic  = "${var.name}-pages"

  unannounced_queue = "${var.name}-unannounced"

  # By name, since machines name each other, and policies and patterns name them all.
  machine_arns   = { for name in local.machines : name => "arn:${local.partition}:states:${local.here}:stateMachine:${var.name}-${name}" }
  page_topic_arn = "arn:${local.partition}:sns:${local.here}:${local.page_topic}"

  # At most 30 s, from which the machines' own times and the length of a lease follow.
  function_timeout_seconds = 30
  lease_milliseconds       = 95000

  tags = merge(var.tags, { "spillway:engine" = var.name })
}

module "permissions" {
  source = "./permissions"

  name               = var.name
  partition          = local.partition
  region             = local.region
  account_id         = local.account
  lease_table        = local.lease_table
  page_topic         = local.page_topic
  unannounced_queue  = local.unannounced_queue
  parameter_prefix   = var.parameter_prefix
  hook_function_arns = var.hook_function_arns
  managed_arns       = var.managed_arns
  kms_key_arn        = var.kms_key_arn
  tracing            = var.tracing
}

# The key of an item is the service; the index holds the leases that have an owner, which are few.
resource "aws_dynamodb_table" "leases" {
  name                        = local.lease_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "service"
  deletion_protection_enabled = var.deletion_protection
  tags                        = local.tags

  attribute {
    name = "service"
    type = "S"
  }

  attribute {
    name = "owner"
    type = "S"
  }

  global_secondary_index {
    name               = "owner"
    hash_key           = "owner"
    projection_type    = "INCLUDE"
    non_key_attributes = ["fence"]
  }

  point_in_time_recovery {
    enabled = true
  }

  # Without a key of the customer's the table is encrypted with one that DynamoDB owns.
  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}
