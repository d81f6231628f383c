//! What goes back to a sender: status, headers, body.

/// An answer, ready to be written by any server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names and values, `Content-Type` among them when there is a body.
    pub headers: Vec<(&'static str, String)>,
    /// May be empty.
    pub body: Vec<u8>,
}

/// A request refused whole: nothing of it reached the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status, 4xx or 503.
    pub status: u16,
    /// Why, for people.
    pub message: String,
    /// Headers the protocol wants with it.
    pub headers: Vec<(&'static str, String)>,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// 400: the bytes say nothing we can read. Sending them again is useless.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 413: over a limit.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, message)
    }

    /// 415: a type or encoding we do not read.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(415, message)
    }

    /// 429: the sender is over its rate; it should come again after so many seconds.
    #[must_use]
    pub fn too_many(message: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(429, message).retry(retry_after_s)
    }

    /// 503: we cannot store now; the sender should come again after so many seconds.
    #[must_use]
    pub fn unavailable(message: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(503, message).retry(retry_after_s)
    }

    fn retry(mut self, after_s: u32) -> Self {
        self.headers.push(("Retry-After", after_s.to_string()));
        self
    }
}

impl Reply {
    /// 204 and nothing more.
    #[must_use]
    pub fn done() -> Self {
        Self {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// As plain text.
impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut headers = refusal.headers;
        headers.push(("Content-Type", "text/plain; charset=utf-8".to_owned()));
        Self {
            status: refusal.status,
            headers,
            body: refusal.message.into_bytes(),
        }
    }
}
