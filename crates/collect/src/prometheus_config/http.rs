//! How a job or a discovery asks: credentials, TLS, redirects.

use std::path::Path;

use crate::http::{Auth, HttpSettings, Pem, Reach, Secret, SecretSource, TlsSettings, TlsVersion};

use yaml::Table;

const VERSIONS: [(&str, Option<TlsVersion>); 4] = [
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(TlsVersion::V12)),
    ("TLS13", Some(TlsVersion::V13)),
];

/// Reads the HTTP keys of a mapping that may have others as well.
pub fn read(said: &Table<'_>, folder: &Path) -> HttpSettings {
    let given = [
        said.get("basic_auth").is_some(),
        said.get("authorization").is_some(),
        said.get("oauth2").is_some(),
        said.get("bearer_token").is_some() || said.get("bearer_token_file").is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        said.mistake(
            "authorization",
            "give one of basic_auth, authorization, oauth2 and bearer_token",
        );
    }
    if said.get("oauth2").is_some() {
        said.mistake(
            "oauth2",
            "is not supported: give a token by authorization.credentials_file",
        );
    }
    let proxies = ["proxy_url", "no_proxy", "proxy_connect_header"];
    for key in proxies {
        said.ignored(key, "targets are asked directly, never through a proxy");
    }
    if said.flag("proxy_from_environment") == Some(true) {
        said.ignored(
            "proxy_from_environment",
            "targets are asked directly, never through a proxy",
        );
    }
    if said.flag("enable_http2") == Some(true) {
        said.ignored("enable_http2", "targets are asked in HTTP/1.1");
    }
    let bearer = source(said, "bearer_token", "bearer_token_file", folder);
    let bearer = bearer.map(|credentials| token("Bearer", credentials));
    // All are read, so that the mistakes of all are found.
    let (basic, header) = (basic(said, folder), authorization(said, folder));
    HttpSettings {
        auth: basic.or(header).or(bearer),
        tls: tls(said.table("tls_config"), folder),
        follow_redirects: said.flag("follow_redirects").unwrap_or(true),
        headers: headers(said),
        reach: Reach::default(),
    }
}

fn token(kind: &str, credentials: SecretSource) -> Auth {
    Auth::Token {
        kind: kind.to_owned(),
        credentials,
    }
}

/// A secret that stands in the file or in another one.
fn source(
    said: &Table<'_>,
    inline: &'static str,
    file: &'static str,
    folder: &Path,
) -> Option<SecretSource> {
    let (given, named) = (said.text(inline), said.text(file));
    match (given, named) {
        (Some(_), Some(_)) => {
            said.mistake(file, format!("give either {inline} or {file}"));
            None
        }
        (Some(text), None) => Some(SecretSource::Inline(Secret::new(text))),
        (None, Some(path)) => Some(SecretSource::File(folder.join(path))),
        (None, None) => None,
    }
}

fn basic(said: &Table<'_>, folder: &Path) -> Option<Auth> {
    let said = said.table("basic_auth")?;
    let empty = SecretSource::Inline(Secret::default());
    let username = source(&said, "username", "username_file", folder);
    let password = source(&said, "password", "password_file", folder);
    said.finish();
    Some(Auth::Basic {
        username: username.unwrap_or_else(|| empty.clone()),
        password: password.unwrap_or(empty),
    })
}

fn authorization(said: &Table<'_>, folder: &Path) -> Option<Auth> {
    let said = said.table("authorization")?;
    let kind = said.text("type").unwrap_or_else(|| "Bearer".to_owned());
    if kind.eq_ignore_ascii_case("basic") {
        said.mistake("type", "for basic authentication, use basic_auth");
    }
    let credentials = source(&said, "credentials", "credentials_file", folder);
    said.finish();
    let credentials = credentials.unwrap_or(SecretSource::Inline(Secret::default()));
    Some(token(&kind, credentials))
}

fn headers(said: &Table<'_>) -> Vec<(String, Secret)> {
    let Some(table) = said.table("http_headers") else {
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, node) in table.pairs() {
        let one = table.other(format!("http_headers.{}", name.name), node);
        let values = one.texts("values").into_iter().chain(one.texts("secrets"));
        headers.extend(values.map(|value| (name.name.clone(), Secret::new(value))));
        one.ignored("files", "headers from files are not sent");
        one.finish();
    }
    headers
}

/// Reads a `tls_config`.
pub fn tls(said: Option<Table<'_>>, folder: &Path) -> TlsSettings {
    let Some(said) = said else {
        return TlsSettings::default();
    };
    let pem = |inline, file| {
        source(&said, inline, file, folder).map(|source| match source {
            SecretSource::Inline(secret) => Pem::Inline(secret),
            SecretSource::File(path) => Pem::File(path),
        })
    };
    let (chain, key) = (pem("cert", "cert_file"), pem("key", "key_file"));
    if chain.is_some() != key.is_some() {
        said.mistake("cert_file", "a certificate and its key come together");
    }
    let version_max = said.choice("max_version", &VERSIONS);
    if version_max == Some(None) {
        said.mistake("max_version", "TLS 1.2 is the oldest that is spoken");
    }
    let settings = TlsSettings {
        authorities: pem("ca", "ca_file"),
        identity: chain.zip(key),
        server_name: said.text("server_name").filter(|name| !name.is_empty()),
        insecure_skip_verify: said.flag("insecure_skip_verify").unwrap_or(false),
        version_min: said.choice("min_version", &VERSIONS).flatten(),
        version_max: version_max.flatten(),
    };
    said.finish();
    settings
}
