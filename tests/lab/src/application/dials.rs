//! How an application behaves, and the command line that says it.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How an application behaves.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dials {
    /// The version it says it is, in the header `x-version`.
    pub version: String,
    /// Share of requests answered with 500, 0 to 1; the next three say of which requests.
    pub error_rate: f64,
    /// The errors begin with this request of a process, counted from 1.
    pub errors_from_request: u64,
    /// The errors end with this request of a process: a cold start. 0: never.
    pub errors_up_to_request: u64,
    /// Only requests of a process that are more than this many within a second can be errors: a fault that load
    /// brings about. 0: any request.
    pub errors_above_rps: usize,
    /// Milliseconds that every answer takes.
    pub latency_ms: u64,
    /// Milliseconds more, at most, equally distributed.
    pub latency_jitter_ms: u64,
    /// Milliseconds after the start during which connections are refused.
    pub start_after_ms: u64,
    /// Milliseconds after which the process ends with code 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_after_ms: Option<u64>,
    /// The health check is answered with 503, for ever.
    pub unhealthy: bool,
}

impl Dials {
    /// A sound application of this version.
    #[must_use]
    pub fn version(version: impl Into<String>) -> Self {
        Self { version: version.into(), ..Self::default() }
    }

    /// With this share of errors, 0 to 1.
    #[must_use]
    pub fn error_rate(self, error_rate: f64) -> Self {
        Self { error_rate, ..self }
    }

    /// With errors in a process's first requests only, so many.
    #[must_use]
    pub fn errors_up_to_request(self, errors_up_to_request: u64) -> Self {
        Self { errors_up_to_request, ..self }
    }

    /// With errors only while a process gets more than this many requests a second.
    #[must_use]
    pub fn errors_above_rps(self, errors_above_rps: usize) -> Self {
        Self { errors_above_rps, ..self }
    }

    /// With this latency.
    #[must_use]
    pub fn latency_ms(self, latency_ms: u64) -> Self {
        Self { latency_ms, ..self }
    }

    /// With a slow start.
    #[must_use]
    pub fn start_after_ms(self, start_after_ms: u64) -> Self {
        Self { start_after_ms, ..self }
    }

    /// Ending soon after its start.
    #[must_use]
    pub fn crash_after_ms(self, crash_after_ms: u64) -> Self {
        Self { crash_after_ms: Some(crash_after_ms), ..self }
    }

    /// Never healthy.
    #[must_use]
    pub fn unhealthy(self) -> Self {
        Self { unhealthy: true, ..self }
    }

    /// The arguments of `lab-application` that mean this.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec!["--version".to_owned(), self.version.clone()];
        let mut add = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        add("error-rate", self.error_rate.to_string());
        add("errors-from-request", self.errors_from_request.to_string());
        add("errors-up-to-request", self.errors_up_to_request.to_string());
        add("errors-above-rps", self.errors_above_rps.to_string());
        add("latency-ms", self.latency_ms.to_string());
        add("latency-jitter-ms", self.latency_jitter_ms.to_string());
        add("start-after-ms", self.start_after_ms.to_string());
        if let Some(after) = self.crash_after_ms {
            add("crash-after-ms", after.to_string());
        }
        if self.unhealthy {
            args.push("--unhealthy".to_owned());
        }
        args
    }
}

/// The arguments of `lab-application`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    /// `--port`, of 127.0.0.1; 0, the default, takes a free one.
    pub port: u16,
    /// `--dependency`, the file that says how a shared dependency fails ([`crate::dependency`]); by default there
    /// is no such dependency.
    pub dependency: Option<PathBuf>,
    /// All the others.
    pub dials: Dials,
}

impl Arguments {
    /// Reads the arguments.
    ///
    /// # Errors
    /// A message for the user.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut parsed = Self { port: 0, dependency: None, dials: Dials::version("unnamed") };
        let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
        while let Some(name) = args.next() {
            if name == "--unhealthy" {
                parsed.dials.unhealthy = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name}: a value is missing, or there is no such option"))?;
            let dials = &mut parsed.dials;
            let bad = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
            match name.as_str() {
                "--port" => parsed.port = value.parse().map_err(|error| bad(&error))?,
                "--dependency" => parsed.dependency = Some(value.into()),
                "--version" => dials.version = value,
                "--error-rate" => dials.error_rate = value.parse().map_err(|error| bad(&error))?,
                "--errors-from-request" => dials.errors_from_request = value.parse().map_err(|error| bad(&error))?,
                "--errors-up-to-request" => dials.errors_up_to_request = value.parse().map_err(|error| bad(&error))?,
                "--errors-above-rps" => dials.errors_above_rps = value.parse().map_err(|error| bad(&error))?,
                "--latency-ms" => dials.latency_ms = value.parse().map_err(|error| bad(&error))?,
                "--latency-jitter-ms" => dials.latency_jitter_ms = value.parse().map_err(|error| bad(&error))?,
                "--start-after-ms" => dials.start_after_ms = value.parse().map_err(|error| bad(&error))?,
                "--crash-after-ms" => dials.crash_after_ms = Some(value.parse().map_err(|error| bad(&error))?),
                _ => return Err(format!("{name}: there is no such option")),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_survive_the_command_line_and_json() {
        let dials = Dials { latency_jitter_ms: 3, errors_from_request: 9, ..Dials::version("v2") }
            .error_rate(0.05)
            .errors_above_rps(40)
            .errors_up_to_request(70)
            .latency_ms(5)
            .start_after_ms(100)
            .crash_after_ms(900)
            .unhealthy();
        let args = dials.to_args().into_iter().chain(["--dependency".to_owned(), "/a file".to_owned()]);
        let parsed = Arguments::parse(args.map(OsString::from)).unwrap();
        assert_eq!(parsed, Arguments { port: 0, dependency: Some("/a file".into()), dials: dials.clone() });
        let json = serde_json::to_string(&dials).unwrap();
        assert_eq!(serde_json::from_str::<Dials>(&json).unwrap(), dials);
        let error = Arguments::parse(["--latency-ms", "soon"].map(OsString::from)).unwrap_err();
        assert!(error.starts_with("--latency-ms soon: "), "{error}");
    }
}
