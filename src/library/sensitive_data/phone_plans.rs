//! Numbering plans: which digits are a telephone number of a country.
//!
//! Reading a number by the plans of several countries takes some microseconds each. Most digits are a number of none, which
//! one look at the first digits and the length says: a text of nothing but numbers is read in time.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use phonenumber::{
    country::Id,
    metadata::{DATABASE, Metadata},
};
use regex::Regex;

/// What is remembered of one text at most, in numbers.
const REMEMBERED: usize = 10_000;

/// All numbers of the countries that share a code, and perhaps more.
#[derive(Debug)]
struct Plan {
    /// A bit for each length that they have.
    lengths: u32,
    /// What they begin with; none: anything.
    begins: Option<Regex>,
    /// Whether the parser completes numbers that are written without their area's code, as those of the Caribbean are.
    completes: bool,
}

impl Plan {
    fn new(metas: &[&Metadata]) -> Self {
        let mut lengths = 0;
        let mut patterns: Vec<&str> = Vec::new();
        for meta in metas.iter().map(|meta| meta.descriptors()) {
            let kinds = [
                meta.fixed_line(),
                meta.mobile(),
                meta.toll_free(),
                meta.premium_rate(),
                meta.shared_cost(),
                meta.personal_number(),
                meta.voip(),
                meta.pager(),
                meta.uan(),
                meta.voicemail(),
            ];
            for kind in kinds.into_iter().flatten() {
                let possible = kind.possible_length().iter();
                let own = possible.fold(0, |own, length| own | bit(usize::from(*length)));
                lengths |= if own == 0 { u32::MAX } else { own };
                patterns.push(kind.national_number().as_str());
            }
        }
        patterns.sort_unstable();
        patterns.dedup();
        let begins = format!("^(?:{})", patterns.join("|"));
        let begins = regex::RegexBuilder::new(&begins)
            .ignore_whitespace(true)
            .unicode(false)
            .build()
            .ok();
        let completes = metas
            .iter()
            .any(|meta| meta.national_prefix_transform_rule().is_some());
        Self {
            lengths,
            begins,
            completes,
        }
    }

    /// Whether the parser may complete `digits`: in North America those of seven.
    fn may_be_completed(&self, digits: &str) -> bool {
        const NORTH_AMERICAN: u32 = 1 << 10;
        self.completes && (self.lengths != NORTH_AMERICAN || digits.len() == 7)
    }

    /// Whether `digits`, all of them, may be a number within the country.
    fn may_be(&self, digits: &str) -> bool {
        let begins = |begins: &Regex| begins.is_match(digits);
        self.lengths & bit(digits.len()) != 0 && self.begins.as_ref().is_none_or(begins)
    }

    /// Whether `digits` may be a number, with anything before it that is dialled first.
    fn may_end(&self, digits: &str) -> bool {
        let ends = |digits: &str| self.may_be(digits) || self.may_be_completed(digits);
        (0..digits.len()).any(|from| ends(digits.get(from..).unwrap_or_default()))
    }
}

fn bit(length: usize) -> u32 {
    u32::try_from(length)
        .ok()
        .and_then(|length| 1_u32.checked_shl(length))
        .unwrap_or(0)
}

/// The plan of a country's code, made when it is first asked for; none where no country has it.
fn plan(code: u16) -> Option<Arc<Plan>> {
    static PLANS: LazyLock<Mutex<HashMap<u16, Option<Arc<Plan>>>>> = LazyLock::new(Mutex::default);
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || {
        let metas = DATABASE.by_code(&code)?;
        Some(Arc::new(Plan::new(&metas)))
    };
    plans.entry(code).or_insert_with(made).clone()
}

/// The plans that one text needs, and what is known of its digits.
#[derive(Default)]
pub(super) struct Plans {
    plans: HashMap<u16, Option<Arc<Plan>>>,
    known: HashMap<(u16, String), bool>,
}

impl Plans {
    fn plan(&mut self, code: u16) -> Option<&Plan> {
        let plan = self.plans.entry(code).or_insert_with(|| plan(code));
        plan.as_deref()
    }

    /// Whether `digits` are a number as one dials it in the region, whose code is `code`.
    pub(super) fn is_national(&mut self, region: Id, code: u16, digits: &str) -> bool {
        // After a zero anything may follow: what is dialled first to reach another country, and that country's number.
        let may_be =
            digits.starts_with('0') || self.plan(code).is_some_and(|plan| plan.may_end(digits));
        if !may_be {
            return false;
        }
        self.known((region.code_of(), digits), || {
            is_valid(Some(region), digits)
        })
    }

    /// Whether `digits` are a number with its country's code.
    pub(super) fn is_international(&mut self, digits: &str) -> bool {
        if !self.may_be_international(digits) {
            return false;
        }
        self.known((0, digits), || is_international(digits))
    }

    fn may_be_international(&mut self, digits: &str) -> bool {
        (1..=3).any(|length| {
            let (Some(code), Some(rest)) = (digits.get(..length), digits.get(length..)) else {
                return false;
            };
            let code = code.parse().unwrap_or(0);
            code != 0 && self.plan(code).is_some_and(|plan| plan.may_end(rest))
        })
    }

    /// What is known of `digits`, found out where nothing is.
    fn known(&mut self, (by, digits): (u16, &str), find: impl FnOnce() -> bool) -> bool {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let known = self.known.entry((by, digits.to_owned()));
        *known.or_insert_with(find)
    }
}

trait CodeOf {
    fn code_of(&self) -> u16;
}

impl CodeOf for Id {
    /// A number for the region, that no other has.
    fn code_of(&self) -> u16 {
        let name: &str = self.as_ref();
        name.bytes()
            .fold(0, |number, byte| number * 256 + u16::from(byte))
    }
}

/// The code of a region.
pub(super) fn code(region: Id) -> u16 {
    DATABASE
        .by_id(region.as_ref())
        .map_or(0, Metadata::country_code)
}

fn is_international(digits: &str) -> bool {
    let Ok(number) = phonenumber::parse(None, format!("+{digits}")) else {
        return false;
    };
    if phonenumber::is_valid(&number) {
        return true;
    }
    // The parser cuts off, once or twice, what looks like the prefix of calls within the country; here it is part of the number.
    let code = number.code().value().to_string();
    let national = number.national().to_string();
    let Some(rest) = digits.strip_prefix(&code) else {
        return false;
    };
    let cut = rest.strip_suffix(&national).unwrap_or_default();
    !cut.is_empty()
        && (1..=2).any(|times| is_valid(None, &format!("+{code}{}{rest}", cut.repeat(times))))
}

fn is_valid(region: Option<Id>, digits: &str) -> bool {
    phonenumber::parse(region, digits).is_ok_and(|number| phonenumber::is_valid(&number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REGIONS: [Id; 8] = [
        Id::US,
        Id::CA,
        Id::GB,
        Id::DE,
        Id::FR,
        Id::IL,
        Id::IN,
        Id::BR,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// The short way comes to what the long one does.
        #[test]
        fn digits_are_what_the_plans_say(
            any in "[0-9]{6,19}",
            likely in "(0|00|011|1|44|49|0049|91|55|)[1-9][0-9]{7,9}",
            north in "[2-9][0-9]{9}",
        ) {
            let mut plans = Plans::default();
            for digits in [any, likely, north] {
                for region in REGIONS {
                    let found = plans.is_national(region, code(region), &digits);
                    prop_assert_eq!(found, is_valid(Some(region), &digits), "{:?} {}", region, digits);
                }
                let found = plans.is_international(&digits);
                prop_assert_eq!(found, is_international(&digits), "+{}", digits);
            }
        }
    }
}
