variable "name" {
  description = "Name of the service; its slots are NAME-blue and NAME-green."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name must have 2 to 24 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "tags" {
  description = "Tags of everything that takes tags, besides spillway:service, spillway:managed and spillway:slot."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "aws:") && !startswith(key, "spillway:")])
    error_message = "tags must not begin with aws: or spillway:, which others decide about."
  }
}

variable "vpc_id" {
  description = "ID of the VPC."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id must be the ID of a VPC, vpc-…."
  }
}

variable "subnet_ids" {
  description = "IDs of the subnets that both slots run in."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0 && alltrue([for id in var.subnet_ids : startswith(id, "subnet-")])
    error_message = "subnet_ids must have at least one ID of a subnet, subnet-…."
  }
}

variable "public_addresses" {
  description = "Whether tasks or instances get public IPv4 addresses, without which those in public subnets reach nothing outside of the VPC."
  type        = bool
  default     = false
}

variable "load_balancer_security_group_id" {
  description = "ID of the load balancer's security group; nothing else is let in."
  type        = string

  validation {
    condition     = startswith(var.load_balancer_security_group_id, "sg-")
    error_message = "load_balancer_security_group_id must be the ID of a security group, sg-…."
  }
}

variable "target_group_arns" {
  description = "ARN of each slot's target group: of type ip for ECS, of type instance for Auto Scaling."
  type        = object({ blue = string, green = string })

  validation {
    condition     = alltrue([for arn in values(var.target_group_arns) : can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/.+$", arn))])
    error_message = "target_group_arns must be two ARNs of target groups, arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID."
  }
}

variable "route_arns" {
  description = "ARNs of the listener rules that forward to the target groups. They are only waited for: ECS takes a target group once a load balancer uses it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.route_arns : can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener(-rule)?/app/[^*?]+$", arn))])
    error_message = "route_arns must be ARNs of listener rules or listeners, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/ID/ID."
  }
}

variable "port" {
  description = "TCP port that the application listens on, 1 to 65535."
  type        = number
  default     = 80

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "port must be a whole number from 1 to 65535."
  }
}

variable "live_slot" {
  description = "The slot that is made with capacity. It counts at creation only: from then on releases decide."
  type        = string
  default     = "blue"

  validation {
    condition     = contains(["blue", "green"], var.live_slot)
    error_message = "live_slot must be blue or green."
  }
}

variable "size" {
  description = "Tasks or instances of the live slot at creation, 1 to 100; the other slot has none."
  type        = number
  default     = 2

  validation {
    condition     = var.size >= 1 && var.size <= 100 && floor(var.size) == var.size
    error_message = "size must be a whole number from 1 to 100."
  }
}

variable "architecture" {
  description = "Processors: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "ecs" {
  description = <<-EOT
    Two ECS services on Fargate; exactly one of ecs and auto_scaling is given.
    image: what the first revision runs; releases bring others. cpu: CPU units, 1024 are a vCPU. memory: MiB.
    grace_seconds: how long a new task's failing health checks are ignored. log_retention_days: how long its output is kept.
    container_insights: whether CloudWatch keeps metrics of each service and task, which it charges for.
  EOT
  type = object({
    image              = string
    cpu                = optional(number, 256)
    memory             = optional(number, 512)
    environment        = optional(map(string), {})
    grace_seconds      = optional(number, 30)
    log_retention_days = optional(number, 14)
    container_insights = optional(bool, false)
  })
  default = null

  validation {
    condition     = (var.ecs == null) != (var.auto_scaling == null)
    error_message = "Exactly one of ecs and auto_scaling must be given."
  }

  validation {
    condition     = var.ecs == null || can(regex("^[^[:space:]]+$", var.ecs.image))
    error_message = "ecs.image must be an image, such as public.ecr.aws/docker/library/httpd:2.4."
  }

  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
  validation {
    condition     = var.ecs == null || try(contains([256, 512, 1024, 2048, 4096], var.ecs.cpu), false)
    error_message = "ecs.cpu must be 256, 512, 1024, 2048 or 4096."
  }

  validation {
    condition     = var.ecs == null || try(contains(concat([for gigabytes in range(1, 31) : 1024 * gigabytes if 1024 * gigabytes >= 2 * var.ecs.cpu && 1024 * gigabytes <= 8 * var.ecs.cpu], var.ecs.cpu == 256 ? [512] : []), var.ecs.memory), false)
    error_message = "ecs.memory must be in whole GB (multiples of 1024) and from two to eight times ecs.cpu, at most 30720; 512 is allowed with 256 CPU units."
  }

  validation {
    condition     = var.ecs == null || try(var.ecs.grace_seconds >= 0 && var.ecs.grace_seconds <= 2147483647, false)
    error_message = "ecs.grace_seconds must be 0 or more."
  }

  validation {
    condition     = var.ecs == null || try(contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.ecs.log_retention_days), false)
    error_message = "ecs.log_retention_days must be a retention that CloudWatch Logs has, such as 7, 14, 30, 90 or 365."
  }
}

variable "auto_scaling" {
  description = <<-EOT
    Two EC2 Auto Scaling groups; exactly one of ecs and auto_scaling is given.
    user_data: what an instance runs when it starts, as text of at most 16 KB, in the first launch template version; later
    versions are others' and left alone. ami_id: null is the latest Amazon Linux 2023. max_size: the most instances of a slot.
    grace_seconds: how long a new instance's failing health checks are ignored.
  EOT
  type = object({
    user_data     = string
    instance_type = optional(string, "t3.micro")
    ami_id        = optional(string)
    max_size      = optional(number, 4)
    grace_seconds = optional(number, 120)
  })
  default = null

  validation {
    condition     = var.auto_scaling == null || try(startswith(var.auto_scaling.user_data, "#") && length(base64encode(var.auto_scaling.user_data)) <= 21848, false)
    error_message = "auto_scaling.user_data must begin with #! or #cloud-config and have at most 16 KB."
  }

  validation {
    condition     = var.auto_scaling == null || can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.auto_scaling.instance_type))
    error_message = "auto_scaling.instance_type must be an EC2 instance type, such as t3.micro."
  }

  validation {
    condition     = var.auto_scaling == null || try((var.architecture == "arm64") == can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.auto_scaling.instance_type)), false)
    error_message = "auto_scaling.instance_type must have processors of the architecture: t4g.micro is arm64, t3.micro is x86_64."
  }

  validation {
    condition     = var.auto_scaling == null || try(startswith(coalesce(var.auto_scaling.ami_id, "ami-"), "ami-"), false)
    error_message = "auto_scaling.ami_id must be null or the ID of an image, ami-…."
  }

  validation {
    condition     = var.auto_scaling == null || try(var.auto_scaling.max_size >= var.size && var.auto_scaling.max_size <= 100, false)
    error_message = "auto_scaling.max_size must be from size to 100."
  }

  validation {
    condition     = var.auto_scaling == null || try(var.auto_scaling.grace_seconds >= 0, false)
    error_message = "auto_scaling.grace_seconds must be 0 or more."
  }
}
