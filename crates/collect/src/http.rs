//! The HTTP client of everything that is collected by asking or told by posting: HTTP/1.1 in the clear or over TLS,
//! with the credentials of its settings, following redirects.
//!
//! One client per set of settings; it keeps its connections. Credentials read from files are read
//! for each request, so that a rotated token is used at once. A redirect to another host takes no
//! credentials along. Certificates are read when the first `https` address is asked.

mod reach;
mod settings;
mod tls;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::Incoming,
    header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use thiserror::Error;

pub use reach::Reach;
pub(crate) use settings::read_text;
pub use settings::{Auth, HttpSettings, Pem, Secret, SecretSource, TlsSettings, TlsVersion};

/// Redirects followed for one request, as Go's client does.
const REDIRECTS_MAX: usize = 10;

/// How we call ourselves.
const AGENT: &str = concat!("alluse/", env!("CARGO_PKG_VERSION"));

type Body = Full<Bytes>;
type Connector = HttpConnector<reach::Resolver>;
type Secure = Client<HttpsConnector<Connector>, Body>;

/// Why an exchange failed.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address is none.
    #[error("{url:?} is not an address that can be asked")]
    Address {
        /// As it was given.
        url: String,
    },
    /// No connection, or a broken one.
    #[error("no answer from {url}")]
    Exchange {
        /// Who was asked.
        url: String,
        /// What went wrong.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The answer broke off.
    #[error("the answer of {url} broke off")]
    Body {
        /// Who was asked.
        url: String,
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
    /// More bytes than allowed.
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLarge {
        /// Who was asked.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// Sent from one place to another without end.
    #[error("{url} redirects more than {REDIRECTS_MAX} times")]
    Redirects {
        /// Who was asked.
        url: String,
    },
    /// A file with a credential or a certificate cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The address is one that is not to be asked.
    #[error("{host} is a link-local or metadata address: it is not asked unless allowed")]
    OutOfReach {
        /// Its host.
        host: String,
    },
    /// The TLS settings do not work.
    #[error("TLS: {0}")]
    Tls(String),
}

/// A client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    settings: Arc<HttpSettings>,
    plain: Client<Connector, Body>,
    secure: Arc<Mutex<Option<Secure>>>,
}

impl HttpClient {
    /// A client with these settings. Nothing is read or connected yet.
    #[must_use]
    pub fn new(settings: Arc<HttpSettings>) -> Self {
        let connector = reach::connector(settings.reach);
        Self {
            settings,
            plain: Client::builder(TokioExecutor::new()).build(connector),
            secure: Arc::default(),
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Arc<HttpSettings> {
        &self.settings
    }

    /// Asks for an address, with its credentials and these headers.
    pub async fn get(
        &self,
        url: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, HttpError> {
        let address = |url: &str| HttpError::Address {
            url: url.to_owned(),
        };
        let first = Address::parse(url).ok_or_else(|| address(url))?;
        let mut at = first.clone();
        for _ in 0..=REDIRECTS_MAX {
            let is_same_host = at.origin() == first.origin();
            let request = self.request(&at, headers, is_same_host).await?;
            let response = self.send(request).await?;
            let follows = self.settings.follow_redirects
                && matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = response.headers().get(LOCATION).filter(|_| follows) else {
                return Ok(response);
            };
            let location = location.to_str().map_err(|_bytes| address(&at.url))?;
            at = Address::parse(&at.joined(location)).ok_or_else(|| address(location))?;
        }
        Err(HttpError::Redirects {
            url: url.to_owned(),
        })
    }

    /// Posts a body to an address, with its credentials and these headers. A redirect is not
    /// followed: the answer is that redirect.
    pub async fn post(
        &self,
        url: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, HttpError> {
        let at = Address::parse(url).ok_or_else(|| HttpError::Address {
            url: url.to_owned(),
        })?;
        let mut request = self.request(&at, headers, true).await?;
        *request.method_mut() = Method::POST;
        *request.body_mut() = Body::new(body);
        self.send(request).await
    }

    async fn request(
        &self,
        at: &Address,
        headers: &HeaderMap,
        with_credentials: bool,
    ) -> Result<Request<Body>, HttpError> {
        let mut request = Request::new(Body::default());
        *request.uri_mut() = at.uri.clone();
        *request.headers_mut() = headers.clone();
        let said = request.headers_mut();
        said.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if with_credentials {
            for (name, value) in &self.settings.headers {
                if let (Ok(name), Ok(value)) = (
                    HeaderName::try_from(name),
                    HeaderValue::try_from(value.reveal()),
                ) {
                    said.append(name, value);
                }
            }
            let credentials = match (&at.user, &self.settings.auth) {
                (Some(user), None) => Some(format!("Basic {}", BASE64_STANDARD.encode(user))),
                (_, Some(auth)) => Some(auth.header().await?),
                (None, None) => None,
            };
            if let Some(text) = credentials {
                let value = HeaderValue::try_from(text);
                let mut value = value.map_err(|_bytes| HttpError::Address {
                    url: "a credential with characters a header cannot hold".to_owned(),
                })?;
                value.set_sensitive(true);
                said.insert(AUTHORIZATION, value);
            }
        }
        Ok(request)
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, HttpError> {
        let url = request.uri().to_string();
        self.settings.reach.check(request.uri())?;
        let sent = if request.uri().scheme_str() == Some("https") {
            self.secure()?.request(request).await
        } else {
            self.plain.request(request).await
        };
        sent.map_err(|source| HttpError::Exchange { url, source })
    }

    /// The client for TLS, made at the first use: certificates are read then.
    fn secure(&self) -> Result<Secure, HttpError> {
        let mut secure = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &*secure {
            return Ok(ready.clone());
        }
        let connector = tls::connector(&self.settings.tls, self.settings.reach)?;
        let ready = Client::builder(TokioExecutor::new()).build(connector);
        Ok(secure.insert(ready).clone())
    }
}

/// Reads a body into a cleared buffer, never more than `limit` bytes.
pub async fn read_body(
    url: &str,
    mut body: Incoming,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), HttpError> {
    into.clear();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| HttpError::Body {
            url: url.to_owned(),
            source,
        })?;
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        if into.len() + bytes.len() > limit {
            return Err(HttpError::TooLarge {
                url: url.to_owned(),
                limit,
            });
        }
        into.extend_from_slice(bytes);
    }
    Ok(())
}

/// An address that can be asked, its `user:password@` set apart.
#[derive(Debug, Clone)]
struct Address {
    url: String,
    uri: Uri,
    user: Option<String>,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{host}{slash}{path}");
        let uri: Uri = url.parse().ok()?;
        let is_asked = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        is_asked.then_some(Self { url, uri, user })
    }

    fn origin(&self) -> (Option<&str>, Option<&str>, Option<u16>) {
        (self.uri.scheme_str(), self.uri.host(), self.uri.port_u16())
    }

    /// A `Location` as seen from here (RFC 3986, section 5.2, without dot segments).
    fn joined(&self, location: &str) -> String {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let authority = self.uri.authority().map_or("", |a| a.as_str());
        if location.contains("://") {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            let folder = self
                .uri
                .path()
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{location}")
        }
    }
}

/// Certificates of authorities this host trusts, read once.
fn native_roots() -> &'static rustls::RootCertStore {
    static ROOTS: OnceLock<rustls::RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate authority of this host cannot be read");
        }
        let mut roots = rustls::RootCertStore::empty();
        let (taken, _unusable) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(taken, "certificate authorities of this host");
        roots
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_joined() {
        let at = Address::parse("http://me:pw@host:1/a/b?x=1#f").unwrap();
        assert_eq!(
            (at.url.as_str(), at.user.as_deref()),
            ("http://host:1/a/b?x=1", Some("me:pw"))
        );
        for (location, url) in [
            ("https://other/x", "https://other/x"),
            ("//other/x", "http://other/x"),
            ("/x?y", "http://host:1/x?y"),
            ("x", "http://host:1/a/x"),
        ] {
            assert_eq!(at.joined(location), url);
        }
        assert_eq!(
            Address::parse("http://[::1]:9100").unwrap().url,
            "http://[::1]:9100/"
        );
        for bad in ["", "host", "ftp://host", "http://", "http://ho st/"] {
            assert!(Address::parse(bad).is_none(), "{bad}");
        }
    }
}
