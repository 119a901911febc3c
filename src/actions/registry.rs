//! Actions by name.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use super::action::Action;

/// The actions that flows may call, by name.
#[derive(Clone, Default)]
pub struct Registry {
    actions: HashMap<String, Arc<dyn Action>>,
    /// Which of them the directory's Python defines.
    of_python: HashSet<String>,
}

impl Registry {
    /// Registers `action` as `name`, in place of any other of this name.
    pub fn insert(&mut self, name: impl Into<String>, action: Arc<dyn Action>) {
        self.actions.insert(name.into(), action);
    }

    /// The action that a flow calls `name`; `LookupOrderAction` also finds `lookup_order`.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Action>> {
        self.actions
            .get(name)
            .or_else(|| self.actions.get(&normalized(name)))
    }

    /// Adds an action of the directory's Python, unless the application has registered another of this name.
    pub(crate) fn insert_python(&mut self, name: String, action: Arc<dyn Action>) {
        if !self.actions.contains_key(&name) {
            self.of_python.insert(name.clone());
            self.actions.insert(name, action);
        }
    }

    /// Whether the action that a flow calls `name` is one of the directory's Python.
    pub(crate) fn is_of_python(&self, name: &str) -> bool {
        match self.actions.contains_key(name) {
            true => self.of_python.contains(name),
            false => self.of_python.contains(&normalized(name)),
        }
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.actions.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// `LookupOrderAction` as `lookup_order`.
pub(crate) fn normalized(name: &str) -> String {
    let name = if name.ends_with("Action") {
        name.replace("Action", "")
    } else {
        name.to_owned()
    };
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before: Option<char> = None;
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_uppercase() {
            let after_word =
                before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit());
            let starts_word = before.is_some_and(char::is_uppercase)
                && characters.peek().is_some_and(|next| next.is_lowercase());
            if after_word || starts_word {
                snake.push('_');
            }
            snake.extend(character.to_lowercase());
        } else {
            snake.push(character);
        }
        before = Some(character);
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn class_names_find_their_functions() {
        assert_eq!(normalized("LookupOrderAction"), "lookup_order");
        assert_eq!(normalized("CheckHTTPStatus"), "check_http_status");
        assert_eq!(normalized("lookup_order"), "lookup_order");
    }
}
