//! The examples that prompts show: user messages, bot messages and flows, found by likeness.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::Engine;
use crate::{
    embeddings::{IndexItem, SearchIndex},
    error::{BoxError, ModelError},
};

/// How many lines of flows are looked at to find enough flows.
const FLOW_LINES: usize = 10;

/// A text that is found, with what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) text: String,
    pub(super) meta: String,
}

/// The indexes; each is filled when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    user_messages: OnceCell<Option<Index>>,
    bot_messages: OnceCell<Option<Index>>,
    flows: OnceCell<Option<Index>>,
    sources: OnceCell<Option<Index>>,
    instructions: OnceCell<Option<Index>>,
}

/// One index.
#[derive(Debug, Clone)]
pub(super) struct Index(Arc<dyn SearchIndex>);

impl Index {
    /// The at most `count` texts most like `text`, the most like first.
    ///
    /// # Errors
    ///
    /// Where the text's vector cannot be made: a failure of the action, not of the call.
    pub(super) async fn search(
        &self,
        text: &str,
        count: usize,
        threshold: Option<f32>,
    ) -> Result<Vec<Hit>, BoxError> {
        let found = self
            .0
            .search(text, count, threshold)
            .await
            .map_err(not_of_a_model)?;
        let hits = found.into_iter().map(|item| Hit {
            text: item.text,
            meta: item
                .meta
                .get("meta")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        });
        Ok(hits.collect())
    }
}

impl Indexes {
    /// The user messages, each with its intent; none where there are none.
    pub(super) async fn user_messages(&self, engine: &Engine) -> Result<Option<&Index>, BoxError> {
        let items = || {
            engine.user_messages().flat_map(|(intent, texts)| {
                texts
                    .iter()
                    .map(move |text| (text.clone(), intent.to_owned()))
            })
        };
        fill(&self.user_messages, engine, || items().collect()).await
    }

    /// The bot intents, each with a message; none where there are no user messages to talk about.
    pub(super) async fn bot_messages(&self, engine: &Engine) -> Result<Option<&Index>, BoxError> {
        if !engine.has_user_messages() {
            return Ok(None);
        }
        let items = || {
            engine.bot_messages().flat_map(|(intent, texts)| {
                texts
                    .iter()
                    .map(move |text| (intent.to_owned(), text.clone()))
            })
        };
        fill(&self.bot_messages, engine, || items().collect()).await
    }

    /// Whole flows, `sources`; none where there are none.
    pub(super) async fn sources(
        &self,
        engine: &Engine,
        sources: &[String],
    ) -> Result<Option<&Index>, BoxError> {
        fill(&self.sources, engine, || whole(sources)).await
    }

    /// Whole flows that say what they are for, `sources`; none where there are none.
    pub(super) async fn instructions(
        &self,
        engine: &Engine,
        sources: &[String],
    ) -> Result<Option<&Index>, BoxError> {
        fill(&self.instructions, engine, || whole(sources)).await
    }

    /// The at most `count` flows that have a line most like `text`, the most like first.
    pub(super) async fn flows_like<'a>(
        &self,
        engine: &'a Engine,
        text: &str,
        count: usize,
    ) -> Result<Vec<&'a str>, BoxError> {
        let lines = || {
            let flows = engine.flows.examples().iter();
            let lines = flows.flat_map(|flow| {
                flow.split('\n')
                    .filter(|line| !line.trim().is_empty())
                    .map(move |line| (line.to_owned(), flow.to_owned()))
            });
            lines.collect()
        };
        let Some(index) = fill(&self.flows, engine, lines).await? else {
            return Ok(Vec::new());
        };
        let mut found: Vec<&str> = Vec::new();
        for hit in index.search(text, FLOW_LINES, None).await? {
            let flow = engine
                .flows
                .examples()
                .iter()
                .find(|flow| **flow == hit.meta);
            if let Some(flow) = flow.filter(|flow| !found.contains(&flow.as_str())) {
                found.push(flow);
            }
        }
        found.truncate(count);
        Ok(found)
    }
}

fn whole(sources: &[String]) -> Vec<(String, String)> {
    let sources = sources.iter();
    sources
        .map(|source| (source.clone(), String::new()))
        .collect()
}

async fn fill<'a>(
    cell: &'a OnceCell<Option<Index>>,
    engine: &Engine,
    items: impl FnOnce() -> Vec<(String, String)>,
) -> Result<Option<&'a Index>, BoxError> {
    let fill = || async {
        let items = items();
        if items.is_empty() {
            return Ok(None);
        }
        let index = engine.new_index()?;
        let items = items.into_iter().map(|(text, meta)| {
            let mut data = Map::new();
            data.insert("meta".to_owned(), meta.into());
            IndexItem { text, meta: data }
        });
        index.add(items.collect()).await.map_err(not_of_a_model)?;
        Ok::<_, BoxError>(Some(Index(index)))
    };
    Ok(cell.get_or_try_init(fill).await?.as_ref())
}

/// That a text has no vector fails the action only: told apart from a failure of the model that answers.
pub(super) fn not_of_a_model(error: ModelError) -> BoxError {
    format!("the embedding model failed: {error}").into()
}

/// An index that cannot be searched, and says why.
#[derive(Debug)]
pub(super) struct Broken(String);

impl Broken {
    pub(super) fn new(error: BoxError) -> Self {
        Self(error.to_string())
    }

    fn error(&self) -> ModelError {
        ModelError::new(
            crate::error::ModelErrorKind::Configuration,
            "embeddings",
            self.0.clone(),
        )
    }
}

impl SearchIndex for Broken {
    fn add(
        &self,
        _: Vec<IndexItem>,
    ) -> futures_core::future::BoxFuture<'_, Result<(), ModelError>> {
        Box::pin(async { Err(self.error()) })
    }

    fn search<'a>(
        &'a self,
        _: &'a str,
        _: usize,
        _: Option<f32>,
    ) -> futures_core::future::BoxFuture<'a, Result<Vec<IndexItem>, ModelError>> {
        Box::pin(async { Err(self.error()) })
    }
}
