//! Masking sensitive data: whole texts, of the ten entities that most configurations list.

use divan::{Bencher, counter::BytesCount};
use tower_guardrails::{IoRails, config::RailsConfig, message::Message};

fn main() {
    divan::main();
}

const CONFIG: &str = "
models: []
rails:
  input:
    flows: [mask sensitive data on input]
  config:
    sensitive_data_detection:
      input:
        entities: [EMAIL_ADDRESS, PHONE_NUMBER, CREDIT_CARD, IBAN_CODE, IP_ADDRESS, URL, US_SSN, US_PASSPORT, UK_NHS, CRYPTO]
";

const PLAIN: &str = "The quick brown fox jumps over the lazy dog, and then it rests a while. ";
const NUMBERS: &str =
    "In 2024 the 3 teams sold 1,250 units at 19.99 each, 12 more than on 05/06/2023. ";
const PERSONAL: &str =
    "Ann, ann@example.com, +44 20 7946 0958, card 4012-8888-8888-1881, from 10.0.0.1. ";
const RUSSIAN: &str = "Быстрая лиса прыгает через 2 ленивых собак, а потом отдыхает на поляне. ";

#[divan::bench(args = ["", PLAIN, NUMBERS, PERSONAL, RUSSIAN])]
fn mask_2_kib(bencher: Bencher<'_, '_>, piece: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.unwrap_or_else(|error| unreachable!("{error}"));
    let config = RailsConfig::from_content(CONFIG, "");
    let rails = config.map(IoRails::new);
    let Ok(Ok(rails)) = rails else {
        unreachable!("{:?}", rails.err());
    };
    let mut text = String::new();
    while !piece.is_empty() && text.len() < 2 << 10 {
        text.push_str(piece);
    }
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(|| runtime.block_on(rails.check([Message::user(text.as_str())])));
}
