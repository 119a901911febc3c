//! Errors in flows, told to the log and to other flows.

use super::{Failure, Machine, Note, index::HeadRef, instance::Instance, signal::Signal};
use crate::value::Dict;

impl Machine<'_> {
    /// Tells flows about an error in one of them.
    pub(super) fn report(&mut self, (uid, id): &HeadRef, failure: &Failure) {
        let place = self.state.core.flows.get(uid).map(|instance| {
            let position = instance.heads.get(id).map(|head| head.position);
            describe(instance, position)
        });
        self.tell_error(&place.unwrap_or_default(), failure);
    }

    pub(super) fn tell_error(&mut self, place: &str, failure: &Failure) {
        self.notes.push(Note::Warning(match place.is_empty() {
            true => failure.message.clone(),
            false => format!("{place}: {}", failure.message),
        }));
        let mut arguments = Dict::new();
        arguments.insert("type", failure.class);
        arguments.insert("error", failure.message.as_str());
        self.queue.push_back(Signal::new("ColangError", arguments));
    }
}

fn describe(instance: &Instance, position: Option<usize>) -> String {
    let element = position.and_then(|position| instance.flow.elements.get(position));
    let line = element.map_or(instance.flow.line, |element| element.line);
    format!(
        "the flow `{}` fails at {}:{line}",
        instance.flow.name, instance.flow.file
    )
}
