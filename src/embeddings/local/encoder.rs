//! The model itself: tokens, their vectors, and the vector of the text.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{Tokenizer, TruncationParams};

use super::folder::{Folder, Pooling};

/// Why there is no vector.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncoderError {
    /// A file cannot be read, or says something else than it should.
    #[error("the embedding model in {folder}: {message}")]
    Folder { folder: String, message: String },
    /// The tokenizer fails.
    #[error("the tokenizer fails: {0}")]
    Tokenizer(String),
    /// The computation fails.
    #[error("the vector cannot be computed")]
    Compute(#[from] candle_core::Error),
}

/// A model whose weights are in memory.
pub(super) struct Encoder {
    tokenizer: Tokenizer,
    model: BertModel,
    pooling: Pooling,
    normalizes: bool,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("pooling", &self.pooling)
            .field("normalizes", &self.normalizes)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Reads the files of `folder`.
    pub(super) fn read(folder: &Folder) -> Result<Self, EncoderError> {
        let wrong = |message: String| EncoderError::Folder {
            folder: folder.path.display().to_string(),
            message,
        };
        let config = folder.read::<Config>("config.json").map_err(wrong)?;
        let config = config.ok_or_else(|| wrong("there is no `config.json`".to_owned()))?;
        let most_tokens = folder.most_tokens().map_err(wrong)?;
        let mut tokenizer = Tokenizer::from_file(folder.path.join("tokenizer.json"))
            .map_err(|error| wrong(format!("`tokenizer.json`: {error}")))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length: most_tokens.min(config.max_position_embeddings),
                ..TruncationParams::default()
            }))
            .map_err(|error| wrong(format!("`tokenizer.json`: {error}")))?;
        let weights = std::fs::read(folder.path.join("model.safetensors"))
            .map_err(|error| wrong(format!("`model.safetensors`: {error}")))?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .map_err(|error| wrong(format!("`model.safetensors`: {error}")))?;
        let model = BertModel::load(weights, &config)
            .map_err(|error| wrong(format!("`model.safetensors`: {error}")))?;
        Ok(Self {
            tokenizer,
            model,
            pooling: folder.pooling().map_err(wrong)?,
            normalizes: folder.normalizes().map_err(wrong)?,
        })
    }

    /// The vector of `text`, of as much of it as the model takes.
    pub(super) fn embed(&self, text: &str) -> Result<Vec<f32>, EncoderError> {
        let tokens = self
            .tokenizer
            .encode(text, true)
            .map_err(|error| EncoderError::Tokenizer(error.to_string()))?;
        let ids = Tensor::new(tokens.get_ids(), &Device::Cpu)?.unsqueeze(0)?;
        let kinds = ids.zeros_like()?;
        let vectors = self.model.forward(&ids, &kinds, None)?.squeeze(0)?;
        let vector = match self.pooling {
            Pooling::Mean => vectors.mean(0)?,
            Pooling::First => vectors.get(0)?,
        };
        let mut vector: Vec<f32> = vector.to_vec1()?;
        if self.normalizes {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
        Ok(vector)
    }
}
