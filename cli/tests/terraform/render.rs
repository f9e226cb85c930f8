//! A module of `infra/modules`, planned with variables; nothing is asked of AWS.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// A module, ready to plan.
pub struct Module {
    dir: PathBuf,
    environment: Vec<(String, String)>,
    plans: AtomicUsize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn succeeded(what: &str, output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}:\n{}{}", text(&output.stdout), text(&output.stderr));
}

/// The provider's stand-in, which knows its schema, where it lies beside the repository.
fn environment() -> Vec<(String, String)> {
    let check = root().join("../shared/terraform/check.sh");
    if !check.exists() {
        return Vec::new();
    }
    let output = Command::new("bash").arg(check).arg("--env").output().unwrap();
    succeeded("check.sh --env", &output);
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.trim().strip_prefix("export ").unwrap_or_default().split(' ');
    let pairs = words.filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

impl Module {
    /// Prepares a module of this name for a test; `None`, and a word about it, where there is no `terraform`.
    pub fn new(name: &str, test: &str) -> Option<Self> {
        if Command::new("terraform").arg("version").output().is_err() {
            eprintln!("NOT CHECKED: what Terraform makes of the module {name} ({test}): terraform is not on the path");
            return None;
        }
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("terraform-{name}-{test}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        for entry in std::fs::read_dir(root().join("infra/modules").join(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "tf") {
                std::fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
            }
        }
        // A plan of what is not there yet makes no call.
        let provider = json!({"provider": {"aws": {
            "region": "eu-west-1",
            "access_key": "none",
            "secret_key": "none",
            "skip_credentials_validation": true,
            "skip_metadata_api_check": "true",
            "skip_requesting_account_id": true,
        }}});
        std::fs::write(dir.join("provider.tf.json"), provider.to_string()).unwrap();
        let module = Self { dir, environment: environment(), plans: AtomicUsize::new(0) };
        succeeded("terraform init", &module.terraform(&["init", "-backend=false", "-input=false", "-no-color"]));
        Some(module)
    }

    fn terraform(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("terraform");
        command.current_dir(&self.dir).args(arguments).env("TF_IN_AUTOMATION", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).output().unwrap()
    }

    /// Plans with these variables, and gives `planned_values`; or what Terraform has against them.
    pub fn plan(&self, variables: &Value) -> Result<Value, String> {
        let number = self.plans.fetch_add(1, Ordering::Relaxed);
        let (file, plan) = (format!("{number}.tfvars.json"), format!("{number}.plan"));
        std::fs::write(self.dir.join(&file), variables.to_string()).unwrap();
        let planned = self.terraform(&[
            "plan",
            "-input=false",
            "-lock=false",
            "-refresh=false",
            "-no-color",
            &format!("-var-file={file}"),
            &format!("-out={plan}"),
        ]);
        if !planned.status.success() {
            return Err(String::from_utf8_lossy(&planned.stderr).into_owned());
        }
        let shown = self.terraform(&["show", "-json", &plan]);
        succeeded("terraform show", &shown);
        let mut shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        Ok(shown["planned_values"].take())
    }
}
