//! A Presidio analyzer, which finds what only a model of language can: names of people and places, dates in words.

use std::{ops::Range, sync::Arc};

use serde::Deserialize;
use serde_json::json;

use super::detect::Found;
use crate::{
    actions::{Lent, Python},
    error::BoxError,
    http::HttpError,
    library::service::Service,
};

/// What the analyzer says of one entity; its offsets count characters.
#[derive(Debug, Deserialize)]
struct Answer {
    entity_type: String,
    start: usize,
    end: usize,
    score: f64,
}

/// Why the analyzer gives no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnalyzerError {
    #[error("the Presidio analyzer gives no answer")]
    Http(#[from] HttpError),
    #[error("the Presidio analyzer in the worker gives no answer")]
    Python(#[source] BoxError),
    #[error(
        "the Presidio analyzer's answer is no list of entities with `entity_type`, `start`, `end` and `score`"
    )]
    Answer(#[from] serde_json::Error),
    #[error("the Presidio analyzer's answer has an entity that is not in the text")]
    Place,
}

/// A Presidio analyzer.
#[derive(Debug)]
pub(super) enum Analyzer {
    /// A server's.
    Server {
        /// What it is asked with.
        service: Service,
        /// Its address.
        url: String,
    },
    /// One in the Python worker.
    Lent(Lent),
}

/// The model of language that the analyzer in the worker reads with: the reference's.
const LANGUAGE_MODEL: &str = "en_core_web_lg";

impl Analyzer {
    pub(super) fn new(service: Service, url: &str) -> Self {
        let url = url.trim_end_matches('/');
        let url = if url.ends_with("/analyze") {
            url.to_owned()
        } else {
            format!("{url}/analyze")
        };
        Self::Server { service, url }
    }

    /// One in the worker, for the entities of the names `asked`.
    ///
    /// # Errors
    ///
    /// Why the worker has none.
    pub(super) fn lent(python: &Arc<Python>, asked: &[&str]) -> Result<Self, String> {
        let settings = json!({"model": LANGUAGE_MODEL, "entities": asked});
        python.lend("presidio", settings).map(Self::Lent)
    }

    /// The entities of the names `asked` in `text`, by their places in `entities`.
    ///
    /// # Errors
    ///
    /// Where there is no answer, or one that makes no sense.
    pub(super) async fn find(
        &self,
        text: &str,
        asked: &[String],
        entities: &[String],
        threshold: f64,
    ) -> Result<Vec<Found>, AnalyzerError> {
        let body = json!({
            "text": text,
            "language": "en",
            "entities": asked,
            "score_threshold": threshold,
        });
        let answer = match self {
            Self::Server { service, url } => service.post(url, &[], &body).await?,
            Self::Lent(lent) => {
                let asked = json!({"entities": asked, "score_threshold": threshold});
                let answer = lent.ask(text, asked, None).await;
                answer.map_err(AnalyzerError::Python)?
            }
        };
        let answers: Vec<Answer> = serde_json::from_value(answer)?;
        let mut found = Vec::new();
        for answer in answers {
            let range = bytes(text, answer.start..answer.end).ok_or(AnalyzerError::Place)?;
            let entity = entities.iter().position(|name| *name == answer.entity_type);
            if let Some(entity) =
                entity.filter(|_| answer.score >= threshold && asked.contains(&answer.entity_type))
            {
                found.push(Found {
                    range,
                    score: answer.score,
                    entity,
                });
            }
        }
        Ok(found)
    }
}

/// The bytes of a range of characters.
fn bytes(text: &str, characters: Range<usize>) -> Option<Range<usize>> {
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let start = places.nth(characters.start)?;
    let more = characters.end.checked_sub(characters.start)?;
    let end = match more.checked_sub(1) {
        None => start,
        Some(more) => places.nth(more)?,
    };
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn characters_are_not_bytes() {
        assert_eq!(bytes("é😀a", 1..2), Some(2..6));
        assert_eq!(bytes("é😀a", 0..3), Some(0..7));
        assert_eq!(bytes("é😀a", 3..3), Some(7..7));
        assert_eq!(bytes("é😀a", 2..4), None);
        #[expect(clippy::reversed_empty_ranges, reason = "a service may say so")]
        let reversed = bytes("é😀a", 2..1);
        assert_eq!(reversed, None);
    }
}
