//! How the two ends of a connection prove who they are, where it is not the usual way.

use std::fmt;

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::error::BoxError;

/// What is asked of servers and shown to them. By default: a certificate that the system trusts, and nothing.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    accepts_any: bool,
    roots: Option<Vec<Certificate>>,
    identity: Option<Identity>,
}

impl Tls {
    /// Accepts whatever certificate a server has: whoever sits between can read and change everything.
    pub(crate) fn accept_any(mut self) -> Self {
        self.accepts_any = true;
        self
    }

    /// Trusts the authorities of the PEM bundle `pem`, and no others.
    ///
    /// # Errors
    ///
    /// Where it holds no certificate.
    pub(crate) fn roots(mut self, pem: &[u8]) -> Result<Self, BoxError> {
        let roots = Certificate::from_pem_bundle(pem)?;
        if roots.is_empty() {
            return Err("there is no certificate in it".into());
        }
        self.roots = Some(roots);
        Ok(self)
    }

    /// Shows servers the PEM certificate `certificate`, whose key is the PEM `key`.
    ///
    /// # Errors
    ///
    /// Where they are not that.
    pub(crate) fn identity(mut self, certificate: &[u8], key: &[u8]) -> Result<Self, BoxError> {
        let both = [certificate, b"\n", key].concat();
        self.identity = Some(Identity::from_pem(&both)?);
        Ok(self)
    }

    pub(super) fn apply(&self, mut builder: ClientBuilder) -> ClientBuilder {
        if self.accepts_any {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(roots) = &self.roots {
            builder = builder.tls_certs_only(roots.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pem_is_refused() {
        assert!(Tls::default().roots(b"no certificate").is_err());
        assert!(
            Tls::default()
                .identity(b"no certificate", b"no key")
                .is_err()
        );
    }
}
