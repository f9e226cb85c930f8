//! What Terraform renders is what runs: the definition of a service, what starts its releases, and the housekeeping's state
//! machines.
//!
//! Without `terraform` on the path nothing here is checked, and the tests say so.

mod definition;
mod housekeeping;
mod render;
mod triggers;
