//! What a configuration that says nothing about them gets.

/// The general instructions.
pub(super) const INSTRUCTIONS: &str = "This is a conversation between a user and an AI assistant. \
The assistant is friendly, answers at length and to the point, and keeps to what it knows: \
if it has no answer, it says so.";

/// The sample conversation.
pub(super) const SAMPLE_CONVERSATION: &str = r#"user "Hi!"
  express greeting
bot express greeting
  "Hi! What can I help you with?"
user "What kinds of things do you do?"
  ask about capabilities
bot respond about capabilities
  "I answer questions, explain things, and help with drafting and editing texts."
user "Why is the sky blue?"
  ask general question
bot response for general question
  "Air scatters the blue part of sunlight far more than the red part, so blue light reaches us from all over the sky."
user "Say more about that."
  request more information
bot provide more information
  "Short waves are scattered most. In the evening the light has a longer way through the air, so that mostly red is left."
user "Thank you"
  express appreciation
bot express appreciation and offer additional help
  "With pleasure. Ask me whenever there is something else."
"#;
