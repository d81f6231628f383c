//! TLS of the client: rustls with the `ring` provider, chosen here and nowhere else.

use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{Connector, HttpError, Pem, Reach, TlsSettings, TlsVersion, native_roots, reach};

/// Connects in the clear or over TLS, as the address says.
pub(super) fn connector(
    settings: &TlsSettings,
    reach: Reach,
) -> Result<HttpsConnector<Connector>, HttpError> {
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(settings.client_config()?)
        .https_or_http();
    let builder = match &settings.server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone()).map_err(wrong("server_name"))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    let mut http = reach::connector(reach);
    http.enforce_http(false);
    Ok(builder.enable_http1().wrap_connector(http))
}

impl TlsSettings {
    /// The settings as rustls takes them; reads the files they name. `server_name` is the
    /// connector's to heed, and is not in it.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no such PEM.
    pub fn client_config(&self) -> Result<ClientConfig, HttpError> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
            .with_protocol_versions(&versions(self))
            .map_err(wrong("versions"))?;
        let builder = if self.insecure_skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms)))
        } else {
            builder.with_root_certificates(roots(self)?)
        };
        let Some((chain, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(wrong("key"))?;
        builder
            .with_client_auth_cert(certificates(chain)?, key)
            .map_err(wrong("cert and key"))
    }
}

fn wrong<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> HttpError {
    move |error| HttpError::Tls(format!("{what}: {error}"))
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let within = |version| {
        settings.version_min.is_none_or(|min| version >= min)
            && settings.version_max.is_none_or(|max| version <= max)
    };
    [(TlsVersion::V12, &TLS12), (TlsVersion::V13, &TLS13)]
        .into_iter()
        .filter(|(version, _)| within(*version))
        .map(|(_, version)| version)
        .collect()
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, HttpError> {
    let Some(pem) = &settings.authorities else {
        return Ok(native_roots().clone());
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(wrong("ca"))?;
    }
    Ok(roots)
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let bytes = pem.read()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(wrong("certificate"))?;
    if found.is_empty() {
        return Err(HttpError::Tls("no certificate in the PEM given".to_owned()));
    }
    Ok(found)
}

/// `insecure_skip_verify`: any certificate will do, as long as its owner has its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
