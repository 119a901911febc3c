use std::{path::PathBuf, time::SystemTime};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};

use super::{super::testing::Trial, *};
use crate::{http::testing::json as answer, verdict::Outcome};

const CONFIG: &str =
    "rails: {config: {gcp_moderate_text: {endpoint: 'URL/', token_uri: 'URL/token'}}}";

/// A key file's JSON, with the key.
fn account(kind: &str) -> (Value, KeyPair) {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        BASE64_STANDARD.encode(der.as_ref())
    );
    let json = json!({
        "type": kind, "client_email": "rails@shop", "private_key_id": "k1", "private_key": pem,
        "token_uri": "https://token.invalid/",
    });
    (json, key)
}

fn write(name: &str, json: &Value) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tower-guardrails-{}-{name}", std::process::id()));
    std::fs::write(&path, json.to_string()).unwrap();
    path
}

async fn trial(name: &str, answers: Vec<crate::http::testing::Answer>) -> Trial {
    let path = write(name, &account("service_account").0);
    let environment = [(CREDENTIALS, path.to_str().unwrap())];
    let trial = Trial::new(&RAIL, CONFIG, &environment, answers).await;
    std::fs::remove_file(path).unwrap();
    trial
}

fn token(expires_in: u64) -> crate::http::testing::Answer {
    answer(
        200,
        &json!({"access_token": "hush-hush", "expires_in": expires_in}),
    )
}

fn moderated(scores: &[(&str, f64)]) -> crate::http::testing::Answer {
    let categories: Vec<_> = scores
        .iter()
        .map(|(name, confidence)| json!({"name": name, "confidence": confidence}))
        .collect();
    answer(200, &json!({"moderationCategories": categories}))
}

async fn message(trial: &Trial, line: &str) -> String {
    match trial.judge(line, "x").await.unwrap() {
        Outcome::Block(block) => block.message.unwrap(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn scores_are_judged_with_one_token() {
    let answers = vec![
        token(3600),
        moderated(&[("Toxic", 0.1), ("Legal", 0.81)]),
        moderated(&[("Toxic", 0.5), ("Derogatory", 0.45)]),
        moderated(&[("Legal", 0.9), ("Sexual", 0.75)]),
        moderated(&[("Legal", 0.9)]),
        moderated(&[("Unheard of", 0.9)]),
        // In single precision this is more than 0.8.
        moderated(&[("Toxic", 0.8)]),
    ];
    let trial = trial("one", answers).await;
    let refused = "I'm sorry, I can't respond to that.";
    assert_eq!(message(&trial, "gcpnlp moderation").await, refused);
    assert_eq!(
        message(&trial, "gcpnlp moderation detailed").await,
        "I will not engage in any abusive or harmful behavior."
    );
    assert_eq!(
        message(&trial, "gcpnlp moderation detailed").await,
        "I will not engage with inappropriate content."
    );
    assert_eq!(
        message(&trial, "gcpnlp moderation detailed").await,
        "I will not engage with sensitive content."
    );
    assert_eq!(message(&trial, "gcpnlp moderation detailed").await, "Allow");
    assert_eq!(message(&trial, "gcpnlp moderation").await, refused);
    let received = trial.received();
    assert_eq!(received.len(), 7);
    assert!(received[0].head.starts_with("POST /token "));
    assert!(
        received[0].body.starts_with("grant_type=urn%3Aietf"),
        "{}",
        received[0].body
    );
    assert!(
        received[1]
            .head
            .starts_with("POST /v2/documents:moderateText ")
    );
    assert!(received[1].head.contains("authorization: Bearer hush-hush"));
    assert_eq!(
        received[1].json(),
        json!({"document": {"type": "PLAIN_TEXT", "content": "x"}})
    );
    assert!(!trial.shown().contains("hush"), "{}", trial.shown());
}

#[tokio::test]
async fn tokens_that_expire_or_are_refused_are_asked_for_anew() {
    let fine = || moderated(&[("Toxic", 0.1)]);
    let trial = trial(
        "anew",
        vec![
            token(30),
            fine(),
            token(3600),
            answer(401, &json!({})),
            token(3600),
            fine(),
        ],
    )
    .await;
    assert_eq!(message(&trial, "gcpnlp moderation").await, "Allow");
    assert!(trial.judge("gcpnlp moderation", "x").await.is_err());
    assert_eq!(message(&trial, "gcpnlp moderation").await, "Allow");
    assert_eq!(trial.received().len(), 6);
}

#[tokio::test]
async fn failures_and_unclear_answers_are_no_verdict() {
    for (number, (status, body)) in [
        (500, json!({"moderationCategories": [{"name": "Toxic"}]})),
        (200, json!({})),
        (200, json!({"moderationCategories": []})),
        (
            200,
            json!({"moderationCategories": [{"name": "Toxic", "confidence": "low"}]}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let answers = vec![token(3600), answer(status, &body)];
        let trial = trial(&format!("unclear-{number}"), answers).await;
        assert!(
            trial.judge("gcpnlp moderation", "x").await.is_err(),
            "{body}"
        );
    }
    let trial = trial("no-token", vec![answer(200, &json!({"error": "no"}))]).await;
    assert!(trial.judge("gcpnlp moderation", "x").await.is_err());
}

#[tokio::test]
async fn without_an_account_it_is_not_ready() {
    let trial = Trial::new(&RAIL, "", &[], vec![]).await;
    assert!(matches!(
        trial.accept("gcpnlp moderation"),
        Err(Unusable::Unready(_))
    ));
    let path = write("user", &account("authorized_user").0);
    let environment = [(CREDENTIALS, path.to_str().unwrap())];
    let trial = Trial::new(&RAIL, "", &environment, vec![]).await;
    std::fs::remove_file(&path).unwrap();
    let Err(Unusable::Unready(messages)) = trial.accept("gcpnlp moderation") else {
        panic!("it is accepted");
    };
    assert!(messages[0].contains("authorized_user"), "{messages:?}");
}

#[test]
fn claims_are_signed() {
    let (json, key) = account("service_account");
    let account = ServiceAccount::from_json(json.to_string().as_bytes(), None).unwrap();
    let claim = account.claim(SystemTime::UNIX_EPOCH).unwrap();
    let (signed, signature) = claim.rsplit_once('.').unwrap();
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref());
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    public.verify(signed.as_bytes(), &signature).unwrap();
    let parts: Vec<Value> = signed
        .split('.')
        .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(parts[1]["iss"], "rails@shop");
    assert_eq!(parts[1]["aud"], "https://token.invalid/");
    assert_eq!(parts[1]["exp"], 3600);

    let mut broken = json;
    broken["private_key"] = json!("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n");
    let error = ServiceAccount::from_json(broken.to_string().as_bytes(), None).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"));
    assert!(ServiceAccount::from_json(b"[]", None).is_err());
}
