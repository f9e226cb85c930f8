locals {
  container = "app"

  # What a slot looks like in a service definition. From names and not from the resources, which need the target groups of
  # whoever reads this.
  ecs_compute = { for slot, name in local.names : slot => {
    ecs_service = { cluster = var.name, service = name, container = local.container }
  } }
}

resource "aws_ecs_cluster" "this" {
  for_each = var.ecs == null ? {} : { this = var.ecs }

  #checkov:skip=CKV_AWS_65:Container Insights charges for every metric; ecs.container_insights switches it on.
  name = var.name
  tags = merge(var.tags, { "spillway:service" = var.name })

  setting {
    name  = "containerInsights"
    value = each.value.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_cloudwatch_log_group" "application" {
  for_each = var.ecs == null ? {} : { this = var.ecs }

  #checkov:skip=CKV_AWS_158:CloudWatch Logs encrypts with a key of its own; a demonstration's output needs none of the reader's.
  #checkov:skip=CKV_AWS_338:The output of a demonstration is not evidence; ecs.log_retention_days keeps it longer.
  name              = "/${var.name}/application"
  retention_in_days = each.value.log_retention_days
  tags              = merge(var.tags, { "spillway:service" = var.name })
}

# Pulls the image and writes the output; the application itself has no role.
resource "aws_iam_role" "execution" {
  for_each = var.ecs == null ? {} : { this = var.ecs }

  name        = "${var.name}-execution"
  description = "Starts tasks of ${var.name}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })
  tags = merge(var.tags, { "spillway:service" = var.name })
}

resource "aws_iam_role_policy_attachment" "execution" {
  for_each = aws_iam_role.execution

  role       = each.value.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

# One family for both slots: a release copies the revision that serves, with another image.
resource "aws_ecs_task_definition" "this" {
  for_each = var.ecs == null ? {} : { this = var.ecs }

  #checkov:skip=CKV_AWS_336:The image is the reader's; many, httpd among them, write to their own file system.
  family                   = var.name
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  execution_role_arn       = aws_iam_role.execution["this"].arn
  tags                     = local.tags
  # A slot may run the revision that a change replaces.
  skip_destroy = true

  container_definitions = jsonencode([{
    name         = local.container
    image        = each.value.image
    essential    = true
    environment  = [for key, value in each.value.environment : { name = key, value = value }]
    portMappings = [{ containerPort = var.port, protocol = "tcp" }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.application["this"].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "app"
      }
    }
  }])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(var.architecture)
  }
}

resource "aws_ecs_service" "slot" {
  for_each = var.ecs == null ? {} : local.names

  #checkov:skip=CKV_AWS_333:Without a NAT gateway a task reaches the registry only with a public address; its security group lets in the load balancer alone.
  name                              = each.value
  cluster                           = aws_ecs_cluster.this["this"].id
  task_definition                   = aws_ecs_task_definition.this["this"].arn
  desired_count                     = local.sizes[each.key]
  launch_type                       = "FARGATE"
  health_check_grace_period_seconds = var.ecs.grace_seconds
  tags                              = merge(local.tags, { "spillway:slot" = each.key })

  # A deployment that fails says so at once. It is left as it is: the slot has no users, and the release rolls back.
  deployment_circuit_breaker {
    enable   = true
    rollback = false
  }

  load_balancer {
    target_group_arn = var.target_group_arns[each.key]
    container_name   = local.container
    container_port   = var.port
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.application.id]
    assign_public_ip = var.public_addresses
  }

  lifecycle {
    # Spillway's: which revision a slot runs, and how many tasks.
    ignore_changes = [desired_count, task_definition]
  }

  depends_on = [
    # Its permissions must outlive the tasks.
    aws_iam_role_policy_attachment.execution,
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_ingress_rule.load_balancer,
    var.route_arns,
  ]
}
