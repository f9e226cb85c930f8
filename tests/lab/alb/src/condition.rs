//! The conditions of a rule: told back as they were given, and matched against requests.

use hyper::http::request::Parts;

use crate::error::ApiError;
use crate::node::{Node, fields};

/// One condition, read from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// As `DescribeRules` tells it.
    pub(crate) described: Node,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Path(Vec<String>),
    Host(Vec<String>),
    Header { name: String, values: Vec<String> },
    Method(Vec<String>),
    Query(Vec<(Option<String>, String)>),
}

/// Reads all conditions of a rule.
pub(crate) fn parse_list(nodes: &[Node]) -> Result<Vec<Condition>, ApiError> {
    nodes.iter().map(parse).collect()
}

fn parse(node: &Node) -> Result<Condition, ApiError> {
    let field = node.str("Field").ok_or_else(|| ApiError::validation("A condition field must be specified"))?;
    if !node.list("RegexValues").is_empty() {
        return Err(ApiError::not_modelled("RegexValues"));
    }
    let mut described = node.clone();
    let test = match field {
        "path-pattern" => Test::Path(patterns(&mut described, "PathPatternConfig")?),
        "host-header" => Test::Host(patterns(&mut described, "HostHeaderConfig")?),
        "http-header" => {
            let config = node.get("HttpHeaderConfig");
            let name = config
                .and_then(|config| config.str("HttpHeaderName"))
                .ok_or_else(|| ApiError::validation("An http-header condition needs HttpHeaderName"))?;
            Test::Header { name: name.to_owned(), values: values(config, field)? }
        }
        "http-request-method" => Test::Method(values(node.get("HttpRequestMethodConfig"), field)?),
        "query-string" => {
            let pairs = node.get("QueryStringConfig").map_or(&[][..], |config| config.list("Values"));
            let pairs: Vec<_> = pairs
                .iter()
                .filter_map(|pair| Some((pair.str("Key").map(ToOwned::to_owned), pair.str("Value")?.to_owned())))
                .collect();
            if pairs.is_empty() {
                return Err(ApiError::validation("A query-string condition needs values"));
            }
            Test::Query(pairs)
        }
        "source-ip" => return Err(ApiError::not_modelled("The condition field 'source-ip'")),
        other => {
            return Err(ApiError::validation(format!(
                "Condition field '{other}' must be one of \
                '[path-pattern, host-header, http-header, http-request-method, query-string, source-ip]'"
            )));
        }
    };
    Ok(Condition { described, test })
}

/// Path and host patterns can be given in two places and are told back in both.
fn patterns(node: &mut Node, config: &str) -> Result<Vec<String>, ApiError> {
    let mut values = node.get(config).map(|config| config.strs("Values")).unwrap_or_default();
    if node.get(config).is_some_and(|config| !config.list("RegexValues").is_empty()) {
        return Err(ApiError::not_modelled("RegexValues"));
    }
    if values.is_empty() {
        values = node.strs("Values");
    }
    if values.is_empty() {
        return Err(ApiError::validation("A condition value must be specified"));
    }
    let list = Node::List(values.iter().map(Node::text).collect());
    node.set("Values", list.clone());
    node.set(config, fields([("Values", list)]));
    Ok(values)
}

fn values(config: Option<&Node>, field: &str) -> Result<Vec<String>, ApiError> {
    let values = config.map(|config| config.strs("Values")).unwrap_or_default();
    if values.is_empty() {
        return Err(ApiError::validation(format!("A condition of field '{field}' needs values")));
    }
    Ok(values)
}

impl Condition {
    /// Whether a request meets this condition. Paths are case-sensitive, everything else is not; `*`
    /// stands for any characters, `?` for exactly one (user guide, "Condition types").
    pub(crate) fn matches(&self, request: &Parts) -> bool {
        match &self.test {
            Test::Path(patterns) => patterns.iter().any(|pattern| wildcard(pattern, request.uri.path())),
            Test::Host(patterns) => {
                let host = host(request).to_lowercase();
                patterns.iter().any(|pattern| wildcard(&pattern.to_lowercase(), &host))
            }
            Test::Header { name, values } => request.headers.get_all(name).iter().any(|given| {
                let given = String::from_utf8_lossy(given.as_bytes()).to_lowercase();
                values.iter().any(|value| wildcard(&value.to_lowercase(), &given))
            }),
            Test::Method(methods) => methods.iter().any(|method| method == request.method.as_str()),
            Test::Query(pairs) => {
                let query = request.uri.query().unwrap_or_default();
                form_urlencoded::parse(query.as_bytes()).any(|(key, value)| {
                    let (key, value) = (key.to_lowercase(), value.to_lowercase());
                    pairs.iter().any(|(name, pattern)| {
                        name.as_ref().is_none_or(|name| wildcard(&name.to_lowercase(), &key))
                            && wildcard(&pattern.to_lowercase(), &value)
                    })
                })
            }
        }
    }
}

/// The host a request is for, without its port.
pub(crate) fn host(request: &Parts) -> &str {
    let header = request.headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri.host()).unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// `\*` and `\?` stand for themselves.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        tokens.push(match char {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            char => Token::Char(char),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // The classic greedy match: on a mismatch, let the last `*` swallow one more character.
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                star = Some((token, at));
                token += 1;
            }
            Some(Token::One) => (token, at) = (token + 1, at + 1),
            Some(Token::Char(char)) if *char == text[at] => (token, at) = (token + 1, at + 1),
            _ => match star {
                Some((starred, from)) => {
                    star = Some((starred, from + 1));
                    (token, at) = (starred + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Any)
}

#[derive(PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = hyper::Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("/img/*", "/img/a/b", true),
            ("/img/*", "/img", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("*.example.*", "www.example.com", true),
            ("*b*b", "abcb", true),
            ("", "", true),
            ("*", "", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn every_kind_of_condition_matches_what_the_guide_says() {
        let here = request("/Shop?x=1&Version=Beta", &[("host", "Shop.example:8080"), ("x-canary", "Yes")]);
        let form = |form: &str| parse(&Node::from_form(form.as_bytes())).unwrap().matches(&here);
        for (condition, expected) in [
            ("Field=path-pattern&Values.member.1=/Shop", true),
            ("Field=path-pattern&Values.member.1=/shop", false),
            ("Field=host-header&HostHeaderConfig.Values.member.1=shop.EXAMPLE", true),
            (
                "Field=http-header&HttpHeaderConfig.HttpHeaderName=X-Canary\
                &HttpHeaderConfig.Values.member.1=y*",
                true,
            ),
            ("Field=http-request-method&HttpRequestMethodConfig.Values.member.1=POST", false),
            (
                "Field=query-string&QueryStringConfig.Values.member.1.Key=version\
                &QueryStringConfig.Values.member.1.Value=beta",
                true,
            ),
            ("Field=query-string&QueryStringConfig.Values.member.1.Value=2", false),
        ] {
            assert_eq!(form(condition), expected, "{condition}");
        }
    }
}
