//! HTTP/1.1 in the clear or over TLS: connections kept open, whole replies of bounded size. No
//! redirect is followed: one elsewhere would carry credentials with it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Uri,
    header::{HeaderMap, HeaderValue, USER_AGENT},
};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use thiserror::Error;

use super::{PeerConfig, PeerError, Reply};

/// A request with its body.
pub(crate) type Request = hyper::Request<Full<Bytes>>;

/// Why there is no reply.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The address cannot be asked.
    #[error("it is no address of an HTTP server")]
    Address,
    /// The address has a user in it.
    #[error("it holds credentials: they go into `user` and `password_file`")]
    Credentials,
    /// No connection, or it broke.
    #[error("the exchange failed")]
    Exchange(#[source] hyper_util::client::legacy::Error),
    /// It broke within the reply.
    #[error("the reply broke off")]
    Body(#[source] hyper::Error),
    /// The reply is over its bound.
    #[error("the reply is too large")]
    TooLarge,
    /// No whole reply in time.
    #[error("no whole reply within {0:?}")]
    Late(Duration),
}

/// The connections to one peer.
#[derive(Debug)]
pub(super) struct Transport(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Transport {
    /// Nothing is connected yet. Without `tls` no server is trusted.
    pub(super) fn new(config: &PeerConfig, tls: Option<ClientConfig>) -> Result<Self, PeerError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(config.connect_timeout));
        http.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls.unwrap_or_else(nobody_trusted))
            .https_or_http();
        let builder = match &config.server_name {
            Some(name) => builder.with_server_name_resolver(named(name)?),
            None => builder,
        };
        let connector = builder.enable_http1().wrap_connector(http);
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends and reads the whole reply, `limit` bytes at most.
    pub(super) async fn exchange(
        &self,
        request: Request,
        limit: usize,
    ) -> Result<Reply, TransportError> {
        let response = self.0.request(request).await;
        let (head, mut incoming) = response.map_err(TransportError::Exchange)?.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(TransportError::Body)?;
            let Some(bytes) = frame.data_ref() else {
                continue;
            };
            if body.len() + bytes.len() > limit {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(bytes);
        }
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}

fn named(name: &str) -> Result<FixedServerNameResolver, PeerError> {
    let name = ServerName::try_from(name.to_owned())
        .map_err(|error| PeerError::Config(format!("server_name {name:?}: {error}")))?;
    Ok(FixedServerNameResolver::new(name))
}

fn nobody_trusted() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.2 and 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// A request without a body.
pub(super) fn request(
    method: Method,
    url: &str,
    headers: &HeaderMap,
) -> Result<Request, TransportError> {
    let uri: Uri = url.parse().map_err(|_uri| TransportError::Address)?;
    let is_asked = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if !is_asked {
        return Err(TransportError::Address);
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(TransportError::Credentials);
    }
    let mut request = Request::default();
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers.clone();
    let agent = concat!("alluse/", env!("CARGO_PKG_VERSION"));
    let said = request.headers_mut();
    said.insert(USER_AGENT, HeaderValue::from_static(agent));
    Ok(request)
}
