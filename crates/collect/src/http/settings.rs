//! How to ask: credentials, TLS, redirects. Secrets never show in what is printed.

use std::{fmt, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{HttpError, Reach};

/// Settings of a client; the default asks without credentials and trusts the host's authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Who we say we are.
    pub auth: Option<Auth>,
    /// How `https` is spoken.
    pub tls: TlsSettings,
    /// Whether a redirect is followed.
    pub follow_redirects: bool,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Which addresses may be asked.
    pub reach: Reach,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            auth: None,
            tls: TlsSettings::default(),
            follow_redirects: true,
            headers: Vec::new(),
            reach: Reach::default(),
        }
    }
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// HTTP basic authentication.
    Basic {
        /// The name.
        username: SecretSource,
        /// The password; may be empty.
        password: SecretSource,
    },
    /// `Authorization: <kind> <credentials>`, normally `Bearer`.
    Token {
        /// The scheme's name.
        kind: String,
        /// What follows it.
        credentials: SecretSource,
    },
}

impl Auth {
    /// The value of the `Authorization` header now.
    pub(super) async fn header(&self) -> Result<String, HttpError> {
        Ok(match self {
            Self::Basic { username, password } => {
                let pair = format!("{}:{}", username.read().await?, password.read().await?);
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
            Self::Token { kind, credentials } => format!("{kind} {}", credentials.read().await?),
        })
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the wire only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Given as it is.
    Inline(Secret),
    /// The content of a file, white space at both ends removed; read at each use.
    File(PathBuf),
}

/// A small file, read where that may block.
pub(crate) async fn read_text(path: PathBuf) -> std::io::Result<String> {
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
    read.await.map_err(std::io::Error::other)?
}

impl SecretSource {
    /// The secret now.
    pub async fn read(&self) -> Result<String, HttpError> {
        match self {
            Self::Inline(secret) => Ok(secret.reveal().to_owned()),
            Self::File(path) => match read_text(path.clone()).await {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(source) => Err(HttpError::File {
                    path: path.display().to_string(),
                    source,
                }),
            },
        }
    }
}

/// How `https` is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Authorities trusted; none for those of this host.
    pub authorities: Option<Pem>,
    /// Our own certificate chain and key.
    pub identity: Option<(Pem, Pem)>,
    /// The name the server's certificate must have, instead of the host asked.
    pub server_name: Option<String>,
    /// Take any certificate.
    pub insecure_skip_verify: bool,
    /// Oldest version spoken; 1.2 when not given.
    pub version_min: Option<TlsVersion>,
    /// Newest version spoken.
    pub version_max: Option<TlsVersion>,
}

/// A version of TLS we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2.
    V12,
    /// 1.3.
    V13,
}

/// Certificates or a key in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// As it is.
    Inline(Secret),
    /// In a file, read when first needed.
    File(PathBuf),
}

impl Pem {
    pub(super) fn read(&self) -> Result<Vec<u8>, HttpError> {
        match self {
            Self::Inline(secret) => Ok(secret.reveal().as_bytes().to_vec()),
            Self::File(path) => std::fs::read(path).map_err(|source| HttpError::File {
                path: path.display().to_string(),
                source,
            }),
        }
    }
}
