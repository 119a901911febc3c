//! How instances of flows come to be, and how they end.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Failure, Machine, Trouble,
    events::{extend, start_signal, told},
    instance::{Head, HeadId, Instance, Status},
    refs::ContextRef,
    signal::Signal,
};
use crate::{
    colang::{
        expr::{Dialect, Expr, NoScope},
        v2::{Flow, expression::Expression},
    },
    value::{Dict, Value},
};

/// How deep flows may call each other.
const MAX_DEPTH: usize = 150;

/// How an instance ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Whether it does not start anew, though it is activated.
    pub(super) deactivates: bool,
    /// Variables to set at the end.
    pub(super) update: Option<Dict>,
}

impl Machine<'_> {
    /// Makes the instance of `main`.
    pub(super) fn create_main(&mut self, flow: Arc<Flow>) -> Result<Arc<str>, Trouble> {
        let uid: Arc<str> = format!("(main){}", self.host.uid()).into();
        let loop_id = match flow.loop_id() {
            Some(id) => Arc::from(id),
            None => Arc::clone(&uid),
        };
        let mut instance = self.new_instance(flow, Arc::clone(&uid), "0".into(), &Dict::new())?;
        instance.activated = 1;
        instance.loop_id = Some(Arc::clone(&loop_id));
        self.state.core.enter_loop(&loop_id);
        self.add_instance(instance)?;
        self.state.core.main = Some(Arc::clone(&uid));
        Ok(uid)
    }

    /// Makes the instance that a `StartFlow` asks for; it waits for that very event.
    pub(super) fn create(&mut self, name: &str, signal: &Signal) -> Result<(), Trouble> {
        let Some(flow) = self.state.flow(name).cloned() else {
            return Ok(());
        };
        let uid: Arc<str> = match signal.text("flow_instance_uid") {
            Some(uid) => uid.into(),
            None => format!("({name}){}", self.host.uid()).into(),
        };
        if self.state.core.flows.contains_key(&uid) {
            let message = format!("there is an instance `{uid}` already");
            return Err(Failure::new("ColangRuntimeError", message).into());
        }
        let hierarchy = signal.text("flow_hierarchy_position").unwrap_or("0");
        let source = signal.text("source_flow_instance_uid");
        let depth = source
            .and_then(|source| self.state.core.live(source))
            .map_or(0, |parent| match *parent.flow.name == *name {
                // An activated flow that starts anew is no deeper than before.
                true if parent.is_done() || parent.activated > 0 => parent.depth,
                _ => parent.depth + 1,
            });
        if depth > MAX_DEPTH {
            let message = format!("flows call each other deeper than {MAX_DEPTH} levels");
            return Err(Failure::new("RecursionError", message).into());
        }
        let hierarchy: Arc<str> = hierarchy.into();
        let mut instance = self.new_instance(flow, uid, hierarchy, &signal.arguments)?;
        instance.depth = depth;
        self.add_instance(instance)
    }

    fn new_instance(
        &mut self,
        flow: Arc<Flow>,
        uid: Arc<str>,
        hierarchy: Arc<str>,
        given: &Dict,
    ) -> Result<Instance, Trouble> {
        let mut own = Dict::new();
        let mut arguments = Dict::new();
        for parameter in &flow.parameters {
            let value = match (given.get(&parameter.name), &parameter.default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => self.default_of(default)?,
                (None, None) => Value::None,
            };
            own.insert(&*parameter.name, value.clone());
            arguments.insert(&*parameter.name, value);
        }
        for (index, parameter) in flow.parameters.iter().enumerate() {
            let position = format!("${index}");
            if let Some(value) = given.get(&position) {
                arguments.insert(&*parameter.name, value.clone());
                arguments.insert(position, value.clone());
            }
        }
        let mut returns = Dict::new();
        for member in &flow.returns {
            let value = match &member.default {
                Some(default) => self.default_of(default)?,
                None => Value::None,
            };
            returns.insert(&*member.name, value);
        }
        extend(&mut own, &returns);
        let context = self.context_for(&flow, given, own)?;
        self.state.core.next += 1;
        Ok(Instance {
            uid,
            flow,
            serial: self.state.core.next,
            loop_id: None,
            hierarchy,
            depth: 0,
            heads: BTreeMap::new(),
            scopes: BTreeMap::new(),
            forks: BTreeMap::new(),
            actions: Vec::new(),
            context,
            priority: 1.0,
            arguments,
            parent: None,
            parent_head: None,
            children: Vec::new(),
            status: Status::Waiting,
            activated: 0,
            restarted: false,
            is_retired: false,
        })
    }

    /// The variables of a new instance: its own, or those that the start event shares with it.
    fn context_for(&mut self, flow: &Flow, given: &Dict, own: Dict) -> Result<u64, Trouble> {
        let shared = given.get("context");
        if shared.is_some() && !flow.parameters.is_empty() {
            let message = format!(
                "the flow `{}` has parameters, so it cannot share the variables of another one",
                flow.name
            );
            return Err(Failure::new("ColangRuntimeError", message).into());
        }
        if let Some(shared) = shared.and_then(|value| value.as_object::<ContextRef>()) {
            let uid = Arc::clone(&shared.uid);
            let context = self.instance(&uid)?.context;
            extend(self.state.core.context_mut(context), &own);
            self.state.core.share(context);
            self.reindex(&uid, None);
            return Ok(context);
        }
        let mut all = match shared {
            Some(Value::Dict(shared)) => shared.clone(),
            _ => Dict::new(),
        };
        extend(&mut all, &own);
        Ok(self.state.core.new_context(all))
    }

    /// The value of a parameter's default: no variable is in reach.
    pub(super) fn default_of(&mut self, default: &Expression) -> Result<Value, Trouble> {
        match default {
            Expression::Parsed(expr) => {
                let scope = Defaults(self.host);
                let value = expr.eval(&scope);
                value.map_err(|error| Failure::new("ColangValueError", error.to_string()).into())
            }
            other => self.eval(&"".into(), other),
        }
    }

    fn add_instance(&mut self, mut instance: Instance) -> Result<(), Trouble> {
        let uid = Arc::clone(&instance.uid);
        let id = self.state.core.new_head();
        instance.heads.insert(id, Head::new());
        let name = Arc::clone(&instance.flow.name);
        self.state.core.add(name, instance);
        self.index_head(&(uid, id))
    }

    /// The instance has got its `StartFlow`.
    pub(super) fn begin(&mut self, uid: &Arc<str>, signal: &Signal) -> Result<(), Trouble> {
        if self.state.core.main.as_ref() == Some(uid) {
            return Ok(());
        }
        let source = signal
            .text("source_flow_instance_uid")
            .map(Arc::<str>::from);
        let Some(parent) = source
            .as_ref()
            .and_then(|source| self.state.core.flows.get_mut(source))
        else {
            let message = "a flow needs another one that starts it";
            return Err(Failure::new("ColangRuntimeError", message).into());
        };
        parent.children.push(Arc::clone(uid));
        let parent_loop = parent.loop_id.clone();
        let new_loop = self.host.uid();
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return Ok(());
        };
        instance.parent = source;
        instance.parent_head = signal.text("source_head_uid").map(Arc::from);
        let loop_id: Option<Arc<str>> = match instance.flow.loop_id() {
            Some("NEW") => Some(new_loop.into()),
            Some(id) => Some(id.into()),
            None => parent_loop,
        };
        instance.loop_id.clone_from(&loop_id);
        instance.activated = signal
            .arguments
            .get("activated")
            .and_then(Value::as_int)
            .unwrap_or(0);
        // Arguments by position get their names; no more than there are.
        let mut named = Vec::new();
        for (count, parameter) in instance.flow.parameters.iter().enumerate() {
            let Some(value) = signal.arguments.get(&format!("${count}")) else {
                break;
            };
            named.push((Arc::clone(&parameter.name), value.clone()));
        }
        let context = instance.context;
        let parameters = instance.flow.parameters.len();
        let name = Arc::clone(&instance.flow.name);
        if let Some(id) = &loop_id {
            self.state.core.enter_loop(id);
        }
        self.state.core.note_activation(uid);
        for (parameter, value) in named {
            self.state
                .core
                .context_mut(context)
                .insert(&*parameter, value);
        }
        if signal.arguments.contains_key(&format!("${parameters}")) {
            let message = format!("the flow `{name}` takes {parameters} arguments at most");
            return Err(Failure::new("ColangRuntimeError", message).into());
        }
        Ok(())
    }

    /// Takes back an activation. Gives whether the instance goes on, since others have activated it too.
    fn deactivate(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<bool, Trouble> {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(true);
        };
        if !self.state.core.is_activated_itself(instance) {
            return Ok(false);
        }
        let (name, children) = (Arc::clone(&instance.flow.name), instance.children.clone());
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return Ok(true);
        };
        instance.activated -= 1;
        if instance.activated > 0 {
            return Ok(true);
        }
        if instance.is_done() {
            self.state.core.done.push_back((self.now, Arc::clone(uid)));
        }
        for child in children {
            let is_copy = self
                .state
                .core
                .live(&child)
                .is_some_and(|child| child.flow.name == name);
            if is_copy {
                let ending = Ending {
                    deactivates: true,
                    update: None,
                };
                self.abort(&child, scores, ending)?;
                if let Some(child) = self.state.core.flows.get_mut(&child) {
                    child.activated = 0;
                    let (done, uid) = (child.is_done(), Arc::clone(&child.uid));
                    if done {
                        self.state.core.done.push_back((self.now, uid));
                    }
                }
            }
        }
        Ok(false)
    }

    /// The instance fails, with all that it has started.
    pub(super) fn abort(
        &mut self,
        uid: &Arc<str>,
        scores: &[f64],
        ending: Ending,
    ) -> Result<(), Trouble> {
        self.charge(1)?;
        if ending.deactivates && self.deactivate(uid, scores)? {
            return Ok(());
        }
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(());
        };
        if !instance.is_listening() && instance.status != Status::Stopping {
            return Ok(());
        }
        self.release(uid, scores)?;
        self.close(uid, Status::Stopped, ending.update.as_ref());
        let failed = told(self.instance(uid)?, "FlowFailed", &Dict::new());
        self.queue.push_back(failed.scored(scores));
        self.start_anew(uid, scores, ending.deactivates);
        Ok(())
    }

    /// The instance ends well; what it has started and does not need any more is stopped.
    pub(super) fn finish(
        &mut self,
        uid: &Arc<str>,
        scores: &[f64],
        ending: Ending,
    ) -> Result<(), Trouble> {
        self.charge(1)?;
        if ending.deactivates && self.deactivate(uid, scores)? {
            return Ok(());
        }
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(());
        };
        if !instance.is_listening() {
            return Ok(());
        }
        self.release(uid, scores)?;
        if self.state.core.main.as_ref() == Some(uid) {
            return self.rewind(uid);
        }
        self.close(uid, Status::Finished, ending.update.as_ref());
        let instance = self.instance(uid)?;
        let mut result = Dict::new();
        if let Some(value) = self
            .state
            .core
            .context(instance.context)
            .get("_return_value")
        {
            result.insert("return_value", value.clone());
        }
        let finished = told(instance, "FlowFinished", &result);
        self.queue.push_back(finished.scored(scores));
        self.log_intent(uid, scores)?;
        self.start_anew(uid, scores, ending.deactivates);
        Ok(())
    }

    /// `main` goes back to its beginning, and waits for the start of the story.
    fn rewind(&mut self, uid: &Arc<str>) -> Result<(), Trouble> {
        let id = self.state.core.new_head();
        if let Some(instance) = self.state.core.flows.get_mut(uid) {
            instance.heads.insert(id, Head::new());
            instance.forks.clear();
            instance.scopes.clear();
            instance.status = Status::Waiting;
        }
        self.index_head(&(Arc::clone(uid), id))
    }

    /// Stops the instance's flows and actions, and takes its heads off.
    fn release(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<(), Trouble> {
        let instance = self.instance(uid)?;
        let (children, actions) = (instance.children.clone(), instance.actions.clone());
        for child in children {
            let Some(instance) = self.state.core.live(&child) else {
                continue;
            };
            if !self.state.core.is_activated_copy(instance) {
                let ending = Ending {
                    deactivates: true,
                    update: None,
                };
                self.abort(&child, scores, ending)?;
            }
        }
        for action in actions {
            self.stop_action(&action);
        }
        self.remove_heads(uid);
        Ok(())
    }

    fn remove_heads(&mut self, uid: &Arc<str>) {
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return;
        };
        let heads: Vec<HeadId> = std::mem::take(&mut instance.heads).into_keys().collect();
        for head in heads {
            self.state.core.index.remove(head);
        }
    }

    /// Stops an action, unless another flow needs it.
    pub(super) fn stop_action(&mut self, uid: &str) {
        let Some(action) = self.state.core.actions.get_mut(uid) else {
            return;
        };
        if !action.is_running() {
            return;
        }
        action.users -= 1;
        if action.users != 0 {
            return;
        }
        action.status = super::instance::ActionStatus::Stopping;
        let mut stop = Signal::new(format!("Stop{}", action.name), Dict::new());
        stop.action = Some(Arc::clone(&action.uid));
        // A stop has nothing in it that could be wrong.
        let _ = self.emit(&mut stop);
    }

    fn close(&mut self, uid: &Arc<str>, status: Status, update: Option<&Dict>) {
        let now = self.now;
        let core = &mut self.state.core;
        let Some(instance) = core.flows.get_mut(uid) else {
            return;
        };
        instance.status = status;
        let (loop_id, context, activated) = (
            instance.loop_id.clone(),
            instance.context,
            instance.activated,
        );
        let parent = instance.parent.clone();
        if let Some(id) = loop_id {
            core.leave_loop(&id);
        }
        if activated == 0 {
            core.done.push_back((now, Arc::clone(uid)));
            let parent = parent.and_then(|parent| core.flows.get_mut(&parent));
            if let Some(parent) = parent
                && let Some(at) = parent.children.iter().position(|child| child == uid)
            {
                parent.children.remove(at);
            }
        }
        if let Some(update) = update {
            extend(core.context_mut(context), update);
        }
    }

    /// An activated flow starts once more.
    fn start_anew(&mut self, uid: &Arc<str>, scores: &[f64], deactivated: bool) {
        let new = self.host.uid();
        let core = &mut self.state.core;
        let Some(instance) = core.flows.get(uid) else {
            return;
        };
        if deactivated || instance.activated <= 0 || instance.restarted {
            return;
        }
        let mut start = start_signal(instance, new).scored(scores);
        let source = instance.parent.as_ref().filter(|parent| {
            let parent = core.flows.get(*parent);
            parent.is_some_and(|parent| parent.flow.name == instance.flow.name)
        });
        let source = Arc::clone(source.unwrap_or(uid));
        start
            .arguments
            .insert("source_flow_instance_uid", Value::Str(source));
        self.queue.push_front(start);
        let is_copy = core.is_activated_copy(instance);
        if let Some(instance) = core.flows.get_mut(uid) {
            instance.restarted = true;
        }
        if is_copy {
            // The first instance stands for the activation; a copy of it is of no more use.
            core.done.push_back((self.now, Arc::clone(uid)));
        }
    }

    /// `start_new_flow_instance:`
    pub(super) fn start_beside(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<(), Trouble> {
        let new = self.host.uid();
        let instance = self.instance(uid)?;
        if instance.status != Status::Started {
            let message = format!(
                "the flow `{}` does not start anew at `start_new_flow_instance:`, since it has \
                 not waited for anything yet: it would never come to an end",
                instance.flow.name
            );
            self.notes.push(super::Note::Warning(message));
            return Ok(());
        }
        let mut start = start_signal(instance, new).scored(scores);
        start
            .arguments
            .insert("source_flow_instance_uid", Value::Str(Arc::clone(uid)));
        self.queue.push_front(start);
        if let Some(instance) = self.state.core.flows.get_mut(uid) {
            instance.restarted = true;
        }
        Ok(())
    }

    /// Logs the intent or action that a flow with `@meta` stands for.
    fn log_intent(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<(), Trouble> {
        const TAGS: [(&str, &str); 4] = [
            ("user_intent", "UserIntentLog"),
            ("bot_intent", "BotIntentLog"),
            ("user_action", "UserActionLog"),
            ("bot_action", "BotActionLog"),
        ];
        let flow = Arc::clone(&self.instance(uid)?.flow);
        let found = TAGS
            .iter()
            .find_map(|(tag, event)| Some((flow.meta(tag)?, *tag, *event)));
        let Some((value, tag, event)) = found else {
            return Ok(());
        };
        let first = self.instance(uid)?.arguments.get("$0").cloned();
        let is_intent = tag.ends_with("intent");
        let mut arguments = Dict::new();
        if let Some(text) = value.as_str() {
            let text = self.fill(uid, text)?;
            arguments.insert("flow_id", text);
            arguments.insert("parameter", Value::None);
        } else {
            let name: &str = match flow.name.strip_prefix("_dynamic_") {
                // The prefix of a generated flow: `_dynamic_12345678 `.
                Some(_) if is_intent && flow.name.chars().count() >= 18 => {
                    let at = flow.name.char_indices().nth(18);
                    at.map_or("", |(at, _)| &flow.name[at..])
                }
                _ => &flow.name,
            };
            arguments.insert("flow_id", name);
            arguments.insert("parameter", first.unwrap_or_default());
        }
        if !is_intent {
            let intent = self.intent_above(uid)?;
            arguments.insert("intent_flow_id", intent);
        }
        self.queue
            .push_back(Signal::new(event, arguments).scored(scores));
        Ok(())
    }

    /// The intent for which a flow runs: that of the nearest flow above it that stands for one.
    fn intent_above(&mut self, uid: &Arc<str>) -> Result<Value, Trouble> {
        for above in self.state.core.hierarchy(uid).into_iter().rev() {
            let instance = self.instance(&above)?;
            let flow = Arc::clone(&instance.flow);
            let context = self.state.core.context(instance.context);
            let intent = flow
                .meta("bot_intent")
                .or_else(|| flow.meta("user_intent"))
                .or_else(|| context.get("_bot_intent"))
                .or_else(|| context.get("_user_intent"))
                .cloned();
            match intent {
                Some(Value::Str(text)) => return self.fill(&above, &text),
                Some(Value::Bool(_)) => return Ok(Value::Str(Arc::clone(&flow.name))),
                _ => {}
            }
        }
        Ok(Value::None)
    }

    /// A text with expressions in braces.
    fn fill(&mut self, uid: &Arc<str>, text: &str) -> Result<Value, Trouble> {
        if !text.contains('{') {
            return Ok(Value::from(text));
        }
        let literal = format!("\"{}\"", text.replace('"', "\\\""));
        match Expr::parse(&literal, Dialect::V2) {
            Ok(expr) => self.eval(uid, &Expression::Parsed(expr)),
            Err(_) => Ok(Value::from(text)),
        }
    }
}

/// No variables, but the host's identifiers.
struct Defaults<'a>(&'a dyn crate::colang::v2::Host);

impl crate::colang::expr::Scope for Defaults<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        NoScope.variable(name)
    }

    fn call(
        &self,
        name: &str,
        arguments: &crate::value::Arguments,
    ) -> Option<Result<Value, crate::value::ValueError>> {
        match name {
            "uid" if arguments.positional.is_empty() => Some(Ok(Value::from(self.0.uid()))),
            _ => self.0.call(name, arguments),
        }
    }
}
