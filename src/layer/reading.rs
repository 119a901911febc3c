//! A message as rails read it: its texts, each alone and joined in every way in which some reader joins them.

use std::{borrow::Cow, ops::Range};

use percent_encoding::percent_decode_str;

use super::{
    cache::{Hasher, Key},
    judge::search,
    policy::Blocked,
};
use crate::{
    rails::{Policy, Stage},
    wire::{Text, TextKind},
};

/// Texts that stand together, as the rails have them so far.
pub(super) struct Reading<'r> {
    /// Which message it is; none: what stands outside of messages.
    pub(super) index: Option<usize>,
    texts: &'r [Text<'r>],
    /// The parts that are no text, where a rail looks at them.
    pub(super) media: &'r [&'r str],
    /// The texts as rails have them now, where these are not those that came.
    current: Option<Vec<Cow<'r, str>>>,
    pub(super) key: Option<Key>,
    pub(super) has_passed: bool,
    pub(super) is_rewritten: bool,
}

impl<'r> Reading<'r> {
    /// Reads `texts`. Where rails of their own judge the results of tools, what these say is left to them.
    pub(super) fn new(index: Option<usize>, texts: &'r [Text<'r>], is_left_out: bool) -> Self {
        let current = || {
            let current = texts.iter().map(|text| match text.kind {
                TextKind::Content => Cow::Borrowed(""),
                _ => Cow::Borrowed(&*text.text),
            });
            current.collect()
        };
        Self {
            index,
            current: is_left_out.then(current),
            texts,
            media: &[],
            key: None,
            has_passed: false,
            is_rewritten: false,
        }
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = (&'r Text<'r>, &str)> {
        self.texts.iter().enumerate().map(|(place, text)| {
            let current = self.current.as_ref().map(|current| current.get(place));
            let current = current.map_or(Some(&text.text), |current| current);
            (text, current.map_or("", |current| &**current))
        })
    }

    /// The texts, to be changed.
    fn current(&mut self) -> &mut Vec<Cow<'r, str>> {
        let texts = self.texts;
        self.current.get_or_insert_with(|| {
            let texts = texts.iter().map(|text| Cow::Borrowed(&*text.text));
            texts.collect()
        })
    }

    /// The texts of these kinds that are not empty.
    fn of<'s>(&'s self, kinds: &'s [TextKind]) -> impl Iterator<Item = &'s str> {
        let texts = self
            .texts()
            .filter(|(text, current)| kinds.contains(&text.kind) && !current.is_empty());
        texts.map(|(_, current)| current)
    }

    /// Puts `new` in the place of a text. The strings in a tool call's arguments are in the new arguments.
    pub(super) fn replace(&mut self, place: usize, new: String) {
        let texts = self.texts;
        let Some(replaced) = texts.get(place) else {
            return;
        };
        if replaced.kind == TextKind::ToolArguments {
            for (text, current) in texts.iter().zip(self.current()) {
                if text.kind == TextKind::Nested && text.span == replaced.span {
                    *current = Cow::Borrowed("");
                }
            }
        }
        if let Some(current) = self.current().get_mut(place) {
            *current = Cow::Owned(new);
        }
        self.is_rewritten = true;
    }

    /// Puts `new` in the place of all texts of these kinds: the first takes it, the others nothing.
    pub(super) fn replace_all(&mut self, kinds: &[TextKind], new: String) {
        let mut new = Some(new);
        let texts = self.texts;
        for (text, current) in texts.iter().zip(self.current()) {
            if kinds.contains(&text.kind) {
                *current = Cow::Owned(new.take().unwrap_or_default());
            }
        }
        self.is_rewritten = true;
    }

    /// The ways in which readers join the content of several texts, nothing between: the kinds that they join, and the text.
    pub(super) fn joined(&self) -> Vec<(&'static [TextKind], String)> {
        let mut joined = Vec::new();
        let contents = self.of(CONTENT).count();
        let parts = self.of(PART).count();
        if contents > 1 {
            joined.push((CONTENT, self.of(CONTENT).collect()));
        }
        if parts > 0 && contents + parts > 1 {
            joined.push((ALL_CONTENT, self.of(ALL_CONTENT).collect()));
        }
        joined
    }

    /// The content, as the model will read it.
    pub(super) fn content(&self) -> Cow<'_, str> {
        let mut contents = self.of(CONTENT);
        let Some(first) = contents.next() else {
            return Cow::Borrowed("");
        };
        let mut content = Cow::Borrowed(first);
        for text in contents {
            content.to_mut().push_str(text);
        }
        content
    }

    /// Searches every text alone, since an anchor matches at its ends, and all that readers may join.
    pub(super) async fn search(&self, stage: Stage<'_>, policy: Policy<'_>) -> Result<(), Blocked> {
        if stage.patterns().next().is_none() {
            return Ok(());
        }
        for (text, current) in self.texts() {
            if current.is_empty() {
                continue;
            }
            let is_json = self.is_rewritten && text.kind == TextKind::ToolArguments;
            search(stage, current, is_json, policy).await?;
            if text.kind == TextKind::Id && current.contains('%') {
                let plain = percent_decode_str(current).decode_utf8_lossy();
                search(stage, &plain, false, policy).await?;
            }
        }
        for (kinds, joined) in self.joined() {
            search(stage, &joined, false, policy).await?;
            if has_seam(self.of(kinds)) {
                let lines = lines(self.of(kinds));
                search(stage, &lines, false, policy).await?;
            }
        }
        Ok(())
    }

    /// What rails that ask are given: the content and the other texts, a line each; then the other ways in which the content may be joined,
    /// where they could make a difference.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut first = self.content().into_owned();
        let others = self.texts().filter(|(text, current)| {
            text.kind != TextKind::Content && !current.is_empty() && text.says_something()
        });
        for (_, other) in others {
            if !first.is_empty() {
                first.push('\n');
            }
            first.push_str(other);
        }
        if first.trim().is_empty() {
            return Vec::new();
        }
        let mut asked = vec![first];
        if has_seam(self.of(CONTENT)) {
            asked.push(lines(self.of(CONTENT)));
        }
        if self.of(PART).next().is_some() && has_seam(self.of(ALL_CONTENT)) {
            asked.push(self.of(ALL_CONTENT).collect());
        }
        asked
    }

    /// Whether the content is all that is asked about.
    pub(super) fn is_content_only(&self) -> bool {
        let mut others = self
            .texts()
            .filter(|(text, _)| text.kind != TextKind::Content);
        !others.any(|(text, current)| !current.is_empty() && text.says_something())
    }

    /// What the message is remembered under.
    pub(super) fn key(&self, hasher: &Hasher) -> Key {
        let mut hasher = hasher.clone();
        for part in self.media {
            hasher.add(b"media");
            hasher.add(part.as_bytes());
        }
        for (text, current) in self.texts() {
            let mark: &[u8] = match text.kind {
                TextKind::Content => b"content",
                TextKind::PartText => b"part",
                TextKind::Id => b"id",
                _ => b"other",
            };
            hasher.add(mark);
            hasher.add(current.as_bytes());
        }
        hasher.key()
    }

    /// Where the content's texts lie.
    pub(super) fn spans(&self, kinds: &[TextKind]) -> Vec<Range<usize>> {
        let texts = self.texts.iter().filter(|text| kinds.contains(&text.kind));
        texts.map(|text| text.span.clone()).collect()
    }
}

/// The content.
pub(super) const CONTENT: &[TextKind] = &[TextKind::Content];
const PART: &[TextKind] = &[TextKind::PartText];
/// The content, and what some readers take for it.
const ALL_CONTENT: &[TextKind] = &[TextKind::Content, TextKind::PartText];

/// Whether two texts that follow each other touch where neither ends in white space: joined they are other words than apart.
fn has_seam<'s>(texts: impl Iterator<Item = &'s str>) -> bool {
    let mut before: Option<&str> = None;
    for text in texts {
        let touches = before.is_some_and(|before| {
            !before.ends_with(char::is_whitespace) && !text.starts_with(char::is_whitespace)
        });
        if touches {
            return true;
        }
        before = Some(text);
    }
    false
}

fn lines<'s>(texts: impl Iterator<Item = &'s str>) -> String {
    let mut lines = String::new();
    for text in texts {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(text);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: TextKind, text: &str) -> Text<'_> {
        Text {
            kind,
            text: text.into(),
            span: 0..0,
        }
    }

    fn asked(texts: &[Text<'_>]) -> Vec<String> {
        Reading::new(None, texts, false).asked()
    }

    #[test]
    fn every_way_to_join_parts_is_asked_about_once() {
        use TextKind::{Content, Id, Other, PartText};
        assert_eq!(asked(&[text(Content, "a")]), ["a"]);
        assert_eq!(
            asked(&[text(Content, "a"), text(Content, "b")]),
            ["ab", "a\nb"]
        );
        assert_eq!(asked(&[text(Content, "a\n"), text(Content, "b")]), ["a\nb"]);
        assert_eq!(
            asked(&[text(Content, "a"), text(PartText, "z"), text(Content, "b")]),
            ["ab\nz", "a\nb", "azb"]
        );
        assert_eq!(
            asked(&[
                text(Content, "a"),
                text(Other, "b"),
                text(Other, "12"),
                text(Id, "call_1")
            ]),
            ["a\nb"]
        );
        assert_eq!(
            asked(&[text(Other, "4111111111111111")]),
            ["4111111111111111"]
        );
        assert!(asked(&[text(Id, "x"), text(Other, "1")]).is_empty());
    }
}
