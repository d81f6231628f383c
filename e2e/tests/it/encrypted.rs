//! An agent whose peer is behind TLS: who is trusted, and what is heard meanwhile over StatsD.

use std::{path::Path, sync::Arc};

use e2e::{http::Client, program::Program, server::Server, wait};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::net::{TcpListener, TcpStream, UnixDatagram};
use tokio_rustls::TlsAcceptor;

/// A certificate for `server.test` and another for a client, both of one authority.
fn certificates() -> String {
    format!(
        "{}/../crates/collect/tests/it/testdata/tls",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/{name}", certificates())).unwrap()
}

/// Takes clients of the authority only.
fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(&read("ca.pem")).unwrap();
    roots.add(authority).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let chain = vec![CertificateDer::from_pem_slice(&read("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Ends TLS in front of a server; its address.
async fn in_front_of(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let behind = server.http.url.trim_start_matches("http://").to_owned();
    let acceptor = acceptor();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut inside = acceptor.accept(stream).await.ok()?;
                let mut outside = TcpStream::connect(behind).await.ok()?;
                tokio::io::copy_bidirectional(&mut inside, &mut outside)
                    .await
                    .ok()
            });
        }
    });
    url
}

/// An agent that hears StatsD on a socket in its folder; `tls` is its table `agent.peer.tls`.
async fn agent(folder: &Path, to: &str, tls: &str) -> Program {
    let (file, data) = (folder.join("agent.toml"), folder.join("queue"));
    let config = format!(
        "[collect]\nhost = \"off\"\n[collect.statsd]\nunix = {:?}\nflush_interval = \"100ms\"\n\
         [agent.peer.tls]\n{tls}\n[agent.queue]\nbatch_delay_max = \"100ms\"\nretry_max = \"100ms\"\n",
        folder.join("statsd").display().to_string()
    );
    std::fs::write(&file, config).unwrap();
    let (file, data) = (file.display().to_string(), data.display().to_string());
    let arguments = [
        "agent",
        "--to",
        to,
        "--listen=127.0.0.1:0",
        "--config",
        &file,
        "--data",
        &data,
    ];
    Program::start(&arguments, &folder.join("agent.log")).await
}

#[tokio::test]
async fn an_agent_sends_over_tls_to_whom_it_trusts_and_says_who_it_is() {
    let _place = wait::place().await;
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let server = Server::start(folders[0].path(), "[collect]\nhost = \"off\"\n").await;
    let url = in_front_of(&server).await;
    let own = certificates();

    // This host knows nothing of the authority, so the server behind it gets nothing.
    let wary = agent(folders[1].path(), &url, "").await;
    wait::until("the agent to say why its peer gets nothing", async || {
        let state = Client::new(&wary.url).get("/-/ready").await.text;
        state.contains("certificate").then_some(())
    })
    .await;

    let tls = format!(
        "ca_file = \"{own}/ca.pem\"\ncert_file = \"{own}/client.pem\"\nkey_file = \"{own}/client.key\"\n\
         server_name = \"server.test\""
    );
    let trusting = agent(folders[2].path(), &url, &tls).await;
    let socket = UnixDatagram::unbound().unwrap();
    let path = folders[2].path().join("statsd");
    socket.send_to(b"jobs:3|g", path).await.unwrap();
    wait::until("the gauge to arrive", async || {
        let rows = server.query("jobs").await;
        rows.iter().any(|row| row["value"][1] == "3").then_some(())
    })
    .await;
    trusting.kill().await;
    wary.kill().await;
}
