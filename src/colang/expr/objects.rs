//! Objects that functions of Colang 2.x make: compiled patterns and comparisons.

use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};

use crate::value::{Arguments, Object, Order, Value, ValueError};

/// How often a pattern may go back on one text.
const BACKTRACK_LIMIT: usize = 100_000;
/// The memory that a compiled pattern may take, in bytes.
const PATTERN_SIZE: usize = 1 << 20;
/// The longest text of a pattern, in bytes.
const PATTERN_LENGTH: usize = 10_000;

/// What `regex("…")` makes: a pattern that a text may hold.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    regex: Arc<Regex>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// The pattern is not valid or too large.
    pub fn new(pattern: &str) -> Result<Self, ValueError> {
        if pattern.len() > PATTERN_LENGTH {
            return Err(ValueError::limit("a pattern has at most 10000 characters"));
        }
        let regex = RegexBuilder::new(pattern)
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(PATTERN_SIZE)
            .build()
            .map_err(|error| ValueError::invalid(format!("the pattern is not valid: {error}")))?;
        Ok(Self {
            text: Arc::from(pattern),
            regex: Arc::new(regex),
        })
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern is found anywhere in the text.
    ///
    /// # Errors
    ///
    /// The search takes too long.
    pub fn search(&self, text: &str) -> Result<bool, ValueError> {
        self.regex.is_match(text).map_err(|error| too_long(&error))
    }

    /// All matches that do not overlap: the text of the match; of its group, if it has one; a tuple of its groups, if it
    /// has several.
    ///
    /// # Errors
    ///
    /// The search takes too long.
    pub fn find_all(&self, text: &str) -> Result<Value, ValueError> {
        let mut found = Vec::new();
        for captures in self.regex.captures_iter(text) {
            let captures = captures.map_err(|error| too_long(&error))?;
            let group = |index: usize| {
                Value::from(captures.get(index).map_or("", |matched| matched.as_str()))
            };
            found.push(match captures.len() {
                0 | 1 => group(0),
                2 => group(1),
                groups => Value::tuple((1..groups).map(group)),
            });
        }
        Ok(Value::list(found))
    }
}

fn too_long(error: &fancy_regex::Error) -> ValueError {
    ValueError::limit(format!("the search for a pattern was given up: {error}"))
}

impl Object for Pattern {
    fn type_name(&self) -> &str {
        "Pattern"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        (name == "pattern").then(|| Value::from(&*self.text))
    }

    fn call(&self, name: &str, arguments: &Arguments) -> Option<Result<Value, ValueError>> {
        (name == "findall").then(|| {
            let [text] = arguments.all(["string"])?;
            self.find_all(
                text.as_str()
                    .ok_or_else(|| ValueError::type_error("a text is needed"))?,
            )
        })
    }

    fn text(&self) -> String {
        format!("re.compile({})", Value::from(&*self.text).repr())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other
            .downcast_ref::<Self>()
            .is_some_and(|other| other.text == self.text)
    }
}

/// What `less_than(3)` and its like make: a comparison that the value of an event's argument must meet.
#[derive(Debug, Clone)]
pub struct Comparison {
    test: Test,
    reference: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Ordered(Order),
    NotEqual,
}

impl Comparison {
    /// The function that makes this comparison, and what it compares with.
    pub(crate) fn parts(&self) -> (&'static str, &Value) {
        let name = match self.test {
            Test::Ordered(Order::Less) => "less_than",
            Test::Ordered(Order::LessOrEqual) => "equal_less_than",
            Test::Ordered(Order::Greater) => "greater_than",
            Test::Ordered(Order::GreaterOrEqual) => "equal_greater_than",
            Test::NotEqual => "not_equal_to",
        };
        (name, &self.reference)
    }

    /// The comparison that a function of Colang 2.x makes, none for other functions.
    pub(crate) fn of_function(name: &str, reference: &Value) -> Option<Result<Self, ValueError>> {
        let test = match name {
            "less_than" => Test::Ordered(Order::Less),
            "equal_less_than" => Test::Ordered(Order::LessOrEqual),
            "greater_than" => Test::Ordered(Order::Greater),
            "equal_greater_than" => Test::Ordered(Order::GreaterOrEqual),
            "not_equal_to" => Test::NotEqual,
            _ => return None,
        };
        Some(match reference.as_float() {
            Some(_) => Ok(Self {
                test,
                reference: reference.clone(),
            }),
            None => Err(ValueError::type_error(format!(
                "a comparison needs a number, not a value of type {}",
                reference.type_name()
            ))),
        })
    }

    /// Whether the value meets the comparison.
    ///
    /// # Errors
    ///
    /// The value is no number of the reference's type.
    pub fn compare(&self, value: &Value) -> Result<bool, ValueError> {
        let value = value.plain();
        let same_type = match self.reference {
            Value::Float(_) => matches!(value, Value::Float(_)),
            Value::Bool(_) => matches!(value, Value::Bool(_)),
            _ => value.as_int().is_some(),
        };
        if !same_type {
            return Err(ValueError::type_error(format!(
                "a value of type {} cannot be compared with one of type {}",
                value.type_name(),
                self.reference.type_name()
            )));
        }
        match self.test {
            Test::Ordered(order) => value.ordered(order, &self.reference),
            Test::NotEqual => Ok(*value != self.reference),
        }
    }
}

impl Object for Comparison {
    fn type_name(&self) -> &str {
        "ComparisonExpression"
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other
            .downcast_ref::<Self>()
            .is_some_and(|other| other.test == self.test && other.reference == self.reference)
    }

    fn text(&self) -> String {
        let symbol = match self.test {
            Test::Ordered(Order::Less) => "<",
            Test::Ordered(Order::LessOrEqual) => "<=",
            Test::Ordered(Order::Greater) => ">",
            Test::Ordered(Order::GreaterOrEqual) => ">=",
            Test::NotEqual => "!=",
        };
        format!("{symbol} {}", self.reference)
    }
}
