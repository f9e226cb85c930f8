//! The lab itself: it starts, does what a stack on AWS would, and leaves nothing behind.

/// Alarms and metrics, on the emulator and on the load balancer.
mod cloudwatch;
/// What applications can be made to do.
mod faults;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use spillway_core::definition::ServiceDefinition;
use spillway_lab::agent::TaskState;
use spillway_lab::aws::Aws;
use spillway_lab::service::unpublished_image;
use spillway_lab::{Compute, Dials, Lab, Misbehaviour, Service, Slot, Status, Traffic, eventually, process, run_dir};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(20);

/// Waits until a condition holds; `seen` is what is told if it never does.
async fn until<T: std::fmt::Debug>(mut look: impl FnMut() -> (bool, T)) -> Result {
    let waited = eventually(SOON, || std::future::ready(look()).map_result()).await;
    Ok(waited.map(drop)?)
}

trait MapResult<T> {
    fn map_result(self) -> impl Future<Output = std::result::Result<(), T>>;
}

impl<T, F: Future<Output = (bool, T)>> MapResult<T> for F {
    async fn map_result(self) -> std::result::Result<(), T> {
        let (holds, seen) = self.await;
        if holds { Ok(()) } else { Err(seen) }
    }
}

fn running(service: &Service<'_>, slot: Slot) -> usize {
    service.tasks(slot).iter().filter(|task| task.state == TaskState::Running).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_follows_the_weights_to_real_processes() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").start().await?;
    ServiceDefinition::from_json(&shop.definition().to_string())?;

    let v2 = shop.publish_image("v2", Dials::version("v2").error_rate(0.2));
    let definition = shop.register_task_definition(&v2).await?;
    shop.update_ecs(Slot::Green, Some(2), Some(&definition)).await?;
    shop.wait_healthy(Slot::Green, 2, SOON).await?;
    shop.set_weights(75, 25).await?;

    let traffic = Traffic::start(&shop.url(), 400.0, 0);
    until(|| (traffic.snapshot().sent >= 1000, traffic.snapshot())).await?;
    let counts = traffic.stop().await;
    assert_eq!((counts.ok + counts.failed, counts.unanswered), (counts.sent, 0), "{counts:?}");
    // 1000 requests: four standard deviations of the weighted choice.
    assert!((0.19..=0.31).contains(&counts.share("v2")), "{counts:?}");
    assert_eq!(counts.by_version["v1"].errors, 0);
    let errors = counts.by_version["v2"].errors * 100 / counts.by_version["v2"].requests;
    assert!((18..=22).contains(&errors), "{counts:?}");
    assert_eq!(shop.weights()[0].green, Some(25));

    let process = shop.tasks(Slot::Blue)[0].pid;
    lab.stop().await;
    assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_and_rolling_lose_no_request() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(2).start().await?;
    let traffic = Traffic::start(&shop.url(), 200.0, 0);

    shop.update_ecs(Slot::Blue, Some(4), None).await?;
    shop.wait_healthy(Slot::Blue, 4, SOON).await?;
    shop.update_ecs(Slot::Blue, Some(1), None).await?;
    until(|| (shop.tasks(Slot::Blue).len() == 1, shop.tasks(Slot::Blue))).await?;

    let v2 = shop.publish_image("v2", Dials::version("v2").start_after_ms(300).latency_ms(20));
    let definition = shop.register_task_definition(&v2).await?;
    shop.update_ecs(Slot::Blue, Some(2), Some(&definition)).await?;
    until(|| {
        let tasks = shop.tasks(Slot::Blue);
        (tasks.len() == 2 && tasks.iter().all(|task| task.image == v2), tasks)
    })
    .await?;

    // An image that nobody published never starts, and takes nothing away.
    let unknown = shop.register_task_definition(&unpublished_image("shop", "v3", &Dials::default())).await?;
    shop.update_ecs(Slot::Blue, None, Some(&unknown)).await?;
    let before = traffic.snapshot();
    until(|| ((&traffic.snapshot() - &before).ok > 200, traffic.snapshot())).await?;
    assert_eq!(shop.healthy(Slot::Blue).await?, 2);

    let counts = traffic.stop().await;
    assert_eq!(counts.failed, 0, "{counts:?}");
    assert!(counts.by_version["v1"].requests > 0 && counts.by_version["v2"].requests > 0, "{counts:?}");
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_application_is_replaced() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").start().await?;
    let killed = shop.kill_task(Slot::Blue)?.ok_or("no task")?;
    until(|| {
        let tasks = shop.tasks(Slot::Blue);
        (running(&shop, Slot::Blue) == 2 && tasks.iter().all(|task| task.pid != killed), tasks)
    })
    .await?;
    shop.wait_healthy(Slot::Blue, 2, SOON).await?;

    // One that crashes at once is tried again and again, ever more slowly.
    let broken = shop.publish_image("broken", Dials::version("broken").crash_after_ms(1));
    let definition = shop.register_task_definition(&broken).await?;
    shop.update_ecs(Slot::Green, Some(1), Some(&definition)).await?;
    let mut seen = std::collections::BTreeSet::new();
    until(|| {
        seen.extend(shop.tasks(Slot::Green).iter().map(|task| task.pid));
        (seen.len() >= 3, seen.clone())
    })
    .await?;
    assert_eq!(shop.healthy(Slot::Green).await?, 0);
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auto_scaling_group_gives_new_instances_the_new_version() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(1).compute(Compute::AutoScaling).start().await?;
    shop.publish_launch_template_version("2", Dials::version("v2"));
    let client = Aws::new(lab.auto_scaling_url());
    let update = async |parameters: &[(&str, &str)]| {
        let name = shop.workload(Slot::Blue);
        let all = [&[("AutoScalingGroupName", name.as_str())], parameters].concat();
        client.call_query("autoscaling", "2011-01-01", "UpdateAutoScalingGroup", &all).await
    };
    update(&[("LaunchTemplate.LaunchTemplateName", "shop"), ("LaunchTemplate.Version", "2"), ("DesiredCapacity", "2")])
        .await?;
    shop.wait_healthy(Slot::Blue, 2, SOON).await?;
    let versions = |tasks: &[spillway_lab::agent::TaskView]| -> Vec<String> {
        tasks.iter().map(|task| task.version.clone()).collect()
    };
    assert_eq!(versions(&shop.tasks(Slot::Blue)), ["1", "2"]);

    update(&[("DesiredCapacity", "1")]).await?;
    until(|| (shop.tasks(Slot::Blue).len() == 1, shop.tasks(Slot::Blue))).await?;
    assert_eq!(versions(&shop.tasks(Slot::Blue)), ["2"], "scaling in ends the oldest");
    // One that drains is described until it is gone.
    let described = eventually(SOON, || async {
        let described = client.call_query("autoscaling", "2011-01-01", "DescribeAutoScalingGroups", &[]).await.unwrap();
        let instances = described.members("AutoScalingGroups")[0].members("Instances");
        let ids: Vec<String> = instances.iter().map(|instance| instance.text_of("InstanceId").to_owned()).collect();
        if ids == [shop.tasks(Slot::Blue)[0].id.clone()] { Ok(()) } else { Err(ids) }
    });
    described.await?;
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_labs_run_side_by_side() -> Result {
    let start = || async {
        let lab = Lab::builder().bare().start().await?;
        let url = {
            let shop = lab.service("shop").desired(1).compute(Compute::External).start().await?;
            shop.url()
        };
        Ok::<_, spillway_lab::LabError>((lab, url))
    };
    let (one, two) = tokio::join!(start(), start());
    let ((one, first), (two, second)) = (one?, two?);
    assert!(first != second && one.run_dir() != two.run_dir() && one.ministack().url() != two.ministack().url());
    one.stop().await;
    let traffic = Traffic::start(&second, 100.0, 2);
    until(|| (traffic.snapshot().ok >= 10, traffic.snapshot())).await?;
    assert_eq!(traffic.stop().await.failed, 0);
    two.stop().await;
    Ok(())
}

#[tokio::test]
async fn without_python_it_says_what_to_install() {
    let error = Lab::builder().bare().python("/nonexistent/python3").start().await.unwrap_err().to_string();
    assert!(error.contains("needs Python 3.10 or newer"), "{error}");
    assert!(error.contains("/nonexistent/python3") && error.contains("SPILLWAY_PYTHON"), "{error}");
}

/// The process that [`nothing_outlives_a_killed_lab`] kills: this program again, running only this test.
#[tokio::test]
async fn holds_a_lab_until_killed() -> Result {
    if std::env::var_os("SPILLWAY_LAB_HOLD").is_none() {
        return Ok(());
    }
    let lab = Lab::builder().bare().start().await?;
    let _shop = lab.service("shop").start().await?;
    println!("\nrun {}", lab.run_dir().display());
    std::future::pending().await
}

#[tokio::test]
async fn nothing_outlives_a_killed_lab() -> Result {
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["--exact", "holds_a_lab_until_killed", "--nocapture"])
        .env("SPILLWAY_LAB_HOLD", "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(holder.stdout.take().ok_or("no output")?).lines();
    let run = lines.map_while(std::result::Result::ok).find_map(|line| line.strip_prefix("run ").map(str::to_owned));
    let run = std::path::PathBuf::from(run.ok_or("the lab did not start")?);
    let of_run =
        || -> Vec<u32> { run_dir::processes().into_iter().filter(|(_, of)| *of == run).map(|(pid, _)| pid).collect() };
    assert_eq!(of_run().len(), 3, "ministack and two applications");

    process::kill(holder.id())?;
    holder.wait()?;
    let killed = Instant::now();
    until(|| (of_run().is_empty(), of_run())).await?;
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    Ok(())
}

/// Traffic with sessions sees stickiness: all of it stays where its cookies say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_keep_their_cookies() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(1).stickiness(60).compute(Compute::External).start().await?;
    let v2 = shop.publish_image("v2", Dials::version("v2"));
    shop.run_external(Slot::Green, &v2, 1);
    shop.wait_healthy(Slot::Green, 1, SOON).await?;
    let traffic = Traffic::start(&shop.url(), 100.0, 3);
    until(|| (traffic.snapshot().ok >= 9, traffic.snapshot())).await?;
    let route = &shop.routes()[0];
    let group = &shop.target_groups(Slot::Green)[0];
    let stable = &shop.target_groups(Slot::Blue)[0];
    let tuple = "Actions.member.1.ForwardConfig";
    let parameters = [
        ("RuleArn".to_owned(), route.clone()),
        ("Actions.member.1.Type".to_owned(), "forward".to_owned()),
        (format!("{tuple}.TargetGroups.member.1.TargetGroupArn"), stable.clone()),
        (format!("{tuple}.TargetGroups.member.1.Weight"), "0".to_owned()),
        (format!("{tuple}.TargetGroups.member.2.TargetGroupArn"), group.clone()),
        (format!("{tuple}.TargetGroups.member.2.Weight"), "100".to_owned()),
        (format!("{tuple}.TargetGroupStickinessConfig.Enabled"), "true".to_owned()),
        (format!("{tuple}.TargetGroupStickinessConfig.DurationSeconds"), "60".to_owned()),
    ];
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    lab.elbv2().call_query("elasticloadbalancing", "2015-12-01", "ModifyRule", &parameters).await?;
    let before = traffic.snapshot();
    until(|| ((&traffic.snapshot() - &before).ok >= 50, traffic.snapshot())).await?;
    let after = &traffic.stop().await - &before;
    assert!(after.share("v1") > 0.9, "{after:?}");
    assert_eq!(json!(after.failed), json!(0));
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_functions_that_ship_answer_and_can_be_broken() -> Result {
    let lab = Lab::builder().start().await?;
    let functions = lab.functions();
    let answer = async || match functions.invoke("plan-release", &json!({})).await {
        Ok(answer) => answer.to_string(),
        Err(error) => error.code,
    };
    assert_eq!(answer().await, "InvalidInput");
    functions.replace("plan-release", &Misbehaviour::fail("Broken", "as told")).await?;
    assert_eq!(answer().await, "Broken");
    functions.replace("plan-release", &Misbehaviour::Exit).await?;
    assert_eq!(answer().await, "Runtime.ExitError");
    functions.replace("plan-release", &Misbehaviour::Answer(json!({"ready": true}))).await?;
    assert_eq!(answer().await, r#"{"ready":true}"#);
    functions.restore("plan-release").await?;
    assert_eq!(answer().await, "InvalidInput");
    lab.stop().await;
    Ok(())
}

/// Its processes are killed, those of other functions and of other labs are not, and the next invocation has a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_killed_comes_back() -> Result {
    let (lab, other) = tokio::try_join!(Lab::builder().start(), Lab::builder().start())?;
    for lab in [&lab, &other] {
        for name in ["plan-release", "rollback"] {
            let answer = lab.functions().invoke(name, &json!({})).await;
            assert_eq!(answer.map_err(|error| error.code), Err("InvalidInput".to_owned()));
        }
    }
    assert_eq!(lab.functions().kill("plan-release")?, 1);
    assert!(lab.functions().kill("none").is_err());
    // A killed process may be there a little longer.
    until(|| (lab.functions().kill("plan-release").is_ok_and(|left| left == 0), ())).await?;
    let again = eventually(SOON, || async {
        match lab.functions().invoke("plan-release", &json!({})).await {
            Err(error) if error.code == "InvalidInput" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    again.await?;
    assert_eq!((lab.functions().kill("rollback")?, other.functions().kill("plan-release")?), (1, 1));
    lab.stop().await;
    other.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_runs_on_the_machines_that_ship() -> Result {
    let lab = Lab::builder().function_timeout(Duration::from_secs(3)).start().await?;
    let shop = lab.service("shop").desired(1).start().await?;
    // No image of this digest can start, so that the candidate never becomes ready.
    let mut definition = shop.definition();
    definition["readiness"]["timeout_seconds"] = json!(10);
    shop.put_definition(&definition).await?;
    let image = unpublished_image("shop", "v2", &Dials::default());
    let release = shop.release(&json!({ "image": image })).await?;
    let held = eventually(SOON, || async {
        let lease = shop.lease().await.map_err(|error| error.to_string())?;
        lease.filter(|lease| lease["owner"] == release.arn()).ok_or("no lease".to_owned())
    });
    assert_eq!(held.await?["service"], "shop");
    assert_eq!(release.status().await?, Status::Running);
    let running = lab.running_executions("release").await?;
    assert_eq!(running.iter().map(spillway_lab::Execution::arn).collect::<Vec<_>>(), [release.arn()]);
    assert_eq!(running[0].input().await?["service"], "shop");
    let outcome = release.wait(Duration::from_secs(40)).await?;
    assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
    assert!(outcome.states().contains(&"PrepareCandidate".to_owned()), "{:?}", outcome.states());
    assert_eq!(shop.weights()[0].blue, Some(100));
    lab.stop().await;
    Ok(())
}
