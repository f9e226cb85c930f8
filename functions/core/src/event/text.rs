//! Events in words, to be read on a phone.

use super::{Links, Release};
use crate::version::short;

/// The most characters of a reason.
const REASON: usize = 1000;
/// The most characters of each line of a message but the last, which is a link.
const LINE: usize = 140;

/// A text in one line, and not too long.
#[must_use]
pub fn one_line(text: &str) -> String {
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), REASON)
}

/// What happened, why, which release, and where there is more: a line each.
pub(super) fn text(service: &str, release: &Release, reason: &str, links: &Links) -> String {
    // A reason begins with what happened.
    let (what, why) = reason.split_once(": ").unwrap_or((reason, ""));
    let of = if service.is_empty() { &release.name } else { service };
    let version = release.version.as_deref().map(short).filter(|version| !why.contains(version.as_str()));
    let which = version.map_or_else(|| release.name.clone(), |version| format!("{}, {version}", release.name));
    [format!("{of}: {what}"), why.to_owned(), which]
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| cut(line, LINE))
        .chain([links.console.clone()])
        .collect::<Vec<_>>()
        .join("\n")
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str, version: Option<&str>, reason: &str) -> String {
        let execution = "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:checkout-7";
        let release =
            Release { name: "checkout-7".into(), execution: execution.into(), version: version.map(Into::into) };
        let links = Links { console: "https://console".into(), report: String::new() };
        text(service, &release, &one_line(reason), &links)
    }

    #[test]
    fn a_message_has_at_most_four_short_lines() {
        let image = format!("image shop@sha256:{}", "0123456789abcdef".repeat(4));
        for (service, version, reason, expected) in [
            (
                "checkout",
                Some(image.as_str()),
                "held at 25 %: observed share 11.2 % of 8 432 requests, expected 25 %",
                "checkout: held at 25 %\nobserved share 11.2 % of 8 432 requests, expected 25 %\n\
                 checkout-7, image shop@sha256:0123456789ab\nhttps://console",
            ),
            ("checkout", None, "refused", "checkout: refused\ncheckout-7\nhttps://console"),
            ("", None, "refused: no\nservice", "checkout-7: refused\nno service\ncheckout-7\nhttps://console"),
        ] {
            assert_eq!(of(service, version, reason), expected);
        }
        let long = of("checkout", Some("v2"), &format!("refused: {}", "many words ".repeat(200)));
        let lines: Vec<&str> = long.lines().collect();
        assert_eq!(lines.len(), 4, "{long}");
        assert!(lines[..3].iter().all(|line| line.chars().count() <= LINE) && lines[1].ends_with('…'), "{long}");
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(one_line(" a\n\tb  c\r\n"), "a b c");
        assert_eq!(one_line(&"ä".repeat(2000)).chars().count(), REASON);
    }
}
