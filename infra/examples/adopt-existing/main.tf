locals {
  partition = split(":", var.listener_rule_arn)[1]
  region    = split(":", var.listener_rule_arn)[3]
  account   = split(":", var.listener_rule_arn)[4]

  ecs_services        = [for slot in values(var.compute) : slot.ecs_service if slot.ecs_service != null]
  auto_scaling_groups = toset([for slot in values(var.compute) : slot.auto_scaling_group.name if slot.auto_scaling_group != null])

  # By name: nothing that exists gets a tag.
  managed_arns = {
    listener_rules      = [var.listener_rule_arn]
    ecs_services        = [for service in local.ecs_services : "arn:${local.partition}:ecs:${local.region}:${local.account}:service/${service.cluster}/${service.service}"]
    auto_scaling_groups = [for group in data.aws_autoscaling_group.slot : group.arn]
    task_roles          = var.task_role_arns
    launch_templates    = var.launch_template_arns
    instance_roles      = var.instance_role_arns
    scalable_targets    = var.scalable_target_arns
  }
}

# Their ARNs have ids in them.
data "aws_autoscaling_group" "slot" {
  for_each = local.auto_scaling_groups

  name = each.key
}

module "engine" {
  source = "../../modules/engine"

  name               = var.name
  package_directory  = coalesce(var.package_directory, "${path.module}/../../../target/packages/${var.architecture}")
  architecture       = var.architecture
  page_subscriptions = [for address in var.page_email[*] : { protocol = "email", endpoint = address }]

  managed_arns = local.managed_arns
}

module "service" {
  source = "../../modules/service"

  engine           = module.engine
  service          = var.service
  releases_enabled = var.releases_enabled
  strategy         = var.strategy
  compute          = var.compute
  alarms           = { enabled = var.alarms_enabled, actions = [module.engine.page_topic_arn] }

  adopt = {
    routes = [var.listener_rule_arn]
    target_groups = {
      blue  = [var.target_group_arns.blue]
      green = [var.target_group_arns.green]
    }
  }
}
