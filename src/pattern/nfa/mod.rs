//! A Thompson automaton over characters, for looks and streams that the `regex` crate cannot do.

mod alphabet;
mod compile;
mod context;
mod liveness;
mod run;

pub(in crate::pattern) use self::{
    alphabet::{CharClass, INVALID},
    compile::{Nfa, Step},
    context::Side,
    liveness::Liveness,
    run::Marks,
};
