//! Metrics: what a recorder of the application's is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tower_guardrails::layer::Enforcement;

use super::support::{CHAT, Reply, STREAM, chat, content_stream, exchange, post, regex_layer, run};

/// Values by name and labels; of a histogram how many there are.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<String, f64>>>);

struct Line(Book, String);

impl Line {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        let mut book = self.0.0.lock().unwrap();
        change(book.entry(self.1.clone()).or_default());
    }
}

impl CounterFn for Line {
    fn increment(&self, value: u64) {
        self.change(|at| *at += value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|at| *at = value as f64);
    }
}

impl GaugeFn for Line {
    fn increment(&self, value: f64) {
        self.change(|at| *at += value);
    }

    fn decrement(&self, value: f64) {
        self.change(|at| *at -= value);
    }

    fn set(&self, value: f64) {
        self.change(|at| *at = value);
    }
}

impl HistogramFn for Line {
    fn record(&self, value: f64) {
        assert!(value >= 0.0);
        self.change(|at| *at += 1.0);
    }
}

impl Book {
    fn line(&self, key: &Key) -> Arc<Line> {
        let mut labels: Vec<String> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        labels.sort();
        Arc::new(Line(
            self.clone(),
            format!("{} {}", key.name(), labels.join(" ")),
        ))
    }

    fn of(&self, line: &str) -> f64 {
        let book = self.0.lock().unwrap();
        *book
            .get(line)
            .unwrap_or_else(|| panic!("no `{line}` in {book:#?}"))
    }
}

impl Recorder for Book {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.line(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.line(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.line(key))
    }
}

fn asks(text: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

#[test]
fn exchanges_and_rails_are_counted() {
    let book = Book::default();
    let reply = Reply::json(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#,
    );
    metrics::with_local_recorder(&book, || {
        let layer = regex_layer("badword", &[r"leak\d"]);
        run(exchange(&layer, chat(asks("hello")), &reply));
        run(exchange(&layer, chat(asks("badword")), &reply));
        run(exchange(&layer, chat("{"), &reply));
        let held = Reply::events(content_stream(&["lea", "k", "s not"]));
        run(exchange(&layer, chat(STREAM), &held));
        let monitors = layer.enforcement(Enforcement::Monitor);
        run(exchange(&monitors, chat(asks("badword")), &reply));
        // A model's name is the client's to choose: it is no label.
        let other = asks("hello").replace("\"m\"", "\"zebra\"");
        run(exchange(&monitors, post(CHAT, other), &reply));
    });
    for (line, count) in [
        (
            "guardrails.requests conclusion=allowed format=openai_chat",
            3.0,
        ),
        (
            "guardrails.requests conclusion=blocked format=openai_chat",
            1.0,
        ),
        (
            "guardrails.requests conclusion=refused format=openai_chat",
            1.0,
        ),
        (
            "guardrails.requests conclusion=monitored format=openai_chat",
            1.0,
        ),
        ("guardrails.requests.active ", 0.0),
        ("guardrails.request.duration format=openai_chat", 6.0),
        ("guardrails.request.added_latency format=openai_chat", 6.0),
        (
            "guardrails.rail.decisions decision=blocked place=input rail=regex check input",
            1.0,
        ),
        (
            "guardrails.rail.decisions decision=would_block place=input rail=regex check input",
            1.0,
        ),
    ] {
        assert!(
            (book.of(line) - count).abs() < 0.5,
            "{line}: {}",
            book.of(line)
        );
    }
    assert!(book.of("guardrails.rail.duration place=output rail=regex check output") >= 3.0);
    assert!(!format!("{book:?}").contains("zebra"));
}
