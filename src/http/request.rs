//! What is sent.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::Serialize;

use super::{HttpError, Secret};

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) url: reqwest::Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// A request with the JSON of `body`.
    pub(crate) fn post_json(url: &str, body: &impl Serialize) -> Result<Self, HttpError> {
        let mut request = Self::new(Method::POST, url)?;
        let json = serde_json::to_vec(body).map_err(|source| HttpError::Invalid {
            url: request.shown_url(),
            reason: "its body is no JSON".to_owned(),
            source: Some(source.into()),
        })?;
        request.body = json.into();
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(CONTENT_TYPE, json);
        Ok(request)
    }

    /// A request with the fields of a form.
    pub(crate) fn post_form(url: &str, fields: &[(&str, &str)]) -> Result<Self, HttpError> {
        let mut request = Self::new(Method::POST, url)?;
        // The pairs of a URL's query are written as those of a form.
        let mut form = reqwest::Url::parse("form:/").map_err(|error| HttpError::Invalid {
            url: request.shown_url(),
            reason: "its form cannot be written".to_owned(),
            source: Some(error.into()),
        })?;
        form.query_pairs_mut().extend_pairs(fields);
        request.body = form.query().unwrap_or_default().to_owned().into();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, kind);
        Ok(request)
    }

    /// A request without a body.
    pub(crate) fn get(url: &str) -> Result<Self, HttpError> {
        Self::new(Method::GET, url)
    }

    fn new(method: Method, url: &str) -> Result<Self, HttpError> {
        let invalid = |reason: &str, source: Option<crate::error::BoxError>| HttpError::Invalid {
            url: shown_text(url),
            reason: reason.to_owned(),
            source,
        };
        let parsed = reqwest::Url::parse(url)
            .map_err(|e| invalid("its URL is malformed", Some(e.into())))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(invalid("its URL is neither http nor https", None));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Self {
            method,
            url: parsed,
            headers,
            body: Bytes::new(),
        })
    }

    /// Adds `name=value` to the URL's query.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets a header, in the place of one of the same name. Its value is not shown anywhere.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Result<Self, HttpError> {
        let invalid = |reason: String, url: String, source: crate::error::BoxError| {
            let source = Some(source);
            HttpError::Invalid {
                url,
                reason,
                source,
            }
        };
        let parsed = HeaderName::try_from(name).map_err(|e| {
            invalid(
                format!("`{name}` is no header name"),
                self.shown_url(),
                e.into(),
            )
        })?;
        let mut value = HeaderValue::try_from(value).map_err(|e| {
            invalid(
                format!("the value of `{name}` is no header value"),
                self.shown_url(),
                e.into(),
            )
        })?;
        value.set_sensitive(true);
        self.headers.insert(parsed, value);
        Ok(self)
    }

    /// Sets `Authorization: Bearer KEY`.
    pub(crate) fn bearer(self, key: &Secret) -> Result<Self, HttpError> {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {}", key.expose()))
    }

    /// The URL as errors and logs may show it: no user info, query or fragment.
    pub(crate) fn shown_url(&self) -> String {
        shown(&self.url)
    }

    /// Whether the URL names this machine, where no proxy has to be asked.
    pub(super) fn is_loopback(&self) -> bool {
        match self.url.host_str() {
            None => false,
            Some(host) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host.eq_ignore_ascii_case("localhost")
                    || host
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

fn shown(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails on URLs that cannot have user info only, and these have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// What may be shown of a URL that does not parse: nothing that could be a key.
fn shown_text(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    match url.rfind('@') {
        Some(at) => format!("***{}", &url[at..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_keys() {
        let request = Request::get("https://me:pass@host:81/v1/x?key=abc#d").unwrap();
        assert_eq!(request.shown_url(), "https://host:81/v1/x");
        let error = Request::get("me:pass@host/x?key=abc").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("abc"), "{error:?}");
        assert!(!error.to_string().contains("pass"), "{error}");
    }

    #[test]
    fn header_values_are_not_shown() {
        let request = Request::get("http://host/")
            .unwrap()
            .header("api-key", "hidden")
            .unwrap();
        assert!(!format!("{request:?}").contains("hidden"));
        assert!(request.clone().header("bad name", "x").is_err());
        assert!(request.header("x", "a\nb").is_err());
    }

    #[test]
    fn forms_are_encoded() {
        let request = Request::post_form("http://host/", &[("a b", "c&d=é"), ("e", "")]).unwrap();
        assert_eq!(request.body, "a+b=c%26d%3D%C3%A9&e=");
    }

    #[test]
    fn loopback_is_told_from_elsewhere() {
        for (url, is) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.9/", true),
            ("http://[::1]:8/", true),
            ("http://localhost.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(Request::get(url).unwrap().is_loopback(), is, "{url}");
        }
    }
}
