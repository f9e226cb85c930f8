locals {
  machines = ["guard", "release", "retire", "rollback"]

  definitions = {
    for machine in local.machines :
    machine => templatefile("${path.module}/../../../../statemachine/${machine}.asl.json", var.values)
  }
}
