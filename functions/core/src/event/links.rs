//! Where there is more to read.

use serde::{Deserialize, Serialize};

use super::name;
use crate::definition::ServiceName;

/// The prefix of an installation's names unless another one is given.
const INSTALLATION: &str = "spillway";

/// Where there is more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Links {
    /// The execution in the console.
    pub console: String,
    /// The command that writes the release's report; of an undo, a recovery or a retirement, the one that lists the service's
    /// releases.
    pub report: String,
}

impl Links {
    /// Those of an execution that is about a service.
    #[must_use]
    pub fn of(execution: &str, service: Option<&ServiceName>) -> Self {
        let mut parts = execution.split(':').skip(1);
        let (partition, region) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        // https://docs.aws.amazon.com/general/latest/gr/rande-manage.html
        let host = match partition {
            "aws-cn" => format!("{region}.console.amazonaws.cn"),
            "aws-us-gov" => "console.amazonaws-us-gov.com".to_owned(),
            _ => format!("{region}.console.aws.amazon.com"),
        };
        let (prefix, machine) = parts.nth(2).and_then(|machine| machine.rsplit_once('-')).unwrap_or_default();
        let name = name(execution);
        let command = match service {
            _ if machine == "release" => format!("report {name} --html {name}.html"),
            Some(service) => format!("history {service}"),
            None => "status".to_owned(),
        };
        let installation = if prefix == INSTALLATION { String::new() } else { format!(" --installation {prefix}") };
        Self {
            console: format!("https://{host}/states/home?region={region}#/v2/executions/details/{execution}"),
            report: format!("spillway {command}{installation} --region {region}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_console() {
        for (arn, host) in [
            (
                "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:a-1",
                "eu-west-1.console.aws.amazon.com",
            ),
            (
                "arn:aws-cn:states:cn-north-1:123456789012:execution:spillway-release:a-1",
                "cn-north-1.console.amazonaws.cn",
            ),
            (
                "arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:spillway-release:a-1",
                "console.amazonaws-us-gov.com",
            ),
        ] {
            let links = Links::of(arn, None);
            let region = arn.split(':').nth(3).unwrap();
            assert_eq!(
                links.console,
                format!("https://{host}/states/home?region={region}#/v2/executions/details/{arn}")
            );
            assert_eq!(links.report, format!("spillway report a-1 --html a-1.html --region {region}"));
        }
    }

    #[test]
    fn each_machine_and_installation_has_its_command() {
        for (machine, service, command) in [
            ("spillway-rollback", "shop", "spillway history shop --region eu-west-1"),
            ("spillway-retire", "shop", "spillway history shop --region eu-west-1"),
            ("spillway-retire", "sh op", "spillway status --region eu-west-1"),
            (
                "blue-team-release",
                "",
                "spillway report a-1 --html a-1.html --installation blue-team --region eu-west-1",
            ),
        ] {
            let arn = format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:a-1");
            assert_eq!(Links::of(&arn, ServiceName::parse(service).ok().as_ref()).report, command);
        }
    }
}
