use proptest::prelude::*;
use serde_json::json;

use super::{
    super::program::{Op, Program},
    flow_of, parse,
};

fn faults(text: &str) -> Vec<String> {
    parse("a.co", text)
        .1
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The elements of the first flow, one word or more each.
fn elements(text: &str) -> Vec<String> {
    let (parsed, faults) = parse("a.co", text);
    assert!(faults.is_empty(), "{faults:?}");
    let shown = parsed.flows[0]
        .elements
        .iter()
        .map(|element| match &element.op {
            Op::User { intent, .. } => format!("user {intent}"),
            Op::Action {
                name,
                parameters,
                result,
            } => format!("{name} {} {}", json!(parameters), json!(result)),
            Op::Event { kind, fields } => format!("event {kind} {}", json!(fields)),
            Op::Call { flow } => format!("do {flow}"),
            Op::Check(condition) => format!("check {}", condition.text()),
            Op::If {
                condition,
                otherwise,
            } => format!("if {} else {otherwise}", condition.text()),
            Op::While { condition, end } => format!("while {} end {end}", condition.text()),
            Op::Jump(offset) => format!("jump {offset}"),
            Op::Return => "return".to_owned(),
            Op::Set { variable, value } => format!("set {variable} = {}", value.text()),
            Op::Branch(heads) => format!("branch {heads:?}"),
            Op::Any(count) => format!("any {count}"),
        });
    shown.collect()
}

#[test]
fn conditions_and_loops_become_jumps() {
    let text = "\
define flow counting
  user ...
  while $i < 3:
    if $i == 1
      $i += 1
      continue
    else if $stop
      break
    else
      goto done
  label done
  return
";
    assert_eq!(
        elements(text),
        [
            "user \"...\"",
            "while $i < 3 end 10",
            "if $i == 1 else 4",
            "set i = $i + 1",
            "jump -3",
            "jump 5",
            "if $stop else 3",
            "jump 4",
            "jump 2",
            "jump 2",
            "jump -9",
            "jump 1",
            "return",
        ]
    );
}

#[test]
fn branches_know_their_heads() {
    let text = "\
define flow choice
  bot ask
  when user yes
    bot good
  else when event Timer(seconds=5)
    bot late
";
    assert_eq!(
        elements(text),
        [
            r#"utter {"value":"ask"} null"#,
            "branch [1, 4]",
            "user \"yes\"",
            r#"utter {"value":"good"} null"#,
            "jump 4",
            r#"event Timer {"seconds":5}"#,
            r#"utter {"value":"late"} null"#,
            "jump 1",
        ]
    );
}

#[test]
fn actions_take_parameters_and_give_results() {
    let text = "\
define flow act
  $r = execute look_up(what=\"a, b\", where=$place, n=[1, 2])
  execute log with $r
  do check answer $model=x
  create event Done(ok=True)
  # Say it kindly.
  bot tell
";
    assert_eq!(
        elements(text),
        [
            r#"look_up {"what":"a, b","where":"$place","n":[1,2]} "r""#,
            r#"log {"$1":"$r"} null"#,
            "do x",
            r#"create_event {"event":{"_type":"Done","ok":true}} null"#,
            r#"utter {"value":"tell"} null"#,
        ]
    );
    let (parsed, _) = parse("a.co", text);
    let origin = parsed.flows[0].elements[4].origin.as_ref();
    assert_eq!(
        origin.and_then(|origin| origin.comment.as_deref()),
        Some("Say it kindly.")
    );
}

#[test]
fn a_value_to_generate_takes_its_comment_as_instructions() {
    let text = "define flow f\n  user ask\n  # The city.\n  $city = ...\n";
    assert_eq!(
        elements(text)[1],
        r#"generate_value {"instructions":"The city."} "city""#
    );
}

#[test]
fn messages_are_collected() {
    let (parsed, faults) = parse(
        "a.co",
        "\
define user give name
  \"I am $name\"
  \"[Bob](name) here\" and \"hi\"
define bot greet
  if $x
    \"Hi `name`!\"
  else
    \"Hello.\"
define flow f
  user give name
  bot thank \"Thanks.\"
    \"Thank you.\"
",
    );
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(
        parsed.user_messages["give name"],
        ["I am {name}", "{name} here {intent:and} hi"]
    );
    assert_eq!(parsed.bot_messages["greet"], ["Hi $name!", "Hello."]);
    assert_eq!(parsed.bot_messages["thank"], ["Thanks.", "Thank you."]);
}

#[test]
fn modifiers_and_meta_set_how_a_flow_runs() {
    let (parsed, _) = parse(
        "a.co",
        "\
define parallel extension flow a
  priority 5
  user x
define subflow b
  meta
    interruptable: False
  bot y
",
    );
    let [a, b] = parsed.flows.as_slice() else {
        unreachable!("two flows: {parsed:?}");
    };
    assert!(a.allow_multiple && a.is_extension && !a.is_subflow && a.priority == 5.0);
    assert!(b.is_subflow && !b.is_interruptible);
    assert_eq!(a.source_code.as_deref(), Some("user x"));
}

#[test]
fn flows_without_a_name_are_named_by_their_text() {
    let (parsed, _) = parse("a.co", "define flow\n  user a\n  bot b\n");
    assert_eq!(parsed.flows[0].id, "anonymous-2d500d83");
}

#[test]
fn every_fault_of_a_file_is_drawn() {
    let text = "\
define flow a
  wibble wobble

define flow b
  else
    bot x

define flow c
  user hello
  goto nowhere
  if $x
    wobble
    bot x
  else
    bot y
  sing
    along

define spaceship
  x

define flow c
  bot y
  execute act(a=b)
";
    assert_eq!(
        faults(text),
        [
            "a.co:2:3: `wibble` begins no statement of Colang 1.0\n2 |   wibble wobble\n  |   ^^^^^^^^^^^^^",
            "a.co:5:3: this `else` follows no `if`\n5 |   else\n  |   ^^^^",
            "a.co:10:3: there is no label `nowhere` in this flow\n10 |   goto nowhere\n   |   ^^^^^^^^^^^^",
            "a.co:12:5: `wobble` begins no statement of Colang 1.0\n12 |     wobble\n   |     ^^^^^^",
            "a.co:16:3: `sing` begins no statement of Colang 1.0\n16 |   sing\n   |   ^^^^",
            "a.co:19:1: `spaceship` cannot be defined: `user`, `bot`, `flow` and `subflow` can\n19 | define spaceship\n   | ^^^^^^^^^^^^^^^^",
            "a.co:23:3: the flow `c` is defined already\n23 |   bot y\n   |   ^^^^^",
        ]
    );
}

#[test]
fn broken_expressions_and_unknown_flows_are_told() {
    let (parsed, faults) = parse(
        "a.co",
        "define flow f\n  user x\n  if $a ==\n    do nowhere\n  do $somewhere\n  do f\n",
    );
    assert!(faults.is_empty());
    let warnings: Vec<_> = parsed
        .warnings
        .iter()
        .map(|warning| (warning.line, warning.column))
        .collect();
    assert_eq!(warnings, [(Some(3), Some(6))]);
    let program = Program::new(parsed.flows);
    let unknown: Vec<_> = program
        .unknown_calls()
        .map(|(flow, name, origin)| (flow.id.as_str(), name, origin.map(|origin| origin.line)))
        .collect();
    assert_eq!(unknown, [("f", "nowhere", Some(4))]);
}

#[test]
fn what_the_reference_refuses_is_refused() {
    for text in [
        "define flow a",
        "define flow a\n  create event X\n",
        "define flow a\n  bot greet with name=\"Bob\"\n",
        "define flow a\n  user x\n  when user y\n  bot z\n",
        "define flow a\n  user x\n  execute y(z\n",
        "define flow a\n  label x\n  label x\n",
        "define flow a\n  user x as $y\n",
        "define user a\n  x and \"y z\n",
        "define bot a\n  text: yaml\n",
        "define bot a\n  else\n    \"x\"\n",
        "define flow a\n  execute x(a=1 + 2)\n",
        "define user x\nfoo\n",
    ] {
        assert!(!faults(text).is_empty(), "{text}");
    }
}

#[test]
fn nesting_is_limited() {
    let deep: String = (1..2_000)
        .map(|depth| format!("{}if $x\n", "  ".repeat(depth)))
        .collect();
    assert!(
        faults(&format!("define flow a\n{deep}"))
            .iter()
            .any(|fault| fault.contains("too deeply"))
    );
    let chain = "  else if $x\n    bot y\n".repeat(2_000);
    let text = format!("define flow a\n  user x\n  if $x\n    bot y\n{chain}");
    assert!(
        faults(&text)
            .iter()
            .any(|fault| fault.contains("too deeply"))
    );
}

#[test]
fn a_body_alone_is_a_flow() {
    let flow =
        flow_of("made up", "bot a\nif $x\n  bot b").map(|flow| (flow.id, flow.elements.len()));
    assert_eq!(flow, Ok(("made up".to_owned(), 3)));
    assert!(flow_of("made up", "I cannot help with that.").is_err());
    assert!(flow_of("made up", "").is_err());
}

/// Lines that look like Colang, put together at random.
fn lines() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "define",
        "flow",
        "subflow",
        "user",
        "bot",
        "when",
        "else",
        "if",
        "while",
        "any",
        "or",
        "meta",
        "priority",
        "event",
        "do",
        "execute",
        "create",
        "label",
        "goto",
        "go",
        "set",
        "$x",
        "=",
        "+=",
        "...",
        "\"a b\"",
        "\"",
        "\"\"\"",
        "(a=1)",
        "(",
        ")",
        "[",
        "{",
        "#",
        ":",
        "\\",
        "é",
        "with",
        "for",
        "as",
        "something",
        "says",
        "param",
        "import",
        "break",
        "continue",
        "return",
        "stop",
        "\t",
    ]);
    let line = (0_usize..8, prop::collection::vec(words, 0..6))
        .prop_map(|(indentation, words)| format!("{}{}", " ".repeat(indentation), words.join(" ")));
    prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        parse("a.co", &text);
    }

    #[test]
    fn no_program_makes_the_parser_panic(text in lines()) {
        let (_, faults) = parse("a.co", &text);
        let count = text.split('\n').count();
        prop_assert!(faults.iter().all(|fault| fault.line.is_some_and(|line| (1..=count).contains(&line))));
    }
}
