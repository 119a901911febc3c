//! Async functions as actions.

use std::{fmt, marker::PhantomData};

use futures_core::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::action::{Action, ActionContext, ActionResult, IntoActionResult};
use crate::error::BoxError;

/// The arguments of a call, read into a `T` by their names.
///
/// ```
/// use serde::Deserialize;
/// use tower_guardrails::actions::{Args, IntoAction};
///
/// #[derive(Deserialize)]
/// struct LookupOrder {
///     order_id: String,
///     #[serde(default)]
///     verbose: bool,
/// }
///
/// async fn lookup_order(Args(arguments): Args<LookupOrder>) -> Result<String, std::io::Error> {
///     Ok(format!("order {} is on its way", arguments.order_id))
/// }
///
/// let action = lookup_order.into_action();
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Args<T>(pub T);

/// What can be registered as an action: anything that is one, and async functions that return a `Result` and take
/// nothing, [`Args`], an [`ActionContext`], or the context and then the arguments.
pub trait IntoAction<Kind> {
    /// The action.
    type Action: Action + 'static;

    /// Turns the value into an action.
    fn into_action(self) -> Self::Action;
}

/// The kind of what is an action already.
#[derive(Debug)]
pub struct IsAction;

impl<A: Action + 'static> IntoAction<IsAction> for A {
    type Action = A;

    fn into_action(self) -> A {
        self
    }
}

/// An async function as an action.
pub struct FunctionAction<F, Kind> {
    function: F,
    kind: PhantomData<fn() -> Kind>,
}

impl<F, Kind> fmt::Debug for FunctionAction<F, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<F>())
    }
}

/// The kind of a function that takes nothing.
#[derive(Debug)]
pub struct TakesNothing;

/// The kind of a function that takes a `T` of arguments.
#[derive(Debug)]
pub struct TakesArgs<T>(PhantomData<T>);

/// The kind of a function that takes the context.
#[derive(Debug)]
pub struct TakesContext;

/// The kind of a function that takes the context and a `T` of arguments.
#[derive(Debug)]
pub struct TakesBoth<T>(PhantomData<T>);

macro_rules! function_action {
    ($kind:ty, [$($generic:ident)?], ($($parameter:ty),*), |$arguments:ident, $context:ident| $call:expr) => {
        impl<F, Fut, R, E $(, $generic)?> IntoAction<$kind> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: IntoActionResult + 'static,
            E: Into<BoxError> + 'static,
            $($generic: DeserializeOwned + Send + 'static,)?
        {
            type Action = FunctionAction<F, ($kind, Fut, R, E)>;

            fn into_action(self) -> Self::Action {
                FunctionAction { function: self, kind: PhantomData }
            }
        }

        impl<F, Fut, R, E $(, $generic)?> Action for FunctionAction<F, ($kind, Fut, R, E)>
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: IntoActionResult + 'static,
            E: Into<BoxError> + 'static,
            $($generic: DeserializeOwned + Send + 'static,)?
        {
            fn run(&self, $arguments: Map<String, Value>, $context: ActionContext) -> BoxFuture<'_, Result<ActionResult, BoxError>> {
                let function = &self.function;
                Box::pin(async move {
                    let future = $call(function)?;
                    future.await.map_err(Into::into)?.into_action_result()
                })
            }
        }
    };
}

function_action!(TakesNothing, [], (), |arguments, _context| {
    |function: &F| {
        expect_none(&arguments)?;
        Ok::<_, BoxError>(function())
    }
});
function_action!(TakesArgs<T>, [T], (Args<T>), |arguments, _context| {
    |function: &F| Ok::<_, BoxError>(function(Args(read(arguments)?)))
});
function_action!(TakesContext, [], (ActionContext), |arguments, context| {
    |function: &F| {
        expect_none(&arguments)?;
        Ok::<_, BoxError>(function(context))
    }
});
function_action!(
    TakesBoth<T>,
    [T],
    (ActionContext, Args<T>),
    |arguments, context| |function: &F| {
        Ok::<_, BoxError>(function(context, Args(read(arguments)?)))
    }
);

fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, BoxError> {
    Ok(serde_json::from_value(Value::Object(arguments))?)
}

fn expect_none(arguments: &Map<String, Value>) -> Result<(), BoxError> {
    match arguments.keys().next() {
        None => Ok(()),
        Some(name) => Err(format!("unexpected argument `{name}`").into()),
    }
}

/// An action that is part of the machinery: see [`Action::is_system`].
pub struct SystemAction<A>(pub(super) A);

impl<A> fmt::Debug for SystemAction<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemAction")
    }
}

impl<A: Action> Action for SystemAction<A> {
    fn run(
        &self,
        arguments: Map<String, Value>,
        context: ActionContext,
    ) -> BoxFuture<'_, Result<ActionResult, BoxError>> {
        self.0.run(arguments, context)
    }

    fn is_system(&self) -> bool {
        true
    }
}

/// Makes `action` part of the machinery: it runs here even where the config names an actions server, and does not show in the
/// history that a model reads.
pub fn system<Kind, A: IntoAction<Kind>>(action: A) -> SystemAction<A::Action> {
    SystemAction(action.into_action())
}
