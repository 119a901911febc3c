//! Expressions of Colang: Python's, as far as the reference evaluates them.
//!
//! [`Expr::parse`] reads an expression once; [`Expr::eval`] computes it over a [`Scope`], which gives it the variables
//! (`$name`) and functions that it may use. Nothing else can be reached: no attribute that begins with `_`, no import,
//! no function of Python's own. Depth, length and work are limited, so that no expression panics or hangs.
//!
//! The two versions of Colang differ: 1.0 knows neither displays of lists and dictionaries nor functions but `len`;
//! 2.x has both, comprehensions, and inserts `{expression}` into texts (`{{` and `}}` stand for the braces themselves).
//!
//! Methods that change their list or dictionary (`$items.append(1)`) change the variable that it stands in. Since values
//! are copied when written to, the change is handed back: [`Expr::evaluate`] lists the variables to set.
//!
//! ```
//! use tower_guardrails::{colang::expr::{Dialect, Expr}, value::{Dict, Value}};
//!
//! let expr = Expr::parse(r#"$order.total > 10 and "tea" in $order.items_ordered"#, Dialect::V1)?;
//! let scope: Dict = [("order", Value::from_json(&serde_json::json!({"total": 12, "items_ordered": ["tea"]})))]
//!     .into_iter()
//!     .collect();
//! assert_eq!(expr.eval(&scope)?, Value::Bool(true));
//!
//! let greeting = Expr::parse(r#""{$n} times {$n + 1}""#, Dialect::V2)?;
//! assert_eq!(greeting.eval(&[("n", 4)].into_iter().collect::<Dict>())?, Value::from("4 times 5"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod displays;
mod error;
mod eval;
mod functions;
mod lexer;
mod literal;
mod objects;
mod parser;
mod place;
mod scope;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::value::{Dict, Set, Value};

pub(crate) use self::functions::uid;
pub use self::{
    error::{EvalError, ExprError, Span},
    objects::{Comparison, Pattern},
    scope::{NoScope, Scope},
};

/// Which version of Colang an expression belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Colang 1.0.
    V1,
    /// Colang 2.x.
    V2,
}

/// A parsed expression. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Expr {
    text: Arc<str>,
    dialect: Dialect,
    root: Arc<ast::Node>,
}

/// What an expression evaluates to, and what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The value.
    pub value: Value,
    /// The variables whose list, dictionary or set a method changed, with their new values.
    pub changed: Vec<(String, Value)>,
}

impl Expr {
    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// The text is no expression, or uses what the dialect does not have.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, ExprError> {
        let root = parser::parse(text, dialect)?;
        Ok(Self {
            text: Arc::from(text),
            dialect,
            root: Arc::new(root),
        })
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The dialect that it was parsed as.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The names of the variables (`$name`) that the expression reads, each once.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.visit(&mut |node| {
            if let ast::Kind::Variable(name) = &node.kind
                && !names.contains(&&**name)
            {
                names.push(name);
            }
        });
        names
    }

    /// The variables that hold a list, dictionary or set which a method in the expression changes.
    pub(crate) fn changed_variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.visit(&mut |node| {
            let ast::Kind::Method { receiver, name, .. } = &node.kind else {
                return;
            };
            let containers = [
                Value::List(Arc::default()),
                Value::Dict(Dict::new()),
                Value::Set(Set::new()),
            ];
            if !containers.iter().any(|value| value.is_changed_by(name)) {
                return;
            }
            let mut owner = &**receiver;
            while let ast::Kind::Item(of, _) | ast::Kind::Attribute(of, _) = &owner.kind {
                owner = of;
            }
            if let ast::Kind::Variable(name) = &owner.kind
                && !names.contains(&&**name)
            {
                names.push(name);
            }
        });
        names
    }

    /// The value, if it is the same everywhere and no work to find.
    pub(crate) fn constant(&self) -> Option<&Value> {
        match &self.root.kind {
            ast::Kind::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The variable that the expression is, if it is nothing else.
    pub(crate) fn as_variable(&self) -> Option<&str> {
        match &self.root.kind {
            ast::Kind::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// The value, where nothing can be or need be changed.
    ///
    /// # Errors
    ///
    /// The evaluation failed, see [`Expr::evaluate`].
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        self.evaluate(scope).map(|evaluation| evaluation.value)
    }

    /// The value, and the variables to set after it.
    ///
    /// # Errors
    ///
    /// An operation that its values do not support, a name that is not known, or a limit that was reached.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Evaluation, EvalError> {
        eval::run(self, scope)
    }
}
