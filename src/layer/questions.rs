//! What rails are asked about a request.

use std::ops::Range;

use futures_util::stream::{self, StreamExt};

use super::{
    cache::Key,
    draft::{Draft, Drafting, TOGETHER, cannot_rewrite},
    policy::Blocked,
    reading::{CONTENT, Reading},
};
use crate::{library::Subject, message::Message, rails::Checked};

/// As many messages are asked about one by one; of more, the small ones are asked about together.
const FEW: usize = 8;

/// The most bytes of texts that are asked about together.
const PACK: usize = 8 << 10;

/// What the rails of a stage are asked.
#[derive(Debug)]
pub(super) struct Round {
    /// The stage's number.
    pub(super) stage: usize,
    pub(super) questions: Vec<Question>,
    /// What the user and the assistant said, where a rail looks at it.
    pub(super) said: Vec<Message>,
}

impl Round {
    /// How many texts are asked about.
    pub(super) fn texts(&self) -> usize {
        let questions = self.questions.iter();
        questions.map(|question| question.texts.len()).sum()
    }
}

/// Messages to ask about.
#[derive(Debug)]
pub(super) struct Question {
    /// Each way in which readers may join what the messages say.
    texts: Vec<String>,
    /// What came with the text, where a rail looks at it.
    media: Vec<serde_json::Value>,
    /// How much was said before.
    said_before: usize,
    /// Where the message's content lies, if another text may stand there.
    contents: Vec<Range<usize>>,
    /// What the messages are remembered under when they pass.
    pub(super) keys: Vec<Key>,
}

impl Drafting<'_> {
    /// Asks about what `draft` leaves to be asked. Dropping the future cancels what is asked.
    pub(super) async fn judge(&self, draft: &mut Draft) -> Result<(), Blocked> {
        self.judge_results(draft).await?;
        let rails = self.rails();
        let last = self.stages().count().saturating_sub(1);
        let mut rounds = std::mem::take(&mut draft.rounds);
        let mut asked = Vec::new();
        for (number, round) in rounds.iter_mut().enumerate() {
            let questions = std::mem::take(&mut round.questions);
            asked.extend(questions.into_iter().map(|question| (number, question)));
        }
        let rounds = &rounds;
        let asked = asked.into_iter().map(|(number, question)| async move {
            let checked = match rounds.get(number) {
                Some(round) => self.judge_one(round, &question).await,
                None => Checked::Block(cannot_rewrite(rails)),
            };
            (number, question, checked)
        });
        let mut running = stream::iter(asked).buffer_unordered(TOGETHER);
        while let Some((number, question, checked)) = running.next().await {
            match checked {
                Checked::Allow => {
                    if !self.guard.verdict.has_failures()
                        && self.guard.verdict.would_block().is_empty()
                    {
                        self.remember(draft, &question.keys);
                    }
                }
                Checked::Block(blocked) => return Err(blocked),
                // One that only judges may still rewrite, through an action of the application; what rails behind it have made of
                // the text is made of another one then.
                Checked::Transform(_)
                    if question.contents.is_empty()
                        || question.texts.len() > 1
                        || rounds.get(number).is_none_or(|round| round.stage != last) =>
                {
                    return Err(cannot_rewrite(rails));
                }
                Checked::Transform(text) => draft.replace(question.contents, text),
            }
        }
        Ok(())
    }

    /// Asks the rails of a stage.
    async fn judge_one(&self, round: &Round, question: &Question) -> Checked {
        let Some(stage) = self.stages().nth(round.stage) else {
            return Checked::Block(cannot_rewrite(self.rails()));
        };
        let before = round.said.get(..question.said_before).unwrap_or_default();
        let mut changed = None;
        for text in &question.texts {
            let subject = Subject::input(text)
                .with_media(&question.media)
                .after(before);
            match stage.judge(subject, self.ask, self.policy()).await {
                Checked::Allow => {}
                Checked::Transform(text) => changed = Some(text),
                block @ Checked::Block(_) => return block,
            }
        }
        changed.map_or(Checked::Allow, Checked::Transform)
    }

    /// Remembers texts that all rails have let pass.
    fn remember(&self, draft: &mut Draft, keys: &[Key]) {
        for key in keys {
            if let Some(unasked) = draft.unasked.get_mut(key) {
                *unasked = unasked.saturating_sub(1);
                if *unasked == 0 {
                    self.cache.remember(*key);
                }
            }
        }
    }

    /// Lets the tool input rails judge the results of tools.
    async fn judge_results(&self, draft: &mut Draft) -> Result<(), Blocked> {
        let rails = &self.guard.rails.plan().results;
        let results = std::mem::take(&mut draft.results);
        let results = results.into_iter().map(|result| async move {
            let user_message = &self.guard.user_message;
            let subject = Subject::result(&result.text, user_message, result.context());
            let checked = rails.check(subject, self.ask, self.policy()).await;
            (result, checked)
        });
        let mut running = stream::iter(results).buffered(TOGETHER);
        while let Some((result, checked)) = running.next().await {
            match checked {
                Checked::Allow => {}
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(text) => match result.content_of(text) {
                    Some(content) if !result.contents.is_empty() => {
                        draft.replace(result.contents, content);
                    }
                    _ => return Err(cannot_rewrite(rails)),
                },
            }
        }
        Ok(())
    }
}

/// The questions about what has not passed before. Of many messages, small ones are asked about together; the last one never is.
pub(super) fn questions(
    read: &[Reading<'_>],
    said_before: &[usize],
    is_result: &dyn Fn(Option<usize>) -> bool,
) -> Vec<Question> {
    let asked = read.iter().filter(|reading| !reading.has_passed);
    let mut asked: Vec<_> = asked.map(|reading| (reading, reading.asked())).collect();
    for (reading, texts) in &mut asked {
        if texts.is_empty() && !reading.media.is_empty() {
            texts.push(String::new());
        }
    }
    asked.retain(|(_, texts)| !texts.is_empty());
    let last = asked.len().saturating_sub(1);
    let are_few = asked.len() <= FEW;
    let mut questions = Vec::new();
    let mut pack: Option<Question> = None;
    for (number, (reading, texts)) in asked.into_iter().enumerate() {
        let key = reading.key;
        let length: usize = texts.iter().map(String::len).sum();
        if !are_few && number != last && length < PACK && reading.media.is_empty() {
            let text = texts.join("\n");
            let packed = pack.as_mut().and_then(|pack| pack.texts.first_mut());
            match packed.filter(|packed| packed.len() + text.len() < PACK) {
                Some(packed) => {
                    packed.push('\n');
                    packed.push_str(&text);
                }
                None => questions.extend(pack.replace(Question {
                    texts: vec![text],
                    media: Vec::new(),
                    said_before: 0,
                    contents: Vec::new(),
                    keys: Vec::new(),
                })),
            }
            if let Some(pack) = &mut pack {
                pack.keys.extend(key);
            }
            continue;
        }
        let said_before = reading
            .index
            .and_then(|index| said_before.get(index))
            .copied();
        let media = reading.media.iter();
        questions.push(Question {
            texts,
            media: media
                .filter_map(|part| serde_json::from_str(part).ok())
                .collect(),
            said_before: said_before.unwrap_or_default(),
            contents: match is_result(reading.index) || !reading.is_content_only() {
                true => Vec::new(),
                false => reading.spans(CONTENT),
            },
            keys: key.into_iter().collect(),
        });
    }
    questions.extend(pack);
    questions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Text, TextKind};

    fn message(text: &str) -> Text<'_> {
        Text {
            kind: TextKind::Content,
            text: text.into(),
            span: 0..text.len(),
        }
    }

    #[test]
    fn many_small_messages_are_few_questions() {
        let texts: Vec<Vec<Text<'_>>> = (0..1500).map(|_| vec![message("a short one")]).collect();
        let read: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(index, texts)| Reading::new(Some(index), texts, false))
            .collect();
        let asked = questions(&read, &[], &|_| false);
        assert!(asked.len() <= 5, "{}", asked.len());
        // The last one is asked about alone.
        assert!(
            asked
                .iter()
                .any(|question| question.texts == ["a short one"])
        );
        let all: usize = asked
            .iter()
            .map(|question| question.texts[0].lines().count())
            .sum();
        assert_eq!(all, 1500);
        let few = questions(read.get(..FEW).unwrap(), &[], &|_| false);
        assert_eq!(few.len(), FEW);
    }
}
