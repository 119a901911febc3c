//! What a file says, as a tree: blocks of statements, before they are laid out as a flat program.

use serde_json::{Map, Value};

use super::program::Origin;

/// The block at an index of [`Blocks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block(usize);

/// All blocks of a file. Blocks refer to each other by index, so that the parser can write to several of them.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Vec<Item>>);

impl Blocks {
    pub(super) fn add(&mut self) -> Block {
        self.0.push(Vec::new());
        Block(self.0.len() - 1)
    }

    pub(super) fn items(&self, block: Block) -> &[Item] {
        self.0.get(block.0).map_or(&[], Vec::as_slice)
    }

    pub(super) fn items_mut(&mut self, block: Block) -> Option<&mut Vec<Item>> {
        self.0.get_mut(block.0)
    }
}

/// A statement.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// What its indented lines set.
    pub(super) parameters: Map<String, Value>,
    pub(super) origin: Option<Origin>,
}

impl Item {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            parameters: Map::new(),
            origin: None,
        }
    }
}

/// What kind of statement, with its text.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `user INTENT`, or a list of intents.
    User(Value),
    /// `bot INTENT`, or a message given in place.
    Bot(Value),
    /// `event NAME(…)`
    Event(String),
    /// `execute …`
    Run(String),
    /// `do FLOW`, and the variables that take what it returns.
    #[allow(
        dead_code,
        reason = "returned values are parsed and, as in the reference, not used"
    )]
    Call(String, Vec<String>),
    /// `check EXPRESSION`
    Check(String),
    /// `set $NAME = EXPRESSION`
    Set(String),
    Label(String),
    Goto(String),
    Meta(Map<String, Value>),
    If {
        condition: String,
        then: Block,
        otherwise: Block,
    },
    While(String, Block),
    /// One of the statements of a block.
    Any(Block),
    /// `create event …`
    Infer(Block),
    /// A `when` and what it leads to.
    Branch(Block),
    Continue,
    Break,
    #[allow(
        dead_code,
        reason = "returned values are parsed and, as in the reference, not used"
    )]
    Return(Vec<String>),
}
