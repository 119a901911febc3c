use serde_json::json;

use super::{
    super::testing::{Trial, faults_of},
    *,
};
use crate::{
    http::testing::{Step, json as answer},
    verdict::Outcome,
};

fn config(settings: &str) -> String {
    format!(
        "rails: {{config: {{hf_classifier: {{tox: {{engine: vllm, model: m, base_url: 'URL/hf/', threshold: 0.6, blocked_labels: [toxic]{settings}}}}}}}}}"
    )
}

async fn trial(answers: Vec<crate::http::testing::Answer>) -> Trial {
    Trial::new(&RAIL, &config(""), &[], answers).await
}

#[tokio::test]
async fn labels_are_blocked() {
    let toxic = answer(
        200,
        &json!({"data": [{"label": "toxic", "probs": [0.1, 0.9]}]}),
    );
    let fine = answer(
        200,
        &json!({"data": [{"label": "fine", "probs": [0.9, 0.1]}]}),
    );
    let trial = trial(vec![toxic, fine]).await;
    let verdict = trial
        .judge("hf classifier check input $classifier=tox", "idiot")
        .await;
    assert!(matches!(verdict, Ok(Outcome::Block(_))));
    let verdict = trial
        .judge("hf classifier check output $classifier=tox", "Hello")
        .await;
    assert_eq!(verdict.unwrap(), Outcome::Allow);
    let verdict = trial
        .judge("hf classifier check output $classifier=tox", "")
        .await;
    assert_eq!(verdict.unwrap(), Outcome::Allow);
    let received = trial.received();
    assert_eq!(received.len(), 2);
    assert!(
        received[0].head.starts_with("POST /hf/classify "),
        "{}",
        received[0].head
    );
    assert_eq!(received[0].json(), json!({"model": "m", "input": "idiot"}));
}

#[tokio::test]
async fn only_what_cannot_be_reached_is_asked_again() {
    let fine = answer(200, &json!({"data": [{"label": "fine", "probs": [0.9]}]}));
    let reset = || vec![Step::Reset];
    let recovers = trial(vec![reset(), fine.clone()]).await;
    let line = "hf classifier check input $classifier=tox";
    assert_eq!(recovers.judge(line, "Hello").await.unwrap(), Outcome::Allow);
    let unreachable = trial(vec![reset(), reset(), fine.clone()]).await;
    assert!(unreachable.judge(line, "Hello").await.is_err());
    let fails = trial(vec![answer(500, &json!({})), fine]).await;
    assert!(fails.judge(line, "Hello").await.is_err());
    assert_eq!(fails.received().len(), 1);
}

#[tokio::test]
async fn lines_are_checked() {
    let local = "rails: {config: {hf_classifier: {l: {engine: local, model: m, parameters: {device: cpu}}}}}";
    let trial_local = Trial::new(&RAIL, local, &[], vec![]).await;
    let Err(Unusable::Invalid(messages)) =
        trial_local.accept("hf classifier check input $classifier=l")
    else {
        panic!("it is accepted");
    };
    assert!(messages[0].contains("local"), "{messages:?}");
    let trial = trial(vec![]).await;
    for line in [
        "hf classifier check input",
        "hf classifier check input $classifier=none",
    ] {
        assert!(
            matches!(trial.accept(line), Err(Unusable::Unready(_))),
            "{line}"
        );
    }
    for parameters in [
        "client_cert: a.pem",
        "client_key: a.pem",
        "ca_cert: /nowhere/ca.pem",
        "client_cert: /nowhere/a.pem, client_key: /nowhere/b.pem",
    ] {
        let config = config(&format!(", parameters: {{{parameters}}}"));
        let trial = Trial::new(&RAIL, &config, &[], vec![]).await;
        let Err(Unusable::Unready(messages)) =
            trial.accept("hf classifier check input $classifier=tox")
        else {
            panic!("{parameters} is accepted");
        };
        assert!(messages[0].contains("tox"), "{messages:?}");
    }
    let config = config(", parameters: {verify_ssl: false, ca_cert: /nowhere/ca.pem}");
    let trial = Trial::new(&RAIL, &config, &[], vec![]).await;
    assert_eq!(
        trial.accept("hf classifier check input $classifier=tox"),
        Ok(())
    );
}

#[test]
fn settings_are_checked() {
    for (section, word) in [
        ("{engine: vllm, model: '', base_url: 'http://h'}", "model"),
        ("{engine: vllm, model: m}", "base_url"),
        ("{engine: fms, model: m, base_url: h}", "base_url"),
        (
            "{engine: fms, model: m, base_url: 'http://h', threshold: 1.1}",
            "threshold",
        ),
        (
            "{engine: fms, model: m, base_url: 'http://h', api_key_env_var: KEY}",
            "https",
        ),
        (
            "{engine: fms, model: m, base_url: 'https://h', api_key_env_var: 1KEY}",
            "api_key_env_var",
        ),
        (
            "{engine: fms, model: m, base_url: 'http://h', parameters: {timeout: 0}}",
            "timeout",
        ),
        ("{engine: onnx, model: m, base_url: 'http://h'}", "onnx"),
        ("{model: m, base_url: 'http://h'}", "engine"),
    ] {
        let config = format!("rails: {{config: {{hf_classifier: {{x: {section}}}}}}}");
        let faults = faults_of(&RAIL, &config);
        assert_eq!(faults.len(), 1, "{section}: {faults:?}");
        assert!(faults[0].to_string().contains(word), "{faults:?}");
    }
}
