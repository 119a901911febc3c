//! OAuth 2.0 for service accounts: a signed claim is exchanged for a token, which is kept until it expires.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{error::BoxError, http::Secret, library::service::Service};

const SCOPE: &str =
    "https://www.googleapis.com/auth/cloud-language https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How long a claim may be used, in seconds: the longest that the service accepts.
const CLAIM_LIFETIME: u64 = 3600;

/// How long before it expires a token is no longer used.
const MARGIN: Duration = Duration::from_secs(60);

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    #[error("it is no JSON of a service account")]
    Json(#[source] serde_json::Error),
    #[error("it is of the type `{0}`: only a `service_account` can be used")]
    Type(String),
    #[error("its `private_key` is no RSA key")]
    Key,
}

/// A service account, which signs claims.
pub(super) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// Reads a key file; `token_uri` goes before its own.
    ///
    /// # Errors
    ///
    /// Where it is not that of a service account, or its key cannot sign.
    pub(super) fn from_json(json: &[u8], token_uri: Option<String>) -> Result<Self, AccountError> {
        let file: File = serde_json::from_slice(json).map_err(AccountError::Json)?;
        if file.kind != "service_account" {
            return Err(AccountError::Type(file.kind));
        }
        // What is wrong with a key is not told: it would show parts of it.
        let pem = PrivateKeyDer::from_pem_slice(file.private_key.as_bytes());
        let key = match pem.map_err(|_| AccountError::Key)? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(AccountError::Key),
        };
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            key: key.map_err(|_| AccountError::Key)?,
            token_uri: token_uri
                .or(file.token_uri)
                .unwrap_or_else(|| TOKEN_URI.to_owned()),
        })
    }

    /// The signed claim, made at `now`.
    ///
    /// # Errors
    ///
    /// Where signing fails.
    pub(super) fn claim(&self, now: SystemTime) -> Result<String, BoxError> {
        let now = now.duration_since(UNIX_EPOCH)?.as_secs();
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + CLAIM_LIFETIME,
        });
        let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the claim for a token cannot be signed")?;
        Ok(format!(
            "{signed}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature)
        ))
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Tokens of an account.
pub(super) struct TokenSource {
    account: ServiceAccount,
    service: Service,
    /// The last token, with when it is no longer used. Who waits for the lock gets the token that is asked for meanwhile.
    last: Mutex<Option<(Secret, Instant)>>,
}

impl TokenSource {
    pub(super) fn new(account: ServiceAccount, service: Service) -> Self {
        Self {
            account,
            service,
            last: Mutex::default(),
        }
    }

    /// A token, from the service where there is none that can still be used.
    ///
    /// # Errors
    ///
    /// Where none is given.
    pub(super) async fn get(&self) -> Result<Secret, BoxError> {
        let mut last = self.last.lock().await;
        if let Some((token, expiry)) = &*last
            && Instant::now() < *expiry
        {
            return Ok(token.clone());
        }
        let asked = Instant::now();
        let claim = self.account.claim(SystemTime::now())?;
        let form = [("grant_type", GRANT), ("assertion", &claim)];
        let answer = self
            .service
            .post_form(&self.account.token_uri, &form)
            .await?;
        let token = answer.get("access_token").and_then(Value::as_str);
        let token = Secret::new(token.ok_or("the answer has no `access_token`")?);
        let lifetime = answer.get("expires_in").and_then(Value::as_u64);
        let lifetime = Duration::from_secs(lifetime.unwrap_or_default().min(CLAIM_LIFETIME));
        *last = Some((token.clone(), asked + lifetime.saturating_sub(MARGIN)));
        Ok(token)
    }

    /// The last token is not used again.
    pub(super) async fn forget(&self) {
        *self.last.lock().await = None;
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the token, which would also change what verdicts are remembered under.
        f.debug_tuple("TokenSource").field(&self.account).finish()
    }
}
