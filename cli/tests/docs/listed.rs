//! Commands that no walk runs, by what runs them, or why nothing can.

/// Why, and which.
pub const LISTED: &[(&str, &[&str])] = &[
    (
        "tests/lab/tests/demo.rs runs the demo in every scenario, keeps one, and kills one",
        &[
            "cargo demo",
            "cargo demo --help",
            "cargo demo --keep",
            "cargo demo --scenario blue-green",
            "cargo demo --scenario unready",
        ],
    ),
    ("the text is clap's own", &["cargo demo --help"]),
    (".ci/run is what runs this test", &["bash .ci/run", "cargo test --workspace"]),
    (
        "a part of the whole suite, which .ci/run runs",
        &[
            "cargo test -p spillway --test terraform",
            "cargo test -p spillway-end-to-end --test chaos",
            "cargo test -p spillway-infra",
            "cargo test -p spillway-package",
        ],
    ),
    (
        "the same tests without it are a part of the suite",
        &[
            "SPILLWAY_BLESS=1 cargo test -p spillway --test live record",
            "SPILLWAY_BLESS=1 cargo test -p spillway-core --all-features",
            "SPILLWAY_BLESS=1 cargo test -p spillway-simulate --test pictures",
        ],
    ),
    ("what it installs is what these walks run", &["cargo install --path cli"]),
    (
        "simulate/src/side_by_side.rs holds its tables to what it prints, in fewer releases",
        &[
            "cargo bench -p spillway-simulate --bench side_by_side",
            "cargo bench -p spillway-simulate --bench side_by_side -- --write",
        ],
    ),
    ("it measures this machine; .ci/run compiles it", &["cargo bench -p spillway-simulate --bench speed"]),
    (
        "tests/explore/tests runs the first and the mutants; the others are the same with more faults at once, fewer, or one setting",
        &[
            "cargo run -p spillway-explore",
            "cargo run -p spillway-explore -- --deep",
            "cargo run -p spillway-explore -- --mutants",
            "cargo run -p spillway-explore -- --only undo",
            "cargo run -p spillway-explore -- --small",
        ],
    ),
    (
        "a test of tests/end-to-end runs the same releases with another seed",
        &["cargo chaos", "cargo chaos --count 1 --seed 2032 --services 1"],
    ),
    ("an example, which .ci/run compiles; the tests of tests/lab/alb start the same", &["cargo run --example serve"]),
    (
        "takes a release build of every function; infra/package/tests hold the packing, and the starting of what is packed",
        &[
            "bash infra/package.sh",
            "bash infra/package.sh --arm64",
            "cargo run -p spillway-package -- start target/packages/x86_64/*.zip",
            "cargo run -p spillway-package -- start --through \"qemu-aarch64 -L /usr/aarch64-linux-gnu\" target/packages/arm64/*.zip",
        ],
    ),
    (
        "infra/check.sh, of .ci/run, initialises, validates and plans every example and module with mocked providers",
        &[
            "cd infra/examples/adopt-existing",
            "cd infra/examples/asg-blue-green",
            "cd infra/examples/ecs-canary",
            "terraform init",
            "terraform plan",
            "terraform test",
        ],
    ),
    (
        "takes an account: what it would make is planned as above",
        &[
            "terraform apply",
            "terraform apply -var architecture=arm64",
            "terraform apply -var strategy=blue_green",
            "terraform destroy",
            "terraform output -raw definition",
            "repository=$(terraform output -raw repository_url)",
            "curl \"$(terraform output -raw url)\"",
            "curl -H 'X-Preview: yes' \"$(terraform output -raw url)\"",
            "yes \"$(terraform output -raw url)\" | xargs -P 20 -n 1 curl -s -o /dev/null",
            "(cd ../application && zip -q - app.py) > source.zip",
            "aws s3 cp source.zip \"$(terraform output -raw source)\"",
            "aws ecr get-login-password --region us-east-1 | docker login --username AWS --password-stdin \"${repository%%/*}\"",
            "docker build --platform linux/amd64 --provenance=false -t \"$repository:1\" ../application",
            "docker push \"$repository:1\"",
        ],
    ),
    ("cli/tests/cli.rs runs it", &["spillway schema --event"]),
    ("tests/infra runs it, to compare what it renders with what the lab runs", &["terraform console"]),
    (
        "cli/tests/terraform/housekeeping.rs runs that machine as Terraform renders it",
        &[r#"aws stepfunctions start-execution --state-machine-arn … --input '{"mode": "wake"}'"#],
    ),
    (
        "infra/examples/adopt-existing/tests plan the example with such variables",
        &[
            "cat > terraform.tfvars <<'END'\nservice           = \"checkout\"\nlistener_rule_arn = \"arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee\"\ntarget_group_arns = {\n  blue  = \"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-a/73e2d6bc24d8a067\"\n  green = \"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout-b/94f3a1de60bb0c12\"\n}\nEND",
        ],
    ),
];
