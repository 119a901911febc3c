//! The categories of Google's text moderation, with what is too much of each.

/// The score above which a text is blocked whatever the category.
pub(super) const SIMPLE_THRESHOLD: f64 = 0.8;

/// The intents of refusals.
pub(super) const ABUSIVE: &str = "inform cannot engage in abusive or harmful behavior";
pub(super) const INAPPROPRIATE: &str = "inform cannot engage with inappropriate content";
pub(super) const SENSITIVE: &str = "inform cannot engage with sensitive content";

struct Category {
    name: &'static str,
    /// The score above which a text is blocked.
    threshold: f64,
    refusal: &'static str,
}

const fn category(name: &'static str, threshold: f64, refusal: &'static str) -> Category {
    Category {
        name,
        threshold,
        refusal,
    }
}

/// The first that a text has too much of decides.
const CATEGORIES: [Category; 16] = [
    category("Toxic", 0.8, ABUSIVE),
    category("Insult", 0.7, ABUSIVE),
    category("Profanity", 0.6, ABUSIVE),
    category("Derogatory", 0.4, ABUSIVE),
    category("Violent", 0.8, ABUSIVE),
    category("Sexual", 0.7, INAPPROPRIATE),
    category("Death, Harm & Tragedy", 0.8, INAPPROPRIATE),
    category("Firearms & Weapons", 0.8, INAPPROPRIATE),
    category("Illicit Drugs", 0.8, SENSITIVE),
    category("Public Safety", 0.8, SENSITIVE),
    category("Health", 0.8, SENSITIVE),
    category("Religion & Belief", 0.8, SENSITIVE),
    category("War & Conflict", 0.8, SENSITIVE),
    category("Politics", 0.8, SENSITIVE),
    category("Finance", 0.8, SENSITIVE),
    category("Legal", 0.8, SENSITIVE),
];

/// The first category of which `scores` has too much.
pub(super) fn triggered(scores: &[(&str, f64)]) -> Option<&'static str> {
    let is_too_much = |category: &&Category| {
        scores
            .iter()
            .any(|(name, score)| *name == category.name && *score > category.threshold)
    };
    CATEGORIES
        .iter()
        .find(is_too_much)
        .map(|category| category.name)
}

/// The intent of the refusal for the category `name`.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    let category = CATEGORIES.iter().find(|category| category.name == name);
    category.map(|category| category.refusal)
}
