//! The library's rails as modules of Colang 2.x: what `import nemoguardrails.library.…` names.
//!
//! Each flow is the one of Colang 1.0, statement by statement. What differs: actions have names like `SelfCheckInputAction`, `stop` is
//! `abort`, variables that other flows see are declared, and parameters are parameters.

use std::{collections::HashSet, fmt::Write as _, sync::LazyLock};

use indexmap::IndexSet;
use regex::{Captures, Regex};

use super::write_flow;
use crate::library::{self, Bound, Flow, RAILS, REFUSE_TO_RESPOND, Rail};

/// Where the modules lie.
const ROOT: &str = "nemoguardrails/library";
/// The module of what the rails say.
const MESSAGES: &str = "messages";
/// Modules of the reference that hold actions only.
const WITHOUT_FLOWS: [&str; 2] = ["attention", "utils"];

static EXECUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"execute (\w+)(?:\((.*)\))?$").expect("the pattern is valid"));
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$([A-Za-z_]\w*)").expect("the pattern is valid"));
/// A template that joins a list.
static JOINED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{ ([\w.]+) \| join\([^)]*\) \}\}").expect("the pattern is valid")
});
/// Braces around a word that is no variable.
static PLAIN_BRACES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{([a-z_]+)\}").expect("the pattern is valid"));
static TEMPLATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{ ?(\w+) ?\}\}|\$(\w+)").expect("the pattern is valid"));

/// A flow of Clavata that is there in Colang 2.x only: it takes the policy as a parameter.
const CLAVATA_CHECK_FOR: &str = r#"
flow clavata check for $text $policy $labels=None
  """Blocks $text where it matches the policy $policy at Clavata."""
  $is_match = await ClavataCheckAction(text=$text, policy=$policy, labels=$labels)
  if $is_match.is_blocked
    if $system.config.enable_rails_exceptions
      send ClavataPolicyMatchException(message="Interaction blocked by clavata check with policy={$policy}")
    else
      bot refuse to respond
    abort
"#;

/// The text of the module `path` (`nemoguardrails/library/self_check/input_check`); none where there is no such module. Messages that
/// flows in `own` say are left to those.
pub(crate) fn colang2(path: &str, own: &HashSet<String>) -> Option<String> {
    let path = path.strip_prefix(ROOT)?.trim_matches('/');
    let path = path.strip_suffix("/flows").unwrap_or(path);
    if path == MESSAGES {
        return Some(messages(own));
    }
    let flows: Vec<_> = all_flows()
        .filter(|(rail, flow)| module(rail, flow) == path)
        .collect();
    if flows.is_empty() {
        return folder(path);
    }
    let mut text = format!(
        "# meta: exclude from llm\nimport core\nimport {}.{MESSAGES}\n",
        dotted(ROOT)
    );
    for (rail, flow) in flows {
        text.push('\n');
        text.push_str(&translated(rail, flow));
    }
    if path == "clavata" {
        text.push_str(CLAVATA_CHECK_FOR);
    }
    Some(text)
}

/// The module of a rail, and of all of its flows.
pub(crate) fn module_of(rail: &Rail) -> String {
    let modules: IndexSet<&str> = rail.flows.iter().map(|flow| module(rail, flow)).collect();
    match modules.len() {
        1 => format!("{ROOT}/{}", modules[0]),
        _ => format!("{ROOT}/{}", rail.name),
    }
}

/// What imports the modules of a folder.
fn folder(path: &str) -> Option<String> {
    let modules: IndexSet<&str> = all_flows()
        .map(|(rail, flow)| module(rail, flow))
        .filter(|module| path.is_empty() || module.starts_with(&format!("{path}/")))
        .collect();
    if modules.is_empty() && !WITHOUT_FLOWS.contains(&path) {
        return None;
    }
    let mut text = String::new();
    for module in modules {
        let _ = writeln!(text, "import {}.{}", dotted(ROOT), dotted(module));
    }
    Some(text)
}

fn dotted(path: &str) -> String {
    path.replace('/', ".")
}

/// All flows with their rails. Tools are validated by no flow.
fn all_flows() -> impl Iterator<Item = (&'static Rail, &'static Flow)> {
    let flows = RAILS
        .iter()
        .flat_map(|rail| rail.flows.iter().map(move |flow| (*rail, flow)));
    flows.filter(|(rail, _)| rail.name != "tool_validation")
}

/// The folder under which the reference has the flow.
fn module(rail: &Rail, flow: &Flow) -> &'static str {
    match (rail.name, flow.name) {
        ("self_check", "self check input") => "self_check/input_check",
        ("self_check", _) => "self_check/output_check",
        ("self_check_facts", _) => "self_check/facts",
        ("alignscore", _) => "factchecking/align_score",
        ("patronus_api" | "patronus_lynx", _) => "patronusai",
        ("sensitive_data", _) => "sensitive_data_detection",
        (name, _) => name,
    }
}

/// The parameter that takes the text, of rails that are given it.
fn text_parameter(rail: &Rail, flow: &Flow) -> Option<&'static str> {
    match (rail.name, flow.place) {
        ("trend_micro", _) => Some("text"),
        ("ai_defense" | "f5", crate::verdict::Place::Output) => Some("output_text"),
        ("ai_defense" | "f5", _) => Some("input_text"),
        _ => None,
    }
}

/// What the rails say.
fn messages(own: &HashSet<String>) -> String {
    let mut text = "# meta: exclude from llm\nimport core\n".to_owned();
    let mut seen = HashSet::from([REFUSE_TO_RESPOND]);
    for (intent, message) in library::messages() {
        // A message with filters belongs to a flow that makes it itself.
        let flow = format!("bot {}", named_apart(intent));
        if message.contains('|') || own.contains(&flow) || !seen.insert(intent) {
            continue;
        }
        let _ = write!(text, "\nflow {flow}\n");
        for variable in TEMPLATE.captures_iter(message) {
            let _ = writeln!(text, "  global ${}", named(&variable));
        }
        let message = TEMPLATE.replace_all(message, |found: &Captures<'_>| {
            format!("{{${}}}", named(found))
        });
        let message = serde_json::Value::from(&*message);
        let _ = writeln!(text, "  bot say {message}");
    }
    text
}

fn named(found: &Captures<'_>) -> String {
    let name = found.get(1).or_else(|| found.get(2));
    name.map_or_else(String::new, |name| name.as_str().to_owned())
}

/// A name without words that would end it.
fn named_apart(name: &str) -> String {
    let name = name.replace(" and ", "_and_").replace(" or ", "_or_");
    name.replace(" as ", "_as_")
}

/// The flow in Colang 2.x.
fn translated(rail: &Rail, flow: &Flow) -> String {
    let mut one = String::new();
    write_flow(&mut one, rail, flow);
    let variable = library::text_variable(flow.place);
    let taken = text_parameter(rail, flow);
    let parameters: Vec<(&str, &str)> = flow
        .arguments
        .iter()
        .filter_map(|(name, bound)| match bound {
            Bound::Parameter(parameter) => Some((*name, *parameter)),
            _ => None,
        })
        .collect();
    let mut body = Vec::new();
    let mut local: HashSet<String> = HashSet::from(["config".to_owned()]);
    local.extend(
        parameters
            .iter()
            .map(|(_, parameter)| (*parameter).to_owned()),
    );
    local.extend(taken.map(str::to_owned));
    for line in one.lines().skip(1) {
        if let Some((result, _)) = line.split_once(" = execute ") {
            local.insert(result.trim().trim_start_matches('$').to_owned());
        }
        statement(line, flow, &parameters, &mut body);
    }
    if let Some(taken) = taken {
        let given = format!("${variable}");
        body.iter_mut()
            .for_each(|line| *line = line.replace(&given, &format!("${taken}")));
    }
    let mut globals: IndexSet<&str> = IndexSet::from([variable]);
    for line in &body {
        let names = VARIABLE
            .captures_iter(line)
            .filter_map(|found| found.get(1));
        let names = names.map(|name| name.as_str());
        globals.extend(names.filter(|name| !local.contains(*name) && *name != "system"));
    }
    let mut text = format!("flow {}", flow.name);
    for name in taken
        .iter()
        .copied()
        .chain(parameters.iter().map(|(_, name)| *name))
    {
        let _ = write!(text, " ${name}=None");
    }
    let _ = writeln!(text, "\n  \"\"\"{}.\"\"\"", rail.about);
    for name in globals {
        let _ = writeln!(text, "  global ${name}");
    }
    if let Some(taken) = taken {
        let _ = writeln!(text, "  if ${taken} is None\n    ${taken} = ${variable}");
    }
    for line in body {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Adds a statement of Colang 1.0 in Colang 2.x.
fn statement(line: &str, flow: &Flow, parameters: &[(&str, &str)], body: &mut Vec<String>) {
    let depth = line.len() - line.trim_start().len();
    let (indent, line) = line.split_at(depth);
    let line = line.replace("$config.", "$system.config.");
    let new = if line.is_empty() || line.starts_with("\"\"\"") || line.starts_with("do ") {
        return;
    } else if line == "stop" {
        "abort".to_owned()
    } else if line == "bot ..." {
        "bot said something".to_owned()
    } else if line == "bot provide response" {
        return;
    } else if let Some(rest) = line.strip_prefix("else if ") {
        format!("elif {rest}")
    } else if let Some(event) = line.strip_prefix("create event ") {
        format!("send {event}")
    } else if let Some(variable) = line.strip_prefix("bot $") {
        format!("bot say ${variable}")
    } else if line.starts_with("bot ") && !line.contains('"') {
        named_apart(&line)
    } else if let Some(found) = JOINED.captures(&line) {
        let list = &found[1];
        body.push(format!("{indent}$joined = \", \".join(${list})"));
        JOINED.replace(&line, "{$$joined}").into_owned()
    } else if let Some(found) = EXECUTE.captures(&line) {
        let name = &found[1];
        let mut arguments: Vec<String> = found
            .get(2)
            .map(|arguments| arguments.as_str().to_owned())
            .into_iter()
            .collect();
        if name == flow.action {
            let is_given = |name: &str| {
                let given = arguments.first();
                given.is_some_and(|given| given.contains(&format!("{name}=")))
            };
            let missing = parameters.iter().filter(|(name, _)| !is_given(name));
            let missing: Vec<_> = missing.collect();
            let given = missing.into_iter();
            arguments.extend(given.map(|(name, parameter)| format!("{name}=${parameter}")));
        }
        let call = format!("await {}({})", action(name), arguments.join(", "));
        EXECUTE.replace(&line, regex::NoExpand(&call)).into_owned()
    } else if line.starts_with("$join_separator") {
        return;
    } else {
        line
    };
    let new = PLAIN_BRACES.replace_all(&new, "{{$1}}");
    body.push(format!("{indent}{new}"));
}

/// The name of an action in Colang 2.x: `SelfCheckInputAction` for `self_check_input`.
fn action(name: &str) -> String {
    if name.ends_with("Action") {
        return name.to_owned();
    }
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters
            .next()
            .map(|letter| letter.to_uppercase().to_string());
        format!("{}{}", first.unwrap_or_default(), letters.as_str())
    });
    format!("{}Action", words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colang::v2;

    fn text(path: &str) -> String {
        colang2(path, &HashSet::new()).unwrap()
    }

    #[test]
    fn every_flow_is_colang() {
        let mut names: HashSet<String> = HashSet::new();
        for (rail, flow) in all_flows() {
            let path = format!("{ROOT}/{}", module(rail, flow));
            let text = text(&path);
            let (parsed, faults) = v2::parse("library.co", &text);
            assert_eq!(faults, [], "{text}");
            names.extend(parsed.flow_names().map(str::to_owned));
            assert!(names.contains(flow.name), "{}", flow.name);
            for called in VARIABLE_CALL.captures_iter(&text) {
                let found = library::find_action(&called[1]);
                assert!(found.is_some(), "{} in {text}", &called[1]);
            }
        }
        let (parsed, faults) = v2::parse("messages.co", &text("nemoguardrails/library/messages"));
        assert_eq!(faults, []);
        assert!(
            parsed
                .flow_names()
                .any(|name| name == "bot inform answer unknown")
        );
    }

    static VARIABLE_CALL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"await (\w+Action)\(").unwrap());

    #[test]
    fn a_flow_takes_parameters_and_says_its_refusal() {
        let text = text("nemoguardrails/library/content_safety");
        for part in [
            "flow content safety check input $model=None\n",
            "  global $user_message\n",
            "  $response = await ContentSafetyCheckInputAction(model_name=$model)\n",
            "    if $system.config.enable_rails_exceptions\n",
            "      send ContentSafetyCheckInputException(message=",
            "        bot say $refusal_message\n",
            "    abort\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn folders_import_what_lies_in_them() {
        assert_eq!(text("nemoguardrails/library/self_check").lines().count(), 3);
        assert!(text("nemoguardrails/library").lines().count() > 20);
        assert!(text("nemoguardrails/library/regex/flows").contains("flow regex check input"));
        assert_eq!(
            colang2("nemoguardrails/library/no_such", &HashSet::new()),
            None
        );
        assert_eq!(colang2("core", &HashSet::new()), None);
    }

    #[test]
    fn messages_of_own_flows_are_left_to_them() {
        let own = HashSet::from(["bot inform answer unknown".to_owned()]);
        let text = colang2("nemoguardrails/library/messages", &own).unwrap();
        assert!(!text.contains("flow bot inform answer unknown"));
    }
}
