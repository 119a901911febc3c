//! OpenAI Chat Completions, and all that speak it.

#[derive(Debug)]
pub struct OpenAiChat;
