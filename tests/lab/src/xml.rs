//! Just enough XML to read the answers of the AWS Query protocol: elements and text, no attributes.

/// An element.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Xml {
    /// Its name, without a prefix.
    pub name: String,
    /// Its text, without that of its children.
    pub text: String,
    /// Its child elements.
    pub children: Vec<Xml>,
}

impl Xml {
    /// Reads a document; what cannot be read is left out.
    #[must_use]
    pub fn parse(document: &str) -> Self {
        let mut open = vec![Self::default()];
        let mut rest = document;
        while let Some(start) = rest.find('<') {
            let (text, tag_on) = rest.split_at(start);
            if let Some(element) = open.last_mut() {
                element.text.push_str(&unescape(text.trim()));
            }
            let Some(end) = tag_on.find('>') else { break };
            let tag = &tag_on[1..end];
            rest = &tag_on[end + 1..];
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if tag.starts_with('/') {
                close(&mut open);
                continue;
            }
            let name = tag.trim_end_matches('/').split_ascii_whitespace().next().unwrap_or_default();
            let name = name.rsplit(':').next().unwrap_or_default().to_owned();
            open.push(Self { name, ..Self::default() });
            if tag.ends_with('/') {
                close(&mut open);
            }
        }
        while open.len() > 1 {
            close(&mut open);
        }
        open.pop().unwrap_or_default()
    }

    /// The first element of this name, at any depth.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    /// The text of the first element of this name, at any depth; empty if there is none.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.find(name).map_or("", |element| &element.text)
    }

    /// The `member` elements of the first list of this name, at any depth.
    #[must_use]
    pub fn members(&self, list: &str) -> Vec<&Self> {
        self.find(list).map(|list| list.children.iter().collect()).unwrap_or_default()
    }
}

fn close(open: &mut Vec<Xml>) {
    if open.len() > 1
        && let Some(element) = open.pop()
        && let Some(parent) = open.last_mut()
    {
        parent.children.push(element);
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// Text made fit for an element.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_texts_are_found() {
        let xml = Xml::parse(
            "<?xml version=\"1.0\"?><R xmlns=\"x\"><Result><Groups><member><Name>a &lt; b</Name><None/></member>\
             <member><Name>c</Name></member></Groups></Result></R>",
        );
        let names: Vec<&str> = xml.members("Groups").iter().map(|member| member.text_of("Name")).collect();
        assert_eq!(names, ["a < b", "c"]);
        assert_eq!(xml.text_of("Missing"), "");
        assert_eq!(Xml::parse("<a><b>cut").text_of("b"), "");
    }
}
