//! The cookie of target group stickiness, `AWSALBTG`: opaque to clients, names the group, and expires.

use std::fmt::Write;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::COOKIE;
use jiff::{SignedDuration, Timestamp};

const NAME: &str = "AWSALBTG";

/// Not a secret: it only makes sure that nobody reads the cookie by accident.
const KEY: &[u8] = b"spillway lab";

/// The `Set-Cookie` header that keeps a client with a target group.
pub(crate) fn set(group: &str, duration: Duration, now: Timestamp) -> String {
    let expires = now + SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let mut value = String::new();
    for byte in xor(format!("{} {group}", expires.as_second()).as_bytes()) {
        let _ = write!(value, "{byte:02x}");
    }
    let date = expires.strftime("%a, %d %b %Y %H:%M:%S GMT");
    format!("{NAME}={value}; Expires={date}; Max-Age={}; Path=/", duration.as_secs())
}

/// The target group that a request's cookie names, unless the cookie is damaged or has expired.
pub(crate) fn group(headers: &HeaderMap, now: Timestamp) -> Option<String> {
    let value = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))?;
    let bytes = value
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    let text = String::from_utf8(xor(&bytes)).ok()?;
    let (expires, group) = text.split_once(' ')?;
    (expires.parse::<i64>().ok()? > now.as_second()).then(|| group.to_owned())
}

fn xor(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_names_its_group_until_it_expires() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let set = set("arn:group", Duration::from_mins(1), now);
        assert!(set.ends_with("; Expires=Fri, 15 Jan 2027 08:01:00 GMT; Max-Age=60; Path=/"), "{set}");
        assert!(!set.contains("arn"));
        let mut headers = HeaderMap::new();
        let pair = set.split(';').next().unwrap();
        headers.insert(COOKIE, format!("a=b; {pair}; c=d").parse().unwrap());
        assert_eq!(group(&headers, now).as_deref(), Some("arn:group"));
        assert_eq!(group(&headers, now + SignedDuration::from_mins(1)), None);
        headers.insert(COOKIE, "AWSALBTG=zz".parse().unwrap());
        assert_eq!(group(&headers, now), None);
    }
}
