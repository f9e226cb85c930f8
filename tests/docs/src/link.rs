//! Links, and the headings that they may lead to.

/// A link of a page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Its line.
    pub line: usize,
    /// Where it leads.
    pub target: String,
}

/// The links in a page's text.
pub fn links(prose: &[(usize, String)]) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, text) in prose {
        // What is code is no link.
        let text: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for rest in text.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                found.push(Link { line: *line, target: target.to_owned() });
            }
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub makes them.
#[must_use]
pub fn anchors(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if !fenced && title.len() < line.len() && title.starts_with(' ') {
            let kept = title.trim().to_lowercase().replace(' ', "-");
            found.push(kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect());
        }
    }
    found
}
