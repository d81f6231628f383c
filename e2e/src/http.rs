//! One request, one reply: status and text, looked at by the test.

use std::time::Duration;

use serde_json::Value;

/// A reply that takes longer than this is a hang.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// `Content-Type`; empty when there is none.
    pub content_type: String,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u64>,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("{e}; status {}, body: {}", self.status, self.text))
    }
}

/// A client of one address. Connections are kept within a runtime.
#[derive(Debug, Clone)]
pub struct Client {
    client: reqwest::Client,
    /// Where it asks, such as `http://127.0.0.1:1234`.
    pub url: String,
}

impl Client {
    /// A client of this address.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build();
        Self {
            client: client.expect("a client without TLS can be built"),
            url: url.to_owned(),
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.sent(self.client.get(self.at(path))).await
    }

    /// `GET` with parameters.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let query: Vec<String> = parameters
            .iter()
            .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
            .collect();
        self.get(&format!("{path}?{}", query.join("&"))).await
    }

    /// `POST` of a form.
    pub async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Reply {
        self.sent(self.client.post(self.at(path)).form(parameters))
            .await
    }

    /// A request of any method, without a body, with these headers.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, self.at(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sent(request).await
    }

    /// A request with a JSON body.
    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, self.at(path)).json(body);
        self.sent(request).await
    }

    /// `POST` of raw text that says it is JSON.
    pub async fn raw(&self, path: &str, kind: &str, body: impl Into<String>) -> Reply {
        let request = self.client.post(self.at(path)).header("content-type", kind);
        self.sent(request.body(body.into())).await
    }

    /// `POST` of bytes with these headers.
    pub async fn bytes(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let mut request = self.client.post(self.at(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sent(request.body(body)).await
    }

    /// `GET`, or `None` while nobody answers.
    pub async fn try_get(&self, path: &str) -> Option<Reply> {
        reply(self.client.get(self.at(path))).await.ok()
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn sent(&self, request: reqwest::RequestBuilder) -> Reply {
        match reply(request).await {
            Ok(reply) => reply,
            Err(error) => panic!("no reply from {}: {error:?}", self.url),
        }
    }
}

async fn reply(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let kind = response.headers().get("content-type");
    let content_type = kind.and_then(|k| k.to_str().ok()).unwrap_or_default();
    let retry_after = response.headers().get("retry-after");
    let retry_after_s = retry_after.and_then(|s| s.to_str().ok()?.parse().ok());
    Ok(Reply {
        status: response.status().as_u16(),
        content_type: content_type.to_owned(),
        retry_after_s,
        text: response.text().await?,
    })
}

/// Percent-encoding of everything but letters and digits.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
