use serde_json::{Value, json};

use super::*;

fn read(
    parameters: Value,
    known: Known<'_>,
    variable: Option<&str>,
    environment: Environment<'_>,
) -> Result<Endpoint, ModelError> {
    let mut parameters = parameters.as_object().unwrap().clone();
    Endpoint::read("m", known, variable, &mut parameters, environment)
}

#[test]
fn keys_come_in_order() {
    let environment = |name: &str| match name {
        "OWN" => Some("from-own".to_owned()),
        "KNOWN" => Some("from-known".to_owned()),
        _ => None,
    };
    let known = Known {
        base_url: Some("http://h/v1/"),
        key_variables: &["KNOWN"],
        ..Known::default()
    };
    let given = || json!({"api_key": "given"});
    for (parameters, known, variable, key) in [
        (given(), known, Some("OWN"), Some("from-own")),
        (given(), known, Some("UNSET"), Some("given")),
        (json!({"api_key": ""}), known, None, Some("from-known")),
        (
            json!({}),
            Known {
                key_variables: &[],
                ..known
            },
            None,
            None,
        ),
    ] {
        let endpoint = read(parameters, known, variable, &environment).unwrap();
        assert_eq!(endpoint.bearer.as_ref().map(|key| key.expose()), key);
        assert_eq!(endpoint.base_url, "http://h/v1");
        assert!(!format!("{endpoint:?}").contains("from-"), "{endpoint:?}");
    }
    let known = Known {
        key_header: Some("x-key"),
        ..known
    };
    let endpoint = read(json!({}), known, None, &environment).unwrap();
    assert_eq!(
        (
            endpoint.headers[0].0.as_str(),
            endpoint.headers[0].1.expose()
        ),
        ("x-key", "from-known")
    );
}

#[test]
fn azure_is_spelled_its_own_way() {
    let parameters = json!({
        "azure_endpoint": "https://r.example/", "azure_deployment": "d", "api_version": "v1", "api_key": "k"});
    let known = Known {
        azure: true,
        ..Known::default()
    };
    let azure = read(parameters.clone(), known, None, &|_| None).unwrap();
    assert_eq!(azure.base_url, "https://r.example/openai/deployments/d");
    assert!(azure.bearer.is_none());
    assert_eq!(
        (azure.headers[0].0.as_str(), azure.headers[0].1.expose()),
        ("api-key", "k")
    );
    assert_eq!(
        (azure.query[0].0.as_str(), azure.query[0].1.expose()),
        ("api-version", "v1")
    );
    for missing in [
        "azure_endpoint",
        "azure_deployment",
        "api_version",
        "api_key",
    ] {
        let mut parameters = parameters.clone();
        parameters.as_object_mut().unwrap().remove(missing);
        let error = read(parameters, known, None, &|_| None).unwrap_err();
        assert!(error.message.contains(missing), "{error}");
    }
}
