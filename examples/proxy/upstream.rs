//! Where requests go.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, Request, Response, StatusCode, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use rustls_pki_types::pem::PemObject as _;
use tower_guardrails::layer::RequestBody;

use crate::{BoxError, options::Options};

/// The reply of an upstream, or what the proxy says in its place.
pub(crate) type Reply = Either<Full<Bytes>, Incoming>;

/// A server that requests go to.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// What a request's path is put behind, without a slash at its end.
    base: String,
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}/", self.scheme, self.authority, self.base)
    }
}

impl Upstream {
    /// The prefix of paths, and the URL, of an option's value.
    pub(crate) fn split_option(value: &str) -> (&str, &str) {
        match value.split_once('=') {
            Some((prefix, url)) if prefix.starts_with('/') => {
                (prefix.trim_end_matches('/'), url.trim())
            }
            _ => ("", value),
        }
    }

    /// Reads an option's value: `URL` or `PREFIX=URL`.
    pub(crate) fn of_option(value: &str) -> Result<(String, Self), String> {
        let (prefix, url) = Self::split_option(value);
        if prefix.contains(['?', '#', '%']) {
            return Err(format!("the prefix `{prefix}` is no plain path"));
        }
        Ok((prefix.to_owned(), Self::parse(url)?))
    }

    /// Reads a URL, and refuses what cannot work.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        if url.contains(['?', '#']) {
            return Err(format!(
                "`{url}` has a query or a fragment, which requests could not keep"
            ));
        }
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(format!(
                "`{url}` says neither http:// nor https://, as in https://{url}"
            ));
        };
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            other => {
                return Err(format!(
                    "`{url}`: requests go by http or https, not by {other}"
                ));
            }
        };
        let Some(authority) = uri.authority() else {
            return Err(format!("`{url}` names no host"));
        };
        if authority.as_str().contains('@') {
            // The message must not tell what stands there.
            return Err("the URL has a user or a password, which would not be sent: clients send their own headers".to_owned());
        }
        if authority.host().is_empty() {
            return Err(format!("`{url}` names no host"));
        }
        let port = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or("");
        if !port.is_empty() && matches!(authority.port_u16(), None | Some(0)) {
            return Err(format!(
                "`{url}` has no usable port: it is a number from 1 to 65535"
            ));
        }
        Ok(Self {
            scheme,
            authority: authority.clone(),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether it is what listens at `address`.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        let host = self.authority.host().trim_matches(['[', ']']);
        let is_here = match host.parse::<IpAddr>() {
            Ok(ip) => ip == address.ip() || (ip.is_loopback() && address.ip().is_unspecified()),
            Err(_) => {
                host == "localhost" && (address.ip().is_loopback() || address.ip().is_unspecified())
            }
        };
        is_here && self.port() == address.port()
    }

    fn port(&self) -> u16 {
        let default = if self.scheme == Scheme::HTTPS {
            443
        } else {
            80
        };
        self.authority.port_u16().unwrap_or(default)
    }

    /// Its name and port, to be looked up.
    pub(crate) fn host(&self) -> (String, u16) {
        let host = self.authority.host().trim_matches(['[', ']']);
        (host.to_owned(), self.port())
    }

    /// `path` there; `rest` is what is left of its own path.
    fn uri(&self, path: &PathAndQuery, rest: &str) -> Result<Uri, http::Error> {
        let path = match self.base.is_empty() && rest.len() == path.as_str().len() {
            true => path.clone(),
            false => {
                let needs_slash = self.base.is_empty() && !rest.starts_with('/');
                let slash = if needs_slash { "/" } else { "" };
                format!("{}{slash}{rest}", self.base).parse()?
            }
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

/// All upstreams.
#[derive(Debug)]
pub(crate) struct Upstreams {
    /// By their prefixes, the longest first.
    upstreams: Vec<(String, Upstream)>,
}

impl Upstreams {
    pub(crate) fn new(mut upstreams: Vec<(String, Upstream)>) -> Self {
        upstreams.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { upstreams }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, Upstream)> {
        self.upstreams.iter()
    }

    /// The full URL to which a request for `uri` goes; none: no upstream is for its path.
    ///
    /// The layer gets the request with this URL: it judges the path that the upstream reads.
    pub(crate) fn target(&self, uri: &Uri) -> Option<Uri> {
        let root = PathAndQuery::from_static("/");
        let path = uri.path_and_query().unwrap_or(&root);
        let text = path.as_str();
        if !text.starts_with('/') {
            return None;
        }
        let (upstream, rest) = self.upstreams.iter().find_map(|(prefix, upstream)| {
            let rest = text.strip_prefix(prefix.as_str())?;
            let is_whole = rest.is_empty() || rest.starts_with(['/', '?']);
            is_whole.then_some((upstream, rest))
        })?;
        upstream.uri(path, rest).ok()
    }
}

/// Sends requests to where their URLs say.
pub(crate) struct Forward {
    client: Client<HttpsConnector<HttpConnector>, RequestBody<Incoming>>,
    timeout: Duration,
}

impl Forward {
    /// Connects as `options` say.
    ///
    /// # Errors
    ///
    /// Where certificates cannot be read.
    pub(crate) fn new(options: &Options) -> Result<Self, BoxError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(options.connect_timeout));
        connector.set_keepalive(Some(Duration::from_secs(60)));
        let needs_tls = options
            .upstreams
            .iter()
            .any(|(_, upstream)| upstream.scheme == Scheme::HTTPS);
        let tls = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(needs_tls, options.upstream_ca.as_deref())?)
        .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            timeout: options.upstream_timeout,
        })
    }

    /// Sends a request on.
    pub(crate) async fn send(
        self: Arc<Self>,
        mut request: Request<RequestBody<Incoming>>,
    ) -> Result<Response<Reply>, BoxError> {
        *request.version_mut() = Version::HTTP_11;
        drop_hop_by_hop(request.headers_mut());
        // The client writes the upstream's own host.
        request.headers_mut().remove(header::HOST);
        let upstream = request.uri().authority().cloned();
        match tokio::time::timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(mut response)) => {
                drop_hop_by_hop(response.headers_mut());
                Ok(response.map(Either::Right))
            }
            Ok(Err(error)) => {
                let upstream = upstream.as_ref().map_or("", Authority::as_str);
                tracing::warn!(
                    upstream,
                    error = whole(&error),
                    "the upstream cannot be reached"
                );
                Ok(said(
                    StatusCode::BAD_GATEWAY,
                    "the upstream cannot be reached",
                ))
            }
            Err(_) => {
                let upstream = upstream.as_ref().map_or("", Authority::as_str);
                tracing::warn!(upstream, limit = ?self.timeout, "the upstream does not answer in time");
                Ok(said(
                    StatusCode::GATEWAY_TIMEOUT,
                    "the upstream does not answer in time",
                ))
            }
        }
    }
}

/// What upstreams may be signed by.
fn roots(needs_tls: bool, own: Option<&Path>) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    if !needs_tls {
        return Ok(roots);
    }
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(file) = own {
        let cannot = |what: String| format!("--upstream-ca: {} {what}", file.display());
        let pem = fs::read(file).map_err(|error| cannot(format!("cannot be read: {error}")))?;
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| cannot(format!("is no PEM: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| cannot(format!("holds what is no certificate: {error}")))?;
            found += 1;
        }
        if found == 0 {
            return Err(cannot("holds no certificate".to_owned()).into());
        }
    }
    if roots.is_empty() {
        return Err("an upstream is https:// and this system trusts no certificate: install `ca-certificates`, or give --upstream-ca".into());
    }
    Ok(roots)
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Removes what is meant for one connection only, and what its `connection` header names.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    const ALWAYS: [HeaderName; 7] = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
        HeaderName::from_static("keep-alive"),
    ];
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in ALWAYS {
        headers.remove(name);
    }
    headers.remove("proxy-connection");
}

/// What the proxy itself says.
pub(crate) fn said<B>(
    status: StatusCode,
    message: &'static str,
) -> Response<Either<Full<Bytes>, B>> {
    let mut response = Response::new(Either::Left(Full::from(message)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(options: &[&str]) -> Upstreams {
        Upstreams::new(
            options
                .iter()
                .map(|option| Upstream::of_option(option).unwrap())
                .collect(),
        )
    }

    #[test]
    fn the_longest_prefix_takes_a_request_and_the_urls_path_takes_its_place() {
        let upstreams = upstreams(&[
            "http://127.0.0.1:9/base/",
            "/openai=https://api.openai.com",
            "/openai/eu/=https://eu.api.openai.com/v2",
            "/v1/messages=https://api.anthropic.com/v1/messages",
        ]);
        for (path, target) in [
            ("/", "http://127.0.0.1:9/base/"),
            (
                "/v1/chat/completions?a=b",
                "http://127.0.0.1:9/base/v1/chat/completions?a=b",
            ),
            (
                "/openai/v1/chat/completions",
                "https://api.openai.com/v1/chat/completions",
            ),
            ("/openai", "https://api.openai.com/"),
            ("/openai?x", "https://api.openai.com/?x"),
            ("/openaix/y", "http://127.0.0.1:9/base/openaix/y"),
            ("/openai/eu/v1", "https://eu.api.openai.com/v2/v1"),
            ("/v1/messages", "https://api.anthropic.com/v1/messages"),
            (
                "/v1/messages?beta=true",
                "https://api.anthropic.com/v1/messages?beta=true",
            ),
            (
                "/v1/messages/count_tokens",
                "https://api.anthropic.com/v1/messages/count_tokens",
            ),
            (
                "http://elsewhere.example/openai/v1",
                "https://api.openai.com/v1",
            ),
        ] {
            let found = upstreams.target(&path.parse().unwrap()).unwrap();
            assert_eq!(found, target.parse::<Uri>().unwrap(), "{path}");
        }
        assert_eq!(upstreams.target(&"*".parse().unwrap()), None);
    }

    #[test]
    fn without_an_upstream_for_all_other_paths_there_is_none() {
        let upstreams = upstreams(&["/a=http://a"]);
        assert_eq!(upstreams.target(&"/b".parse().unwrap()), None);
    }

    #[test]
    fn a_url_that_cannot_work_says_why() {
        for (url, why) in [
            ("api.openai.com", "says neither http:// nor https://"),
            ("localhost:8000", "says neither http:// nor https://"),
            ("ftp://files.example", "not by ftp"),
            ("https://", "is no URL"),
            ("https://:443", "names no host"),
            ("https://host:0", "no usable port"),
            ("https://host:99999", "usable port"),
            ("https://host:", "no usable port"),
            ("https://host/v1?key=1", "query"),
            ("https://host/#top", "fragment"),
            ("https://ho st/", "is no URL"),
            ("", "says neither"),
        ] {
            let error = Upstream::parse(url).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
        }
        let error = Upstream::parse("https://user:geheim@host/").unwrap_err();
        assert!(
            error.contains("password") && !error.contains("geheim"),
            "{error}"
        );
    }

    #[test]
    fn what_is_for_one_connection_stays_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer k"),
        ] {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["authorization"]);
    }
}
