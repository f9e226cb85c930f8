output "definitions" {
  description = "The state machines' definitions, by machine: guard, release, retire and rollback."
  value       = local.definitions
}
