//! Requests and answers of the AWS Query protocol as trees: what `A.member.1.B=x` says on the way in is
//! what `<A><member><B>x</B></member></A>` says on the way out, so that fields nobody here interprets
//! survive the round trip.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A value of the Query protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Text(String),
    Struct(Vec<(String, Node)>),
    List(Vec<Node>),
    Map(Vec<(String, String)>),
}

impl Node {
    /// Reads a form-encoded request. An empty list arrives as `Name=` (botocore), hence as empty text.
    pub(crate) fn from_form(form: &[u8]) -> Self {
        let mut root = Raw::default();
        for (key, value) in form_urlencoded::parse(form) {
            let mut at = &mut root;
            for part in key.split('.') {
                at = at.child(part);
            }
            at.text = Some(value.into_owned());
        }
        match root.into_node() {
            Self::Text(_) => Self::Struct(Vec::new()),
            node => node,
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts alike")]
    pub(crate) fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a field; absent if it is empty or not a text.
    pub(crate) fn str(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Self::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The elements of a list field; none if it is absent or empty.
    pub(crate) fn list(&self, name: &str) -> &[Node] {
        match self.get(name) {
            Some(Self::List(nodes)) => nodes,
            _ => &[],
        }
    }

    /// The texts of a list field.
    pub(crate) fn strs(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Node::as_str).map(ToOwned::to_owned).collect()
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Sets a field of a struct, in its place if it is there already.
    pub(crate) fn set(&mut self, name: &str, node: Node) {
        if let Self::Struct(fields) = self {
            match fields.iter_mut().find(|(key, _)| key == name) {
                Some((_, old)) => *old = node,
                None => fields.push((name.to_owned(), node)),
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Self::Struct(fields) = self {
            fields.retain(|(key, _)| key != name);
        }
    }

    /// Appends this value's content as XML.
    pub(crate) fn write_xml(&self, out: &mut String) {
        match self {
            Self::Text(text) => escape(text, out),
            Self::Struct(fields) => {
                for (name, node) in fields {
                    element(name, out, |out| node.write_xml(out));
                }
            }
            Self::List(nodes) => {
                for node in nodes {
                    element("member", out, |out| node.write_xml(out));
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    element("entry", out, |out| {
                        element("key", out, |out| escape(key, out));
                        element("value", out, |out| escape(value, out));
                    });
                }
            }
        }
    }

    /// As the AWS JSON protocol would have it, every scalar a string.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Struct(fields) => fields.iter().map(|(name, node)| (name.clone(), node.to_json())).collect(),
            Self::List(nodes) => nodes.iter().map(Node::to_json).collect(),
            Self::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// A struct of the fields given, in their order.
pub(crate) fn fields<const N: usize>(fields: [(&str, Node); N]) -> Node {
    Node::Struct(fields.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
}

fn element(name: &str, out: &mut String, content: impl FnOnce(&mut String)) {
    let _ = write!(out, "<{name}>");
    content(out);
    let _ = write!(out, "</{name}>");
}

/// Appends text so that it can stand in an element.
pub(crate) fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            char => out.push(char),
        }
    }
}

/// The tree of dotted keys before it is known which branches are lists and maps.
#[derive(Default)]
struct Raw {
    text: Option<String>,
    children: Vec<(String, Raw)>,
}

impl Raw {
    fn child(&mut self, name: &str) -> &mut Raw {
        let index = self.children.iter().position(|(key, _)| key == name).unwrap_or_else(|| {
            self.children.push((name.to_owned(), Raw::default()));
            self.children.len() - 1
        });
        &mut self.children[index].1
    }

    fn into_node(self) -> Node {
        if self.children.is_empty() {
            return Node::Text(self.text.unwrap_or_default());
        }
        if let [(name, _)] = self.children.as_slice() {
            let name = name.clone();
            let inner = self.children.into_iter().next().map(|(_, raw)| raw).unwrap_or_default();
            return match name.as_str() {
                "member" => Node::List(inner.numbered().map(Raw::into_node).collect()),
                "entry" => Node::Map(inner.numbered().map(Raw::into_entry).collect()),
                _ => Node::Struct(vec![(name, inner.into_node())]),
            };
        }
        Node::Struct(self.children.into_iter().map(|(name, raw)| (name, raw.into_node())).collect())
    }

    fn numbered(self) -> impl Iterator<Item = Raw> {
        let ordered: BTreeMap<u64, Raw> =
            self.children.into_iter().filter_map(|(number, raw)| Some((number.parse().ok()?, raw))).collect();
        ordered.into_values()
    }

    fn into_entry(mut self) -> (String, String) {
        let key = self.child("key").text.take().unwrap_or_default();
        let value = self.child("value").text.take().unwrap_or_default();
        (key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_the_xml_of_the_same_shape() {
        let form = b"Action=X&A.member.2.B=two&A.member.1.B=o%26e&A.member.1.P.entry.1.key=k\
            &A.member.1.P.entry.1.value=v&Empty=&C.D=1";
        let node = Node::from_form(form);
        assert_eq!(node.str("Action"), Some("X"));
        assert_eq!(node.str("Empty"), None);
        assert_eq!(node.list("A").len(), 2);
        let mut xml = String::new();
        node.write_xml(&mut xml);
        assert_eq!(
            xml,
            "<Action>X</Action><A><member><B>o&amp;e</B><P><entry><key>k</key><value>v</value></entry></P>\
             </member><member><B>two</B></member></A><Empty></Empty><C><D>1</D></C>"
        );
    }

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        let form = (1..=11).rev().map(|n| format!("A.member.{n}=v{n}")).collect::<Vec<_>>().join("&");
        let node = Node::from_form(form.as_bytes());
        assert_eq!(node.strs("A")[9], "v10");
        assert_eq!(node.strs("A")[1], "v2");
    }
}
