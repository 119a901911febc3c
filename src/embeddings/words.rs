//! Texts compared by their words and parts of words, where there is no model that knows what they mean.

use futures_core::future::BoxFuture;

use super::{Embedding, EmbeddingModel};
use crate::error::ModelError;

/// How many numbers a vector has.
const LENGTH: usize = 512;

/// A vector counts the words of a text and the groups of three letters in them, each at the place that its hash gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words;

impl EmbeddingModel for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
        let vectors = texts.iter().map(|text| vector(text)).collect();
        Box::pin(std::future::ready(Ok(vectors)))
    }
}

fn vector(text: &str) -> Embedding {
    let mut counts = vec![0.0_f32; LENGTH];
    let mut count = |part: &str, weight: f32| {
        if let Some(at) = counts.get_mut(place(part)) {
            *at += weight;
        }
    };
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        count(word, 1.0);
        let letters: Vec<char> = format!("<{word}>").chars().collect();
        for group in letters.windows(3) {
            count(&group.iter().collect::<String>(), 0.3);
        }
    }
    let size = counts.iter().map(|n| n * n).sum::<f32>().sqrt();
    if size > 0.0 {
        counts.iter_mut().for_each(|n| *n /= size);
    }
    counts
}

/// FNV-1a.
fn place(part: &str) -> usize {
    let hash = part.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % LENGTH as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::vector;

    #[test]
    fn texts_of_the_same_words_are_alike() {
        let like = |a: &str, b: &str| -> f32 {
            let (a, b) = (vector(a), vector(b));
            a.iter().zip(&b).map(|(a, b)| a * b).sum()
        };
        let asked = "when does the library open?";
        assert!(like(asked, "When is the library opening") > like(asked, "hello there"));
        assert!((like(asked, asked) - 1.0).abs() < 1e-4);
        assert!(vector("?!").iter().all(|n| *n == 0.0));
    }
}
