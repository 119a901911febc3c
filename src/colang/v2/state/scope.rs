//! What an expression of a flow can reach, and its evaluation.

use std::{cell::RefCell, sync::Arc};

use super::{
    Failure, Machine, State, Trouble,
    instance::{Action, Instance},
    refs::{ActionRef, ContextRef, EventRef, FlowRef, StatusRef},
    signal::Kind,
};
use crate::{
    colang::{
        expr::Scope,
        v2::{Host, expression::Expression},
    },
    value::{Arguments, Dict, Object, Value, ValueError},
};

/// The variables of a flow and the global ones.
struct FlowScope<'a> {
    state: &'a State,
    instance: &'a Instance,
    host: &'a dyn Host,
    /// Variables of instances that the expression changes.
    changes: RefCell<Vec<(Arc<str>, Dict)>>,
}

impl Scope for FlowScope<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        match name {
            "self" => {
                return Some(flow_value(&self.instance.uid));
            }
            "system" => {
                let config = self.state.config.clone();
                return Some(Value::dict([("config", config)]));
            }
            _ => {}
        }
        let context = self.state.core.context(self.instance.context);
        match is_global(context, name) {
            true => self.state.globals.get(name).cloned(),
            false => context.get(name).cloned(),
        }
    }

    fn call(&self, name: &str, arguments: &Arguments) -> Option<Result<Value, ValueError>> {
        match name {
            "uid" if arguments.positional.is_empty() && arguments.named.is_empty() => {
                Some(Ok(Value::from(self.host.uid())))
            }
            "flows_info" => Some(self.flows_info(arguments)),
            _ => self.host.call(name, arguments),
        }
    }

    fn attribute(&self, object: &dyn Object, name: &str) -> Option<Value> {
        let core = &self.state.core;
        if let Some(flow) = object.downcast_ref::<FlowRef>() {
            return self.of_flow(core.flows.get(&flow.uid)?, name);
        }
        if let Some(action) = object.downcast_ref::<ActionRef>() {
            return of_action(core.actions.get(&action.uid)?, name);
        }
        let signal = &object.downcast_ref::<EventRef>()?.signal;
        match (signal.kind, name) {
            (Kind::Internal, "flow") => Some(match &signal.flow {
                Some(uid) => flow_value(uid),
                None => Value::None,
            }),
            (Kind::Action, "action_uid") => Some(Value::from(signal.action.clone())),
            (Kind::Action, "action") => Some(match &signal.action {
                Some(uid) if core.actions.contains_key(uid) => action_value(uid),
                _ => Value::None,
            }),
            _ => None,
        }
    }

    fn set_attribute(&self, object: &dyn Object, name: &str, value: &Value) -> bool {
        match (object.downcast_ref::<FlowRef>(), name, value) {
            (Some(flow), "context", Value::Dict(context)) => {
                let change = (Arc::clone(&flow.uid), context.clone());
                self.changes.borrow_mut().push(change);
                true
            }
            _ => false,
        }
    }
}

impl FlowScope<'_> {
    fn of_flow(&self, flow: &Instance, name: &str) -> Option<Value> {
        let context = self.state.core.context(flow.context);
        Some(match name {
            "uid" => Value::Str(Arc::clone(&flow.uid)),
            "flow_id" => Value::Str(Arc::clone(&flow.flow.name)),
            "loop_id" => Value::from(flow.loop_id.clone()),
            "hierarchy_position" => Value::Str(Arc::clone(&flow.hierarchy)),
            "action_uids" => Value::list(flow.actions.iter().cloned()),
            "context" => Value::Dict(context.clone()),
            "priority" => Value::Float(flow.priority),
            "arguments" => Value::Dict(flow.arguments.clone()),
            "parent_uid" => Value::from(flow.parent.clone()),
            "parent_head_uid" => Value::from(flow.parent_head.clone()),
            "child_flow_uids" => Value::list(flow.children.iter().cloned()),
            "status" => Value::object(StatusRef {
                class: "FlowStatus",
                value: flow.status.value(),
            }),
            "activated" => Value::Int(flow.activated),
            "new_instance_started" => Value::Bool(flow.restarted),
            _ => return context.get(name).cloned(),
        })
    }

    fn flows_info(&self, arguments: &Arguments) -> Result<Value, ValueError> {
        let [uid] = arguments.bind(["flow_instance_uid"], 0)?;
        let core = &self.state.core;
        let one = uid.and_then(Value::as_str).and_then(|uid| core.live(uid));
        if let Some(instance) = one {
            let mut all = Dict::new();
            all.insert("flow_instance_uid", Value::Str(Arc::clone(&instance.uid)));
            all.extend(
                self.info(instance)
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
            return Ok(Value::Dict(all));
        }
        let mut live: Vec<&Instance> = core
            .flows
            .values()
            .filter(|flow| !flow.is_retired)
            .collect();
        live.sort_by_key(|flow| flow.serial);
        Ok(Value::dict(live.into_iter().map(|flow| {
            (Arc::clone(&flow.uid), Value::Dict(self.info(flow)))
        })))
    }

    fn info(&self, flow: &Instance) -> Dict {
        let mut lines: Vec<i64> = flow
            .active_heads()
            .filter_map(|(_, head)| flow.flow.elements.get(head.position))
            .filter_map(|element| i64::try_from(element.line).ok())
            .collect();
        lines.sort_unstable();
        lines.dedup();
        let mut above = self.state.core.hierarchy(&flow.uid);
        above.pop();
        let meta = flow.flow.decorators.get("meta").map(|meta| {
            Value::dict(
                meta.iter()
                    .map(|(name, value)| (name.as_str(), value.clone())),
            )
        });
        let mut info = Dict::new();
        info.insert("flow_id", Value::Str(Arc::clone(&flow.flow.name)));
        info.insert("loop_id", Value::from(flow.loop_id.clone()));
        info.insert("status", Value::from(flow.status.value()));
        info.insert("flow_hierarchy", Value::list(above));
        info.insert("active_statement_at_lines", Value::list(lines));
        info.insert(
            "meta_tags",
            meta.unwrap_or_else(|| Value::list(Vec::<Value>::new())),
        );
        if !flow.actions.is_empty() {
            info.insert("action_uids", Value::list(flow.actions.iter().cloned()));
        }
        if !flow.children.is_empty() {
            info.insert(
                "child_flow_uids",
                Value::list(flow.children.iter().cloned()),
            );
        }
        info
    }
}

fn of_action(action: &Action, name: &str) -> Option<Value> {
    Some(match name {
        "uid" => Value::Str(Arc::clone(&action.uid)),
        "name" => Value::Str(Arc::clone(&action.name)),
        "flow_uid" => Value::from(action.flow.clone()),
        "status" => Value::object(StatusRef {
            class: "ActionStatus",
            value: action.status.value(),
        }),
        "context" => Value::Dict(action.context.clone()),
        "start_event_arguments" => Value::Dict(action.arguments.clone()),
        "flow_scope_count" => Value::Int(action.users),
        _ => return action.context.get(name).cloned(),
    })
}

pub(super) fn flow_value(uid: &Arc<str>) -> Value {
    Value::object(FlowRef {
        uid: Arc::clone(uid),
    })
}

pub(super) fn action_value(uid: &Arc<str>) -> Value {
    Value::object(ActionRef {
        uid: Arc::clone(uid),
    })
}

/// Whether a flow has declared a variable as global.
pub(super) fn is_global(context: &Dict, name: &str) -> bool {
    context.contains_key(&format!("_global_{name}"))
}

impl Machine<'_> {
    /// The value of an expression in an instance.
    pub(super) fn eval(
        &mut self,
        uid: &Arc<str>,
        expression: &Expression,
    ) -> Result<Value, Trouble> {
        match expression {
            Expression::Constant(value) => Ok(value.clone()),
            Expression::InstanceUid(flow) => {
                Ok(Value::from(format!("({flow}){}", self.host.uid())))
            }
            Expression::OwnVariables => Ok(Value::object(ContextRef {
                uid: Arc::clone(uid),
            })),
            Expression::Path(variable, path) => {
                let value = self.local(uid, variable).unwrap_or_default();
                self.follow(uid, value, path)
            }
            Expression::Listed(items) => {
                let items = self.eval(uid, items)?;
                let items = items.iterate().map_err(|error| Failure::value(&error))?;
                Ok(Value::list(items))
            }
            Expression::FirstOf(variable) => {
                let items = self.local(uid, variable).unwrap_or_default();
                let first = items.as_slice().and_then(<[Value]>::first);
                Ok(first.cloned().unwrap_or_default())
            }
            Expression::RestOf(variable) => {
                let items = self.local(uid, variable).unwrap_or_default();
                let rest = items.as_slice().and_then(|items| items.get(1..));
                Ok(Value::list(rest.unwrap_or_default().to_vec()))
            }
            Expression::Invalid { text, error } => Err(Failure::new(
                "ColangValueError",
                format!("the expression `{text}` cannot be evaluated: {error}"),
            )
            .into()),
            Expression::Parsed(expr) => {
                if let Some(value) = expr.constant() {
                    return Ok(value.clone());
                }
                self.eval_parsed(uid, expr)
            }
        }
    }

    fn eval_parsed(
        &mut self,
        uid: &Arc<str>,
        expr: &crate::colang::expr::Expr,
    ) -> Result<Value, Trouble> {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(Value::None);
        };
        let scope = FlowScope {
            state: &*self.state,
            instance,
            host: self.host,
            changes: RefCell::default(),
        };
        let evaluation = expr
            .evaluate(&scope)
            .map_err(|error| Failure::new("ColangValueError", error.to_string()))?;
        let changes = scope.changes.into_inner();
        for (name, value) in evaluation.changed {
            self.set(uid, &name, value);
        }
        for (flow, context) in changes {
            self.replace_context(&flow, context);
        }
        Ok(evaluation.value)
    }

    /// The attributes of a value, one after the other.
    pub(super) fn follow(
        &mut self,
        uid: &Arc<str>,
        mut value: Value,
        path: &[impl AsRef<str>],
    ) -> Result<Value, Trouble> {
        for name in path {
            let name = name.as_ref();
            let found = match &value {
                Value::Object(object) => {
                    let instance = self.state.core.flows.get(uid);
                    let scoped = instance.and_then(|instance| {
                        let scope = FlowScope {
                            state: &*self.state,
                            instance,
                            host: self.host,
                            changes: RefCell::default(),
                        };
                        scope.attribute(object.as_ref(), name)
                    });
                    scoped.or_else(|| object.attribute(name))
                }
                Value::Dict(dict) => dict.get(name).cloned(),
                _ => None,
            };
            value = found.ok_or_else(|| {
                let message = format!("a value of type {} has no `{name}`", value.type_name());
                Failure::new("ColangValueError", message)
            })?;
        }
        Ok(value)
    }

    /// A variable of the instance's own.
    pub(super) fn local(&self, uid: &Arc<str>, name: &str) -> Option<Value> {
        let instance = self.state.core.flows.get(uid)?;
        let context = self.state.core.context(instance.context);
        context.get(name).cloned()
    }

    /// Sets a variable, where the instance sees it.
    pub(super) fn set(&mut self, uid: &Arc<str>, name: &str, value: Value) {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return;
        };
        let context = instance.context;
        if is_global(self.state.core.context(context), name) {
            self.state.globals.insert(name, value);
            return;
        }
        self.state.core.context_mut(context).insert(name, value);
        self.reindex(uid, Some(name));
    }

    fn replace_context(&mut self, uid: &Arc<str>, context: Dict) {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return;
        };
        *self.state.core.context_mut(instance.context) = context;
        self.reindex(uid, None);
    }

    /// The values of arguments.
    pub(super) fn eval_arguments(
        &mut self,
        uid: &Arc<str>,
        arguments: &crate::colang::v2::ast::Arguments,
    ) -> Result<Dict, Trouble> {
        let mut values = Dict::new();
        for (name, value) in arguments {
            let value = self.eval(uid, value)?;
            values.insert(&**name, value);
        }
        Ok(values)
    }
}
