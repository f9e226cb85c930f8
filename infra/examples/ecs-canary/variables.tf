variable "region" {
  description = "AWS region to apply this in."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as us-east-1."
  }
}

variable "name" {
  description = "Prefix of the engine's names, SPILLWAY_INSTALLATION for the command line, and the load balancer's name."
  type        = string
  default     = "spillway-ecs"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name must have 2 to 20 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "service" {
  description = "Name of the service, its ECS cluster and its image repository."
  type        = string
  default     = "shop-on-ecs"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.service)) && !strcontains(var.service, "--")
    error_message = "service must have 2 to 20 lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "image" {
  description = "Image that the service begins with: it listens on port, and answers health_path with 200 without credentials."
  type        = string
  default     = "public.ecr.aws/docker/library/httpd:2.4"
}

variable "port" {
  description = "TCP port that images listen on."
  type        = number
  default     = 80
}

variable "health_path" {
  description = "Path that the load balancer's health checks ask for."
  type        = string
  default     = "/"
}

variable "strategy" {
  description = "How releases go: canary, linear, blue_green or all_at_once."
  type        = string
  default     = "canary"
}

variable "releases_enabled" {
  description = "Whether a push starts a release."
  type        = bool
  default     = true
}

variable "architecture" {
  description = "Processors of functions and tasks: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "package_directory" {
  description = "Where infra/package.sh has left the functions; null: target/packages of this repository, for the architecture."
  type        = string
  default     = null
}

variable "page_email" {
  description = "Address that is told when a person is needed, once it has confirmed; null: nobody is."
  type        = string
  default     = null
}

variable "allowed_cidr_blocks" {
  description = "IPv4 blocks whose clients may reach the load balancer."
  type        = set(string)
  default     = ["0.0.0.0/0"]
}

variable "nat_gateway" {
  description = "Whether tasks run in private subnets, behind a NAT gateway, for about 33 USD a month and what goes through it."
  type        = bool
  default     = false
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate: HTTPS instead of HTTP."
  type        = string
  default     = null
}
