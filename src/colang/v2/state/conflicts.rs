//! What happens when several flows want to act at once, and what leaves.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{
    Event, Failure, Machine, Trouble,
    index::HeadRef,
    instance::HeadId,
    lifecycle::Ending,
    refs::{ActionRef, EventRef},
    scope::action_value,
    signal::{Kind, Signal},
};
use crate::{
    colang::v2::element::Op,
    value::{Dict, Value},
};

/// Which sense an action takes up, and what becomes of an action that takes it up already.
const MODALITIES: &[(&str, &str, &str)] = &[
    ("UtteranceBotAction", "bot_speech", "replace"),
    ("UtteranceUserAction", "user_speech", "replace"),
    ("TimerBotAction", "time", "parallel"),
    ("FacialGestureBotAction", "bot_face", "replace"),
    ("GestureBotAction", "bot_gesture", "override"),
    ("PostureBotAction", "bot_posture", "override"),
    ("VisualChoiceSceneAction", "information", "override"),
    ("VisualInformationSceneAction", "information", "override"),
    ("VisualFormSceneAction", "information", "override"),
    (
        "MotionEffectCameraAction",
        "camera_motion_effect",
        "override",
    ),
    ("ShotCameraAction", "camera_shot", "override"),
];

/// A head with the event that it wants to send, and its scores.
struct Wish {
    head: HeadRef,
    signal: Signal,
    reference: Option<Arc<str>>,
    scores: Vec<f64>,
}

impl Machine<'_> {
    /// Lets heads act: in each interaction loop the one with the best scores, and those that want the same. The flows of
    /// the others fail. Gives the heads that go on.
    pub(super) fn resolve(&mut self, heads: &[HeadRef]) -> Result<Vec<HeadRef>, Trouble> {
        let mut groups: IndexMap<Arc<str>, Vec<Wish>> = IndexMap::new();
        for head in heads {
            self.charge(1)?;
            match self.wish(head) {
                Ok(Some((loop_id, wish))) => groups.entry(loop_id).or_default().push(wish),
                Ok(None) => {}
                Err(Trouble::Failed(failure)) => {
                    self.report(head, &failure);
                    let scores = self.scores(head);
                    self.abort(&head.0, &scores, Ending::default())?;
                }
                Err(endless) => return Err(endless),
            }
        }
        let mut advancing = Vec::new();
        for wishes in groups.into_values() {
            self.decide(wishes, &mut advancing)?;
        }
        Ok(advancing)
    }

    fn wish(&mut self, head: &HeadRef) -> Result<Option<(Arc<str>, Wish)>, Trouble> {
        let (uid, id) = head;
        let instance = self.instance(uid)?;
        let position = instance.heads.get(id).map(|head| head.position);
        let flow = Arc::clone(&instance.flow);
        let loop_id = instance.loop_id.clone().unwrap_or_else(|| "".into());
        let element = position.and_then(|position| flow.elements.get(position));
        let Some(Op::Send(send)) = element.map(|element| &element.op) else {
            return Ok(None);
        };
        let wish = Wish {
            head: head.clone(),
            signal: self.signal(uid, &send.event, false)?,
            reference: send.reference.clone(),
            scores: self.scores(head),
        };
        Ok(Some((loop_id, wish)))
    }

    fn decide(
        &mut self,
        mut wishes: Vec<Wish>,
        advancing: &mut Vec<HeadRef>,
    ) -> Result<(), Trouble> {
        let mut order: Vec<(HeadId, Vec<f64>)> = wishes
            .iter()
            .map(|wish| (wish.head.1, wish.scores.clone()))
            .collect();
        let picked = match order.as_slice() {
            [(only, _)] => Some(*only),
            _ => self.best(&mut order),
        };
        let place = |wish: &Wish| {
            let at = order.iter().position(|(id, _)| *id == wish.head.1);
            (Some(wish.head.1) != picked, at)
        };
        wishes.sort_by_key(place);
        let mut wishes = wishes.into_iter();
        let Some(mut winner) = wishes.next() else {
            return Ok(());
        };
        if let Err(trouble) = self.act(&mut winner) {
            let Trouble::Failed(failure) = trouble else {
                return Err(trouble);
            };
            self.report(&winner.head, &failure);
            self.abort(&winner.head.0, &winner.scores, Ending::default())?;
        }
        advancing.push(winner.head.clone());
        for wish in wishes {
            let is_same = wish.signal.name == winner.signal.name
                && wish.signal.arguments == winner.signal.arguments;
            if is_same {
                self.join(&wish, &winner);
                advancing.push(wish.head);
            } else if let Some(target) = self.caught(&wish.head) {
                self.move_to(&wish.head, target)?;
                advancing.push(wish.head);
            } else {
                self.abort(&wish.head.0, &wish.scores, Ending::default())?;
            }
        }
        Ok(())
    }

    fn act(&mut self, wish: &mut Wish) -> Result<(), Trouble> {
        let mut signal = wish.signal.clone();
        self.emit(&mut signal)?;
        wish.signal.action.clone_from(&signal.action);
        if let Some(reference) = &wish.reference {
            let mut sent = wish.signal.clone();
            sent.action = signal.action;
            let value = Value::object(EventRef::new(sent));
            self.set(&wish.head.0, reference, value);
        }
        Ok(())
    }

    /// A head that wants the same as the winner shares its action.
    fn join(&mut self, wish: &Wish, winner: &Wish) {
        let (Some(own), Some(shared)) = (&wish.signal.action, &winner.signal.action) else {
            return;
        };
        if own == shared || wish.signal.kind != Kind::Action {
            return;
        }
        let Some(instance) = self.state.core.flows.get_mut(&wish.head.0) else {
            return;
        };
        for uid in &mut instance.actions {
            if uid == own {
                *uid = Arc::clone(shared);
            }
        }
        for scope in instance.scopes.values_mut() {
            for uid in &mut scope.actions {
                if uid == own {
                    *uid = Arc::clone(shared);
                }
            }
        }
        let context = instance.context;
        let holding: Vec<String> = self
            .state
            .core
            .context(context)
            .iter_str()
            .filter(|(_, value)| {
                let action = value.as_object::<ActionRef>();
                action.is_some_and(|action| action.uid == *own)
            })
            .map(|(name, _)| name.to_owned())
            .collect();
        if let Some(action) = self.state.core.actions.get_mut(shared) {
            action.users += i64::from(!holding.is_empty());
        }
        for name in holding {
            self.set(&wish.head.0, &name, action_value(shared));
        }
        self.state.core.actions.remove(own);
    }

    /// Sends an event to the outside.
    pub(super) fn emit(&mut self, signal: &mut Signal) -> Result<(), Trouble> {
        if &*signal.name == "StartUtteranceBotAction"
            && signal
                .arguments
                .get("script")
                .and_then(Value::as_str)
                .is_none()
        {
            let message = "what the bot says (`script`) must be a text";
            return Err(Failure::new("ColangValueError", message).into());
        }
        let mut arguments = Dict::new();
        arguments.insert("uid", self.host.uid());
        arguments.insert("event_created_at", self.timestamp());
        arguments.insert("source_uid", "NeMoGuardrails-Colang-2.x");
        if signal.kind == Kind::Action {
            let given = signal.text("action_uid").map(Arc::<str>::from);
            let uid = given.or_else(|| signal.action.clone());
            let uid = uid.unwrap_or_else(|| self.host.uid().into());
            arguments.insert("action_uid", Value::Str(Arc::clone(&uid)));
            signal.action = Some(uid);
        }
        for (key, value) in signal.arguments.iter() {
            arguments.insert(key.clone(), value.clone());
        }
        if signal.kind == Kind::Action {
            self.complete(&signal.name, &mut arguments);
        }
        self.follow_action(signal);
        let event = Event::new(Arc::clone(&signal.name), arguments);
        self.outgoing.push(event);
        Ok(())
    }

    /// What an event of an action has beyond what its flow says.
    fn complete(&self, name: &str, arguments: &mut Dict) {
        let modality = MODALITIES.iter().find(|(action, ..)| name.contains(action));
        let mut add = |key: &str, value: Value| {
            if !arguments.contains_key(key) {
                arguments.insert(key, value);
            }
        };
        if let Some((_, modality, policy)) = modality {
            add("action_info_modality", Value::from(*modality));
            add("action_info_modality_policy", Value::from(*policy));
        }
        let now = Value::from(self.timestamp());
        if name.contains("Started") {
            add("action_started_at", now);
        } else if name.contains("Updated") && !name.starts_with("Start") {
            add("action_updated_at", now);
        } else if name.contains("Finished") && !name.starts_with("Start") {
            add("action_finished_at", now);
        }
    }

    /// The present time as ISO 8601 writes it.
    fn timestamp(&self) -> String {
        super::clock::iso(self.now)
    }
}
