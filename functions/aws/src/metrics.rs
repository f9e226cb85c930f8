//! Metrics from CloudWatch.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, DimensionFilter, Metric as ApiMetric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use jiff::Timestamp;
use spillway_core::metrics::{Query, Series, Window};

use crate::client::{api_error, invalid_answer, unexpected};
use crate::error::ApiError;
use crate::ports::Metrics;

const GET: &str = "GetMetricData";
const LIST: &str = "ListMetrics";

/// Most queries that one call takes:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>.
const MOST_QUERIES: usize = 500;

/// More pages than any answer can have: the API's 100 800 data points fill a few.
const MOST_PAGES: usize = 1000;

/// CloudWatch.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    pub(crate) client: Client,
}

impl CloudWatch {
    /// The metrics of the configuration's account and region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The series of one call's worth of queries.
    async fn chunk(&self, window: Window, queries: &[Query]) -> Result<Vec<Series>, ApiError> {
        let asked: Vec<MetricDataQuery> =
            queries.iter().enumerate().map(|(index, query)| data_query(index, query, window.period_seconds)).collect();
        let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .get_metric_data()
                .set_metric_data_queries(Some(asked.clone()))
                .start_time(date_time(window.start))
                .end_time(date_time(window.end))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(|error| api_error(GET, "", &error))?;
            for result in page.metric_data_results.unwrap_or_default() {
                merge(&mut answers, result, window)?;
            }
            match page.next_token.filter(|next| !next.is_empty()) {
                None => return (0..queries.len()).map(|index| take(&mut answers, &id(index))).collect(),
                next if next == token => return Err(invalid_answer(GET, "", "a page names itself as the next one")),
                next => token = next,
            }
        }
        Err(invalid_answer(GET, "", format!("there are more than {MOST_PAGES} pages")))
    }
}

impl Metrics for CloudWatch {
    async fn values(&self, window: Window, queries: &[Query]) -> Result<Vec<Series>, ApiError> {
        if window.is_empty() {
            return Ok(vec![Series::new(); queries.len()]);
        }
        let mut series = Vec::with_capacity(queries.len());
        for chunk in queries.chunks(MOST_QUERIES) {
            series.extend(self.chunk(window, chunk).await?);
        }
        Ok(series)
    }

    /// `ListMetrics` filters by dimensions that a metric has at least: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html>.
    async fn exists(&self, query: &Query) -> Result<bool, ApiError> {
        let wanted: BTreeMap<&str, &str> = query.dimensions().into_iter().collect();
        let filters: Vec<DimensionFilter> =
            wanted.iter().map(|(name, value)| DimensionFilter::builder().name(*name).value(*value).build()).collect();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .list_metrics()
                .namespace(query.namespace())
                .metric_name(query.metric())
                .set_dimensions(Some(filters.clone()))
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(|error| api_error(LIST, query.metric(), &error))?;
            let is_it = |metric: &ApiMetric| {
                let dimensions = metric.dimensions().iter();
                let dimensions: BTreeMap<&str, &str> =
                    dimensions.filter_map(|dimension| Some((dimension.name()?, dimension.value()?))).collect();
                dimensions == wanted
            };
            if page.metrics().iter().any(is_it) {
                return Ok(true);
            }
            match page.next_token.filter(|next| !next.is_empty()) {
                None => return Ok(false),
                next if next == token => {
                    return Err(invalid_answer(LIST, query.metric(), "a page names itself as the next one"));
                }
                next => token = next,
            }
        }
        Err(invalid_answer(LIST, query.metric(), format!("there are more than {MOST_PAGES} pages")))
    }
}

/// What the pages have said about one query so far.
#[derive(Debug, Default)]
struct Answer {
    series: Series,
    /// The last page's; pages before it may well say `PartialData`.
    status: Option<StatusCode>,
    messages: Vec<String>,
}

/// Ids begin with a lower-case letter.
fn id(index: usize) -> String {
    format!("m{index}")
}

fn data_query(index: usize, query: &Query, period_seconds: u32) -> MetricDataQuery {
    let dimension = |(name, value): (&str, &str)| Dimension::builder().name(name).value(value).build();
    let metric = ApiMetric::builder()
        .namespace(query.namespace())
        .metric_name(query.metric())
        .set_dimensions(Some(query.dimensions().into_iter().map(dimension).collect()))
        .build();
    let period = i32::try_from(period_seconds).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period).stat(query.statistic.to_string()).build();
    MetricDataQuery::builder().id(id(index)).metric_stat(stat).return_data(true).build()
}

fn date_time(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

fn merge(answers: &mut BTreeMap<String, Answer>, result: MetricDataResult, window: Window) -> Result<(), ApiError> {
    let name = result.id.clone().unwrap_or_default();
    let (times, values) = (result.timestamps(), result.values());
    if times.len() != values.len() {
        let message = format!("{name} has {} timestamps and {} values", times.len(), values.len());
        return Err(invalid_answer(GET, "", message));
    }
    let answer = answers.entry(name).or_default();
    for (time, value) in times.iter().zip(values) {
        let at = Timestamp::from_second(time.secs())
            .map_err(|_| invalid_answer(GET, "", format!("timestamp {time:?} is out of range")))?;
        // The end is exclusive by the documentation, yet not everything that speaks this API has it so.
        if (window.start..window.end).contains(&at) {
            answer.series.insert(at, *value);
        }
    }
    answer.messages.extend(result.messages().iter().filter_map(|message| message.value()).map(Into::into));
    answer.status = result.status_code;
    Ok(())
}

/// The finished series, if it is complete.
fn take(answers: &mut BTreeMap<String, Answer>, id: &str) -> Result<Series, ApiError> {
    let later = |code: &str, message: String| ApiError { transient: true, ..unexpected(GET, "", code, message) };
    let Some(answer) = answers.remove(id) else {
        return Err(later("PartialData", format!("there is no result for {id}")));
    };
    let messages = answer.messages.join("; ");
    match answer.status {
        Some(StatusCode::Complete) => Ok(answer.series),
        Some(StatusCode::Forbidden) => Err(unexpected(GET, "", "Forbidden", format!("{id} is forbidden; {messages}"))),
        Some(StatusCode::InternalError) => Err(later("InternalError", format!("{id} failed; {messages}"))),
        Some(StatusCode::PartialData) | None => Err(later("PartialData", format!("{id} is not complete; {messages}"))),
        Some(other) => Err(invalid_answer(GET, "", format!("{id} has the status {}", other.as_str()))),
    }
}
