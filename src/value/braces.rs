//! `"{} and {name:>8}".format(…)`.

use super::{Dict, Value, ValueError, types::MAX_LENGTH};

/// How deep fields may stand in the specifications of fields, as in Python.
const DEPTH: usize = 2;

/// `template.format(*positional, **named)`.
///
/// # Errors
///
/// A field that is not closed, that nothing is given for, or that takes no such specification; an attribute, which only the
/// host's objects have.
pub(crate) fn format_braces(
    template: &str,
    positional: &[Value],
    named: &Dict,
) -> Result<String, ValueError> {
    let mut fields = Fields {
        positional,
        named,
        next: Some(0),
    };
    fields.format(template, DEPTH)
}

struct Fields<'a> {
    positional: &'a [Value],
    named: &'a Dict,
    /// The next field without a name; none where fields are numbered by hand.
    next: Option<usize>,
}

impl Fields<'_> {
    fn format(&mut self, template: &str, depth: usize) -> Result<String, ValueError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ValueError::invalid("a field is nested too deep"));
        };
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            if from.starts_with("{{") || from.starts_with("}}") {
                out.push_str(from.get(..1).unwrap_or_default());
                rest = from.get(2..).unwrap_or_default();
                continue;
            }
            let inner = from
                .strip_prefix('{')
                .ok_or_else(|| ValueError::invalid("a single `}` in a format"))?;
            let end = field_end(inner)
                .ok_or_else(|| ValueError::invalid("a field of a format is not closed"))?;
            let (field, after) = inner.split_at(end);
            out.push_str(&self.field(field, depth)?);
            rest = after.get(1..).unwrap_or_default();
            if out.len() > MAX_LENGTH {
                return Err(ValueError::limit(
                    "the result would be longer than 100000 characters",
                ));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// `name!r:spec`
    fn field(&mut self, field: &str, depth: usize) -> Result<String, ValueError> {
        let (head, spec) = match outside_brackets(field, ':') {
            Some(at) => (
                field.get(..at).unwrap_or_default(),
                field.get(at + 1..).unwrap_or_default(),
            ),
            None => (field, ""),
        };
        let (name, conversion) = match outside_brackets(head, '!') {
            Some(at) => (
                head.get(..at).unwrap_or_default(),
                head.get(at + 1..).unwrap_or_default(),
            ),
            None => (head, ""),
        };
        let value = self.value(name)?;
        let value = match conversion {
            "" => value,
            "s" => Value::from(value.to_string()),
            "r" | "a" => Value::from(value.repr()),
            _ => return Err(ValueError::invalid("a conversion is `s`, `r` or `a`")),
        };
        let spec = if spec.contains('{') {
            self.format(spec, depth)?
        } else {
            spec.to_owned()
        };
        value.format(&spec)
    }

    /// What `name` (`0`, `name`, `0[key]`, or nothing) stands for.
    fn value(&mut self, name: &str) -> Result<Value, ValueError> {
        let end = name.find(['[', '.']).unwrap_or(name.len());
        let (first, mut path) = name.split_at(end);
        let mut value = if first.is_empty() {
            let index = self.next.ok_or_else(mixed)?;
            self.next = Some(index + 1);
            self.positional(index)?
        } else if let Ok(index) = first.parse::<usize>() {
            if self.next.is_some_and(|next| next > 0) {
                return Err(mixed());
            }
            self.next = None;
            self.positional(index)?
        } else {
            let found = self.named.get(first).cloned();
            found.ok_or_else(|| ValueError::key(format!("no value for the field `{first}`")))?
        };
        while let Some(inner) = path.strip_prefix('[') {
            let end = inner
                .find(']')
                .ok_or_else(|| ValueError::invalid("a `[` in a field is not closed"))?;
            let key = inner.get(..end).unwrap_or_default();
            let key = match key.parse::<i64>() {
                Ok(index) => Value::from(index),
                Err(_) => Value::from(key),
            };
            value = value.item(&key)?;
            path = inner.get(end + 1..).unwrap_or_default();
        }
        if path.is_empty() {
            Ok(value)
        } else {
            Err(ValueError::attribute(
                "a field of a format cannot read attributes",
            ))
        }
    }

    fn positional(&self, index: usize) -> Result<Value, ValueError> {
        let found = self.positional.get(index).cloned();
        found.ok_or_else(|| ValueError::index(format!("no value for the field {index}")))
    }
}

fn mixed() -> ValueError {
    ValueError::invalid("fields are either numbered or not")
}

/// The place of the `}` that closes the field.
fn field_end(inner: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The place of `sign` outside of `[…]`.
fn outside_brackets(text: &str, sign: char) -> Option<usize> {
    let mut inside = false;
    text.char_indices().find_map(|(index, character)| {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        (character == sign && !inside).then_some(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_python_does() {
        let named: Dict = [("x", Value::from("n"))].into_iter().collect();
        let positional = [
            Value::from("it's"),
            Value::from(1.5),
            Value::dict([("a", Value::list([1, 2]))]),
        ];
        let cases = [
            ("{} {}", Some("it's 1.5")),
            ("{1}{0}{x}", Some("1.5it'sn")),
            ("{0!r:>8}|{1:.2f}", Some("  \"it's\"|1.50")),
            ("{0:{1}}", Some("it's")),
            ("{2[a][1]}", Some("2")),
            ("{{}}{}", Some("{}it's")),
            ("{1:.0%}", Some("150%")),
            ("{:*^{width}}", None),
            ("{", None),
            ("}", None),
            ("{9}", None),
            ("{y}", None),
            ("{}{0}", None),
            ("{0}{}", None),
            ("{0.real}", None),
        ];
        for (template, expected) in cases {
            let text = format_braces(template, &positional, &named).ok();
            assert_eq!(text.as_deref(), expected, "{template}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_format_is_survived(template in r"[{}:!\[\]a0.>9 ]{0,30}") {
            let _ = format_braces(&template, &[Value::from(1)], &Dict::new());
        }
    }
}
