use super::OpenAiResponses;
use crate::wire::{Claim, NormalPath, WireFormat};

#[test]
fn its_paths_are_claimed_and_others_are_not() {
    let claim = |path: &str| OpenAiResponses.claims(&NormalPath::new(path));
    for path in [
        "/v1/responses",
        "/responses/",
        "/openai/v1/responses",
        "/openai/responses",
        "/v1/responses/compact",
        "/v1/responses/input_tokens",
    ] {
        assert_eq!(claim(path), Claim::Chat, "{path}");
    }
    for path in [
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/input_items",
        "/v1/responses/resp_1/cancel",
    ] {
        assert_eq!(claim(path), Claim::Stored, "{path}");
    }
    for path in [
        "/surveys/5/responses",
        "/surveys/5/responses/7",
        "/v1/responses/a/b/c",
        "/responses-of-mine",
    ] {
        assert_eq!(claim(path), Claim::No, "{path}");
    }
}
