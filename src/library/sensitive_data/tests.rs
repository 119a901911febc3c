use super::{super::testing::Trial, RAIL};
use crate::verdict::Outcome;

async fn trial(options: &str) -> Trial {
    let config = format!("rails: {{config: {{sensitive_data_detection: {options}}}}}");
    Trial::new(&RAIL, &config, &[], Vec::new()).await
}

#[tokio::test]
async fn what_is_found_is_blocked_or_masked() {
    let rail = trial("{input: {entities: [EMAIL_ADDRESS, CREDIT_CARD]}, output: {entities: [EMAIL_ADDRESS], mask_token: '[gone]'}}").await;
    let text = "I am ann@example.com, card 4012-8888-8888-1881";
    let Outcome::Block(block) = rail
        .judge("detect sensitive data on input", text)
        .await
        .unwrap()
    else {
        panic!("it passes");
    };
    assert_eq!(
        block.message.as_deref(),
        Some("I don't know the answer to that.")
    );
    assert_eq!(
        rail.judge("mask sensitive data on input", text)
            .await
            .unwrap(),
        Outcome::Transform("I am <EMAIL_ADDRESS>, card <CREDIT_CARD>".to_owned())
    );
    assert_eq!(
        rail.judge("mask sensitive data on output", text)
            .await
            .unwrap(),
        Outcome::Transform("I am [gone], card 4012-8888-8888-1881".to_owned())
    );
    for line in [
        "detect sensitive data on input",
        "mask sensitive data on input",
    ] {
        assert_eq!(rail.judge(line, "I am Ann").await.unwrap(), Outcome::Allow);
    }
}
