module "engine" {
  source = "../../modules/engine"

  name               = var.name
  package_directory  = coalesce(var.package_directory, "${path.module}/../../../target/packages/${var.architecture}")
  architecture       = var.architecture
  page_subscriptions = [for address in var.page_email[*] : { protocol = "email", endpoint = address }]
  # Who gives an Auto Scaling group another version launches from it.
  managed_arns = { launch_templates = [module.application.launch_template.arn] }
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
    port                         = 80
    target_type                  = "instance"
    deregistration_delay_seconds = 30
    health_check                 = { path = "/health" }
  }

  listener_rules = {
    users = { listener_arn = module.network.listener_arn, priority = 100, paths = ["/*"] }
    # Testers reach the candidate with this header before any user does.
    testers = { listener_arn = module.network.listener_arn, priority = 10, test = true, headers = { X-Preview = ["yes"] } }
  }

  strategy             = var.strategy
  minimum_time_seconds = var.bake_seconds
  max_step_seconds     = 2 * var.bake_seconds
  # With all traffic at once there is no stable version beside it to compare with.
  health      = { max_error_rate = 2 }
  retirement  = { window_seconds = 900 }
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
  architecture                    = var.architecture

  auto_scaling = {
    user_data     = file("${path.module}/../application/app.py")
    instance_type = coalesce(var.instance_type, var.architecture == "arm64" ? "t4g.micro" : "t3.micro")
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

  codepipeline = {
    file_path      = "release.json"
    input_artifact = "release"
    role_names     = [aws_iam_role.pipeline.name]
  }
}
