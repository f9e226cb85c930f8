variable "engine" {
  description = "The engine that is started, as its module puts it out: its name, and the ARN of the release state machine's alias."
  type = object({
    name                      = string
    release_state_machine_arn = string
  })

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,31}$", var.engine.name))
    error_message = "engine.name must have 1 to 32 letters, digits and hyphens, and begin with a letter."
  }

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[A-Za-z0-9_-]{1,80}(:[A-Za-z0-9_.-]{1,80})?$", var.engine.release_state_machine_arn))
    error_message = "engine.release_state_machine_arn must be the ARN of a state machine, arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, or that and :ALIAS."
  }
}

variable "service" {
  description = "Name of the service that is released."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_-]{0,31}$", var.service))
    error_message = "service must have 1 to 32 letters, digits, hyphens and underscores, and begin with a letter."
  }
}

variable "tags" {
  description = "Tags of everything that is made here, besides spillway:service."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "aws:") && key != "spillway:service"])
    error_message = "tags must not begin with aws:, and spillway:service is set by the module."
  }
}

variable "releases_enabled" {
  description = "Whether pushes and schedules start releases; the service module's output of that name. Without, both are disabled, and what is pushed meanwhile is not made up for."
  type        = bool
  default     = true
  nullable    = false
}

variable "on_conflict" {
  description = "The service's on_conflict, the service module's output of that name; null leaves it unchecked."
  type        = string
  default     = null

  validation {
    condition     = var.on_conflict == null || contains(["reject", "queue", "supersede"], coalesce(var.on_conflict, "reject"))
    error_message = "on_conflict must be reject, queue or supersede, or null."
  }
}

variable "longest_release_seconds" {
  description = "The longest that a release can take in seconds, the service module's output of that name; null leaves it unchecked. A pipeline waits for a week."
  type        = number
  default     = null

  validation {
    condition     = var.longest_release_seconds == null || try(var.longest_release_seconds > 0, false)
    error_message = "longest_release_seconds must be above 0, or null."
  }
}

variable "ecr" {
  description = "Release what is pushed to this ECR repository, under tags that match one of these (* stands for any characters). replicated also takes images that replication brings. maximum_age_seconds: how long a start is tried again before it goes to the dead-letter queue."
  type = object({
    repository_url      = string
    tags                = optional(list(string), ["*"])
    replicated          = optional(bool, false)
    event_bus_name      = optional(string, "default")
    maximum_age_seconds = optional(number, 900)
  })
  default = null

  validation {
    condition     = var.ecr == null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.[a-z0-9.]+/[a-z0-9]+([._/-][a-z0-9]+)*$", var.ecr.repository_url))
    error_message = "ecr.repository_url must be the URL of a private repository, ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME."
  }

  validation {
    condition     = var.ecr == null || try(length(var.ecr.tags) > 0 && alltrue([for tag in var.ecr.tags : can(regex("^[A-Za-z0-9_.*-]{1,128}$", tag)) && !strcontains(tag, "**")]), false)
    error_message = "ecr.tags must be one or more patterns of letters, digits, underscores, dots, hyphens and *, no two * in a row."
  }

  validation {
    condition     = var.ecr == null || can(regex("^[A-Za-z0-9_./-]{1,256}$", var.ecr.event_bus_name))
    error_message = "ecr.event_bus_name must be the name of an event bus."
  }

  validation {
    condition     = var.ecr == null || try(var.ecr.maximum_age_seconds >= 60 && var.ecr.maximum_age_seconds <= 86400, false)
    error_message = "ecr.maximum_age_seconds must be from 60 to 86400."
  }

  validation {
    condition     = var.ecr == null || var.on_conflict != "reject"
    error_message = "ecr needs a service with on_conflict queue or supersede: with reject, what is pushed while a release runs is lost."
  }
}

variable "schedule" {
  description = "Release this version at a time: expression is at(…), cron(…) or rate(…), in timezone; flexible_minutes is how much later it may be. version is exactly one of image (by digest), task_definition, launch_template_version and opaque."
  type = object({
    expression       = string
    timezone         = optional(string, "UTC")
    flexible_minutes = optional(number, 0)
    version = object({
      image                   = optional(string)
      task_definition         = optional(string)
      launch_template_version = optional(string)
      opaque                  = optional(string)
    })
  })
  default = null

  validation {
    condition     = var.schedule == null || can(regex("^(at|cron|rate)\\(.+\\)$", var.schedule.expression))
    error_message = "schedule.expression must be at(yyyy-mm-ddThh:mm:ss), cron(minute hour day month weekday year) or rate(value unit)."
  }

  validation {
    condition     = var.schedule == null || can(regex("^[A-Za-z0-9_+/-]{1,50}$", var.schedule.timezone))
    error_message = "schedule.timezone must be a name of the IANA time zone database, such as Europe/Stockholm."
  }

  validation {
    condition     = var.schedule == null || try(var.schedule.flexible_minutes >= 0 && var.schedule.flexible_minutes <= 1440, false)
    error_message = "schedule.flexible_minutes must be from 0 to 1440."
  }

  validation {
    condition     = var.schedule == null || length([for value in values(try(var.schedule.version, {})) : value if value != null]) == 1
    error_message = "schedule.version must be exactly one of image, task_definition, launch_template_version and opaque."
  }

  validation {
    condition = var.schedule == null || alltrue([
      try(var.schedule.version.image, null) == null || can(regex("^[^@[:space:]]+@sha256:[0-9a-f]{64}$", var.schedule.version.image)),
      try(var.schedule.version.task_definition, null) == null || can(regex("^(arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:task-definition/)?[A-Za-z0-9_-]{1,255}:[1-9][0-9]*$", var.schedule.version.task_definition)),
      try(var.schedule.version.launch_template_version, null) == null || can(regex("^[1-9][0-9]*$", var.schedule.version.launch_template_version)),
      try(var.schedule.version.opaque, null) == null || can(regex("^[^[:cntrl:]]{1,128}$", var.schedule.version.opaque)),
    ])
    error_message = "schedule.version: image must be REPOSITORY@sha256:DIGEST, task_definition FAMILY:REVISION or its ARN, launch_template_version a number from 1, opaque 1 to 128 characters."
  }
}

variable "codepipeline" {
  description = "Release from a pipeline. version is exactly one of image, task_definition, launch_template_version and opaque, and may hold variables of the pipeline, #{namespace.key}; or file_path names a file in input_artifact with the release's whole input. role_names are the roles of pipelines that get the permission. qualified: start through the alias of the state machine."
  type = object({
    version        = optional(map(string))
    file_path      = optional(string)
    input_artifact = optional(string)
    role_names     = optional(list(string), [])
    action_name    = optional(string, "Release")
    stage_name     = optional(string, "Release")
    qualified      = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.codepipeline == null || (try(var.codepipeline.version, null) == null) != (try(var.codepipeline.file_path, null) == null)
    error_message = "codepipeline must have exactly one of version and file_path."
  }

  validation {
    condition     = var.codepipeline == null || (try(var.codepipeline.input_artifact, null) == null) == (try(var.codepipeline.file_path, null) == null)
    error_message = "codepipeline.input_artifact must be set with file_path, and only with it."
  }

  validation {
    condition = var.codepipeline == null || try(var.codepipeline.version, null) == null || try(
      length(var.codepipeline.version) == 1 && length(setsubtract(keys(var.codepipeline.version), ["image", "task_definition", "launch_template_version", "opaque"])) == 0,
    false)
    error_message = "codepipeline.version must be exactly one of image, task_definition, launch_template_version and opaque."
  }

  validation {
    condition = var.codepipeline == null || !contains(keys(coalesce(try(var.codepipeline.version, null), {})), "image") || try(
      strcontains(var.codepipeline.version.image, "#{") || can(regex("^[^@[:space:]]+@sha256:[0-9a-f]{64}$", var.codepipeline.version.image)),
    false)
    error_message = "codepipeline.version.image must be an image by digest, REPOSITORY@sha256:DIGEST, or hold a variable of the pipeline such as #{Source.ImageDigest}."
  }

  validation {
    condition     = var.codepipeline == null || alltrue([for name in try([var.codepipeline.action_name, var.codepipeline.stage_name], []) : can(regex("^[A-Za-z0-9.@_-]{1,100}$", name))])
    error_message = "codepipeline.action_name and stage_name must have 1 to 100 letters, digits, dots, at signs, underscores and hyphens."
  }

  validation {
    condition     = var.codepipeline == null || alltrue([for name in try(var.codepipeline.role_names, []) : can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", name))])
    error_message = "codepipeline.role_names must be names of IAM roles, not ARNs."
  }

  validation {
    condition     = var.codepipeline == null || var.longest_release_seconds == null || try(var.longest_release_seconds + (var.on_conflict == "reject" ? 0 : 86400) <= 604800, false)
    error_message = "codepipeline gives up on an action after 7 days, a day in the queue included: shorten the steps or the hold, or start the release from elsewhere."
  }
}

variable "alarm_actions" {
  description = "ARNs of SNS topics and the like that are told when a start went to the dead-letter queue."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")])
    error_message = "alarm_actions must be ARNs."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the roles made here; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, or null."
  }
}
