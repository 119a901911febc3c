//! What a function or method is called with.

use crate::value::{Value, ValueError};

/// The arguments of a call: positional ones, then named ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arguments {
    /// The positional arguments.
    pub positional: Vec<Value>,
    /// The named arguments, in the order of the call.
    pub named: Vec<(String, Value)>,
}

impl Arguments {
    /// No arguments.
    pub fn none() -> Self {
        Self::default()
    }

    /// Positional arguments only.
    pub fn positional(values: impl IntoIterator<Item = Value>) -> Self {
        Self {
            positional: values.into_iter().collect(),
            named: Vec::new(),
        }
    }

    /// The arguments in the order of the parameters `names`, none for those not given.
    ///
    /// # Errors
    ///
    /// One of the first `required` parameters is missing, there are too many arguments, or one has an unknown name or
    /// is given twice.
    pub fn bind<const N: usize>(
        &self,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<&Value>; N], ValueError> {
        let mut bound = [None; N];
        if self.positional.len() > N {
            return Err(ValueError::type_error(format!(
                "at most {N} arguments are taken, {} were given",
                self.positional.len()
            )));
        }
        for (slot, value) in bound.iter_mut().zip(&self.positional) {
            *slot = Some(value);
        }
        for (name, value) in &self.named {
            let slot = names
                .iter()
                .zip(bound.iter_mut())
                .find(|(own, _)| *own == name)
                .map(|(_, slot)| slot);
            match slot {
                Some(slot) if slot.is_none() => *slot = Some(value),
                Some(_) => {
                    return Err(ValueError::type_error(format!(
                        "the argument `{name}` is given twice"
                    )));
                }
                None => {
                    return Err(ValueError::type_error(format!(
                        "there is no argument `{name}`"
                    )));
                }
            }
        }
        match names
            .iter()
            .zip(&bound)
            .take(required)
            .find(|(_, slot)| slot.is_none())
        {
            Some((name, _)) => Err(ValueError::type_error(format!(
                "the argument `{name}` is missing"
            ))),
            None => Ok(bound),
        }
    }

    /// The arguments that must all be given.
    ///
    /// # Errors
    ///
    /// As [`Arguments::bind`].
    pub fn all<const N: usize>(&self, names: [&str; N]) -> Result<[&Value; N], ValueError> {
        let bound = self.bind(names, N)?;
        // None is missing: all are required.
        Ok(bound.map(|value| value.unwrap_or(&Value::None)))
    }
}
