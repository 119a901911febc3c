//! How much of a history fits into a prompt.

/// How many events a prompt is first tried with.
const FIRST_EVENTS: usize = 64;

/// What `last` makes of as many of the last of `count` events as keep its length within `limit`.
///
/// The number is sought from the end of the history, and by what the lengths so far let expect: the cost depends on the
/// limit rather than on the history.
///
/// # Errors
///
/// Those of `last`, and `too_long` where not even no event fits.
pub(super) fn longest_that_fits<T, E>(
    count: usize,
    limit: u64,
    last: impl Fn(usize) -> Result<(u64, T), E>,
    too_long: impl FnOnce() -> E,
) -> Result<T, E> {
    // What fits and what does not: how many events, how long.
    let mut fitting: Option<(usize, u64, T)> = None;
    let mut kept = count.min(FIRST_EVENTS);
    let mut too_much = loop {
        match last(kept) {
            Ok((length, _)) if length > limit => break (kept, length),
            Ok((_, rendered)) if kept == count => return Ok(rendered),
            Ok((length, rendered)) => fitting = Some((kept, length, rendered)),
            Err(error) if kept == count => return Err(error),
            // A template may need the events that are still left out.
            Err(_) => {}
        }
        kept = kept.saturating_mul(2).min(count);
    };
    let (mut most, mut length, mut rendered) = match fitting {
        Some(fitting) => fitting,
        None => match last(0)? {
            (length, rendered) if length <= limit && too_much.0 > 0 => (0, length, rendered),
            _ => return Err(too_long()),
        },
    };
    // Every other guess is the middle, so that no history makes the guesses many.
    let mut guess_by_length = true;
    while too_much.0 - most > 1 {
        let span = too_much.0 - most;
        let step = match guess_by_length {
            true => share(span, limit - length, too_much.1 - length),
            false => span / 2,
        };
        guess_by_length = !guess_by_length;
        let tried = most + step.clamp(1, span - 1);
        match last(tried)? {
            (more, text) if more <= limit => (most, length, rendered) = (tried, more, text),
            (more, _) => too_much = (tried, more),
        }
    }
    Ok(rendered)
}

/// The share of `span` that `part` is of `whole`, rounded down.
fn share(span: usize, part: u64, whole: u64) -> usize {
    let share = span as u128 * u128::from(part) / u128::from(whole.max(1));
    usize::try_from(share).unwrap_or(span)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_long_history_costs_no_more_than_the_limit() {
        let reads = |count: usize| {
            let read = Cell::new(0);
            let length = |kept: usize| {
                read.set(read.get() + kept);
                Ok::<_, ()>((40 * kept as u64, kept))
            };
            assert_eq!(longest_that_fits(count, 16_000, length, || ()), Ok(400));
            read.get()
        };
        assert_eq!(reads(2_000), reads(2_000_000));
        assert!(reads(2_000) < 10 * 400, "{}", reads(2_000));
    }
}
