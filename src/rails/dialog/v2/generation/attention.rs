//! How attentive the user is: the levels of attention while the user speaks, and how much of that time each takes.
//!
//! What is noted stands in the variable `_attention`, and so is part of the conversation.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{super::super::Conversation as _, Moment};
use crate::actions::ActionResult;

const VARIABLE: &str = "_attention";
const UNKNOWN: &str = "unknown";

/// How many changes of attention are kept.
const MOST_LEVELS: usize = 1_000;

/// What is noted. Times are seconds since 1970.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct View {
    /// The levels of attention, each with the time from which it holds.
    levels: Vec<(String, f64)>,
    /// When the user began to speak.
    begun: Option<f64>,
    /// When the user was last heard.
    last: Option<f64>,
}

/// Notes an event, `event`; `timestamp_offsets` says for its type by how many seconds its time is wrong.
pub(super) fn update(moment: &Moment, arguments: &Map<String, Value>) -> ActionResult {
    let mut view = view(moment);
    if let Some(event) = arguments.get("event") {
        let offsets = arguments.get("timestamp_offsets");
        view.note(event, offsets.unwrap_or(&Value::Null));
    }
    ActionResult::default().with_context(VARIABLE, json!(view))
}

/// The share of the time, from 0 to 1, that the user was at one of `attention_levels` while speaking.
pub(super) fn share(moment: &Moment, arguments: &Map<String, Value>) -> ActionResult {
    let levels = arguments.get("attention_levels").and_then(Value::as_array);
    let levels: Vec<&str> = levels
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ActionResult::value(view(moment).share(&levels))
}

fn view(moment: &Moment) -> View {
    let view = moment.variable(VARIABLE).unwrap_or_default();
    serde_json::from_value(view).unwrap_or_default()
}

impl View {
    fn note(&mut self, event: &Value, offsets: &Value) {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let Some(kind) = text("type").or_else(|| text("name")) else {
            return;
        };
        let time = match kind {
            "UtteranceUserActionStarted" | "AttentionUserActionStarted" => "action_started_at",
            "UtteranceUserActionFinished" | "AttentionUserActionFinished" => "action_finished_at",
            "UtteranceUserActionTranscriptUpdated" | "AttentionUserActionUpdated" => {
                "action_updated_at"
            }
            _ => return,
        };
        let Some(time) = text(time).and_then(seconds) else {
            return;
        };
        let time = time + offsets.get(kind).and_then(Value::as_f64).unwrap_or(0.0);
        match kind {
            "UtteranceUserActionStarted" => {
                let before = self.levels.len().saturating_sub(1);
                self.levels.drain(..before);
                self.last = None;
                self.begun = Some(time);
            }
            "UtteranceUserActionFinished" | "UtteranceUserActionTranscriptUpdated" => {
                self.last = Some(time);
            }
            "AttentionUserActionFinished" => self.levels.push((UNKNOWN.to_owned(), time)),
            _ => {
                let level = text("attention_level").unwrap_or(UNKNOWN);
                self.levels.push((level.to_owned(), time));
            }
        }
        if self.levels.len() > MOST_LEVELS {
            self.levels.remove(0);
        }
    }

    fn share(&self, wanted: &[&str]) -> f64 {
        let share = |is_all: bool| if is_all { 1.0 } else { 0.0 };
        if wanted.is_empty() {
            return 0.0;
        }
        let (Some(begun), Some(last)) = (self.begun, self.last) else {
            // Nobody knows when the user spoke: what holds now counts.
            let now = self.levels.last();
            return share(now.is_none_or(|(level, _)| wanted.contains(&level.as_str())));
        };
        let mut levels = self.levels.iter().filter(|(_, time)| *time < last);
        let Some((first, _)) = levels.next() else {
            return 1.0;
        };
        let (mut level, mut from) = (first, begun);
        let (mut all, mut attentive, mut only_unknown) = (0.0, 0.0, true);
        for (next, time) in levels
            .map(|(level, time)| (Some(level), *time))
            .chain([(None, last)])
        {
            all += time - from;
            only_unknown &= level == UNKNOWN;
            if wanted.contains(&level.as_str()) {
                attentive += time - from;
            }
            (level, from) = (next.unwrap_or(level), time);
        }
        if only_unknown || all == 0.0 {
            return 1.0;
        }
        (attentive / all).abs()
    }
}

/// The present time in UTC, in the form of ISO 8601.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date_of(i64::try_from(days).unwrap_or(0));
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_micros()
    )
}

/// The date of a day, counted from 1970-01-01. Years are counted from March, so that the leap day is the last.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The day of a date, counted from 1970-01-01.
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The seconds since 1970 of a time as ISO 8601 writes it: `2024-05-01T10:00:00.5Z`, `…+02:00`.
fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let clock = |text: &str| -> Option<f64> {
        let mut parts = text.splitn(3, ':').map(|part| part.parse::<f64>().ok());
        let (hours, minutes) = (parts.next()??, parts.next().unwrap_or(Some(0.0))?);
        let seconds = parts.next().unwrap_or(Some(0.0))?;
        Some(hours * 3600.0 + minutes * 60.0 + seconds)
    };
    let offset = match offset.split_at_checked(1) {
        Some(("+", offset)) => clock(offset)?,
        Some(("-", offset)) => -clock(offset)?,
        _ => 0.0,
    };
    #[expect(clippy::cast_precision_loss, reason = "days of this era are exact")]
    let days = day_of(year, month, day) as f64;
    Some(days * 86_400.0 + clock(time)? - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(events: &[(&str, &str, &str)]) -> View {
        let mut view = View::default();
        for (kind, key, rest) in events {
            let (time, level) = rest.split_once(' ').unwrap_or((rest, ""));
            let time = format!("2024-05-01T10:00:{time}Z");
            view.note(
                &json!({"type": kind, *key: time, "attention_level": level}),
                &Value::Null,
            );
        }
        view
    }

    #[test]
    fn times_of_iso_8601_are_read() {
        assert_eq!(seconds("1970-01-02T00:00:01.5Z"), Some(86_401.5));
        assert_eq!(seconds("2024-02-29T12:00:00+02:00"), Some(1_709_200_800.0));
        assert_eq!(seconds("2024-02-29T12:00:00"), Some(1_709_208_000.0));
        for text in ["", "x", "2024-13-01T00:00:00Z", "2024-01-01"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(date_of(day_of(2024, 2, 29)), (2024, 2, 29));
        assert_eq!(date_of(0), (1970, 1, 1));
    }

    #[test]
    fn the_share_is_of_the_time_of_speaking() {
        let attention = "AttentionUserActionUpdated";
        let view = noted(&[
            (
                "AttentionUserActionStarted",
                "action_started_at",
                "00 engaged",
            ),
            ("UtteranceUserActionStarted", "action_started_at", "10"),
            (attention, "action_updated_at", "13 away"),
            (attention, "action_updated_at", "19 engaged"),
            ("UtteranceUserActionFinished", "action_finished_at", "20"),
        ]);
        assert!((view.share(&["engaged"]) - 0.4).abs() < 1e-9);
        assert!((view.share(&["engaged", "away"]) - 1.0).abs() < 1e-9);
        assert_eq!(view.share(&[]), 0.0);
    }

    #[test]
    fn without_times_of_speaking_what_holds_now_counts() {
        assert_eq!(View::default().share(&["engaged"]), 1.0);
        let view = noted(&[("AttentionUserActionStarted", "action_started_at", "00 away")]);
        assert_eq!(view.share(&["engaged"]), 0.0);
        assert_eq!(view.share(&["away"]), 1.0);
    }
}
