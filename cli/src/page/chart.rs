//! Charts as SVG that takes its colours from the page's style, so that they follow light, dark and print.

use jiff::Timestamp;
use maud::{Markup, html};

/// What is told by a chart's vertical axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// A share, from 0 to this fraction.
    Share(f64),
    /// Seconds, from 0 to so many.
    Seconds(f64),
    /// An e-value, from the first to the second, both above 0.
    Log(f64, f64),
}

/// Something drawn into a chart; times are in seconds since its beginning.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line through points, of a class.
    Line(&'static str, Vec<(f64, f64)>),
    /// Points of a class.
    Dots(&'static str, Vec<(f64, f64)>),
    /// A band of a class between a lower and an upper value.
    Band(&'static str, Vec<(f64, f64, f64)>),
    /// A horizontal line of a class, with its label.
    Level(&'static str, f64, String),
    /// A time of a class, over the whole height.
    Span(&'static str, f64, f64),
    /// A moment, with its label.
    Moment(&'static str, f64),
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its name, for the document's anchors.
    pub id: String,
    /// What it shows, in a line: the text in the place of the picture.
    pub label: String,
    /// When its time begins.
    pub began: Timestamp,
    /// Seconds that it shows.
    pub seconds: f64,
    /// Its vertical axis.
    pub scale: Scale,
    /// What is drawn, from back to front.
    pub marks: Vec<Mark>,
}

/// Room round the plot: left, top, right, bottom.
const ROOM: [f64; 4] = [52.0, 10.0, 12.0, 26.0];

/// The size of a drawing.
#[derive(Clone, Copy, Debug)]
struct Frame {
    width: f64,
    height: f64,
}

impl Chart {
    /// The chart, drawn for wide and for narrow screens, of which the style shows one: a picture that is scaled down has
    /// letters that nobody can read.
    pub fn pictures(&self, small: bool) -> Markup {
        let wide = if small { Frame { width: 420.0, height: 170.0 } } else { Frame { width: 900.0, height: 270.0 } };
        let narrow = Frame { width: 340.0, height: if small { 160.0 } else { 220.0 } };
        html! {
            (self.picture(wide, "wide"))
            (self.picture(narrow, "narrow"))
        }
    }

    fn picture(&self, frame: Frame, class: &str) -> Markup {
        let Frame { width, height } = frame;
        let [left, top, right, bottom] = ROOM;
        let (plot_width, plot_height) = (width - left - right, height - top - bottom);
        let clip = format!("{}-{class}", self.id);
        html! {
            svg class=(class) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(self.label)
                xmlns="http://www.w3.org/2000/svg" {
                // A line along the edge is as thick as any other.
                clipPath id=(clip) { rect x=(left) y=(top - 2.0) width=(plot_width) height=(plot_height + 4.0) {} }
                @for (value, text) in self.levels(plot_height) {
                    @let y = round(self.y(value, frame));
                    line class="grid" x1=(left) x2=(width - right) y1=(y) y2=(y) {}
                    text class="tick" x=(left - 6.0) y=(y + 4.0) text-anchor="end" { (text) }
                }
                @for (at, text) in self.times(plot_width) {
                    @let x = round(self.x(at, frame));
                    line class="grid" x1=(x) x2=(x) y1=(top) y2=(height - bottom) {}
                    text class="tick" x=(x) y=(height - 8.0) text-anchor="middle" { (text) }
                }
                g clip-path=(format!("url(#{clip})")) {
                    @for mark in &self.marks { (self.mark(mark, frame)) }
                }
                // What is at the edge of the plot is not to be cut.
                @for mark in &self.marks { (self.name(mark, frame)) }
                rect class="frame" x=(left) y=(top) width=(plot_width) height=(plot_height) {}
            }
        }
    }

    fn x(&self, seconds: f64, frame: Frame) -> f64 {
        let [left, _, right, _] = ROOM;
        left + seconds / self.seconds * (frame.width - left - right)
    }

    fn y(&self, value: f64, frame: Frame) -> f64 {
        let [_, top, _, bottom] = ROOM;
        let share = match self.scale {
            Scale::Share(most) | Scale::Seconds(most) => value / most,
            Scale::Log(least, most) => (value.max(least) / least).ln() / (most / least).ln(),
        };
        top + (1.0 - share.clamp(0.0, 1.0)) * (frame.height - top - bottom)
    }

    fn points(&self, points: &[(f64, f64)], frame: Frame) -> String {
        let point = |(x, y): &(f64, f64)| format!("{},{}", round(self.x(*x, frame)), round(self.y(*y, frame)));
        points.iter().map(point).collect::<Vec<_>>().join(" ")
    }

    fn mark(&self, mark: &Mark, frame: Frame) -> Markup {
        let [_, top, _, bottom] = ROOM;
        match mark {
            Mark::Line(class, points) => {
                html! { polyline class=(format!("line {class}")) points=(self.points(points, frame)) {} }
            }
            Mark::Dots(class, points) => html! {
                @for (x, y) in points {
                    circle class=(format!("dot {class}")) cx=(round(self.x(*x, frame))) cy=(round(self.y(*y, frame))) r="2.6" {}
                }
            },
            Mark::Band(class, band) => {
                let upper = band.iter().map(|(x, _, upper)| (*x, *upper));
                let lower = band.iter().rev().map(|(x, lower, _)| (*x, *lower));
                let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
                html! { polygon class=(format!("band {class}")) points=(self.points(&outline, frame)) {} }
            }
            Mark::Level(class, value, _) => {
                let y = round(self.y(*value, frame));
                html! { line class=(format!("level {class}")) x1="0" x2=(frame.width) y1=(y) y2=(y) {} }
            }
            Mark::Span(class, from, to) => {
                let (from, to) = (round(self.x(*from, frame)), round(self.x(*to, frame)));
                html! { rect class=(format!("span {class}")) x=(from) width=(round((to - from).max(1.0))) y=(top) height=(frame.height - top - bottom) {} }
            }
            Mark::Moment(class, at) => {
                let x = round(self.x(*at, frame));
                html! { line class=(format!("moment {class}")) x1=(x) x2=(x) y1=(top) y2=(frame.height - bottom) {} }
            }
        }
    }

    /// The label of a horizontal line, above it, or below it where there is no room.
    fn name(&self, mark: &Mark, frame: Frame) -> Markup {
        let Mark::Level(class, value, label) = mark else { return html! {} };
        let [left, top, ..] = ROOM;
        let y = self.y(*value, frame);
        let y = if y - top < 16.0 { y + 14.0 } else { y - 5.0 };
        html! { text class=(format!("label {class}")) x=(left + 6.0) y=(round(y)) { (label) } }
    }

    /// Values to be told beside the vertical axis.
    fn levels(&self, height: f64) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Share(most) => {
                let step = nice(100.0 * most / (height / 40.0).max(2.0)) / 100.0;
                let digits = if step < 0.000_999 { 2 } else { usize::from(step < 0.00999) };
                let value = |index: u32| f64::from(index) * step;
                let values = (0..).map(value).take_while(|value| *value <= most * 1.0001);
                values.map(|value| (value, format!("{:.digits$} %", 100.0 * value))).collect()
            }
            Scale::Seconds(most) => {
                let step = nice(most / (height / 40.0).max(2.0));
                let value = |index: u32| f64::from(index) * step;
                let values = (0..).map(value).take_while(|value| *value <= most * 1.0001);
                values.map(|value| (value, seconds(value))).collect()
            }
            Scale::Log(least, most) => {
                #[allow(clippy::cast_possible_truncation, reason = "e-values are kept below e^690")]
                let (first, last) = (least.log10().ceil() as i32, most.log10().floor() as i32);
                let every = ((last - first) / 5 + 1).max(1);
                let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
                powers.map(|power| (10f64.powi(power), power_text(power))).collect()
            }
        }
    }

    /// Times to be told below the horizontal axis, in UTC.
    fn times(&self, width: f64) -> Vec<(f64, String)> {
        const STEPS: [i64; 21] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172_800,
            432_000, 864_000,
        ];
        let most = (width / 80.0).max(2.0);
        let step = STEPS.into_iter().find(|step| self.seconds / *step as f64 <= most).unwrap_or(864_000);
        let form = match step {
            ..60 => "%H:%M:%S",
            60..86400 => "%H:%M",
            _ => "%b %d",
        };
        let first = (self.began.as_second() / step + 1) * step;
        let at = |second: i64| Some((second, Timestamp::from_second(second).ok()?));
        let all = (0..).map(|index| first + index * step).map_while(at);
        let since = |second: i64| second as f64 - self.began.as_millisecond() as f64 / 1e3;
        // A label needs room on both sides.
        let room = self.seconds * 24.0 / width;
        let all = all.map(|(second, at)| (since(second), at)).take_while(|(at, _)| *at <= self.seconds - room / 2.0);
        all.filter(|(at, _)| *at >= room)
            .map(|(at, time)| {
                (
                    at,
                    time.strftime(if step >= 60 && time.as_second() % 86400 == 0 { "%b %d" } else { form }).to_string(),
                )
            })
            .collect()
    }
}

/// The next larger of 1, 2 and 5 times a power of ten.
pub fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-6).log10().floor());
    let part = value.max(1e-6) / power;
    power
        * if part <= 1.0 {
            1.0
        } else if part <= 2.0 {
            2.0
        } else if part <= 5.0 {
            5.0
        } else {
            10.0
        }
}

fn power_text(power: i32) -> String {
    match power {
        0..=4 => format!("{}", 10i64.pow(power.unsigned_abs())),
        -2..=-1 => format!("{}", 10f64.powi(power)),
        _ => format!("1e{power}"),
    }
}

/// A round number of seconds.
fn seconds(value: f64) -> String {
    let (value, unit) = if value == 0.0 || value >= 1.0 { (value, "s") } else { (value * 1e3, "ms") };
    // What rounding leaves of a multiple of a round step.
    format!("{} {unit}", (value * 1e6).round() / 1e6)
}

/// To a tenth: pictures need no more, and pages are smaller.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(seconds: f64, scale: Scale) -> Chart {
        let began = "2026-11-23T06:00:30Z".parse().unwrap();
        Chart { id: "c".into(), label: "l".into(), began, seconds, scale, marks: Vec::new() }
    }

    #[test]
    fn ticks_are_round_and_not_too_many() {
        for (most, expected) in [
            (1.0, "0 %,20 %,40 %,60 %,80 %,100 %"),
            (0.12, "0 %,5 %,10 %"),
            (0.02, "0.0 %,0.5 %,1.0 %,1.5 %,2.0 %"),
            (0.0005, "0.00 %,0.01 %,0.02 %,0.03 %,0.04 %,0.05 %"),
        ] {
            let texts: Vec<String> =
                chart(60.0, Scale::Share(most)).levels(234.0).into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts.join(","), expected, "{most}");
        }
        for (most, expected) in
            [(0.12, "0 s,50 ms,100 ms"), (4.0, "0 s,1 s,2 s,3 s,4 s"), (0.0021, "0 s,0.5 ms,1 ms,1.5 ms,2 ms")]
        {
            let texts: Vec<String> =
                chart(60.0, Scale::Seconds(most)).levels(234.0).into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts.join(","), expected, "{most}");
        }
        let texts: Vec<String> =
            chart(60.0, Scale::Log(0.1, 2e9)).levels(100.0).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts.join(","), "1,1000,1e6,1e9");
    }

    #[test]
    fn times_are_clock_times() {
        for (seconds, expected) in [
            (60.0, "06:00:40,06:00:50,06:01:00,06:01:10,06:01:20"),
            (3600.0, "06:10,06:20,06:30,06:40,06:50"),
            (86400.0 * 9.0, "Nov 24,Nov 25,Nov 26,Nov 27,Nov 28,Nov 29,Nov 30,Dec 01,Dec 02"),
        ] {
            let texts: Vec<String> =
                chart(seconds, Scale::Share(1.0)).times(836.0).into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts.join(","), expected);
        }
    }

    #[test]
    fn values_beyond_the_axis_stay_in_the_plot() {
        let frame = Frame { width: 200.0, height: 100.0 };
        let share = chart(10.0, Scale::Share(0.1));
        assert_eq!((share.y(0.0, frame), share.y(0.5, frame)), (74.0, 10.0));
        let log = chart(10.0, Scale::Log(0.1, 1000.0));
        assert_eq!((log.y(0.0, frame), log.y(10.0, frame), log.y(1e9, frame)), (74.0, 42.0, 10.0));
    }
}
