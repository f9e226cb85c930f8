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
  default     = "spillway-asg"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name must have 2 to 20 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "service" {
  description = "Name of the service, its launch template and its pipeline."
  type        = string
  default     = "shop-on-ec2"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.service))
    error_message = "service must have 2 to 20 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "strategy" {
  description = "How releases go: canary, linear, blue_green or all_at_once."
  type        = string
  default     = "blue_green"
}

variable "bake_seconds" {
  description = "How long the new version has all traffic before it is promoted, at least."
  type        = number
  default     = 300
}

variable "releases_enabled" {
  description = "Whether releases may start; without, the pipeline's last stage fails."
  type        = bool
  default     = true
}

variable "architecture" {
  description = "Processors of functions and instances: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "instance_type" {
  description = "EC2 instance type; null: t3.micro, or t4g.micro for arm64."
  type        = string
  default     = null
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
  description = "Whether instances run in private subnets, behind a NAT gateway, for about 33 USD a month and what goes through it."
  type        = bool
  default     = false
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate: HTTPS instead of HTTP."
  type        = string
  default     = null
}
