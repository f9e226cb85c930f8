//! The report's page, opened in a browser: Debian's Chromium, or whichever `SPILLWAY_CHROMIUM` names. Where there is none,
//! that is said, and the page is only read.

mod chromium;

use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use chromium::Chromium;

/// Least contrast of text: <https://www.w3.org/TR/WCAG22/#contrast-minimum>.
const CONTRAST: f64 = 4.5;

/// The report of a recorded release, in a file of this test's own.
fn report(test: &str, history: &str) -> PathBuf {
    let page = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{history}.html"));
    let from = format!("tests/cmd/{history}.history.json");
    let output = Command::new(env!("CARGO_BIN_EXE_spillway"))
        .args(["report", "--from", &from, "--html"])
        .arg(&page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    page
}

/// A browser, or the word that there is none.
fn browser(test: &str) -> Option<Chromium> {
    let Some(program) = chromium::find() else {
        eprintln!("PAGE NOT OPENED: there is no Chromium here; its text alone is checked");
        return None;
    };
    let profile = format!("chromium-{}-{test}", std::process::id());
    Some(Chromium::start(&program, PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(profile)))
}

/// What must be on the page of the release that was rolled back.
const ROLLED_BACK: [&str; 9] = [
    "second",
    "rolled back",
    "Weight and observed share",
    "Error rate",
    "Latency",
    "Evidence",
    "What happened",
    "Plan",
    "Cost",
];

#[test]
fn the_page_needs_nothing_but_itself() {
    for history in ["promoted", "rolled-back"] {
        let page = std::fs::read_to_string(report("alone", history)).unwrap();
        for part in ["<script", "src=", "@import", "url(http", "onload", "onclick"] {
            assert!(!page.contains(part), "{history}: {part}");
        }
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">") && page.ends_with("</html>"), "{history}");
        // Every picture has words in its place.
        let pictures = page.matches("<svg").count();
        assert!(pictures > 0 && pictures == page.matches("role=\"img\" aria-label=\"").count(), "{history}");
        let figures = page.matches("<figure").count();
        assert_eq!(figures + 1, page.matches("<details").count(), "{history}: a table for each figure, and the checks");
    }
    let page = std::fs::read_to_string(report("alone", "rolled-back")).unwrap();
    for part in ROLLED_BACK {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_others_have_written_is_told_as_text() {
    let history = std::fs::read_to_string("tests/cmd/rolled-back.history.json").unwrap();
    let attack = r#"</style><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\" onload=\"alert(3)"#;
    // In a reason, which a hook or an operator may have written; as JSON within JSON.
    let escaped = attack.replace('\\', r"\\").replace('"', r#"\""#);
    let told = history.replace("rolled back from 10 %: errors", &format!("rolled back from 10 %: {escaped} errors"));
    assert_ne!(told, history);
    let from = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attack.history.json");
    std::fs::write(&from, told).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_spillway")).args(["report", "--html", "-", "--from"]).arg(&from).output();
    let output = output.unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script") && !page.contains("<img"), "{page}");
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn a_browser_shows_it_without_a_complaint() {
    let Some(mut browser) = browser("complaints") else { return };
    for history in ["promoted", "rolled-back"] {
        browser.show(1280, "light", "");
        browser.open(&report("complaints", history));
        let text = browser.ask("document.body.innerText");
        let title = browser.ask("document.title");
        let outcome = history.replace('-', " ");
        assert!(title.as_str().unwrap().ends_with(&outcome), "{title}");
        for part in &ROLLED_BACK[2..] {
            assert!(text.as_str().unwrap().contains(part), "{history}: {part}");
        }
        let complaint = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            matches!(method, "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded")
        };
        assert_eq!(browser.events.iter().find(complaint), None);
        // The page itself, and nothing else.
        let requested = browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls: Vec<&str> = requested.filter_map(|event| event["params"]["request"]["url"].as_str()).collect();
        assert!(urls.iter().all(|url| url.starts_with("file://") || *url == "data:,"), "{urls:?}");
        assert_eq!(urls.iter().filter(|url| url.starts_with("file://")).count(), 1, "{urls:?}");
    }
}

#[test]
fn it_fits_on_a_phone_and_can_be_read_in_any_light() {
    let Some(mut browser) = browser("fits") else { return };
    for history in ["promoted", "rolled-back"] {
        browser.open(&report("fits", history));
        for (width, scheme, media) in
            [(375, "light", ""), (375, "dark", ""), (1280, "light", ""), (1280, "dark", ""), (800, "dark", "print")]
        {
            browser.show(width, scheme, media);
            browser.ask("document.querySelectorAll('details').forEach((one) => one.open = true)");
            let at = format!("{history}, {width} px, {scheme} {media}");
            let scrolls = browser.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(scrolls, json!(0), "{at}: it scrolls sideways");
            // One picture of each figure, and no letter in it smaller than 9 px.
            let letters = "[...document.querySelectorAll('svg')].filter((svg) => svg.checkVisibility()).map((svg) => 11.5 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)";
            let letters = browser.ask(letters);
            let letters: Vec<f64> = serde_json::from_value(letters).unwrap();
            let figures = browser.ask("document.querySelectorAll('figure').length");
            assert_eq!(json!(letters.len()), figures, "{at}");
            assert!(letters.iter().all(|size| *size >= 9.0), "{at}: {letters:?}");
            let texts = browser.ask(include_str!("contrast.js"));
            let texts = texts.as_array().unwrap();
            assert!(texts.len() > 100, "{at}: {} texts", texts.len());
            for text in texts {
                assert!(text["ratio"].as_f64().unwrap() >= CONTRAST, "{at}: {text}");
            }
        }
    }
}

/// A picture as rows of pixels.
struct Pixels {
    width: usize,
    bytes: Vec<u8>,
    size: usize,
}

impl Pixels {
    fn of(png: &[u8]) -> Self {
        let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        Self { width: info.width as usize, bytes, size: info.color_type.samples() }
    }

    fn all(&self) -> impl Iterator<Item = [u8; 3]> {
        self.bytes.chunks_exact(self.size).map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }

    /// How many pixels are of this colour, or nearly so.
    fn count(&self, colour: [u8; 3]) -> usize {
        self.all().filter(|pixel| std::iter::zip(*pixel, colour).all(|(a, b)| a.abs_diff(b) <= 3)).count()
    }
}

#[test]
fn its_pictures_are_drawn() {
    let Some(mut browser) = browser("pictures") else { return };
    browser.open(&report("pictures", "rolled-back"));
    let [candidate, stable, evidence, limit] =
        [[0xb4, 0x46, 0x0a], [0x18, 0x58, 0xc4], [0x6b, 0x3f, 0xb5], [0xb3, 0x23, 0x1c]];
    let dark = [[0xf5, 0x9a, 0x5c], [0x7d, 0xb0, 0xff], [0xbf, 0xa0, 0xff], [0xff, 0x9d, 0x94]];
    for (scheme, paper, colours) in
        [("light", [0xff; 3], [candidate, stable, evidence, limit]), ("dark", [0x12, 0x16, 0x1d], dark)]
    {
        for width in [375, 1280] {
            browser.show(width, scheme, "");
            let png = browser.picture();
            let name = format!("report-{scheme}-{width}.png");
            std::fs::write(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name), &png).unwrap();
            let pixels = Pixels::of(&png);
            assert_eq!(pixels.width, width as usize);
            let all = pixels.all().count();
            assert!(pixels.count(paper) * 2 > all, "{name}: most of it is paper");
            for (colour, least) in std::iter::zip(colours, [60, 25, 60, 60]) {
                let drawn = pixels.count(colour);
                assert!(drawn >= least, "{name}: {drawn} pixels of {colour:?}");
            }
        }
    }
}

/// The strategies' pictures, as pages show them: drawn, in both schemes, with letters that can be read.
#[test]
fn the_strategies_pictures_can_be_read_in_any_light() {
    let Some(mut browser) = browser("strategies") else { return };
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for name in ["canary", "linear", "blue-green", "all-at-once"] {
        let svg = std::fs::read_to_string(format!("../docs/strategies/{name}.svg")).unwrap();
        // Its own colours alone, with the paper where the letters look for it.
        let page = scratch.join(format!("strategy-{name}.html"));
        let style = "html, body { margin: 0; background-color: var(--paper) }";
        std::fs::write(&page, format!("<!DOCTYPE html><style>{style}</style><body>{svg}</body>")).unwrap();
        browser.show(900, "light", "");
        browser.open(&page);
        for (scheme, paper, candidate) in
            [("light", [0xff; 3], [0xb4, 0x46, 0x0a]), ("dark", [0x12, 0x16, 0x1d], [0xf5, 0x9a, 0x5c])]
        {
            browser.show(900, scheme, "");
            let texts = browser.ask(include_str!("contrast.js"));
            let texts = texts.as_array().unwrap();
            assert!(texts.len() > 12, "{name}, {scheme}: {} texts", texts.len());
            for text in texts {
                assert!(text["ratio"].as_f64().unwrap() >= CONTRAST, "{name}, {scheme}: {text}");
            }
            // No letter is cut off.
            let outside = browser.ask(
                "[...document.querySelectorAll('text')].filter((text) => { const box = text.getBBox(); return box.x < 0 || \
                 box.y < 0 || box.x + box.width > 900 || box.y + box.height > 320; }).map((text) => text.textContent)",
            );
            assert_eq!(outside, json!([]), "{name}, {scheme}");
            let png = browser.picture();
            std::fs::write(scratch.join(format!("strategy-{name}-{scheme}.png")), &png).unwrap();
            let pixels = Pixels::of(&png);
            assert!(pixels.count(paper) * 3 > pixels.all().count(), "{name}, {scheme}: paper");
            assert!(pixels.count(candidate) > 200, "{name}, {scheme}: the candidate's line");
        }
    }
}
