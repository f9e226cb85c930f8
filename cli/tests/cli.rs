//! The command line, by example.

#[test]
fn cli() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
