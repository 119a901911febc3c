//! A guarded service that operators can see into: metrics for Prometheus on `/metrics`, traces by OTLP, a verdict log.
//!
//! ```text
//! cd examples/observability
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run -- [ADDR]
//! ```
//!
//! `prometheus.yml` scrapes it, `dashboard.json` is a dashboard for Grafana. Without `OTEL_EXPORTER_OTLP_ENDPOINT` spans go to the log only.

use std::{env, error::Error, path::Path};

use axum::{Json, Router, routing::get, routing::post};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, layer::VerdictLog};
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Seconds: what a layer adds is far under a millisecond, what a model takes is not.
const BUCKETS: [f64; 13] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

fn main() -> Result<(), Box<dyn Error>> {
    // The exporter of traces has a client that blocks: it is made, and ended, outside the runtime.
    let provider = traces()?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration".to_owned()), &BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("latency".to_owned()), &BUCKETS)?
        .install_recorder()?;
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let served = tokio::runtime::Runtime::new()?.block_on(async move {
        let rails = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rails");
        let layer = GuardrailsLayer::from_path(rails)?
            .report_headers(true)
            .verdict_log(VerdictLog::to_file(
                env::temp_dir().join("guardrails-verdicts.jsonl"),
            )?);
        let app = Router::new()
            .route("/v1/chat/completions", post(model))
            .layer(layer)
            .route("/metrics", get(move || async move { metrics.render() }));
        let listener = tokio::net::TcpListener::bind(address).await?;
        tracing::info!("on http://{}", listener.local_addr()?);
        let ended = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        axum::serve(listener, app)
            .with_graceful_shutdown(ended)
            .await?;
        Ok::<_, Box<dyn Error>>(())
    });
    if let Some(provider) = provider {
        provider.shutdown()?;
    }
    served
}

/// Spans to the log, and by OTLP where the environment names a collector.
fn traces() -> Result<Option<SdkTracerProvider>, Box<dyn Error>> {
    let log = tracing_subscriber::fmt::layer().with_filter(EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(log);
    if env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        registry.init();
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("guarded").build())
        .build();
    // The layer's own spans, those of rails and actions among them; not those of the exporter's client.
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tower-guardrails"))
        .with_filter(EnvFilter::new("off,tower_guardrails=debug"));
    registry.with(spans).init();
    Ok(Some(provider))
}

/// Stands in for a model.
async fn model(Json(request): Json<Value>) -> Json<Value> {
    let asked = request["messages"][0]["content"].as_str().unwrap_or("");
    let says = match asked.contains("secret") {
        true => "The key is sk-abcdefghijklmnop1234.",
        false => "The capital of France is Paris.",
    };
    let message = json!({"role": "assistant", "content": says});
    Json(json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
}
