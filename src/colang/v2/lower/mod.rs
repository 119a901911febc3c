//! The tree of a flow to its flat list of elements.

mod groups;
mod operations;
mod when;

use std::sync::Arc;

use super::{
    ast::{FlowDef, Kind, Spec, Statement},
    element::{Condition, Element, EventSpec, Match, Op},
    expression::Expression,
    lexer::Lines,
};
use crate::error::Fault;

/// How many elements a flow may have.
const MAX_ELEMENTS: usize = 20_000;
/// Stands for a target that is not known yet.
const UNKNOWN: usize = usize::MAX;

/// The elements of a flow, with all its faults.
pub(super) fn lower(flow: &FlowDef, lines: &Lines<'_>) -> (Vec<Element>, Vec<Fault>) {
    let mut lowering = Lowering {
        lines,
        flow: &flow.name,
        elements: Vec::new(),
        faults: Vec::new(),
        line: flow.line,
        hidden: 0,
        skipped: 0,
        loops: Vec::new(),
        is_full: false,
    };
    let arguments = [("flow_id".into(), Expression::text(&flow.name))];
    lowering.push(Op::Match(Match {
        event: EventSpec::Named {
            name: "StartFlow".into(),
            arguments: arguments.into_iter().collect(),
        },
        reference: None,
        is_internal: false,
    }));
    lowering.statements(&flow.body);
    if lowering.is_full {
        let message = format!(
            "the flow `{}` is too large: its statements come to more than {MAX_ELEMENTS} steps",
            flow.name
        );
        let fault = lines.fault(flow.span.0, flow.span.1, message);
        lowering.faults.push(fault);
    }
    (lowering.elements, lowering.faults)
}

struct Lowering<'a> {
    lines: &'a Lines<'a>,
    flow: &'a str,
    elements: Vec<Element>,
    faults: Vec<Fault>,
    line: usize,
    /// How many variables, forks and scopes of its own the flow has.
    hidden: usize,
    /// How many elements the reference has before this place that nothing ever reaches, less those that it lacks.
    skipped: isize,
    /// Where `continue` and `break` go to, innermost last, and the gotos of `break` that wait for the end.
    loops: Vec<Loop>,
    is_full: bool,
}

struct Loop {
    begin: usize,
    breaks: Vec<usize>,
}

impl Lowering<'_> {
    fn push(&mut self, op: Op) -> usize {
        let index = self.elements.len();
        if index >= MAX_ELEMENTS {
            self.is_full = true;
            return index.saturating_sub(1);
        }
        self.elements.push(Element {
            op,
            line: self.line,
            position: index.saturating_add_signed(self.skipped),
        });
        index
    }

    /// How many elements there are, counted as the reference counts.
    fn position(&self) -> usize {
        self.elements.len().saturating_add_signed(self.skipped)
    }

    /// An element that the reference does not have.
    fn push_uncounted(&mut self, op: Op) {
        self.push(op);
        self.skipped -= 1;
    }

    fn label(&mut self) -> usize {
        self.push(Op::Label)
    }

    fn goto(&mut self, target: usize) -> usize {
        self.push(Op::Goto {
            target,
            condition: None,
        })
    }

    /// Lets the goto, catch or fork at `at` go to `target`.
    fn aim(&mut self, at: usize, target: usize) {
        match self.elements.get_mut(at).map(|element| &mut element.op) {
            Some(Op::Goto { target: own, .. } | Op::Catch(Some(own))) => *own = target,
            Some(Op::Fork { targets, .. }) => targets.push(target),
            _ => {}
        }
    }

    fn aim_all(&mut self, all: &[usize], target: usize) {
        for at in all {
            self.aim(*at, target);
        }
    }

    /// A number that nothing else in the flow has.
    fn number(&mut self) -> usize {
        self.hidden += 1;
        self.hidden
    }

    /// The name of a variable that no flow has otherwise.
    fn hidden_variable(&mut self, what: &str) -> Arc<str> {
        let number = self.number();
        format!("_{what}_{number} of {}", self.flow).into()
    }

    fn fault(&mut self, span: (usize, usize), message: impl Into<String>) {
        let fault = self.lines.fault(span.0, span.1, message);
        self.faults.push(fault);
    }

    fn fault_at(&mut self, spec: &Spec, message: impl Into<String>) {
        self.fault(spec.span, message);
    }

    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            if self.is_full {
                return;
            }
            self.line = statement.line;
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            Kind::Operation {
                operator,
                group,
                result,
            } => self.operation(*operator, group, result.as_ref()),
            Kind::Assign { variable, value } => self.assign(variable, value.clone()),
            Kind::GenerateValue {
                variable,
                instruction,
            } => {
                let arguments = [
                    ("var_name".into(), Expression::text(variable)),
                    ("instructions".into(), instruction.clone()),
                ];
                self.await_action(
                    "GenerateValueAction",
                    arguments.into_iter().collect(),
                    Some(variable),
                );
            }
            Kind::GenerateSteps => self.generate_steps(),
            Kind::Evaluate(value) => self.assign(&"_".into(), value.clone()),
            Kind::If {
                branches,
                otherwise,
            } => self.branches(branches, otherwise.as_deref()),
            Kind::While { condition, body } => self.while_loop(condition, body),
            Kind::For {
                variable,
                items,
                body,
            } => self.for_loop(variable, items, body),
            Kind::When { cases, otherwise } => self.when(cases, otherwise.as_deref()),
            Kind::Return(value) => {
                self.push(Op::Return(value.clone()));
            }
            Kind::Abort => {
                self.push(Op::Abort);
            }
            Kind::Break => match self.loops.is_empty() {
                true => self.fault(statement.span, "`break` stands in no loop"),
                false => {
                    let goto = self.goto(UNKNOWN);
                    if let Some(innermost) = self.loops.last_mut() {
                        innermost.breaks.push(goto);
                    }
                }
            },
            Kind::Continue => match self.loops.last().map(|innermost| innermost.begin) {
                Some(begin) => {
                    self.goto(begin);
                }
                None => self.fault(statement.span, "`continue` stands in no loop"),
            },
            Kind::Pass => {
                self.push(Op::Pass);
            }
            Kind::Log(value) => {
                self.push(Op::Log(value.clone()));
            }
            Kind::Print(value) => {
                self.push(Op::Print(value.clone()));
            }
            Kind::Priority(value) => {
                self.push(Op::Priority(value.clone()));
            }
            Kind::Global(name) => {
                self.push(Op::Global(Arc::clone(name)));
            }
            Kind::Label(name) => {
                self.push(match &**name {
                    "start_new_flow_instance" => Op::StartNewInstance,
                    _ => Op::Label,
                });
            }
        }
    }

    fn assign(&mut self, variable: &Arc<str>, value: Expression) {
        self.push(Op::Assign {
            variable: Arc::clone(variable),
            value,
        });
    }

    fn goto_unless(&mut self, condition: &Expression) -> usize {
        self.push(Op::Goto {
            target: UNKNOWN,
            condition: Some(Condition {
                value: condition.clone(),
                holds: false,
            }),
        })
    }

    fn branches(
        &mut self,
        branches: &[(Expression, Vec<Statement>)],
        otherwise: Option<&[Statement]>,
    ) {
        let Some(((condition, body), rest)) = branches.split_first() else {
            return;
        };
        let skip = self.goto_unless(condition);
        self.statements(body);
        if rest.is_empty() && otherwise.is_none() {
            let end = self.label();
            self.aim(skip, end);
            return;
        }
        let to_end = self.goto(UNKNOWN);
        let other = self.label();
        self.aim(skip, other);
        if rest.is_empty() {
            self.statements(otherwise.unwrap_or_default());
        } else {
            self.branches(rest, otherwise);
        }
        let end = self.label();
        self.aim(to_end, end);
    }

    fn while_loop(&mut self, condition: &Expression, body: &[Statement]) {
        let begin = self.label();
        let leave = self.goto_unless(condition);
        self.loops.push(Loop {
            begin,
            breaks: vec![leave],
        });
        self.statements(body);
        self.goto(begin);
        self.end_loop();
    }

    fn end_loop(&mut self) {
        let end = self.label();
        let breaks = self.loops.pop().map(|innermost| innermost.breaks);
        self.aim_all(&breaks.unwrap_or_default(), end);
    }

    /// The items are taken once; a hidden variable holds those that are left.
    fn for_loop(&mut self, variable: &Arc<str>, items: &Expression, body: &[Statement]) {
        let rest = self.hidden_variable("items");
        self.push(Op::Assign {
            variable: Arc::clone(&rest),
            value: Expression::Listed(Box::new(items.clone())),
        });
        let begin = self.label();
        let left = Expression::variable(&rest);
        let leave = self.goto_unless(&left);
        self.loops.push(Loop {
            begin,
            breaks: vec![leave],
        });
        self.assign(variable, Expression::FirstOf(Arc::clone(&rest)));
        self.assign(&rest, Expression::RestOf(Arc::clone(&rest)));
        self.statements(body);
        self.goto(begin);
        self.end_loop();
    }
}
