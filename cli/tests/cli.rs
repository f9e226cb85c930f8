//! The command line, by example.

#[test]
fn cli() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

/// What is printed for whoever reads events is what is recorded beside the types.
#[test]
fn the_schema_of_events_is_printed() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_spillway")).args(["schema", "--event"]).output().unwrap();
    assert!(output.status.success());
    let recorded = include_str!("../../functions/core/event/schema.json");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), recorded.trim());
}
