use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use spillway_lab_alb::{Alb, Settings, free_port};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running stand-in with one load balancer and one listener on it.
pub struct Lab {
    pub alb: Alb,
    pub load_balancer: String,
    pub listener: String,
    pub port: u16,
}

impl Lab {
    /// The listener answers 404 by default.
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let alb = Alb::start(settings).await.unwrap();
        let mut lab = Self { alb, load_balancer: String::new(), listener: String::new(), port: 0 };
        let answer = lab.ok("CreateLoadBalancer", &[("Name", "shop")]).await;
        lab.load_balancer = answer.one("LoadBalancerArn");
        (lab.listener, lab.port) = lab.new_listener(&lab.load_balancer).await;
        lab
    }

    pub async fn new_listener(&self, load_balancer: &str) -> (String, u16) {
        for _ in 0..20 {
            let port = free_port();
            let answer = self
                .elbv2(
                    "CreateListener",
                    &[
                        ("LoadBalancerArn", load_balancer),
                        ("Protocol", "HTTP"),
                        ("Port", &port.to_string()),
                        ("DefaultActions.member.1.Type", "fixed-response"),
                        ("DefaultActions.member.1.FixedResponseConfig.StatusCode", "404"),
                        ("DefaultActions.member.1.FixedResponseConfig.MessageBody", "nobody here"),
                    ],
                )
                .await;
            // Another test may have been quicker.
            if answer.status == StatusCode::OK {
                return (answer.one("ListenerArn"), port);
            }
        }
        panic!("no port could be bound");
    }

    /// Calls an action.
    pub async fn elbv2(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.try_elbv2(action, parameters).await.expect("an answer")
    }

    /// Calls an action; nothing if the connection was closed without an answer.
    pub async fn try_elbv2(&self, action: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2015-12-01");
        for (name, value) in parameters {
            form.append_pair(name, value);
        }
        self.call(form.finish()).await
    }

    /// Sends a form to the ELBv2 API; nothing if the connection was closed without an answer.
    pub async fn call(&self, form: String) -> Option<Answer> {
        let request = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        let reply = send(address(&self.alb.elbv2_url()), request.body(form).unwrap()).await?;
        Some(Answer { status: reply.status, xml: reply.text() })
    }

    /// Calls an action that must succeed.
    pub async fn ok(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.elbv2(action, parameters).await;
        assert_eq!(answer.status, StatusCode::OK, "{action}: {}", answer.xml);
        answer
    }

    /// A target group of applications on these ports.
    pub async fn group(&self, name: &str, ports: &[u16]) -> String {
        let answer = self
            .ok(
                "CreateTargetGroup",
                &[
                    ("Name", name),
                    ("Protocol", "HTTP"),
                    ("Port", "80"),
                    ("TargetType", "ip"),
                    ("HealthCheckPath", "/health"),
                    ("HealthyThresholdCount", "2"),
                ],
            )
            .await;
        let group = answer.one("TargetGroupArn");
        for port in ports {
            self.register(&group, *port).await;
        }
        group
    }

    pub async fn register(&self, group: &str, port: u16) {
        self.targets("RegisterTargets", group, port).await;
    }

    pub async fn deregister(&self, group: &str, port: u16) {
        self.targets("DeregisterTargets", group, port).await;
    }

    async fn targets(&self, action: &str, group: &str, port: u16) {
        let port = port.to_string();
        let parameters =
            [("TargetGroupArn", group), ("Targets.member.1.Id", "127.0.0.1"), ("Targets.member.1.Port", &port)];
        self.ok(action, &parameters).await;
    }

    /// A rule for every path that forwards to groups by weight.
    pub async fn rule(&self, groups: &[(&str, u32)], sticky: Option<u32>) -> String {
        self.rule_at(1, "*", groups, sticky).await
    }

    /// A rule for the paths of a pattern that forwards to groups by weight.
    pub async fn rule_at(&self, priority: u32, path: &str, groups: &[(&str, u32)], sticky: Option<u32>) -> String {
        let mut parameters = forward(groups, sticky);
        parameters.extend(
            [
                ("ListenerArn", self.listener.as_str()),
                ("Priority", &priority.to_string()),
                ("Conditions.member.1.Field", "path-pattern"),
                ("Conditions.member.1.Values.member.1", path),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        self.ok("CreateRule", &borrowed(&parameters)).await.one("RuleArn")
    }

    pub async fn set_weights(&self, rule: &str, groups: &[(&str, u32)], sticky: Option<u32>) {
        let mut parameters = forward(groups, sticky);
        parameters.push(("RuleArn".to_owned(), rule.to_owned()));
        self.ok("ModifyRule", &borrowed(&parameters)).await;
    }

    /// Makes the listener's default action forward to a group.
    pub async fn set_default(&self, group: &str) {
        let parameters = [
            ("ListenerArn", self.listener.as_str()),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", group),
        ];
        self.ok("ModifyListener", &parameters).await;
    }

    /// The code of the error that deleting a group gives, if it does.
    pub async fn delete_group(&self, group: &str) -> Option<String> {
        self.elbv2("DeleteTargetGroup", &[("TargetGroupArn", group)]).await.all("Code").pop()
    }

    /// State and reason of every target of a group.
    pub async fn health(&self, group: &str) -> Vec<(String, String)> {
        let answer = self.ok("DescribeTargetHealth", &[("TargetGroupArn", group)]).await;
        answer
            .all("TargetHealth")
            .iter()
            .map(|health| {
                let part = |tag| elements(health, tag).pop().unwrap_or_default();
                (part("State"), part("Reason"))
            })
            .collect()
    }

    pub async fn until_healthy(&self, group: &str) {
        self.until_state(group, "healthy").await;
    }

    pub async fn until_state(&self, group: &str, state: &str) {
        eventually(state, async || {
            let health = self.health(group).await;
            !health.is_empty() && health.iter().all(|(known, _)| known == state)
        })
        .await;
    }

    /// A request through the listener on a connection of its own.
    pub async fn get(&self, path: &str) -> Reply {
        self.get_as(path, None).await
    }

    /// The same, of a client with a cookie.
    pub async fn get_as(&self, path: &str, cookie: Option<&str>) -> Reply {
        let mut request = Request::get(path).header("host", "shop.example");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let request = request.body(String::new()).unwrap();
        send(([127, 0, 0, 1], self.port).into(), request).await.expect("an answer")
    }
}

/// The parameters of a forward action.
pub fn forward(groups: &[(&str, u32)], sticky: Option<u32>) -> Vec<(String, String)> {
    let mut parameters = vec![("Actions.member.1.Type".to_owned(), "forward".to_owned())];
    let config = "Actions.member.1.ForwardConfig";
    for (index, (arn, weight)) in groups.iter().enumerate() {
        let group = format!("{config}.TargetGroups.member.{}", index + 1);
        parameters.push((format!("{group}.TargetGroupArn"), (*arn).to_owned()));
        parameters.push((format!("{group}.Weight"), weight.to_string()));
    }
    if let Some(seconds) = sticky {
        let stickiness = format!("{config}.TargetGroupStickinessConfig");
        parameters.push((format!("{stickiness}.Enabled"), "true".to_owned()));
        parameters.push((format!("{stickiness}.DurationSeconds"), seconds.to_string()));
    }
    parameters
}

pub fn borrowed(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// An answer of the ELBv2 API.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub xml: String,
}

impl Answer {
    /// The contents of every element of this name.
    pub fn all(&self, tag: &str) -> Vec<String> {
        elements(&self.xml, tag)
    }

    /// The content of the first element of this name.
    pub fn one(&self, tag: &str) -> String {
        self.all(tag).into_iter().next().unwrap_or_else(|| panic!("no {tag} in {}", self.xml))
    }
}

/// The contents of the elements of a name that does not nest.
fn elements(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The cookie that a client is to keep, `name=value`.
    pub fn cookie(&self) -> String {
        self.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }
}

/// Sends a request on a connection of its own; nothing if that is closed without an answer.
pub async fn send(to: SocketAddr, request: Request<impl Into<Bytes>>) -> Option<Reply> {
    Client::connect(to).await.send(request).await
}

/// A client that keeps its connection.
pub struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<impl Into<Bytes>>) -> Option<Reply> {
        self.0.ready().await.ok()?;
        let response = self.0.send_request(request.map(|body| Full::new(body.into()))).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Reply { status: parts.status, headers: parts.headers, body })
    }

    /// A request for `/` that must be answered.
    pub async fn get(&mut self) -> Reply {
        self.send(Request::get("/").header("host", "shop.example").body("").unwrap()).await.expect("an answer")
    }
}

pub fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// An application: answers its name, with dials.
pub struct App {
    pub port: u16,
    dials: Arc<Dials>,
    task: JoinHandle<()>,
}

struct Dials {
    name: &'static str,
    status: AtomicU16,
    health: AtomicU16,
    delay_ms: AtomicU64,
    served: AtomicU64,
}

impl App {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dials = Arc::new(Dials {
            name,
            status: AtomicU16::new(200),
            health: AtomicU16::new(200),
            delay_ms: AtomicU64::new(0),
            served: AtomicU64::new(0),
        });
        let own = Arc::clone(&dials);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let dials = Arc::clone(&own);
                let service = service_fn(move |request| Arc::clone(&dials).serve(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { port, dials, task }
    }

    pub fn answer(&self, status: u16) {
        self.dials.status.store(status, Ordering::Relaxed);
    }

    pub fn answer_health_checks(&self, status: u16) {
        self.dials.health.store(status, Ordering::Relaxed);
    }

    pub fn delay(&self, delay: Duration) {
        self.dials.delay_ms.store(delay.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// Requests that arrived here, without health checks.
    pub fn served(&self) -> u64 {
        self.dials.served.load(Ordering::Relaxed)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dials {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        if request.uri().path() == "/health" {
            return Ok(respond(self.health.load(Ordering::Relaxed), String::new()));
        }
        self.served.fetch_add(1, Ordering::Relaxed);
        let delay = self.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let body = match request.uri().path() {
            "/echo" => {
                let headers = format!("{:?}", request.headers());
                let body = request.into_body().collect().await?.to_bytes();
                format!("{headers}\n{}", String::from_utf8_lossy(&body))
            }
            _ => self.name.to_owned(),
        };
        Ok(respond(self.status.load(Ordering::Relaxed), body))
    }
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

/// Awaits a condition, for ten seconds at most.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "never came to be: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
