use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{Framer, Framing, FramingError, NewRecord, Record, RecordWriter};

const ALL: [Framing; 4] = [
    Framing::Sse,
    Framing::Ndjson,
    Framing::JsonArray,
    Framing::AwsEventStream,
];

fn read(framing: Framing, pieces: &[&[u8]]) -> Vec<Result<Record, FramingError>> {
    let mut framer = Framer::new(framing, 1 << 16);
    let mut records = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        records.extend(framer.by_ref());
    }
    framer.finish();
    records.extend(framer);
    records
}

fn payloads(framing: Framing, input: &str) -> Vec<String> {
    let records = read(framing, &[input.as_bytes()]).into_iter();
    let payloads = records.filter_map(|record| record.unwrap().data);
    payloads
        .map(|data| String::from_utf8(data.to_vec()).unwrap())
        .collect()
}

/// A stream of these payloads, as a service writes it.
fn written(framing: Framing, payloads: &[&str]) -> Vec<u8> {
    let mut writer = RecordWriter::new(framing);
    let mut out = BytesMut::new();
    for payload in payloads {
        let record = NewRecord::new(Bytes::copy_from_slice(payload.as_bytes()));
        writer.write(&record, &mut out);
    }
    writer.end(&mut out);
    out.to_vec()
}

#[test]
fn what_is_written_reads_the_same_at_every_cut() {
    let said = [
        "{\"a\":1}",
        "{\"b\":[\"]\\\"},{\"]}",
        "{\"c\":{\"é\":\"[\"}}",
        "{}",
    ];
    for framing in ALL {
        let input = written(framing, &said);
        let whole = read(framing, &[&input]);
        let data: Vec<_> = whole
            .iter()
            .filter_map(|record| record.as_ref().unwrap().data.clone())
            .collect();
        assert_eq!(data, said, "{framing:?}");
        for first in 0..=input.len() {
            let (start, rest) = input.split_at(first);
            assert_eq!(read(framing, &[start, rest]), whole, "{framing:?} {first}");
        }
        for size in 1..4 {
            let pieces: Vec<&[u8]> = input.chunks(size).collect();
            assert_eq!(read(framing, &pieces), whole, "{framing:?} by {size}");
        }
        let raw: Vec<u8> = whole
            .into_iter()
            .flat_map(|record| record.unwrap().raw)
            .collect();
        assert_eq!(raw, input, "{framing:?}");
    }
}

#[test]
fn what_lies_in_one_piece_is_a_slice_of_it() {
    for framing in ALL {
        let input = Bytes::from(written(framing, &["{\"a\":1}", "{\"b\":2}"]));
        let mut framer = Framer::new(framing, 1 << 16);
        framer.push(input.clone());
        framer.finish();
        for record in framer {
            let raw = record.unwrap().raw;
            assert!(
                raw.is_empty() || input.slice_ref(&raw) == raw,
                "{framing:?}"
            );
        }
    }
}

#[test]
fn values_are_told_apart_by_their_brackets() {
    let lines = "{\"a\":1}{\"b\":2}\n\n{\"c\":\n3}\njunk {\"d\":4}\n{\"e\":5}";
    let expected = [
        "{\"a\":1}",
        "{\"b\":2}",
        "{\"c\":\n3}",
        "junk {\"d\":4}",
        "{\"e\":5}",
    ];
    assert_eq!(payloads(Framing::Ndjson, lines), expected);
    let array = " [\r\n{\"a\":[1,2]}\n,\n[3,{}] , 4,{\"b\":\"]\"}\n]\n";
    let expected = ["{\"a\":[1,2]}", "[3,{}]", "4", "{\"b\":\"]\"}"];
    let read: Vec<String> = payloads(Framing::JsonArray, array)
        .iter()
        .map(|value| value.trim().to_owned())
        .collect();
    assert_eq!(read, expected);
    assert!(payloads(Framing::JsonArray, "[]").is_empty());
}

#[test]
fn a_record_over_the_limit_is_an_error_and_the_last_one() {
    for framing in ALL {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
        let input = written(framing, &[&long, "{}"]);
        for size in [1, 7, input.len()] {
            let mut framer = Framer::new(framing, 64);
            let mut records = Vec::new();
            for piece in input.chunks(size) {
                framer.push(Bytes::copy_from_slice(piece));
                records.extend(framer.by_ref());
            }
            framer.finish();
            records.extend(framer);
            assert_eq!(
                records,
                [Err(FramingError::TooLong { limit: 64 })],
                "{framing:?}"
            );
        }
    }
}

proptest! {
    /// Whatever comes: the same records at any cut, whose bytes are the input.
    #[test]
    fn a_cut_changes_nothing(
        framing in prop::sample::select(ALL.to_vec()),
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", "\"", "\\", "\n", "\r", " ", "1", "é", "data: ", "\0", "\0\0\0\x10",
            ]),
            0..40,
        ),
        size in 1_usize..9,
    ) {
        let input = pieces.concat().into_bytes();
        let whole = read(framing, &[&input]);
        let cut: Vec<&[u8]> = input.chunks(size).collect();
        prop_assert_eq!(&read(framing, &cut), &whole);
        let is_whole = whole.iter().all(Result::is_ok);
        let raw: Vec<u8> = whole.into_iter().flatten().flat_map(|record| record.raw).collect();
        if is_whole {
            prop_assert_eq!(raw, input);
        } else {
            prop_assert!(input.starts_with(&raw));
        }
    }

    /// Of an array any elements may be left out, rewritten or put in: what leaves is an array of the rest.
    #[test]
    fn an_array_stays_one(fates in prop::collection::vec(0_u8..5, 0..8), ends in any::<bool>()) {
        let said: Vec<String> = (0..fates.len()).map(|number| format!("{{\"n\":{number}}}")).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let input = written(Framing::JsonArray, &said);
        let records = read(Framing::JsonArray, &[&input]);
        let mut writer = RecordWriter::new(Framing::JsonArray);
        let mut out = BytesMut::new();
        let mut expected = Vec::new();
        let mut fates = fates.iter();
        for record in records {
            let record = record.unwrap();
            let Some(data) = &record.data else {
                if ends {
                    out.extend_from_slice(&writer.pass(&record));
                }
                continue;
            };
            let value: serde_json::Value = serde_json::from_slice(data).unwrap();
            match fates.next() {
                Some(0) => {}
                Some(1) => {
                    writer.rewrite(&record, b"{\"new\":1}", &mut out);
                    expected.push(serde_json::json!({"new": 1}));
                }
                Some(2) => {
                    writer.write(&NewRecord::new("{\"put\":1}"), &mut out);
                    out.extend_from_slice(&writer.pass(&record));
                    expected.extend([serde_json::json!({"put": 1}), value]);
                }
                _ => {
                    out.extend_from_slice(&writer.pass(&record));
                    expected.push(value);
                }
            }
        }
        writer.end(&mut out);
        let left: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(left, expected);
    }
}
