output "functions" {
  description = "The policy of each function's role, JSON, by function."
  value       = { for name in keys(local.permissions.functions) : name => local.policies["function/${name}"] }
}

output "machines" {
  description = "The policy of each state machine's role, JSON, by machine."
  value       = { for name in keys(local.permissions.machines) : name => local.policies["machine/${name}"] }
}
