//! A TCP proxy that harms what passes through it, and counts its bytes.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What happens to connections. A change of it cuts those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    None,
    /// They are reset as soon as they are made.
    Reset,
    /// They are taken, and nothing ever comes back.
    BlackHole,
    /// Requests get through; the connection ends before their reply.
    LoseReply,
    /// Requests get through twice; one reply comes back.
    Duplicate,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<String>,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
    connections: AtomicU64,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub url: String,
    shared: Arc<Shared>,
    harm: watch::Sender<Harm>,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// In front of an address such as `http://127.0.0.1:1234`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let shared = Arc::new(Shared {
            target: Mutex::new(host(target)),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let (harm, harmed) = watch::channel(Harm::None);
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared), harmed));
        Self {
            url: format!("http://{address}"),
            shared,
            harm,
            serving,
        }
    }

    /// Leads to another address from now on.
    pub fn lead_to(&self, target: &str) {
        *self
            .shared
            .target
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = host(target);
    }

    /// Harms from now on; connections that are there are cut.
    pub fn harm(&self, harm: Harm) {
        self.harm.send_replace(harm);
    }

    /// Bytes that came from clients and went back to them, of all connections.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let shared = &self.shared;
        (
            shared.up_bytes.load(Relaxed),
            shared.down_bytes.load(Relaxed),
        )
    }

    /// Connections taken.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Relaxed)
    }
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, harmed: watch::Receiver<Harm>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        shared.connections.fetch_add(1, Relaxed);
        let (shared, mut harmed) = (Arc::clone(&shared), harmed.clone());
        tokio::spawn(async move {
            let harm = *harmed.borrow_and_update();
            tokio::select! {
                () = carry(client, &shared, harm) => {}
                // A change cuts the connection; so does the end of the proxy.
                _ = harmed.changed() => {}
            }
        });
    }
}

async fn carry(mut client: TcpStream, shared: &Shared, harm: Harm) {
    let to = shared
        .target
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    match harm {
        Harm::None => {
            let Ok(server) = TcpStream::connect(to).await else {
                return;
            };
            pass(client, server, None, shared).await;
        }
        Harm::Duplicate => {
            let (Ok(server), Ok(twin)) = (
                TcpStream::connect(to.clone()).await,
                TcpStream::connect(to).await,
            ) else {
                return;
            };
            pass(client, server, Some(twin), shared).await;
        }
        Harm::Reset => {
            // Zero seconds of lingering make the close a reset.
            client.set_zero_linger().expect("a socket can be set");
        }
        Harm::BlackHole => {
            let mut sink = tokio::io::sink();
            if copy(&mut client, &mut sink).await.is_ok() {
                std::future::pending::<()>().await;
            }
        }
        Harm::LoseReply => lose_reply(client, to).await,
    }
}

async fn pass(client: TcpStream, server: TcpStream, twin: Option<TcpStream>, shared: &Shared) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_twin, mut to_twin) = match twin.map(TcpStream::into_split) {
        Some((from, to)) => (Some(from), Some(to)),
        None => (None, None),
    };
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match from_client.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    shared.up_bytes.fetch_add(count as u64, Relaxed);
                    if to_server.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                    if let Some(twin) = &mut to_twin {
                        // The twin's fate is its own.
                        drop(twin.write_all(&buffer[..count]).await);
                    }
                }
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match from_server.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    shared.down_bytes.fetch_add(count as u64, Relaxed);
                    if to_client.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            }
        }
    };
    let twin = async {
        match &mut from_twin {
            Some(twin) => drop(copy(twin, &mut tokio::io::sink()).await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = twin => {}
    }
}

/// The request goes through; when the reply begins, the client's connection ends.
async fn lose_reply(mut client: TcpStream, to: String) {
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    let (mut from_client, _to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut first = [0; 1];
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {}
        _ = from_server.read(&mut first) => {}
    }
}
