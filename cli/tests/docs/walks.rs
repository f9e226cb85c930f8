//! The walks.

use serde_json::{Value, json};
use spillway_core::definition::ServiceDefinition;
use spillway_docs::root;
use spillway_end_to_end::{PATIENCE, RATE, lab, put};
use spillway_lab::{Compute, Dials, Service, Slot, Traffic, eventually};

use crate::walk::Walk;

const EXAMPLE: &str = include_str!("../../../functions/core/definition/example.json");

/// The tour and the strategies: files of the repository, and numbers that are the same everywhere.
pub async fn what_needs_no_aws(walk: &mut Walk) {
    walk.stand_in("cli/tests/cmd/", &format!("{}/cli/tests/cmd/", root().display()));
    walk.prints("spillway explain --from cli/tests/cmd/rolled-back.history.json");
    walk.prints("spillway judge cli/tests/cmd/release.jsonl");
    walk.prints("spillway simulate --rps 50 --error-rate 0.1");
    walk.succeeds("spillway report --from cli/tests/cmd/rolled-back.history.json --html report.html");
    assert!(std::fs::read_to_string(walk.directory.join("report.html")).unwrap().contains("rolled back"));

    for (page, kind) in
        [("canary", "canary"), ("linear", "linear"), ("blue-green", "blue_green"), ("all-at-once", "all_at_once")]
    {
        let strategy = format!("{{\"strategy\": {{\"type\": \"{kind}\"}}}}");
        walk.prints(&format!("echo '{strategy}' | spillway simulate --rps 500 --error-rate 0.1 --policy -"));
        let blocks = Walk::blocks(&format!("docs/strategies/{page}.md"), "json");
        assert_eq!(blocks.len(), 1, "{page}");
        let mut definition: Value = serde_json::from_str(EXAMPLE).unwrap();
        definition.as_object_mut().unwrap().remove("hooks");
        for (name, value) in serde_json::from_str::<Value>(&blocks[0]).unwrap().as_object().unwrap() {
            definition[name] = value.clone();
        }
        let read = ServiceDefinition::from_json(&definition.to_string()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.strategy.kind.to_string(), kind);
    }
}

/// Makes a service's releases short, and gives it users.
async fn short(service: &Service<'_>) -> Traffic {
    let mut definition = service.definition();
    definition["strategy"] =
        json!({"type": "canary", "canary": {"steps": [50]}, "minimum_time_seconds": 1, "max_step_seconds": 3});
    // Long enough for an undo to find the old slot warm.
    definition["retirement"]["window_seconds"] = json!(600);
    put(service, &definition).await;
    Traffic::start(&service.url(), RATE, 0)
}

/// The next version's image.
fn image(service: &Service<'_>, version: &str) -> String {
    service.publish_image(version, Dials::version(version))
}

/// Waits until the service's release, undo or retirement has left the lease.
async fn free(service: &Service<'_>) {
    spillway_end_to_end::assert_free(service).await;
}

/// Waits until all traffic is on blue, and the lease is free.
async fn undone(service: &Service<'_>) {
    let there = eventually(PATIENCE, || async {
        let weights = service.weights();
        let back = weights.iter().all(|route| route.blue > Some(0) && route.green.unwrap_or(0) == 0);
        if back { Ok(()) } else { Err(format!("{weights:?}")) }
    });
    if let Err(late) = there.await {
        panic!("not undone: {late}");
    }
    free(service).await;
}

/// From a rule to releases, and out again; meanwhile the examples' services.
pub async fn adopting(walk: &mut Walk) {
    let lab = lab().await;
    walk.enter(&lab);
    let shop = lab.service("checkout").start().await.unwrap();
    let on_ecs = lab.service("shop-on-ecs").start().await.unwrap();
    let on_ec2 = lab.service("shop-on-ec2").compute(Compute::AutoScaling).start().await.unwrap();
    let users = [short(&shop).await, short(&on_ecs).await, short(&on_ec2).await];
    // A push of the example's starts it.
    on_ec2.publish_launch_template_version("2", Dials::version("v2"));
    on_ec2.release(&json!({"launch_template_version": "2"})).await.unwrap();

    walk.succeeds("export AWS_REGION=eu-west-1");
    walk.stand_in("--load-balancer shop", "--load-balancer checkout-0");
    let told = walk.succeeds("spillway init --load-balancer shop --service checkout");
    assert!(told.contains("checkout.json: written: service checkout, strategy canary"), "{told}");
    let told = walk.succeeds("spillway validate --live checkout.json");
    assert!(told.contains("checkout.json: valid"), "{told}");
    walk.stand_in("shop@sha256:…", &image(&shop, "v2"));
    let told = walk.succeeds("spillway start checkout --image shop@sha256:… --dry-run");
    assert!(told.contains("would go to green"), "{told}");
    walk.succeeds("spillway start checkout --image shop@sha256:…");
    walk.on_a_terminal("spillway watch checkout", "checkout", "q");
    let told = walk.succeeds("spillway status checkout --wait");
    assert!(told.contains("promoted"), "{told}");
    walk.succeeds("spillway rollback checkout --wait");
    undone(&shop).await;

    // The examples' installations have names of their own.
    walk.stand_in("spillway-ecs", "spillway");
    walk.stand_in("spillway-asg", "spillway");
    walk.succeeds("export SPILLWAY_INSTALLATION=spillway-asg AWS_REGION=us-east-1");
    walk.succeeds("spillway status shop-on-ec2 --wait");
    walk.succeeds("spillway rollback shop-on-ec2");
    walk.succeeds("export SPILLWAY_INSTALLATION=spillway-ecs AWS_REGION=us-east-1");
    let pushed = image(&on_ecs, "v2");
    walk.set("repository", pushed.split('@').next().unwrap());
    walk.stand_in("$repository@sha256:…", &pushed);
    walk.succeeds(r#"spillway start shop-on-ecs --image "$repository@sha256:…" --wait"#);
    walk.succeeds("spillway status shop-on-ecs --wait");
    walk.succeeds("spillway rollback shop-on-ecs");

    walk.stand_in("shop@sha256:…", &image(&shop, "v3"));
    walk.succeeds("spillway start checkout --image shop@sha256:… --wait");
    walk.succeeds("spillway rollback checkout");

    for service in [&on_ec2, &on_ecs, &shop] {
        undone(service).await;
    }
    on_ec2.publish_launch_template_version("3", Dials::version("v3"));
    on_ec2.release(&json!({"launch_template_version": "3"})).await.unwrap();
    under_way(&on_ec2, &|_| true).await;
    walk.succeeds("spillway status shop-on-ec2");
    walk.succeeds("spillway abort shop-on-ec2");
    let revision = on_ecs.register_task_definition(&image(&on_ecs, "v3")).await.unwrap();
    walk.stand_in("$(terraform output -raw task_definition_arn)", &revision);
    walk.succeeds(r#"spillway start shop-on-ecs --task-definition "$(terraform output -raw task_definition_arn)""#);
    under_way(&on_ecs, &|_| true).await;
    walk.succeeds("spillway status shop-on-ecs");
    walk.succeeds("spillway abort shop-on-ecs");
    for service in ["shop-on-ec2", "shop-on-ecs"] {
        let ended = walk.run(&format!("spillway status {service} --wait"));
        assert_eq!(ended.status.code(), Some(1), "{service} was rolled back");
    }

    // What a pipeline says.
    walk.set("IMAGE_BY_DIGEST", &image(&shop, "v4"));
    walk.set("BUILD", "4");
    walk.succeeds(r#"spillway start checkout --image "$IMAGE_BY_DIGEST" --name "build-$BUILD" --wait"#);
    // Others say what is in the idle slot.
    walk.succeeds("spillway start checkout --opaque build-1234 --wait");
    walk.stand_in("shop@sha256:…", &image(&shop, "v6"));
    walk.succeeds("spillway start checkout --image shop@sha256:…");
    under_way(&shop, &|_| true).await;
    walk.succeeds("spillway abort checkout");
    walk.succeeds("spillway freeze checkout --reason \"leaving\" --for 24h");
    let told = walk.succeeds("spillway status checkout");
    assert!(told.contains("leaving"), "{told}");
    for traffic in users {
        traffic.stop().await;
    }
    lab.stop().await;
}

/// The `aws` commands of what a retirement owes.
fn owed(walk: &mut Walk, shop: &Service<'_>) {
    shop.scale_automatically(Slot::Blue);
    walk.stand_in("service/shop/", "service/lab/");
    let told = walk.succeeds("aws application-autoscaling describe-scalable-targets --service-namespace ecs --resource-ids service/shop/checkout-blue --query 'ScalableTargets[].SuspendedState'");
    assert!(told.contains("DynamicScalingInSuspended"), "{told}");
    walk.succeeds("aws application-autoscaling register-scalable-target --service-namespace ecs --resource-id service/shop/checkout-blue --scalable-dimension ecs:service:DesiredCount --suspended-state DynamicScalingInSuspended=false,DynamicScalingOutSuspended=false,ScheduledScalingSuspended=false");
    assert_eq!(shop.scale_in_suspended(Slot::Blue), Some(false));
    walk.stand_in("--auto-scaling-group-names checkout-blue", "--auto-scaling-group-names machines-blue");
    walk.stand_in("--auto-scaling-group-name checkout-blue", "--auto-scaling-group-name machines-blue");
    let told = walk.succeeds("aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names checkout-blue --query 'AutoScalingGroups[].[MinSize, SuspendedProcesses[].ProcessName]'");
    assert!(told.trim_start().starts_with('['), "{told}");
    walk.succeeds("aws autoscaling update-auto-scaling-group --auto-scaling-group-name checkout-blue --min-size 2");
    walk.succeeds(
        "aws autoscaling resume-processes --auto-scaling-group-name checkout-blue --scaling-processes AZRebalance",
    );
}

/// The runbook's looks at, and changes of, what a release works with.
fn by_hand(walk: &mut Walk, shop: &Service<'_>) {
    walk.set("STABLE", shop.target_groups(Slot::Blue)[0].as_str());
    walk.set("BLUE", shop.target_groups(Slot::Blue)[0].as_str());
    walk.set("RULE", &shop.routes()[0]);
    for group in ["$BLUE", "$STABLE"] {
        let told = walk.succeeds(&format!("aws elbv2 describe-target-health --target-group-arn \"{group}\""));
        assert!(told.contains("healthy"), "{told}");
    }
    walk.stand_in("--cluster shop", "--cluster lab");
    walk.succeeds("aws ecs update-service --cluster shop --service checkout-blue --desired-count 2");
    let told = walk.succeeds("aws elbv2 describe-rules --rule-arns \"$RULE\" --query 'Rules[].Actions'");
    let actions = serde_json::from_str::<Value>(&told).unwrap()[0].clone();
    let before = shop.weights();
    walk.set("ACTIONS", &actions.to_string());
    walk.succeeds("aws elbv2 modify-rule --rule-arn \"$RULE\" --actions \"$ACTIONS\"");
    assert_eq!(shop.weights(), before);
    // CodeDeploy's old service has a name of its own.
    walk.stand_in("--service checkout --desired-count", "--service checkout-green --desired-count");
    walk.succeeds("aws ecs update-service --cluster shop --service checkout --desired-count 0");
}

/// What operators do, and what they are told to do when something is wrong.
pub async fn operating(walk: &mut Walk) {
    let lab = lab().await;
    walk.enter(&lab);
    let shop = lab.service("checkout").start().await.unwrap();
    let _machines = lab.service("machines").compute(Compute::AutoScaling).start().await.unwrap();
    let traffic = short(&shop).await;
    walk.succeeds("export SPILLWAY_INSTALLATION=spillway AWS_REGION=eu-west-1");
    walk.succeeds("spillway completions --help");
    walk.stand_in("--load-balancer shop", "--load-balancer checkout-0");
    walk.succeeds("spillway init --load-balancer shop --service checkout");
    by_hand(walk, &shop);
    owed(walk, &shop);

    walk.stand_in("shop@sha256:…", &image(&shop, "v2"));
    let told = walk.succeeds("spillway start checkout --image shop@sha256:… --name build-1234 --wait");
    assert!(told.contains("promoted"), "{told}");
    let told = walk.succeeds("spillway status");
    assert!(told.contains("checkout  promoted"), "{told}");
    walk.stand_in("explain second", "explain build-1234");
    walk.succeeds("spillway explain second");
    walk.succeeds("spillway explain checkout");
    walk.stand_in("build-1235", "build-1234");
    walk.succeeds("spillway report build-1235 --html build-1235.html");
    walk.succeeds("spillway report checkout --html checkout.html");
    walk.succeeds("spillway history checkout");
    walk.succeeds("spillway status checkout --wait");
    walk.succeeds("spillway rollback checkout --wait");
    free(&shop).await;

    // A task definition of the operator's own, which stays at each weight for long enough to be spoken to.
    let mut slow = shop.definition();
    slow["retirement"]["window_seconds"] = json!(600);
    slow["strategy"] =
        json!({"type": "canary", "canary": {"steps": [50]}, "minimum_time_seconds": 60, "max_step_seconds": 90});
    put(&shop, &slow).await;
    let revision = shop.register_task_definition(&image(&shop, "v3")).await.unwrap();
    walk.stand_in("checkout:42", &revision);
    walk.succeeds("spillway start checkout --task-definition checkout:42");
    under_way(&shop, &|lease| lease["phase"] == "baking").await;
    for word in ["pause", "approve", "promote", "abort"] {
        walk.succeeds(&format!("spillway {word} checkout"));
    }
    let told = walk.succeeds("spillway status checkout");
    assert!(told.contains("checkout"), "{told}");
    free(&shop).await;

    // A retirement, and the guard.
    let machine = |name: &str| lab.state_machines().unwrap().arn(name).unwrap().to_owned();
    let retirement = lab.running_executions("retire").await.unwrap().remove(0);
    walk.set("FAILED", retirement.arn());
    walk.stand_in("$(terraform output -raw retire_state_machine_arn)", &machine("retire"));
    walk.succeeds(
        "aws stepfunctions describe-execution --execution-arn \"$FAILED\" --query input --output text > input.json",
    );
    walk.succeeds("aws stepfunctions start-execution --input file://input.json --state-machine-arn \"$(terraform output -raw retire_state_machine_arn)\"");
    walk.succeeds("aws stepfunctions list-executions --status-filter FAILED --max-items 5 --state-machine-arn \"arn:aws:states:$AWS_REGION:$ACCOUNT:stateMachine:spillway-guard\"");
    let told = walk.succeeds("aws stepfunctions start-execution --state-machine-arn \"arn:aws:states:$AWS_REGION:$ACCOUNT:stateMachine:spillway-guard\" --input '{}'");
    let started: Value = serde_json::from_str(&told).unwrap();
    let guard = spillway_lab::Execution::of(lab.aws(), started["executionArn"].as_str().unwrap());
    assert_eq!(guard.wait(PATIENCE).await.unwrap().status, spillway_lab::Status::Succeeded);

    // Out.
    walk.succeeds("aws dynamodb get-item --table-name spillway-leases --key '{\"service\": {\"S\": \"checkout\"}}' --query Item.scaling.S --output text");
    walk.succeeds("spillway freeze checkout --reason \"sale\" --for 4h");
    walk.succeeds("spillway freeze --all --reason \"uninstalling\" --for 24h");
    walk.succeeds("for machine in release rollback retire guard; do\n  aws stepfunctions list-executions --status-filter RUNNING --query 'executions[].name' --output text      --state-machine-arn \"arn:aws:states:$AWS_REGION:$ACCOUNT:stateMachine:spillway-$machine\"\ndone");
    let told = walk.succeeds("aws dynamodb scan --table-name spillway-leases --index-name owner --query Count");
    assert!(told.trim().parse::<u32>().is_ok(), "{told}");
    walk.succeeds("aws ecs update-service --cluster shop --service checkout-blue --desired-count 0");

    // What was measured tells what to simulate.
    std::fs::write(walk.directory.join("definition.json"), shop.definition().to_string()).unwrap();
    walk.succeeds("spillway simulate --rps 50 --error-rate 0.1 --policy definition.json");
    walk.succeeds("spillway simulate --from-cloudwatch --policy definition.json --plot characteristics.svg");
    traffic.stop().await;
    lab.stop().await;
}

/// Waits until a release holds the service's lease, and the lease is as it should be.
async fn under_way(shop: &Service<'_>, is_so: &(dyn Fn(&Value) -> bool + Sync)) {
    let there = eventually(PATIENCE, || async {
        match shop.lease().await {
            Ok(Some(lease)) if lease.get("owner").is_some() && is_so(&lease) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    if let Err(late) = there.await {
        panic!("no release: {late}");
    }
}
