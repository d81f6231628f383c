//! Scraping over TLS: who is trusted, under which name, and who we say we are.

use std::{path::Path, sync::Arc};

use collect::{HttpClient, Scraper, Target, prometheus_config::read};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::clock::TestClock;

const CERTIFICATE: &[u8] = include_bytes!("testdata/tls/server.pem");
const KEY: &[u8] = include_bytes!("testdata/tls/server.key");
const AUTHORITY: &[u8] = include_bytes!("testdata/tls/ca.pem");

fn acceptor(wants_client: bool) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(AUTHORITY).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

/// A target behind TLS; its URL.
async fn target(wants_client: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/metrics", listener.local_addr().unwrap());
    let acceptor = acceptor(wants_client);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                let reply = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\nconnection: close\r\n\r\na 1\n";
                drop(stream.write_all(reply).await);
                drop(stream.shutdown().await);
            }
        }
    });
    url
}

/// Why a scrape with this `tls_config` fails, if it does.
async fn failure(url: &str, tls: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/testdata/tls");
    let text = format!("scrape_configs: [{{job_name: j, tls_config: {{{tls}}}}}]");
    let job = read("p.yml", &text, &folder).unwrap().jobs.remove(0);
    let target = Target {
        http: job.http,
        timeout: std::time::Duration::from_secs(10),
        interval: std::time::Duration::from_secs(10),
        ..Target::new("j", url)
    };
    let client = HttpClient::new(Arc::clone(&target.http));
    let mut scraper = Scraper::new(target, client, TestClock::shared(0));
    let error = scraper.scrape(1_000).await.error?;
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        text.push_str(&format!("{error}; "));
        next = error.source();
    }
    Some(text)
}

#[tokio::test]
async fn a_certificate_counts_for_its_authority_and_its_name() {
    let url = target(false).await;
    assert_eq!(
        failure(&url, "ca_file: ca.pem, server_name: server.test").await,
        None
    );
    assert_eq!(failure(&url, "insecure_skip_verify: true").await, None);
    let other = failure(&url, "ca_file: ca.pem, server_name: other.test")
        .await
        .unwrap();
    assert!(other.contains("certificate"), "{other}");
    let by_address = failure(&url, "ca_file: ca.pem").await.unwrap();
    assert!(by_address.contains("certificate"), "{by_address}");
    let unknown = failure(&url, "server_name: server.test").await.unwrap();
    assert!(unknown.contains("certificate"), "{unknown}");
    let missing = failure(&url, "ca_file: none.pem").await.unwrap();
    assert!(missing.contains("none.pem"), "{missing}");
}

#[tokio::test]
async fn we_say_who_we_are_where_the_target_asks() {
    let url = target(true).await;
    let ours =
        "ca_file: ca.pem, server_name: server.test, cert_file: client.pem, key_file: client.key";
    assert_eq!(failure(&url, ours).await, None);
    assert!(
        failure(&url, "ca_file: ca.pem, server_name: server.test")
            .await
            .is_some()
    );
}
