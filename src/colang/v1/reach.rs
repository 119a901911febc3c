//! What a flow may come to: its own elements and those of the flows that it calls, each as a step or as something awaited.

use std::collections::HashSet;

use super::{
    call,
    program::{Element, Flow, Op, Program},
};

/// An element that a flow may come to.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    /// The flow that it stands in.
    pub flow: &'a Flow,
    /// The element.
    pub element: &'a Element,
    /// Whether the flow waits there for somebody else to do what the element says: it is one of the alternatives of a
    /// `when` or an `or`.
    pub is_awaited: bool,
}

impl Program {
    /// The elements that the flow named `id` may come to, those of the flows that it calls among them. Conditions may turn
    /// out either way; what follows a `stop` or a `return` is not reached. Calls by a variable are not followed.
    pub fn reach(&self, id: &str) -> Vec<Reached<'_>> {
        let mut reached = Vec::new();
        let mut called: HashSet<&str> = HashSet::new();
        let mut left: Vec<&Flow> = self.flow(id).into_iter().collect();
        called.extend(left.first().map(|flow| flow.id.as_str()));
        while let Some(flow) = left.pop() {
            for found in flow.reach() {
                reached.push(found);
                let Op::Call { flow: name } = &found.element.op else {
                    continue;
                };
                if let Some(flow) = self.called(name)
                    && called.insert(&flow.id)
                {
                    left.push(flow);
                }
            }
        }
        reached
    }

    /// The flow that a call names; none where a variable holds its name, and where it is not there.
    fn called(&self, name: &str) -> Option<&Flow> {
        match call::has_parameters(name) {
            true => self.flow(call::flow_name(name)),
            false => self.flow(name),
        }
    }
}

impl Flow {
    /// The elements that it may come to itself, in their order.
    fn reach(&self) -> Vec<Reached<'_>> {
        let count = self.elements.len();
        let mut seen = vec![None; count];
        let mut left = vec![(0_isize, false)];
        while let Some((position, is_awaited)) = left.pop() {
            let Ok(index) = usize::try_from(position) else {
                continue;
            };
            let (Some(element), Some(seen)) = (self.elements.get(index), seen.get_mut(index))
            else {
                continue;
            };
            if seen.is_some() {
                continue;
            }
            *seen = Some(is_awaited);
            let mut next = |offset: isize, is_awaited| left.push((position + offset, is_awaited));
            match &element.op {
                Op::If { otherwise, .. } => {
                    next(1, false);
                    next(*otherwise, false);
                }
                Op::While { end, .. } => {
                    next(1, false);
                    next(*end, false);
                }
                Op::Jump(offset) => next(*offset, false),
                Op::Return => {}
                Op::Branch(heads) => heads.iter().for_each(|head| next(*head, true)),
                Op::Any(count) => {
                    let count = count.cast_signed();
                    (1..=count).for_each(|offset| next(offset, true));
                    next(count + 1, false);
                }
                Op::Action {
                    name, parameters, ..
                } if !is_awaited
                    && name == "utter"
                    && parameters.get("value").is_some_and(|value| value == "stop") => {}
                _ => next(1, false),
            }
        }
        let elements = self.elements.iter().zip(seen);
        elements
            .filter_map(|(element, seen)| {
                Some(Reached {
                    flow: self,
                    element,
                    is_awaited: seen?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colang::v1::parse;

    fn reached(text: &str) -> Vec<String> {
        let (parsed, faults) = parse("a.co", text);
        assert!(faults.is_empty(), "{faults:?}");
        let program = Program::new(parsed.flows);
        let reached = program.reach("main").into_iter();
        let shown = reached.filter_map(|found| {
            let origin = found.element.origin.as_ref()?;
            let mark = if found.is_awaited { "?" } else { "" };
            Some(format!("{}{mark}", origin.text))
        });
        shown.collect()
    }

    #[test]
    fn what_follows_a_stop_is_not_reached_and_called_flows_are() {
        let text = "define flow main\n  if $x\n    do other\n    stop\n    bot never\n  while $y\n    $y = 1\n  do nowhere\n\ndefine subflow other\n  bot hello\n  do main\n\ndefine subflow alone\n  bot bye\n";
        assert_eq!(
            reached(text),
            [
                "if $x",
                "do other",
                "stop",
                "while $y",
                "$y = 1",
                "do nowhere",
                "bot hello",
                "do main"
            ]
        );
    }

    #[test]
    fn alternatives_are_awaited() {
        let text = "define flow main\n  user a or user b\n  when user c\n    bot d\n  else when bot e\n    bot f\n";
        let shown = reached(text);
        let awaited = ["user a?", "user b?", "when user c?", "else when bot e?"];
        for awaited in awaited {
            assert!(shown.iter().any(|line| line == awaited), "{shown:?}");
        }
        for step in ["bot d", "bot f"] {
            assert!(shown.iter().any(|line| line == step), "{shown:?}");
        }
    }
}
