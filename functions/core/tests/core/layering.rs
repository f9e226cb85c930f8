use std::process::Command;

/// The core decides; it does no I/O. So it links no runtime and no SDK.
#[test]
fn core_links_neither_a_runtime_nor_an_sdk() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "spillway-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--all-features",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("serde_json"), "cargo tree says nothing: {tree}");
    let foreign: Vec<&str> = tree
        .lines()
        .filter(|line| ["tokio", "aws-", "hyper", "lambda"].iter().any(|name| line.starts_with(name)))
        .collect();
    assert_eq!(foreign, Vec::<&str>::new());
}
