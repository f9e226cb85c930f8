//! Where there is more to read.

use serde::{Deserialize, Serialize};

use super::name;

/// Where there is more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Links {
    /// The execution in the console.
    pub console: String,
    /// The command that writes the release's report.
    pub report: String,
}

impl Links {
    /// Those of an execution.
    #[must_use]
    pub fn of(execution: &str) -> Self {
        let mut parts = execution.split(':').skip(1);
        let (partition, region) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        // https://docs.aws.amazon.com/general/latest/gr/rande-manage.html
        let host = match partition {
            "aws-cn" => format!("{region}.console.amazonaws.cn"),
            "aws-us-gov" => "console.amazonaws-us-gov.com".to_owned(),
            _ => format!("{region}.console.aws.amazon.com"),
        };
        let name = name(execution);
        Self {
            console: format!("https://{host}/states/home?region={region}#/v2/executions/details/{execution}"),
            report: format!("spillway report {name} --html {name}.html"),
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
            let links = Links::of(arn);
            let region = arn.split(':').nth(3).unwrap();
            assert_eq!(
                links.console,
                format!("https://{host}/states/home?region={region}#/v2/executions/details/{arn}")
            );
            assert_eq!(links.report, "spillway report a-1 --html a-1.html");
        }
    }
}
