//! Where AWS is, as the aws command line takes it.

use std::path::PathBuf;

use aws_config::{Region, SdkConfig};
use clap::Args;
use spillway_aws::client;

/// Region, credentials and endpoints: what is not given comes from AWS's environment variables and shared configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// Profile of the shared configuration; otherwise `AWS_PROFILE`, or its default one.
    #[arg(long, value_name = "NAME", value_parser = profile, help_heading = "AWS")]
    profile: Option<String>,
    /// Region; otherwise `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's.
    #[arg(long, value_name = "REGION", value_parser = region, help_heading = "AWS")]
    region: Option<String>,
    /// Endpoint of all AWS services, for the lab; otherwise `AWS_ENDPOINT_URL`, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = url, help_heading = "AWS")]
    endpoint_url: Option<String>,
}

/// A profile that is there: for one that is not, the SDK would look for credentials elsewhere.
fn profile(text: &str) -> Result<String, String> {
    let mut known: Vec<String> =
        FILES.iter().filter_map(|(name, path)| file(name, path)).flat_map(|text| profiles(&text)).collect();
    known.sort();
    known.dedup();
    if known.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(format!("there is no such profile in the shared configuration; allowed: a profile of it, known: {known}"))
}

/// Where profiles are: <https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html>.
const FILES: [(&str, &str); 2] =
    [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")];

fn file(variable: &str, path: &str) -> Option<String> {
    let path = std::env::var_os(variable).map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(path)))?;
    std::fs::read_to_string(path).ok()
}

/// The profiles of a file: `[profile NAME]`, or `[NAME]` as credentials have it.
fn profiles(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.split(']').next());
    let names = headings.map(|heading| heading.trim().strip_prefix("profile ").unwrap_or(heading).trim());
    names.filter(|name| !name.starts_with("sso-session ") && !name.starts_with("services ")).map(Into::into).collect()
}

fn region(text: &str) -> Result<String, String> {
    let fits = (1..=30).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err("allowed: the name of a region, such as eu-west-1".into()) }
}

fn url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err("allowed: http://HOST:PORT or https://HOST".into()),
    }
}

impl Connection {
    /// The configuration that all clients share.
    pub async fn config(&self) -> SdkConfig {
        let mut loader = client::config_loader();
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader.load().await
    }

    /// The options that a command line needs to speak to the same AWS.
    pub fn hint(&self) -> String {
        let given = [("--profile", &self.profile), ("--region", &self.region), ("--endpoint-url", &self.endpoint_url)];
        let given = given.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", value.as_ref()?)));
        given.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_the_headings_of_both_files() {
        let text = "[default]\nregion = x\n# [no]\n [profile shop]\n[sso-session a]\n[services b]\n[ops] # mine\n";
        assert_eq!(profiles(text), ["default", "shop", "ops"]);
    }
}
