use super::{super::Program, parse};

/// All that is wrong with a source, as it is shown.
fn faults(source: &str) -> Vec<String> {
    let (module, faults) = parse("main.co", source);
    if !faults.is_empty() {
        return faults.iter().map(ToString::to_string).collect();
    }
    match Program::new([module]) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

fn flow(body: &str) -> String {
    format!("flow main\n  {}\n", body.replace('\n', "\n  "))
}

#[test]
fn every_statement_of_the_language_is_read() {
    let source = r#"
# meta: exclude from llm
import core
import guardrails.input
import "some/path"

@active
@loop("watch", 10)
@meta(user_action='said "{$x}"', user_intent=True)
flow watcher

  # what it does
  """It watches."""
  global $x
  priority 0.5
  log "x is {$x}"
  print("x")
  $x = 1
  $x += 2
  $y = [1, {"a": 2}][0]
  $z = $x > 1 and not $y
    or $x == 3
  ($y.append(1))
  $r = await helper 1 $b="two"
  $v = ..."the number of guests in: {$x}"
  match A(n=less_than(3)) as $a or B(t=regex("^x")) and C()
    or D()
  start helper as $h and UtteranceBotAction(script="x") as $u
  await (helper "x" or helper "y") and helper "z"
  activate helper 1 and watcher
  deactivate helper
  send $h.Stop()
  send Custom(a=1,
    b=[2,
       3])
  match $u.Finished()
  match (helper "x").Finished()
  match UtteranceUserAction.TranscriptUpdated(interim_transcript="x")
  when helper "q" as $q
    pass
  or when $h.Finished() or E():
    abort
  else:
    return $q
  if $x == 1:
    break_out
  elif $x in [2, 3]
    continue_on
  else if not ($x is None)
    pass
  else
    start_new_flow_instance:
    pass
  while True
    for $i in [1, 2]
      if $i == 2
        break
      continue
  ...

flow helper $a $b = "b" -> $c, $d = 1
  return

flow break_out
  # nothing but a comment

flow continue_on
  stop $self
"#;
    assert_eq!(faults(source), [""; 0]);
    let (module, _) = parse("main.co", source);
    let imports: Vec<&str> = module.imports.iter().map(|import| &*import.path).collect();
    assert_eq!(imports, ["core", "guardrails/input", "some/path"]);
    assert!(module.is_excluded_from_llm);
    let program = Program::new([module]).unwrap();
    let watcher = program.flow("watcher").unwrap();
    assert!(watcher.is_active());
    assert_eq!(
        (watcher.loop_id(), watcher.loop_priority()),
        (Some("watch"), 10)
    );
    assert_eq!(
        watcher.meta("user_action").unwrap().to_string(),
        "said \"{$x}\""
    );
    assert_eq!(watcher.docstring.as_deref(), Some("It watches."));
    assert!(!watcher.source_code.contains("what it does"));
    let helper = program.flow("helper").unwrap();
    assert_eq!(helper.parameters[1].default(), Some("\"b\""));
    assert_eq!(helper.returns.len(), 2);
}

#[test]
fn a_fault_says_where_it_is_and_what_is_expected() {
    assert_eq!(
        faults("flow main\n  user said ((\n"),
        ["main.co:2:13: the bracket `(` is not closed\n2 |   user said ((\n  |             ^"]
    );
    assert_eq!(
        faults("import core\n\nflow main\nuser said \"a\"\n"),
        [
            "main.co:3:1: the steps of a flow must stand indented under it\n\
          3 | flow main\n  | ^^^^^^^^^"
        ]
    );
    assert_eq!(
        faults(&flow("$x = 1 +")),
        ["main.co:2:11: the line ends where a value is expected\n2 |   $x = 1 +\n  |           ^"]
    );
    assert_eq!(
        faults(&flow("match user said \"x\"")),
        [
            "main.co:2:9: `match` takes an event, not the flow `user said`: name one of its events, \
          such as `user said.Finished()`\n2 |   match user said \"x\"\n  |         ^^^^^^^^^^^^^"
        ]
    );
    assert_eq!(
        faults(&flow("bot say \"open")),
        [
            "main.co:2:11: the text is not closed on its line\n2 |   bot say \"open\n  |           ^^^^^"
        ]
    );
}

#[test]
fn all_faults_of_a_file_come_at_once() {
    let source = "flow a\n  $x = = 1\n  foo(,)\n  pass\n\nflow b\n  if\n    pass\n  match\n\n\
                  @x(y)\nflow c\n  pass\nflow d\n    pass\n  pass\n";
    let lines: Vec<String> = faults(source)
        .iter()
        .map(|fault| fault.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "main.co:2:8",
            "main.co:3:7",
            "main.co:7:5",
            "main.co:9:8",
            "main.co:11:4",
            "main.co:16:3"
        ]
    );
}

#[test]
fn statements_that_make_no_sense_are_faults() {
    for (body, expected) in [
        ("break", "`break` stands in no loop"),
        ("continue", "`continue` stands in no loop"),
        ("send foo", "`send` takes an event, not the flow `foo`"),
        (
            "send FooAction()",
            "`send` takes an event, not the action `FooAction`",
        ),
        ("match $x", "`match` takes an event of what `$x` holds"),
        ("start Foo()", "only a flow or an action can be started"),
        (
            "await FooAction().Finished()",
            "only a flow or an action can be started",
        ),
        ("activate FooAction()", "only a flow can be activated"),
        ("activate a or b", "`or` has no meaning here"),
        ("deactivate $x", "only a flow can be deactivated"),
        ("stop foo", "`stop` takes a variable"),
        ("match $x.Wibble()", "there is no event `Wibble`"),
        (
            "match Foo().Finished()",
            "the event `Foo` has no events of its own",
        ),
        (
            "foo(a=1, 2)",
            "an argument without a name cannot follow one with a name",
        ),
        ("foo(a=1, a=2)", "the argument `a` is given twice"),
        (
            "abort now",
            "`now` is here where the end of the line is expected",
        ),
        ("$x.y = 1", "`.` is here where `=` is expected"),
        ("flow other", "a flow cannot stand in another one"),
        ("if $x: pass", "`pass` is here"),
        ("$x = {1: 2", "the bracket `{` is not closed"),
        ("$x = 007", "this is no expression: this is no number"),
        (
            "else\n  pass",
            "`else` is here where a statement is expected",
        ),
    ] {
        let found = faults(&flow(body));
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{body}: {found:?}"
        );
    }
}

#[test]
fn flows_of_one_name_are_a_fault_unless_one_overrides() {
    let twice = faults("flow a\n  pass\nflow a\n  pass\n");
    assert!(twice[0].contains("the flow `a` is defined twice, first in main.co at line 1"));
    assert!(faults("@override\nflow a\n  pass\nflow a\n  pass\n").is_empty());
    let nothing = faults("@override\nflow a\n  pass\n");
    assert!(nothing[0].contains("there is no flow `a` that this one could override"));
    let both = faults("flow a\n  pass\n@override\nflow a\n  pass\n@override\nflow a\n  pass\n");
    assert!(both[0].contains("two flows override the flow `a`"));
}

#[test]
fn what_stands_outside_of_flows_is_reported_and_ignored() {
    let (module, faults) = parse("main.co", "user said \"x\"\nflow main\n  pass\n");
    assert!(faults.is_empty());
    assert_eq!(module.warnings.len(), 1);
    assert!(
        module.warnings[0]
            .to_string()
            .contains("outside of any flow")
    );
}

#[test]
fn an_expression_in_a_text_that_is_none_fails_when_it_is_reached() {
    assert!(faults(&flow("bot say \"a {b c}\"")).is_empty());
    assert!(faults(&flow("foo ...\"x\"")).is_empty());
}

#[test]
fn groups_and_nesting_are_limited() {
    let group = ["(a or b)"; 9].join(" and ");
    assert!(faults(&flow(&group))[0].contains("more than 100 ways"));
    let mut deep = String::from("flow main\n");
    for depth in 1..80 {
        deep += &format!("{}if True\n", " ".repeat(depth));
    }
    deep += &format!("{}pass\n", " ".repeat(80));
    assert!(
        faults(&deep)
            .iter()
            .any(|fault| fault.contains("nested deeper"))
    );
    let brackets = format!("$x = {}{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(!faults(&flow(&brackets)).is_empty());
    let group = format!("await {}a{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(!faults(&flow(&group)).is_empty());
}

#[test]
fn a_file_may_be_indented_as_a_whole() {
    let (module, faults) = parse(
        "a.co",
        "\n   # first\n   flow main\n     match A()\n\n   flow b\n     pass\n",
    );
    assert_eq!(faults, []);
    assert_eq!(module.flow_names().collect::<Vec<_>>(), ["main", "b"]);
    let (_, faults) = parse("a.co", "   flow main\n     match A()\nflow b\n  pass\n");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].line, Some(3));
}
