//! Records that are like the one before: the same bytes but for the text of the answer, and for what numbers records.
//!
//! Most records of a stream are, and such a record need not be read anew: its other bytes were read, strictly, and its text is
//! a JSON string that ends where the last one's did. So nothing is judged otherwise than if it had been read.

use std::ops::Range;

use bytes::Bytes;

use super::channels::Channels;
use crate::{
    framing::Record,
    wire::{
        Channel, ChoiceSpan, Patch, RecordKind, Relation, ReplyText, ReplyTexts, TextClass,
        json::{decode_string, scan_string},
    },
};

/// In how many places such records differ at most.
const SLOTS: usize = 4;

/// The longest text of a record that is not read anew, in bytes.
const LONGEST_TEXT: usize = 4 << 10;

/// The longest word that stands alone: longer ones may be packed bytes, which are looked into.
const LONGEST_WORD: usize = 250;

/// The most digits of a number that only numbers records: longer ones may be somebody's.
const LONGEST_NUMBER: usize = 6;

/// What the records of a stream have in common.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// The record that was read last, if the next one may be like it.
    last: Option<Last>,
    shape: Option<Shape>,
    /// How many shapes there were.
    made: u32,
}

/// A record that was read.
#[derive(Debug)]
struct Last {
    data: Bytes,
    texts: Vec<(Channel, Range<usize>)>,
}

/// What records have in common.
#[derive(Debug)]
pub(super) struct Shape {
    /// Tells it from others of the stream.
    pub(super) number: u32,
    /// What stands before each slot, and behind the last.
    fixed: Vec<Box<[u8]>>,
    slots: Vec<Slot>,
    /// Where the payload begins, and how many bytes follow it.
    data_at: usize,
    behind: usize,
    name: Option<Range<usize>>,
    /// The choices of the record that it was made of.
    choices: Vec<ChoiceSpan>,
    /// The tracks of fields that say the same in every record.
    pub(super) constants: Vec<usize>,
}

/// Where records differ.
#[derive(Debug)]
struct Slot {
    /// In the payload of the record that the shape was made of, without quotes.
    place: Range<usize>,
    is: Is,
}

#[derive(Debug, Clone, Copy)]
enum Is {
    /// The text of the answer.
    Text(Channel, TextClass),
    /// A word of its own, such as padding.
    Word(Channel, TextClass),
    /// A number that only numbers records.
    Number,
}

/// Where a record of a shape differs from others: its length, and the places in it.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) length: usize,
    places: [(usize, usize); SLOTS],
    is_escaped: bool,
}

impl Alike {
    pub(super) fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// Forgets what records have in common: the next one means something else.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.shape = None;
    }

    /// Notes a record that was read, of which nothing was stopped or changed.
    pub(super) fn note(&mut self, record: &Record, texts: &ReplyTexts<'_>, channels: &Channels) {
        let is_like = |shape: &Shape| {
            let cut = shape.cut(&record.raw, usize::MAX);
            cut.is_some_and(|cut| cut.length == record.raw.len())
        };
        if self.shape.as_ref().is_some_and(is_like) {
            return;
        }
        self.shape = None;
        let data = record.data.as_ref().filter(|_| may_repeat(record, texts));
        let Some(data) = data else {
            self.last = None;
            return;
        };
        let last = self.last.replace(Last {
            data: data.clone(),
            texts: texts
                .texts
                .iter()
                .map(|text| (text.channel, text.span.clone()))
                .collect(),
        });
        let Some(last) = last.filter(|last| last.has_channels_of(texts)) else {
            return;
        };
        self.made = self.made.wrapping_add(1);
        self.shape = Shape::of(self.made, record, data, texts, &last, channels);
    }
}

/// Whether the next record may be like this one.
fn may_repeat(record: &Record, texts: &ReplyTexts<'_>) -> bool {
    texts.repeats_alike
        && texts.kind == RecordKind::Data
        && !texts.ambiguous
        && texts.calls.is_empty()
        && !texts.choices.iter().any(|choice| choice.finish)
        && record.aside.is_empty()
        && record.raw.ends_with(b"\n")
}

impl Last {
    fn has_channels_of(&self, texts: &ReplyTexts<'_>) -> bool {
        let channels = texts.texts.iter().map(|text| text.channel);
        self.texts.iter().map(|(channel, _)| *channel).eq(channels)
    }
}

impl Shape {
    fn of(
        number: u32,
        record: &Record,
        data: &Bytes,
        texts: &ReplyTexts<'_>,
        last: &Last,
        channels: &Channels,
    ) -> Option<Self> {
        let data_at = offset_in(&record.raw, data)?;
        let mut slots = Vec::new();
        let mut constants = Vec::new();
        let mut answer = None;
        for (text, (_, before)) in texts.texts.iter().zip(&last.texts) {
            let place = inside(data, &text.span);
            match (text.relation, text.class) {
                (Relation::Appends, class) if class == TextClass::ANSWER && answer.is_none() => {
                    answer = Some(text.channel);
                    slots.push(Slot {
                        place: place?,
                        is: Is::Text(text.channel, class),
                    });
                }
                (Relation::Appends, _) if Some(text.channel) != answer => {
                    constants.push(channels.constant(text)?);
                }
                (Relation::Alone, class) if !class.asked => {
                    if last.data.get(before.clone()) == data.get(text.span.clone()) {
                        continue;
                    }
                    let place = place.filter(|place| is_word(data, place))?;
                    if class.patch != Patch::Text {
                        return None;
                    }
                    slots.push(Slot {
                        place,
                        is: Is::Word(text.channel, class),
                    });
                }
                _ => return None,
            }
        }
        // The place of one text is that of no other.
        let mut others = texts
            .texts
            .iter()
            .filter(|text| Some(text.channel) == answer);
        answer.filter(|_| others.nth(1).is_none())?;
        slots.extend(texts.counters.iter().map(|place| Slot {
            place: place.clone(),
            is: Is::Number,
        }));
        slots.sort_by_key(|slot| slot.place.start);
        if slots.len() > SLOTS {
            return None;
        }
        let mut fixed = Vec::with_capacity(slots.len() + 1);
        let mut at = 0;
        for slot in &slots {
            fixed.push(record.raw.get(at..data_at + slot.place.start)?.into());
            at = data_at + slot.place.end;
        }
        fixed.push(record.raw.get(at..)?.into());
        let name = record.name.as_ref();
        let name = name.map(|name| Some((offset_in(&record.raw, name)?, name.len())));
        let name = match name {
            None => None,
            // It stands before the payload, so that its place stays.
            Some(place) => Some(place.filter(|(at, _)| *at < data_at)?),
        };
        let shape = Self {
            number,
            fixed,
            slots,
            data_at,
            behind: record.raw.len().checked_sub(data_at + data.len())?,
            name: name.map(|(at, length)| at..at + length),
            choices: texts.choices.clone(),
            constants,
        };
        let cut = shape.cut(&record.raw, usize::MAX)?;
        (cut.length == record.raw.len()).then_some(shape)
    }

    /// The record of this shape that `bytes` begin with, if they do.
    pub(super) fn cut(&self, bytes: &[u8], limit: usize) -> Option<Cut> {
        let mut cut = Cut {
            length: 0,
            places: [(0, 0); SLOTS],
            is_escaped: false,
        };
        let mut at = 0;
        let pieces = self.fixed.iter().zip(&self.slots).zip(&mut cut.places);
        for ((fixed, slot), place) in pieces {
            if !bytes.get(at..)?.starts_with(fixed) {
                return None;
            }
            at += fixed.len();
            let end = match slot.is {
                Is::Text(..) => {
                    let near = bytes.get(..(at + LONGEST_TEXT).min(bytes.len()))?;
                    let (end, is_escaped) = scan_string(near, at).ok()?;
                    cut.is_escaped = is_escaped;
                    // A record without a text is another one.
                    let text = near.get(at..end).filter(|text| !text.is_empty())?;
                    std::str::from_utf8(text).ok()?;
                    end
                }
                Is::Word(..) => {
                    let length = word_length(bytes.get(at..)?);
                    at + Some(length).filter(|length| (1..LONGEST_WORD).contains(length))?
                }
                Is::Number => {
                    let digits = bytes.get(at..)?.iter().take(LONGEST_NUMBER + 1);
                    let length = digits.take_while(|byte| byte.is_ascii_digit()).count();
                    let is_json = length == 1 || bytes.get(at) != Some(&b'0');
                    let fits = (1..=LONGEST_NUMBER).contains(&length) && is_json;
                    fits.then_some(at + length)?
                }
            };
            *place = (at, end);
            at = end;
        }
        let last = self.fixed.last()?;
        if !bytes.get(at..)?.starts_with(last) {
            return None;
        }
        cut.length = at + last.len();
        (cut.length <= limit).then_some(cut)
    }

    /// The texts of a record. Those with escapes are put into `decoded`.
    pub(super) fn texts<'t>(
        &'t self,
        raw: &'t [u8],
        cut: &'t Cut,
        decoded: &'t str,
    ) -> impl Iterator<Item = ReplyText<'t>> {
        let slots = self.slots.iter().zip(&cut.places);
        slots.filter_map(move |(slot, (start, end))| {
            let (channel, class, relation) = match slot.is {
                Is::Text(channel, class) => (channel, class, Relation::Appends),
                Is::Word(channel, class) => (channel, class, Relation::Alone),
                Is::Number => return None,
            };
            let text = match relation {
                Relation::Appends if cut.is_escaped => decoded,
                _ => std::str::from_utf8(raw.get(*start..*end)?).ok()?,
            };
            // With its quotes, in the payload.
            let span = (start - self.data_at - 1)..(end - self.data_at + 1);
            Some(ReplyText {
                channel,
                relation,
                class,
                text: text.into(),
                span,
            })
        })
    }

    /// Decodes the text of a record, where it has escapes.
    pub(super) fn decode(&self, raw: &[u8], cut: &Cut, decoded: &mut String) {
        decoded.clear();
        if cut.is_escaped
            && let Some(text) = self.text(raw, cut)
        {
            decode_string(text, decoded);
        }
    }

    /// The text of a record, which is `decoded` where it has escapes.
    pub(super) fn said<'t>(&self, raw: &'t [u8], cut: &Cut, decoded: &'t str) -> &'t str {
        match cut.is_escaped {
            true => decoded,
            false => self.text(raw, cut).unwrap_or_default(),
        }
    }

    /// The text of a record, as it is written.
    fn text<'t>(&self, raw: &'t [u8], cut: &Cut) -> Option<&'t str> {
        let mut slots = self.slots.iter().zip(&cut.places);
        let (_, (start, end)) = slots.find(|(slot, _)| matches!(slot.is, Is::Text(..)))?;
        std::str::from_utf8(raw.get(*start..*end)?).ok()
    }

    /// The number of a record, where it has one.
    pub(super) fn number_of(&self, raw: &[u8], cut: &Cut) -> Option<u64> {
        let mut slots = self.slots.iter().zip(&cut.places);
        let (_, (start, end)) = slots.find(|(slot, _)| matches!(slot.is, Is::Number))?;
        std::str::from_utf8(raw.get(*start..*end)?)
            .ok()?
            .parse()
            .ok()
    }

    /// The record.
    pub(super) fn record(&self, raw: Bytes) -> Record {
        let end = raw.len().saturating_sub(self.behind);
        Record {
            name: self.name.as_ref().map(|name| raw.slice(name.clone())),
            data: Some(raw.slice(self.data_at.min(end)..end)),
            aside: Bytes::new(),
            raw,
        }
    }

    /// The choices of the shape's records.
    pub(super) fn choices(&self) -> impl Iterator<Item = u32> {
        self.choices.iter().map(|choice| choice.index)
    }

    /// The choices of a record, where they lie in it.
    pub(super) fn choices_of(&self, cut: &Cut, choices: &mut Vec<ChoiceSpan>) {
        let moved = |at: usize| {
            let slots = self.slots.iter().zip(&cut.places);
            let before = slots.filter(|(slot, _)| slot.place.end <= at);
            before.fold(at, |at, (slot, (start, end))| {
                at + (end - start) - slot.place.len()
            })
        };
        choices.extend(self.choices.iter().map(|choice| ChoiceSpan {
            span: moved(choice.span.start)..moved(choice.span.end),
            ..choice.clone()
        }));
    }
}

/// Where `part` begins in `whole`, which it was cut from; none where it was not.
pub(super) fn offset_in(whole: &Bytes, part: &Bytes) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

/// What is inside the quotes of a string; none where it is none.
fn inside(data: &[u8], span: &Range<usize>) -> Option<Range<usize>> {
    let token = data.get(span.clone())?;
    let is_string = token.len() >= 2 && token.starts_with(b"\"") && token.ends_with(b"\"");
    is_string.then(|| span.start + 1..span.end - 1)
}

fn is_word(data: &[u8], place: &Range<usize>) -> bool {
    let word = data.get(place.clone()).unwrap_or_default();
    word_length(word) == word.len() && (1..LONGEST_WORD).contains(&word.len())
}

/// How many letters and digits come first.
fn word_length(bytes: &[u8]) -> usize {
    let bytes = bytes.iter().take(LONGEST_WORD);
    bytes
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::RailsConfig,
        framing::Framing,
        layer::{guard::Guard, stream::GuardedStream},
        rails::LlmRails,
        wire::{AnthropicMessages, OpenAiChat, OpenAiResponses, WireFormat},
    };

    const YAML: &str = "
models: []
rails:
  config: {regex_detection: {output: {patterns: ['SECRET-\\d{4}', '\\bkey\\b']}}}
  output: {flows: [regex check output]}
";

    static RAILS: LazyLock<LlmRails> =
        LazyLock::new(|| LlmRails::new(RailsConfig::from_content(YAML, "").unwrap()).unwrap());

    /// The records of a stream in one of the formats, a piece of text each.
    fn records(format: usize, pieces: &[(&str, &str)]) -> Vec<String> {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let begun = match format {
            0 => vec![],
            1 => vec![
                r#"event: message_start|data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"m"}}"#,
                r#"event: content_block_start|data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            ],
            _ => vec![
                r#"event: response.output_item.added|data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"m","type":"message","role":"assistant","content":[]}}"#,
            ],
        };
        let begun = begun
            .into_iter()
            .map(|record| record.replace('|', "\n") + "\n\n");
        let pieces = pieces.iter().enumerate().map(|(number, (text, word))| {
            let (text, number) = (json(text), number + 2);
            match format {
                0 => format!("data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}],\"obfuscation\":\"{word}\"}}\n\n"),
                1 => format!("event: content_block_delta\r\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\r\n\r\n"),
                _ => format!("event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":{text},\"logprobs\":[]}}\n\n"),
            }
        });
        begun.chain(pieces).collect()
    }

    /// What leaves of the stream by and by, and whether something was blocked.
    fn left(format: usize, frames: &[Bytes]) -> (Vec<u8>, bool, usize) {
        let rails = RAILS.clone();
        let mut guard = Guard::for_tests(rails);
        let formats: [Arc<dyn WireFormat>; 3] = [
            Arc::new(OpenAiChat),
            Arc::new(AnthropicMessages),
            Arc::new(OpenAiResponses),
        ];
        guard.format = Arc::clone(&formats[format]);
        let verdict = guard.verdict.clone();
        let mut stream = GuardedStream::new(guard, Framing::Sse);
        let mut left = Vec::new();
        let mut before_end = 0;
        for frame in frames {
            stream.push(frame.clone());
            while let Some(bytes) = stream.take_output() {
                left.extend_from_slice(&bytes);
            }
            before_end = left.len();
        }
        stream.finish();
        while let Some(bytes) = stream.take_output() {
            left.extend_from_slice(&bytes);
        }
        (left, verdict.is_blocked(), before_end)
    }

    /// How much of the stream as it came has left.
    fn length_of(left: &[u8], came: &str) -> usize {
        let pairs = left.iter().zip(came.as_bytes());
        pairs.take_while(|(left, came)| left == came).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
        /// What is like the record before is judged as if it was read anew: a record that comes in two frames is.
        #[test]
        fn nothing_is_judged_otherwise(
            format in 0_usize..3,
            pieces in prop::collection::vec((
                prop::sample::select(vec![
                    "a", " the", "SEC", "RET-", "12", "34", "SECRET-1234", "key", " key ", "ke", "y", "\n", "\"", "é", "\u{2028}",
                    "😀", "\\", "\u{1}", "", "{}", "x\"}",
                ]),
                prop::sample::select(vec!["Ab1", "x", "SECRET", "AAAAAAAAAAAAAAAA"]),
            ), 1..14),
            together in 1_usize..4,
        ) {
            let records = records(format, &pieces);
            let whole: Vec<Bytes> = records
                .chunks(together)
                .map(|records| records.concat().into())
                .collect();
            let cut: Vec<Bytes> = records
                .iter()
                .flat_map(|record| [record[..9].to_owned().into(), record[9..].to_owned().into()])
                .collect();
            let (alike, anew) = (left(format, &whole), left(format, &cut));
            prop_assert_eq!(alike.1, anew.1);
            let came = records.concat();
            prop_assert_eq!(length_of(&alike.0, &came), length_of(&anew.0, &came));
            if !alike.1 {
                prop_assert_eq!(alike.2, anew.2);
            }
        }
    }

    #[test]
    fn the_shape_of_records_is_found() {
        for format in 0..3 {
            let records = records(format, &[("a", "x"), ("b", "yz"), ("c", "x"), ("d", "x1")]);
            let rails = RAILS.clone();
            let mut guard = Guard::for_tests(rails);
            let formats: [Arc<dyn WireFormat>; 3] = [
                Arc::new(OpenAiChat),
                Arc::new(AnthropicMessages),
                Arc::new(OpenAiResponses),
            ];
            guard.format = Arc::clone(&formats[format]);
            let mut stream = GuardedStream::new(guard, Framing::Sse);
            for record in &records {
                stream.push(record.clone().into());
            }
            assert!(stream.has_shape(), "{format}");
        }
    }
}
