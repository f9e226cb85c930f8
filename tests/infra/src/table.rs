//! `permissions.json`, from which Terraform makes the roles' policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Scopes by action.
pub type Allowed = BTreeMap<String, Vec<String>>;

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What each function's role allows.
    pub functions: BTreeMap<String, Allowed>,
    /// What every function's role allows beside that.
    pub every_function: Allowed,
    /// What each machine's role allows.
    pub machines: BTreeMap<String, Allowed>,
    /// What every machine's role allows beside that.
    pub every_machine: Allowed,
    /// Why an action is allowed that no call shows, by role, `every_function` and `every_machine`.
    pub without_a_call: BTreeMap<String, BTreeMap<String, String>>,
    /// Why an action that changes something is allowed on everything.
    pub without_a_resource: BTreeMap<String, String>,
}

impl Table {
    /// What a role may do although no call of its own shows it.
    #[must_use]
    pub fn argued(&self, role: &str) -> BTreeSet<String> {
        self.without_a_call.get(role).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, or is not as it should be.
    pub fn read(root: &Path) -> Result<Self, String> {
        let path = root.join("infra/modules/engine/permissions/permissions.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
