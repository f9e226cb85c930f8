//! What Terraform's modules without a provider render: `terraform console` needs no more than the binary for them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Whether there is a terraform to ask.
#[must_use]
pub fn is_there() -> bool {
    Command::new("terraform").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The value of an expression in the module of this directory, whose variables have these values.
///
/// # Errors
/// Terraform's.
pub fn evaluate(module: &Path, variables: &Value, expression: &str, scratch: &Path) -> Result<Value, String> {
    std::fs::create_dir_all(scratch).map_err(|error| error.to_string())?;
    let file = scratch.join("variables.json");
    std::fs::write(&file, variables.to_string()).map_err(|error| error.to_string())?;
    let mut console = Command::new("terraform")
        .arg(format!("-chdir={}", module.display()))
        .arg("console")
        .arg(format!("-var-file={}", file.display()))
        .env("TF_DATA_DIR", scratch.join("data"))
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("terraform: {error}"))?;
    // In base64, since the console quotes text its own way.
    let line = format!("base64encode(jsonencode({expression}))\n");
    if let Some(mut input) = console.stdin.take() {
        input.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = console.wait_with_output().map_err(|error| error.to_string())?;
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let json = STANDARD.decode(text.trim().trim_matches('"')).map_err(|_| said())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}
