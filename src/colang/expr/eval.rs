//! Computes a parsed expression.

use std::sync::Arc;

use super::{
    Dialect, EvalError, Evaluation, Expr, Scope, Span,
    ast::{Call, Comparator, Kind, Logic, Loop, Node, Piece, Target, Unary},
    error::{At, Failure},
    functions,
    place::{Place, attribute},
};
use crate::value::{
    Arguments, Dict, Key, MAX_LENGTH, MAX_NESTING, Slice, Value, ValueError, entries,
};

/// How much one evaluation may do: nodes visited, and characters and elements made (in sixteens).
const MAX_WORK: usize = 2_000_000;
/// How many elements all comprehensions of an expression may go through (the reference's own limit).
const MAX_ITERATIONS: usize = 10_000;

pub(super) fn run(expr: &Expr, scope: &dyn Scope) -> Result<Evaluation, EvalError> {
    let mut run = Run {
        scope,
        dialect: expr.dialect,
        variables: Vec::new(),
        names: Vec::new(),
        work: MAX_WORK,
        iterations: 0,
    };
    match run.eval(&expr.root) {
        Ok(value) => {
            let changed = run
                .variables
                .into_iter()
                .filter(|variable| variable.changed);
            let changed = changed
                .map(|variable| (variable.name.to_string(), variable.value))
                .collect();
            Ok(Evaluation { value, changed })
        }
        Err(Failure { span, error }) => Err(EvalError {
            expression: Arc::clone(&expr.text),
            span,
            source: error,
        }),
    }
}

/// A variable that the expression has read.
struct Variable {
    name: Arc<str>,
    value: Value,
    changed: bool,
}

/// One evaluation.
pub(super) struct Run<'a> {
    scope: &'a dyn Scope,
    pub(super) dialect: Dialect,
    variables: Vec<Variable>,
    /// The names that comprehensions bind, innermost last.
    names: Vec<(Arc<str>, Value)>,
    work: usize,
    iterations: usize,
}

impl Run<'_> {
    pub(super) fn eval(&mut self, node: &Node) -> Result<Value, Failure> {
        self.charge(1, node.span)?;
        match &node.kind {
            Kind::Constant(value) => Ok(value.clone()),
            Kind::Unavailable(what) => Err(ValueError::type_error(format!(
                "{what} are not available here"
            )))
            .at(node.span),
            Kind::Text(pieces) => self.text(pieces, node.span),
            Kind::Variable(name) => Ok(self.variable_or_name(name)),
            Kind::Name(name) => self.name(name, node.span),
            Kind::Unary(operator, operand) => self.unary(*operator, operand, node.span),
            Kind::Binary(operator, left, right) => {
                let left = self.eval(left)?;
                let right = self.eval(right)?;
                let value = left.binary(*operator, &right).at(node.span)?;
                self.made(value, node.span)
            }
            Kind::Logic(logic, operands) => self.logic(*logic, operands),
            Kind::Compare(first, rest) => self.compare(first, rest, node.span),
            Kind::Conditional {
                test,
                then,
                otherwise,
            } => {
                let chosen = if self.eval(test)?.is_truthy() {
                    then
                } else {
                    otherwise
                };
                self.eval(chosen)
            }
            Kind::Item(of, key) => {
                let of = self.eval(of)?;
                let key = self.eval(key)?;
                of.item(&key).at(node.span)
            }
            Kind::Slice {
                of,
                lower,
                upper,
                step,
            } => {
                let of = self.eval(of)?;
                let slice = Slice {
                    lower: self.eval_or_none(lower.as_deref())?,
                    upper: self.eval_or_none(upper.as_deref())?,
                    step: self.eval_or_none(step.as_deref())?,
                };
                let value = of.slice(&slice).at(node.span)?;
                self.made(value, node.span)
            }
            Kind::Attribute(of, name) => {
                let of = self.eval(of)?;
                self.attribute(&of, name).at(node.span)
            }
            Kind::Method {
                receiver,
                name,
                call,
            } => self.method(receiver, name, call, node.span),
            Kind::Function { name, call } => self.function(name, call, node.span),
            Kind::List(_) | Kind::Tuple(_) | Kind::Set(_) | Kind::Dict(_) => {
                let value = self.display(&node.kind)?;
                self.made(value, node.span)
            }
            Kind::ListOf { element, loops } => {
                let mut items = Vec::new();
                self.each(loops, node.span, &mut |run| {
                    items.push(run.eval(element)?);
                    Ok(())
                })?;
                self.made(Value::list(items), node.span)
            }
            Kind::DictOf { key, value, loops } => {
                let mut dict = Dict::new();
                self.each(loops, node.span, &mut |run| {
                    // The value first, like the reference.
                    let value = run.eval(value)?;
                    let own = run.eval(key)?;
                    dict.insert(Key::new(own).at(key.span)?, value);
                    Ok(())
                })?;
                self.made(Value::Dict(dict), node.span)
            }
        }
    }

    fn eval_or_none(&mut self, node: Option<&Node>) -> Result<Value, Failure> {
        node.map_or(Ok(Value::None), |node| self.eval(node))
    }

    fn charge(&mut self, work: usize, span: Span) -> Result<(), Failure> {
        match self.work.checked_sub(work) {
            Some(rest) => {
                self.work = rest;
                Ok(())
            }
            None => Err(ValueError::limit("the expression takes too much work")).at(span),
        }
    }

    /// A value that an operation made, if it is not too large and not nested too deep.
    pub(super) fn made(&mut self, value: Value, span: Span) -> Result<Value, Failure> {
        if value.walks_within(MAX_NESTING, &mut self.work) {
            Ok(value)
        } else {
            Err(ValueError::limit(
                "the value becomes too large or is nested too deep",
            ))
            .at(span)
        }
    }

    /// The value of `$name`, read from the scope once.
    pub(super) fn variable(&mut self, name: &Arc<str>) -> Value {
        if let Some(known) = self
            .variables
            .iter()
            .find(|variable| variable.name == *name)
        {
            return known.value.clone();
        }
        let value = match self.scope.variable(name) {
            Some(Value::Dict(dict)) => Value::Dict(dict.with_attributes(true)),
            other => other.unwrap_or_default(),
        };
        self.variables.push(Variable {
            name: Arc::clone(name),
            value: value.clone(),
            changed: false,
        });
        value
    }

    /// Changes a variable that was read before.
    pub(super) fn set_variable(&mut self, name: &str, value: Value, hand_back: bool) {
        if let Some(known) = self
            .variables
            .iter_mut()
            .find(|variable| *variable.name == *name)
        {
            known.value = value;
            known.changed |= hand_back;
        }
    }

    /// `value.name`.
    pub(super) fn attribute(&self, value: &Value, name: &str) -> Result<Value, ValueError> {
        if let Value::Object(object) = value {
            allowed(name)?;
            if let Some(found) = self.scope.attribute(object.as_ref(), name) {
                return Ok(found);
            }
        }
        attribute(value, name)
    }

    pub(super) fn scope(&self) -> &dyn Scope {
        self.scope
    }

    fn variable_or_name(&mut self, name: &Arc<str>) -> Value {
        let bound = self
            .names
            .iter()
            .rev()
            .find(|(own, _)| own.strip_prefix('$') == Some(name));
        if let Some((_, value)) = bound {
            return value.clone();
        }
        self.variable(name)
    }

    pub(super) fn is_bound(&self, name: &str) -> bool {
        self.names
            .iter()
            .any(|(own, _)| own.strip_prefix('$') == Some(name))
    }

    fn name(&self, name: &Arc<str>, span: Span) -> Result<Value, Failure> {
        let bound = self.names.iter().rev().find(|(own, _)| own == name);
        bound
            .map(|(_, value)| value.clone())
            .ok_or_else(|| Failure {
                span,
                error: ValueError::attribute(format!(
                    "the name `{name}` is not known; a variable is written `${name}`"
                )),
            })
    }

    fn text(&mut self, pieces: &[Piece], span: Span) -> Result<Value, Failure> {
        let mut out = String::new();
        let mut length = 0;
        for piece in pieces {
            let start = out.len();
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Inserted { node, spec } => {
                    let value = self.eval(node)?;
                    let spec = match spec {
                        Some(spec) => self.text(spec, span)?,
                        None => Value::None,
                    };
                    match spec.as_str() {
                        Some(spec) => out.push_str(&value.format(spec).at(node.span)?),
                        None => out.push_str(&value.to_string()),
                    }
                }
            }
            length += out.get(start..).unwrap_or_default().chars().count();
            if length > MAX_LENGTH {
                return Err(ValueError::limit(
                    "the text becomes longer than 100000 characters",
                ))
                .at(span);
            }
        }
        self.made(Value::from(out), span)
    }

    fn unary(&mut self, operator: Unary, operand: &Node, span: Span) -> Result<Value, Failure> {
        let value = self.eval(operand)?;
        match operator {
            Unary::Not => Ok(Value::Bool(!value.is_truthy())),
            Unary::Negate => value.negate().at(span),
            Unary::Positive => value.positive().at(span),
            Unary::Invert => value.invert().at(span),
        }
    }

    /// The operand that decides, as it is.
    fn logic(&mut self, logic: Logic, operands: &[Node]) -> Result<Value, Failure> {
        let mut last = Value::Bool(false);
        for operand in operands {
            last = self.eval(operand)?;
            if last.is_truthy() == (logic == Logic::Or) {
                break;
            }
        }
        Ok(last)
    }

    fn compare(
        &mut self,
        first: &Node,
        rest: &[(Comparator, Node)],
        span: Span,
    ) -> Result<Value, Failure> {
        let mut left = self.eval(first)?;
        let mut holds = true;
        for (comparator, node) in rest {
            if !holds {
                break;
            }
            let right = self.eval(node)?;
            self.charge(
                1 + left.length().unwrap_or(0).max(right.length().unwrap_or(0)) / 16,
                span,
            )?;
            holds = match comparator {
                Comparator::Equal => left == right,
                Comparator::NotEqual => left != right,
                Comparator::Ordered(order) => left.ordered(*order, &right).at(span)?,
                Comparator::In => right.contains(&left).at(span)?,
                Comparator::NotIn => !right.contains(&left).at(span)?,
                Comparator::Is => left.is_same(&right),
                Comparator::IsNot => !left.is_same(&right),
            };
            left = right;
        }
        Ok(Value::Bool(holds))
    }

    fn display(&mut self, kind: &Kind) -> Result<Value, Failure> {
        match kind {
            Kind::List(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for (starred, node) in nodes {
                    let value = self.eval(node)?;
                    if *starred {
                        let more = value.iterate().at(node.span)?;
                        self.charge(more.len(), node.span)?;
                        items.extend(more);
                    } else {
                        items.push(value);
                    }
                }
                Ok(Value::list(items))
            }
            Kind::Set(nodes) => {
                let keys = nodes.iter().map(|node| {
                    let value = self.eval(node)?;
                    Key::new(value).at(node.span)
                });
                Ok(Value::Set(keys.collect::<Result<_, _>>()?))
            }
            Kind::Dict(nodes) => {
                let mut dict = Dict::new();
                for (key, node) in nodes {
                    match key {
                        Some(key) => {
                            // The value first, like the reference.
                            let value = self.eval(node)?;
                            let own = self.eval(key)?;
                            dict.insert(Key::new(own).at(key.span)?, value);
                        }
                        None => {
                            let more = self.eval(node)?;
                            let more = entries(&more).at(node.span)?;
                            self.charge(more.len(), node.span)?;
                            dict.extend(more);
                        }
                    }
                }
                Ok(Value::Dict(dict))
            }
            Kind::Tuple(nodes) => {
                let items: Result<Vec<Value>, Failure> =
                    nodes.iter().map(|node| self.eval(node)).collect();
                Ok(Value::tuple(items?))
            }
            _ => Ok(Value::None),
        }
    }

    /// Runs `body` for each round of nested loops.
    fn each(
        &mut self,
        loops: &[Loop],
        span: Span,
        body: &mut dyn FnMut(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some((first, inner)) = loops.split_first() else {
            return body(self);
        };
        let iterable = self.eval(&first.iterable)?;
        let items = iterable.iterate().at(first.iterable.span)?;
        self.charge(items.len(), span)?;
        let outer = self.names.len();
        for item in items {
            self.iterations += 1;
            if self.iterations > MAX_ITERATIONS {
                return Err(ValueError::limit(
                    "comprehensions go through more than 10000 elements",
                ))
                .at(span);
            }
            bind(&mut self.names, &first.target, item).at(span)?;
            let mut passes = true;
            for condition in &first.conditions {
                passes = passes && self.eval(condition)?.is_truthy();
            }
            if passes {
                self.each(inner, span, body)?;
            }
            self.names.truncate(outer);
        }
        Ok(())
    }

    fn arguments(&mut self, call: &Call) -> Result<Arguments, Failure> {
        let positional = call
            .positional
            .iter()
            .map(|node| self.eval(node))
            .collect::<Result<_, _>>()?;
        let named = call
            .named
            .iter()
            .map(|(name, node)| Ok((name.to_string(), self.eval(node)?)))
            .collect::<Result<_, Failure>>()?;
        Ok(Arguments { positional, named })
    }

    fn function(&mut self, name: &Arc<str>, call: &Call, span: Span) -> Result<Value, Failure> {
        let arguments = self.arguments(call)?;
        self.charge_arguments(&arguments, span)?;
        let result = self
            .scope
            .call(name, &arguments)
            .or_else(|| functions::call(name, &arguments, self.dialect))
            .unwrap_or_else(|| {
                Err(ValueError::attribute(format!(
                    "there is no function `{name}`"
                )))
            });
        let value = result.at(span)?;
        self.made(value, span)
    }

    fn method(
        &mut self,
        receiver: &Node,
        name: &str,
        call: &Call,
        span: Span,
    ) -> Result<Value, Failure> {
        allowed(name).at(span)?;
        let place = Place::of(self, receiver)?;
        let mut value = match &place {
            Some(place) => place.get(self).at(receiver.span)?,
            None => self.eval(receiver)?,
        };
        let is_object = matches!(value, Value::Object(_));
        if !value.has_method(name) && !is_object {
            // Fails where there is no such attribute; what is there cannot be called.
            self.attribute(&value, name).at(span)?;
            return Err(ValueError::type_error(format!("`{name}` is not a method"))).at(span);
        }
        let arguments = self.arguments(call)?;
        self.charge_arguments(&arguments, span)?;
        self.charge(value.length().unwrap_or(0) / 16, span)?;
        if let Some(place) = place.filter(|_| value.is_changed_by(name)) {
            drop(value);
            return place.change(self, span, |value| value.call_method(name, &arguments));
        }
        let result = value.call_method(name, &arguments).at(span)?;
        self.made(result, span)
    }

    /// What a call may cost for the sizes of its arguments.
    fn charge_arguments(&mut self, arguments: &Arguments, span: Span) -> Result<(), Failure> {
        let sizes = arguments
            .positional
            .iter()
            .map(|value| value.length().unwrap_or(0) / 16);
        self.charge(1 + sizes.sum::<usize>(), span)
    }
}

/// Attributes that no expression may reach (the reference's own rule).
pub(super) fn allowed(name: &str) -> Result<(), ValueError> {
    const FORBIDDEN: &[&str] = &[
        "format",
        "format_map",
        "mro",
        "tb_frame",
        "gi_frame",
        "ag_frame",
        "cr_frame",
        "exec",
    ];
    if name.starts_with('_') || name.starts_with("func_") || FORBIDDEN.contains(&name) {
        return Err(ValueError::attribute(format!(
            "the attribute `{name}` is out of reach"
        )));
    }
    Ok(())
}

/// Binds a loop's names to an element.
fn bind(
    names: &mut Vec<(Arc<str>, Value)>,
    target: &Target,
    value: Value,
) -> Result<(), ValueError> {
    match target {
        Target::Name(name) => names.push((Arc::clone(name), value)),
        Target::Unpack(targets) => {
            // Like the reference, which pairs them up as far as both go.
            for (target, value) in targets.iter().zip(value.iterate()?) {
                bind(names, target, value)?;
            }
        }
    }
    Ok(())
}
