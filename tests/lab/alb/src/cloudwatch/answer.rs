//! Answers `GetMetricData`: which periods can be seen, and in which pages.

use jiff::Timestamp;

use super::query::{Query, Request};
use crate::error::ApiError;
use crate::shared::Shared;
use crate::visible::View;

/// A page of results.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) results: Vec<Series>,
    pub(super) token: Option<String>,
}

impl Page {
    /// Leaves the later half of every query's points out, with no way to get at it.
    pub(super) fn in_part(mut self) -> Self {
        self.token = None;
        for series in &mut self.results {
            series.points.truncate(series.points.len() / 2);
            series.complete = false;
        }
        self
    }
}

/// What a page has of one query.
#[derive(Debug, PartialEq)]
pub(super) struct Series {
    pub(super) id: String,
    pub(super) label: String,
    /// Starts of periods, in seconds since the epoch, with their values.
    pub(super) points: Vec<(i64, f64)>,
    /// Whether these are the last of the query's points; otherwise `PartialData`.
    pub(super) complete: bool,
}

/// Where the next page begins. The moment of the first page is kept, so that no page misses what
/// another has only just seen.
#[derive(Debug, PartialEq)]
struct Token {
    now: Timestamp,
    query: usize,
    given: usize,
}

impl Token {
    fn encode(&self) -> String {
        format!("{:x}-{:x}-{:x}", self.now.as_millisecond(), self.query, self.given)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| i64::from_str_radix(part, 16).ok());
        let mut next = || parts.next().flatten();
        Some(Self {
            now: Timestamp::from_millisecond(next()?).ok()?,
            query: usize::try_from(next()?).ok()?,
            given: usize::try_from(next()?).ok()?,
        })
    }
}

/// Answers with the page that the request's token asks for.
pub(super) fn answer(shared: &Shared, request: &Request, now: Timestamp) -> Result<Page, ApiError> {
    let from = match &request.token {
        Some(token) => Token::decode(token)
            .filter(|token| token.query < request.queries.len())
            .ok_or_else(|| ApiError::new("InvalidNextToken", "The next token specified is invalid."))?,
        None => Token { now, query: 0, given: 0 },
    };
    let forced = shared.faults.current_page_size().unwrap_or(usize::MAX).max(1);
    let mut room = request.max_points.min(forced);
    let mut page = Page::default();
    for (index, query) in request.queries.iter().enumerate().skip(from.query) {
        let all = points(shared, request, query, from.now);
        let given = if index == from.query { from.given } else { 0 };
        let points: Vec<_> = all.iter().skip(given).take(room).copied().collect();
        room -= points.len();
        let given = given + points.len();
        let complete = given >= all.len() && page.token.is_none();
        if !complete && page.token.is_none() {
            page.token = Some(Token { now: from.now, query: index, given }.encode());
        }
        page.results.push(Series { id: query.id.clone(), label: query.label.clone(), points, complete });
    }
    Ok(page)
}

/// All points of a query, in the order asked for. The start is rounded down to a period, the end is
/// exclusive.
fn points(shared: &Shared, request: &Request, query: &Query, now: Timestamp) -> Vec<(i64, f64)> {
    let Some(series) = &query.series else { return Vec::new() };
    let period = query.period;
    let start = request.start.as_millisecond().div_euclid(1000);
    let start = start - start.rem_euclid(period);
    // Periods that begin before the end, as a whole: the end of the last, in whole periods.
    let end = (request.end.as_millisecond() + 999).div_euclid(1000);
    let end = end + (period - end.rem_euclid(period)) % period;
    let view = View::new(now, shared.faults.arrival(series.0));
    let mut points: Vec<(i64, f64)> = view
        .periods(&shared.traffic.metrics, series, (start, end), period)
        .into_iter()
        .filter_map(|(at, bucket)| Some((at, query.stat.of(&bucket)?)))
        .collect();
    if !request.ascending {
        points.reverse();
    }
    points
}
