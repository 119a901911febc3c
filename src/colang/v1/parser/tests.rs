use super::parse;

#[test]
fn nothing_is_a_program() {
    let (parsed, faults) = parse("a.co", "");
    assert!(parsed.flows.is_empty() && faults.is_empty());
}
