variable "engine" {
  description = "The engine that releases the service, as its module puts it out. log_group_names (of the functions) gives the dashboard the weights that were asked for."
  type = object({
    name             = string
    parameter_prefix = optional(string, "/spillway/services/")
    log_group_names  = optional(map(string), {})
  })

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,31}$", var.engine.name))
    error_message = "engine.name must have 1 to 32 letters, digits and hyphens, and begin with a letter."
  }

  validation {
    condition     = can(regex("^/([A-Za-z0-9_.-]+/)+$", var.engine.parameter_prefix))
    error_message = "engine.parameter_prefix must be a path such as /spillway/services/, with a slash at both ends."
  }
}

variable "service" {
  description = "Name of the service, of its parameter and of its lease."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_-]{0,31}$", var.service))
    error_message = "service must have 1 to 32 letters, digits, hyphens and underscores, and begin with a letter."
  }
}

variable "tags" {
  description = "Tags of everything that is made here, besides spillway:service and spillway:managed."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "aws:") && !contains(["spillway:service", "spillway:managed"], key)])
    error_message = "tags must not begin with aws:, and spillway:service and spillway:managed are set by the module."
  }
}

variable "releases_enabled" {
  description = "Whether releases may start. Without, the definition is taken out of the parameter store, so that every start is Refused; a release that runs, an undo and a retirement go on."
  type        = bool
  default     = true
  nullable    = false
}

variable "compute" {
  description = "What runs each slot: an ECS service, an Auto Scaling group, or something that others deploy and scale. The same kind in both slots; each slot's own. container may be left out when the task has only one."
  type = object({
    blue = object({
      ecs_service        = optional(object({ cluster = string, service = string, container = optional(string) }))
      auto_scaling_group = optional(object({ name = string }))
      external           = optional(bool, false)
    })
    green = object({
      ecs_service        = optional(object({ cluster = string, service = string, container = optional(string) }))
      auto_scaling_group = optional(object({ name = string }))
      external           = optional(bool, false)
    })
  })

  validation {
    condition = alltrue([
      for slot in values(var.compute) :
      length([for kind in [slot.ecs_service != null, slot.auto_scaling_group != null, slot.external] : kind if kind]) == 1
    ])
    error_message = "compute must have exactly one of ecs_service, auto_scaling_group and external = true in each slot."
  }

  validation {
    condition = (
      (var.compute.blue.ecs_service == null) == (var.compute.green.ecs_service == null) &&
      (var.compute.blue.auto_scaling_group == null) == (var.compute.green.auto_scaling_group == null)
    )
    error_message = "compute must be of the same kind in both slots."
  }

  validation {
    condition = (
      var.compute.blue.ecs_service == null && var.compute.blue.auto_scaling_group == null ||
      jsonencode(var.compute.blue) != jsonencode(var.compute.green)
    )
    error_message = "compute must be each slot's own: an ECS service or Auto Scaling group of its own for blue and for green."
  }

  validation {
    condition = alltrue(flatten([
      for slot in values(var.compute) : [
        for name in compact([try(slot.ecs_service.cluster, ""), try(slot.ecs_service.service, ""), try(slot.ecs_service.container, "")]) :
        can(regex("^([A-Za-z0-9_-]{1,255}|arn:aws[a-z-]*:ecs:[A-Za-z0-9_:/-]{1,480})$", name))
      ]
    ]))
    error_message = "compute: cluster, service and container of an ecs_service must have 1 to 255 letters, digits, hyphens and underscores; the first two may be ARNs beginning with arn:aws:ecs:."
  }

  validation {
    condition     = alltrue([for slot in values(var.compute) : slot.auto_scaling_group == null || can(regex("^[^:[:cntrl:]]{1,255}$", slot.auto_scaling_group.name))])
    error_message = "compute: the name of an auto_scaling_group must have 1 to 255 printable characters without a colon."
  }
}

variable "price_per_hour" {
  description = "What each slot costs in an hour while it runs, in any currency, 0 to 1000000: each release says what its second slot has cost."
  type = object({
    blue  = optional(number)
    green = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for price in values(var.price_per_hour) : price >= 0 && price <= 1000000 if price != null])
    error_message = "price_per_hour must be from 0 to 1000000."
  }
}

variable "target_groups" {
  description = "Target groups to make, one for each slot; null makes none. Seconds; the health check of HTTP or HTTPS groups. name is what their names begin with, by default NAME-OF-THE-ENGINE-SERVICE, shortened to 26 characters."
  type = object({
    name                         = optional(string)
    vpc_id                       = string
    port                         = optional(number, 80)
    protocol                     = optional(string, "HTTP")
    protocol_version             = optional(string)
    target_type                  = optional(string, "ip")
    deregistration_delay_seconds = optional(number, 60)
    health_check = optional(object({
      path                = optional(string, "/")
      port                = optional(string, "traffic-port")
      matcher             = optional(string, "200")
      interval_seconds    = optional(number, 10)
      timeout_seconds     = optional(number, 5)
      healthy_threshold   = optional(number, 2)
      unhealthy_threshold = optional(number, 2)
    }), {})
  })
  default = null

  validation {
    condition     = var.target_groups == null || can(regex("^[A-Za-z0-9]([A-Za-z0-9-]{0,25})$", coalesce(try(var.target_groups.name, null), "x")))
    error_message = "target_groups.name must have 1 to 26 letters, digits and hyphens, and begin with a letter or digit."
  }

  validation {
    condition     = var.target_groups == null || startswith(try(var.target_groups.vpc_id, ""), "vpc-")
    error_message = "target_groups.vpc_id must be the ID of a VPC, vpc-…."
  }

  validation {
    condition     = var.target_groups == null || try(var.target_groups.port >= 1 && var.target_groups.port <= 65535 && floor(var.target_groups.port) == var.target_groups.port, false)
    error_message = "target_groups.port must be a port from 1 to 65535."
  }

  validation {
    condition     = var.target_groups == null || contains(["HTTP", "HTTPS"], try(var.target_groups.protocol, ""))
    error_message = "target_groups.protocol must be HTTP or HTTPS."
  }

  validation {
    condition     = var.target_groups == null || contains(["HTTP1", "HTTP2", "GRPC"], coalesce(try(var.target_groups.protocol_version, null), "HTTP1"))
    error_message = "target_groups.protocol_version must be HTTP1, HTTP2 or GRPC."
  }

  validation {
    condition     = var.target_groups == null || contains(["ip", "instance"], try(var.target_groups.target_type, ""))
    error_message = "target_groups.target_type must be ip (Fargate, or awsvpc on EC2) or instance."
  }

  validation {
    condition     = var.target_groups == null || try(var.target_groups.deregistration_delay_seconds >= 0 && var.target_groups.deregistration_delay_seconds <= 3600, false)
    error_message = "target_groups.deregistration_delay_seconds must be from 0 to 3600."
  }

  validation {
    condition = var.target_groups == null || try(
      startswith(var.target_groups.health_check.path, "/") &&
      var.target_groups.health_check.interval_seconds >= 5 && var.target_groups.health_check.interval_seconds <= 300 &&
      var.target_groups.health_check.timeout_seconds >= 2 && var.target_groups.health_check.timeout_seconds < var.target_groups.health_check.interval_seconds &&
      var.target_groups.health_check.healthy_threshold >= 2 && var.target_groups.health_check.healthy_threshold <= 10 &&
      var.target_groups.health_check.unhealthy_threshold >= 2 && var.target_groups.health_check.unhealthy_threshold <= 10,
    false)
    error_message = "target_groups.health_check must have a path that begins with /, interval_seconds from 5 to 300, timeout_seconds from 2 and below the interval, and thresholds from 2 to 10."
  }
}

variable "listener_rules" {
  description = "Listener rules to make, by a name of your own: routes that forward to the slots (all to blue at first), or, with test = true, routes that lead testers to the candidate. One of the conditions is needed; each may have several values. Weights, and everything else of the action, are Spillway's afterwards."
  type = map(object({
    listener_arn       = string
    priority           = number
    test               = optional(bool, false)
    paths              = optional(list(string), [])
    hosts              = optional(list(string), [])
    methods            = optional(list(string), [])
    source_ips         = optional(list(string), [])
    headers            = optional(map(list(string)), {})
    stickiness_seconds = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.listener_rules) : can(regex("^[A-Za-z0-9_-]{1,64}$", name))])
    error_message = "listener_rules must be named with 1 to 64 letters, digits, hyphens and underscores."
  }

  validation {
    condition     = alltrue([for rule in values(var.listener_rules) : can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[A-Za-z0-9-]+:[0-9]{12}:listener/app/[A-Za-z0-9-]+/[A-Za-z0-9]+/[A-Za-z0-9]+$", rule.listener_arn))])
    error_message = "listener_rules: listener_arn must be the ARN of a listener of an Application Load Balancer, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/LB-ID/LISTENER-ID."
  }

  validation {
    condition     = length(distinct([for rule in values(var.listener_rules) : try(regex("listener/(app/[^/]+/[^/]+)/", rule.listener_arn)[0], "")])) <= 1
    error_message = "listener_rules must all be of one load balancer: a slot has one target group here, and a target group has one load balancer. Give the others in adopt."
  }

  validation {
    condition     = alltrue([for rule in values(var.listener_rules) : rule.priority >= 1 && rule.priority <= 50000 && floor(rule.priority) == rule.priority])
    error_message = "listener_rules: priority must be a whole number from 1 to 50000."
  }

  validation {
    condition = alltrue([
      for rule in values(var.listener_rules) :
      length(rule.paths) + length(rule.hosts) + length(rule.methods) + length(rule.source_ips) + length(rule.headers) > 0 &&
      sum(concat([for list in [rule.paths, rule.hosts, rule.methods, rule.source_ips] : length(list)], [for list in values(rule.headers) : length(list)])) <= 5
    ])
    error_message = "listener_rules must each have 1 to 5 values of paths, hosts, methods, source_ips and headers together."
  }

  validation {
    condition     = alltrue([for rule in values(var.listener_rules) : rule.stickiness_seconds == null || try(rule.stickiness_seconds >= 1 && rule.stickiness_seconds <= 604800, false)])
    error_message = "listener_rules: stickiness_seconds must be from 1 to 604800 (a week), or null for no stickiness."
  }
}

variable "adopt" {
  description = "What exists already and is not touched by Terraform: target groups, one for each load balancer in both slots; routes, listener rules or listeners (for their default action); test_routes. They come after those made here."
  type = object({
    target_groups = optional(object({
      blue  = optional(list(string), [])
      green = optional(list(string), [])
    }), {})
    routes      = optional(list(string), [])
    test_routes = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for arn in concat(var.adopt.target_groups.blue, var.adopt.target_groups.green) : can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[A-Za-z0-9-]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]+/[A-Za-z0-9]+$", arn))])
    error_message = "adopt.target_groups must be ARNs of target groups, arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID."
  }

  validation {
    condition     = length(var.adopt.target_groups.blue) == length(var.adopt.target_groups.green)
    error_message = "adopt.target_groups must have as many in green as in blue, in the same order of load balancers."
  }

  validation {
    condition     = length(distinct(concat(var.adopt.target_groups.blue, var.adopt.target_groups.green))) == length(concat(var.adopt.target_groups.blue, var.adopt.target_groups.green))
    error_message = "adopt.target_groups must each be named once: a target group of its own for each slot and load balancer."
  }

  validation {
    condition     = contains(range(1, 11), (var.target_groups == null ? 0 : 1) + length(var.adopt.target_groups.blue))
    error_message = "adopt.target_groups and target_groups together must make 1 to 10 target groups in each slot, one for each load balancer."
  }

  validation {
    condition     = alltrue([for arn in concat(var.adopt.routes, var.adopt.test_routes) : can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[A-Za-z0-9-]+:[0-9]{12}:(listener-rule/app/[A-Za-z0-9-]+/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+|listener/app/[A-Za-z0-9-]+/[A-Za-z0-9]+/[A-Za-z0-9]+)$", arn))])
    error_message = "adopt.routes and adopt.test_routes must be ARNs of listener rules or listeners of an Application Load Balancer, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/LB-ID/LISTENER-ID/RULE-ID or …:listener/app/NAME/LB-ID/LISTENER-ID."
  }

  validation {
    condition     = length(distinct(concat(var.adopt.routes, var.adopt.test_routes))) == length(concat(var.adopt.routes, var.adopt.test_routes))
    error_message = "adopt.routes and adopt.test_routes must each be named once, and in one of the two."
  }

  validation {
    condition     = contains(range(1, 11), length(var.adopt.routes) + length([for rule in values(var.listener_rules) : rule if !rule.test]))
    error_message = "adopt.routes and listener_rules together must make 1 to 10 routes."
  }

  validation {
    condition     = length(var.adopt.test_routes) + length([for rule in values(var.listener_rules) : rule if rule.test]) <= 10
    error_message = "adopt.test_routes and the listener_rules with test = true must be 10 at most."
  }
}

variable "alarms" {
  description = "Alarms on the service. actions: ARNs of SNS topics and the like, told of ALARM and OK. error_rate_percent: 5XX of the targets of both slots. latency_seconds: p99 of the slower slot. load_balancer_errors: 5XX a minute that the load balancer made itself, for a load balancer that serves this service alone. healthy_hosts: both slots without one. Each of them is off where it is null or false. minutes: how many in a row. stop_releases: in ALARM, no release starts and a running one rolls back."
  type = object({
    enabled              = optional(bool, true)
    actions              = optional(list(string), [])
    minutes              = optional(number, 3)
    error_rate_percent   = optional(number, 5)
    latency_seconds      = optional(number)
    load_balancer_errors = optional(number)
    healthy_hosts        = optional(bool, true)
    stop_releases        = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for arn in var.alarms.actions : startswith(arn, "arn:")])
    error_message = "alarms.actions must be ARNs."
  }

  validation {
    condition     = var.alarms.minutes >= 1 && var.alarms.minutes <= 60 && floor(var.alarms.minutes) == var.alarms.minutes
    error_message = "alarms.minutes must be a whole number from 1 to 60."
  }

  validation {
    condition     = var.alarms.error_rate_percent == null || try(var.alarms.error_rate_percent > 0 && var.alarms.error_rate_percent <= 100, false)
    error_message = "alarms.error_rate_percent must be above 0 and at most 100, or null for no such alarm."
  }

  validation {
    condition     = var.alarms.latency_seconds == null || try(var.alarms.latency_seconds > 0 && var.alarms.latency_seconds <= 3600, false)
    error_message = "alarms.latency_seconds must be above 0 and at most 3600, or null for no such alarm."
  }

  validation {
    condition     = var.alarms.load_balancer_errors == null || try(var.alarms.load_balancer_errors > 0, false)
    error_message = "alarms.load_balancer_errors must be above 0, or null for no such alarm."
  }
}

variable "dashboard" {
  description = "Whether to make a CloudWatch dashboard with both slots side by side. The first three of an account cost nothing."
  type        = bool
  default     = true
  nullable    = false
}
