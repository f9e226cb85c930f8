//! What the code asks of AWS, read from the code, beside what Terraform's modules allow and render.
//!
//! - [`adapters`]: which calls the adapters of `functions/aws` make for each verb of a port;
//! - [`functions`]: which verbs each function uses, and so which calls it makes;
//! - [`machines`]: which calls the state machines make;
//! - [`table`]: `permissions.json`, from which Terraform makes the roles' policies;
//! - [`terraform`]: what Terraform's modules without a provider render.
//!
//! Reading goes by names, not by types: where two ports of a function share a verb of the same name and number of
//! arguments, both count as used. What cannot be read is an error, never nothing.

pub mod adapters;
pub mod functions;
pub mod machines;
pub mod source;
pub mod table;
pub mod terraform;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// IAM actions, such as `elasticloadbalancing:ModifyRule`.
pub type Actions = BTreeSet<String>;

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}
