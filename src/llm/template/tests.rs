use serde_json::{Value, json};

use super::*;

/// Renders each case of `data`, whose outputs are those of Jinja2 (and, of the filters, of the reference).
fn compare(data: &str) {
    let data: Value = serde_json::from_str(data).unwrap();
    let templates = Templates::new();
    let mut differences = Vec::new();
    for case in data["cases"].as_array().unwrap() {
        let source = case["template"].as_str().unwrap();
        let rendered = templates.render(source, &|name| data["context"].get(name).cloned());
        let expected = case.get("output").and_then(Value::as_str);
        match (expected, &rendered) {
            (Some(expected), Ok(rendered)) if expected == rendered => {}
            (None, Err(_)) => {}
            _ => differences.push(format!("{source:?}\n  {expected:?}\n  {rendered:?}")),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn templates_render_as_in_jinja2() {
    compare(include_str!("testdata/jinja.json"));
}

#[test]
fn filters_of_histories_render_as_in_the_reference() {
    compare(include_str!("testdata/history.json"));
}

#[test]
fn only_what_is_mentioned_is_looked_up() {
    let asked = std::cell::RefCell::new(Vec::new());
    let lookup = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        Some(json!("value"))
    };
    let source = "other {{ a[:2] }} {# b #} {% if 'c' == \"d\\\" }} e\" %}{{ f }}{% endif %} g";
    Templates::new().render(source, &lookup).unwrap();
    let mut asked = asked.into_inner();
    asked.sort();
    assert_eq!(asked, ["2", "a", "endif", "f", "if"]);
}

#[test]
fn filters_and_contexts_can_be_added() {
    let mut templates = Templates::new();
    templates.add_filter("shout", |value, arguments| match value.as_str() {
        Some(text) => Ok(format!(
            "{}{}",
            text.to_uppercase(),
            arguments[0].as_str().unwrap_or("!")
        )
        .into()),
        None => Err("only texts can be shouted".into()),
    });
    templates.add_context("today", std::sync::Arc::new(|| json!("Monday")));
    let render =
        |source| templates.render(source, &|name| (name == "today").then(|| json!("never")));
    assert_eq!(render("{{ today | shout('?') }}").unwrap(), "MONDAY?");
    let error = render("{{ 3 | shout('?') }}").unwrap_err();
    assert!(error.to_string().contains("only texts"), "{error}");
}

#[test]
fn endless_templates_end() {
    let templates = Templates::new();
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        assert!(templates.render(source, &|_| None).is_err(), "{source}");
    }
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(
        templates
            .render(&format!("{{{{ {deep} }}}}"), &|_| None)
            .is_err()
    );
}

#[test]
fn an_outcome_is_its_verdict_and_the_value_of_earlier_versions() {
    let verdict = |answer: Value| {
        json!({"decision": "block", "is_blocked": true, "is_transform": false, "transform_text": {}, "reason": "why",
            "failed": false, "metadata": {}, "answer": answer})
    };
    let cases = [
        (
            json!(false),
            "{{ x }}|{{ x.is_blocked }}|{{ x.reason }}|{% if not x %}no{% endif %}",
            "False|True|why|no",
        ),
        (json!(0.25), "{{ x }}|{{ x.is_blocked }}", "0.25|True"),
        (json!("a text"), "{{ x }}|{{ x.upper() }}", "a text|A TEXT"),
        (
            json!({"allowed": false, "policy_violations": ["S1"]}),
            "{{ x }}|{{ x['allowed'] }}|{{ x.get('policy_violations') }}|{% for key in x %}{{ key }} {% endfor %}",
            "{'allowed': False, 'policy_violations': ['S1']}|False|['S1']|allowed policy_violations ",
        ),
    ];
    for (answer, source, expected) in cases {
        let value = verdict(answer);
        let rendered = Templates::new().render(source, &|_| Some(value.clone()));
        assert_eq!(rendered.unwrap(), expected);
    }
}
