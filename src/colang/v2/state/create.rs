//! How instances of flows come to be.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Failure, Machine, Trouble,
    events::extend,
    instance::{Head, Instance, Status},
    refs::ContextRef,
    signal::Signal,
};
use crate::{
    colang::{
        expr::NoScope,
        v2::{Flow, expression::Expression},
    },
    value::{Dict, Value},
};

/// How deep flows may call each other.
const MAX_DEPTH: usize = 150;

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
