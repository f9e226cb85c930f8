variable "name" {
  description = "Prefix of all names, and the load balancer's name."
  type        = string
  default     = "spillway-demo"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name)) && !startswith(var.name, "internal-")
    error_message = "name must have 2 to 24 lower-case letters, digits and hyphens, begin with a letter, and neither end with a hyphen nor begin with \"internal-\"."
  }
}

variable "tags" {
  description = "Tags of everything that takes tags."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "aws:") && !startswith(key, "spillway:")])
    error_message = "tags must not begin with aws: or spillway:, which others decide about."
  }
}

variable "cidr_block" {
  description = "IPv4 addresses of the VPC, /16 to /23. A subnet is a sixteenth of it, and a load balancer needs at least a /27."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr_block)) && try(tonumber(split("/", var.cidr_block)[1]) >= 16 && tonumber(split("/", var.cidr_block)[1]) <= 23, false)
    error_message = "cidr_block must be an IPv4 block from /16 to /23, such as 10.42.0.0/16."
  }
}

variable "availability_zones" {
  description = "Number of availability zones, each with a subnet. A load balancer needs two."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.availability_zones)
    error_message = "availability_zones must be 2 or 3."
  }
}

variable "nat_gateway" {
  description = "Whether the application runs in private subnets, behind one NAT gateway, which costs about as much as the load balancer and the traffic through it. Without, it runs in the public subnets, with public addresses, reachable from the load balancer alone."
  type        = bool
  default     = false
}

variable "allowed_cidr_blocks" {
  description = "IPv4 blocks whose clients may reach the load balancer."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidr_blocks) > 0 && alltrue([for block in var.allowed_cidr_blocks : can(cidrnetmask(block))])
    error_message = "allowed_cidr_blocks must have at least one IPv4 block, such as 203.0.113.0/24."
  }
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate. With it the load balancer serves HTTPS on port 443 and redirects port 80; without, it serves HTTP on port 80."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn must be null or the ARN of an ACM certificate, arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "access_logs_bucket" {
  description = "Name of an S3 bucket for the load balancer's access logs, with a policy that lets it write; null: none are kept."
  type        = string
  default     = null

  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
  validation {
    condition     = var.access_logs_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_logs_bucket))
    error_message = "access_logs_bucket must be null or the name of a bucket, 3 to 63 lower-case letters, digits, hyphens and dots; no ARN and no URL."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
  default     = false
}
