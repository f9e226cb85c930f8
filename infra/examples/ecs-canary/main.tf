module "engine" {
  source = "../../modules/engine"

  name               = var.name
  package_directory  = coalesce(var.package_directory, "${path.module}/../../../target/packages/${var.architecture}")
  architecture       = var.architecture
  page_subscriptions = [for address in var.page_email[*] : { protocol = "email", endpoint = address }]
  # A new revision of the task definition passes these on.
  managed_arns = { task_roles = module.application.passed_role_arns }
}

module "network" {
  source = "../../modules/network"

  name                = var.name
  nat_gateway         = var.nat_gateway
  allowed_cidr_blocks = var.allowed_cidr_blocks
  certificate_arn     = var.certificate_arn
}

module "service" {
  source = "../../modules/service"

  engine           = module.engine
  service          = var.service
  releases_enabled = var.releases_enabled
  compute          = module.application.compute

  target_groups = {
    vpc_id                       = module.network.vpc_id
    port                         = var.port
    target_type                  = "ip"
    deregistration_delay_seconds = 30
    health_check                 = { path = var.health_path }
  }

  listener_rules = {
    all = { listener_arn = module.network.listener_arn, priority = 100, paths = ["/*"] }
  }

  # Shorter than the defaults: a sound release takes about twenty minutes.
  strategy             = var.strategy
  canary               = { steps = [{ weight = 10 }, { weight = 50 }, { weight = 95 }] }
  minimum_time_seconds = 120
  max_step_seconds     = 300
  retirement           = { window_seconds = 900 }
  # What is pushed while a release runs waits for its turn.
  on_conflict = "queue"
  alarms      = { actions = [module.engine.page_topic_arn] }
}

module "application" {
  source = "../../modules/application"

  name                            = var.service
  vpc_id                          = module.network.vpc_id
  subnet_ids                      = module.network.application_subnet_ids
  public_addresses                = module.network.public_addresses
  load_balancer_security_group_id = module.network.load_balancer_security_group_id
  target_group_arns               = module.service.target_group_arns
  route_arns                      = module.service.route_arns
  port                            = var.port
  architecture                    = var.architecture
  ecs                             = { image = var.image }
}

resource "aws_ecr_repository" "application" {
  #checkov:skip=CKV_AWS_136:ECR encrypts with a key of its own; a demonstration's images need none of the reader's.
  name                 = var.service
  image_tag_mutability = "IMMUTABLE"
  # Destroyed with the images that were pushed.
  force_delete = true
  tags         = { "spillway:service" = var.service }

  image_scanning_configuration {
    scan_on_push = true
  }
}

module "triggers" {
  source = "../../modules/triggers"

  engine                  = module.engine
  service                 = module.service.service
  releases_enabled        = module.service.releases_enabled
  on_conflict             = module.service.on_conflict
  longest_release_seconds = module.service.longest_release_seconds
  alarm_actions           = [module.engine.page_topic_arn]
  ecr                     = { repository_url = aws_ecr_repository.application.repository_url }
}
