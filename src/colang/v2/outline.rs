//! What flows do, read off their statements without running them: for checks of a flow before it is used.

use std::sync::Arc;

use super::{
    ast::{Arguments, Group, Kind, Operator, Spec, Statement, Subject},
    expression::Expression,
    program::Flow,
};
use crate::value::Value;

/// What a statement of a flow may do, however deep it stands in the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect<'a> {
    /// Starts the flow of this name, and may wait for it.
    Starts(&'a str),
    /// Starts a flow whose name is known only when it runs, or runs steps that a model writes.
    StartsAny,
    /// Runs the action of this name.
    Runs(&'a str),
    /// Sets the variable, or changes what it holds. It is the flow's own, unless the flow declares it as global.
    Sets(&'a str),
    /// Sets global variables whose names are known only when it runs.
    SetsAny,
    /// Declares that the variable is the one that all flows see.
    Global(&'a str),
    /// Fails.
    Aborts,
}

/// A statement that is not nested in another one.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// As written, without what is nested in it.
    pub(crate) text: &'a str,
    pub(crate) does: Does<'a>,
}

/// What a statement as a whole does.
#[derive(Debug)]
pub(crate) enum Does<'a> {
    /// Nothing outside of its flow: a description, `pass`, a label, a `global` declaration, a text for the log.
    Nothing,
    /// Waits for the end of one of these flows, which it starts.
    Awaits(Vec<Call<'a>>),
    /// Waits for one of these events.
    Matches(Vec<Call<'a>>),
    /// Activates these flows.
    Activates(Vec<Call<'a>>),
    /// Something else, or something more.
    Other,
}

/// A flow or an event, with arguments.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    /// By name; `$0`, `$1`, … for those without.
    pub(crate) arguments: Vec<(&'a str, Given<'a>)>,
}

/// The value of an argument.
#[derive(Debug)]
pub(crate) enum Given<'a> {
    Constant(&'a Value),
    Variable(&'a str),
    /// An expression that has to be evaluated.
    Expression,
}

impl Flow {
    /// What its statements may do, in their order, with their lines.
    pub(crate) fn effects(&self) -> Vec<(Effect<'_>, usize)> {
        let mut effects = Effects::default();
        effects.statements(&self.body);
        effects.found
    }

    /// Its statements that are not nested in others.
    pub(crate) fn outline(&self) -> impl Iterator<Item = Line<'_>> {
        self.body.iter().map(|statement| {
            let text = self.file_text.get(statement.span.0..statement.span.1);
            let first = text.unwrap_or_default().lines().next();
            Line {
                text: first.unwrap_or_default().trim_end(),
                does: does(&statement.kind),
            }
        })
    }
}

fn does(kind: &Kind) -> Does<'_> {
    match kind {
        Kind::Pass | Kind::Label(_) | Kind::Global(_) | Kind::Log(_) | Kind::Print(_) => {
            Does::Nothing
        }
        Kind::Operation {
            operator,
            group,
            result: None,
        } => {
            let calls = |is_kind: fn(&Subject) -> bool| {
                let specs = match group {
                    Group::One(_) => std::slice::from_ref(group),
                    Group::Or(all) if *operator != Operator::Activate => all,
                    Group::And(all) if *operator == Operator::Activate => all,
                    _ => return None,
                };
                specs.iter().map(|group| call(group, is_kind)).collect()
            };
            let is_flow: fn(&Subject) -> bool = |subject| matches!(subject, Subject::Flow(_));
            let is_event: fn(&Subject) -> bool = |subject| matches!(subject, Subject::Event(_));
            let found = match operator {
                Operator::Await => calls(is_flow).map(Does::Awaits),
                Operator::Match => calls(is_event).map(Does::Matches),
                Operator::Activate => calls(is_flow).map(Does::Activates),
                _ => None,
            };
            found.unwrap_or(Does::Other)
        }
        _ => Does::Other,
    }
}

/// The call that a group is, if it is nothing but that.
fn call(group: &Group, is_kind: fn(&Subject) -> bool) -> Option<Call<'_>> {
    let Group::One(spec) = group else {
        return None;
    };
    if !spec.members.is_empty() || spec.reference.is_some() || !is_kind(&spec.subject) {
        return None;
    }
    let arguments = spec.arguments.iter();
    Some(Call {
        name: name(&spec.subject),
        arguments: arguments
            .map(|(name, value)| (&**name, given(value)))
            .collect(),
    })
}

fn name(subject: &Subject) -> &str {
    match subject {
        Subject::Flow(name)
        | Subject::Action(name)
        | Subject::Event(name)
        | Subject::Variable(name) => name,
    }
}

fn given(expression: &Expression) -> Given<'_> {
    match expression {
        Expression::Constant(value) => Given::Constant(value),
        Expression::Parsed(expr) => match (expr.constant(), expr.as_variable()) {
            (Some(value), _) => Given::Constant(value),
            (None, Some(name)) => Given::Variable(name),
            (None, None) => Given::Expression,
        },
        _ => Given::Expression,
    }
}

#[derive(Default)]
struct Effects<'a> {
    found: Vec<(Effect<'a>, usize)>,
    line: usize,
}

impl<'a> Effects<'a> {
    fn add(&mut self, effect: Effect<'a>) {
        self.found.push((effect, self.line));
    }

    fn sets(&mut self, variable: Option<&'a Arc<str>>) {
        if let Some(variable) = variable {
            self.add(Effect::Sets(variable));
        }
    }

    fn statements(&mut self, statements: &'a [Statement]) {
        for statement in statements {
            self.line = statement.line;
            self.statement(&statement.kind);
        }
    }

    fn statement(&mut self, kind: &'a Kind) {
        match kind {
            Kind::Operation {
                operator,
                group,
                result,
            } => {
                self.group(*operator, group);
                self.sets(result.as_ref());
            }
            Kind::Assign { variable, value } => {
                self.expression(value);
                self.sets(Some(variable));
            }
            Kind::GenerateValue {
                variable,
                instruction,
            } => {
                self.expression(instruction);
                self.add(Effect::Runs("GenerateValueAction"));
                self.sets(Some(variable));
            }
            Kind::GenerateSteps => {
                self.add(Effect::Runs("GenerateFlowAction"));
                self.add(Effect::StartsAny);
            }
            Kind::Evaluate(value) | Kind::Log(value) | Kind::Print(value) => {
                self.expression(value);
            }
            Kind::Priority(value) => self.expression(value),
            Kind::If {
                branches,
                otherwise,
            } => {
                for (condition, body) in branches {
                    self.expression(condition);
                    self.statements(body);
                }
                self.statements(otherwise.as_deref().unwrap_or_default());
            }
            Kind::While { condition, body } => {
                self.expression(condition);
                self.statements(body);
            }
            Kind::For {
                variable,
                items,
                body,
            } => {
                self.expression(items);
                self.sets(Some(variable));
                self.statements(body);
            }
            Kind::When { cases, otherwise } => {
                for (group, body) in cases {
                    self.group(Operator::Await, group);
                    self.statements(body);
                }
                self.statements(otherwise.as_deref().unwrap_or_default());
            }
            Kind::Return(value) => value.iter().for_each(|value| self.expression(value)),
            Kind::Abort => self.add(Effect::Aborts),
            Kind::Global(name) => self.add(Effect::Global(name)),
            Kind::Break | Kind::Continue | Kind::Pass | Kind::Label(_) => {}
        }
    }

    fn group(&mut self, operator: Operator, group: &'a Group) {
        match group {
            Group::One(spec) => self.spec(operator, spec),
            Group::And(all) | Group::Or(all) => {
                all.iter().for_each(|group| self.group(operator, group));
            }
        }
    }

    fn spec(&mut self, operator: Operator, spec: &'a Spec) {
        self.arguments(&spec.arguments);
        for member in &spec.members {
            self.arguments(&member.arguments);
        }
        let is_started = matches!(
            operator,
            Operator::Await | Operator::Start | Operator::Activate
        ) && spec.members.is_empty();
        let is_sent = operator == Operator::Send;
        let member = spec.members.last().map(|member| &*member.name);
        match &spec.subject {
            Subject::Flow(flow) if is_started || is_sent && member == Some("Start") => {
                self.add(Effect::Starts(flow));
            }
            Subject::Action(action) if is_started || is_sent && member == Some("Start") => {
                self.add(Effect::Runs(action));
            }
            Subject::Event(event) if is_sent => match &**event {
                "StartFlow" => match spec.arguments.get("flow_id").map(given) {
                    Some(Given::Constant(Value::Str(flow))) => self.add(Effect::Starts(flow)),
                    _ => self.add(Effect::StartsAny),
                },
                "ContextUpdate" | "FinishFlow" | "StopFlow" => self.add(Effect::SetsAny),
                _ => {}
            },
            _ => {}
        }
        self.sets(spec.reference.as_ref());
    }

    fn arguments(&mut self, arguments: &'a Arguments) {
        arguments.values().for_each(|value| self.expression(value));
    }

    /// An expression sets nothing, but methods in it may change what a variable holds.
    fn expression(&mut self, expression: &'a Expression) {
        if let Expression::Parsed(expr) = expression {
            for variable in expr.changed_variables() {
                self.add(Effect::Sets(variable));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Program, parse},
        *,
    };

    fn program(text: &str) -> Program {
        let (module, faults) = parse("x.co", text);
        assert_eq!(faults, []);
        Program::new([module]).unwrap()
    }

    #[test]
    fn effects_are_those_of_statements_not_of_texts() {
        let text = r#"
flow main $tool_calls
  """Runs FalseAction and aborts: abort"""
  # $comment = 1
  $a = "SomeAction(x=1) $b = 2"
  if $a == "abort"
    await one $x="two" as $reference and LookUpAction(a=1)
  when four or TimerAction()
    global $c
    $c = await ValueAction()
  or when StartEvent()
    ...
  for $item in [1]
    send StartFlow(flow_id="five")
    send StartFlow(flow_id=$a)
  match (six "x").Finished() as $event
  match SevenAction().Finished()
  ($tool_calls.append(len($a)))
  abort
"#;
        let program = program(text);
        let effects = program.flow("main").unwrap().effects();
        let shown: Vec<String> = effects
            .iter()
            .map(|(effect, line)| format!("{line} {effect:?}"))
            .collect();
        assert_eq!(
            shown,
            [
                r#"5 Sets("a")"#,
                r#"7 Starts("one")"#,
                r#"7 Sets("reference")"#,
                r#"7 Runs("LookUpAction")"#,
                r#"8 Starts("four")"#,
                r#"8 Runs("TimerAction")"#,
                r#"9 Global("c")"#,
                r#"10 Runs("ValueAction")"#,
                r#"10 Sets("c")"#,
                r#"12 Runs("GenerateFlowAction")"#,
                "12 StartsAny",
                r#"13 Sets("item")"#,
                r#"14 Starts("five")"#,
                "15 StartsAny",
                r#"16 Sets("event")"#,
                r#"18 Sets("tool_calls")"#,
                "19 Aborts",
            ]
        );
    }

    #[test]
    fn an_outline_has_calls_with_what_is_known_of_their_arguments() {
        let text = "flow main\n  \"\"\"Text.\"\"\"\n  check this $model=\"guard\" $text 3.5 -1\n  user said \"a\" or user said \"b\" # either\n  activate c and d\n  if $x\n    pass\n";
        let program = program(text);
        let shown: Vec<String> = program
            .flow("main")
            .unwrap()
            .outline()
            .map(|line| match line.does {
                Does::Awaits(calls) => format!("{} => {calls:?}", line.text),
                does => format!("{} => {does:?}", line.text),
            })
            .collect();
        assert_eq!(shown[0], "\"\"\"Text.\"\"\" => Nothing");
        assert!(shown[1].starts_with("check this $model=\"guard\" $text 3.5 -1 => [Call { name: \"check this\", arguments: [(\"model\", Constant("), "{shown:?}");
        assert!(
            shown[1].contains("(\"$0\", Variable(\"text\"))"),
            "{shown:?}"
        );
        assert!(
            shown[2].starts_with("user said \"a\" or user said \"b\" => ["),
            "{shown:?}"
        );
        assert!(shown[3].contains("Activates"), "{shown:?}");
        assert_eq!(shown[4], "if $x => Other");
    }
}
