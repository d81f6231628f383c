//! `static_configs` and `*_sd_configs`: where targets come from.

use std::{path::Path, sync::Arc, time::Duration};

use crate::discovery::{
    DnsRecord, Group, Source,
    file::{self, PATTERN_ENDS},
};

use yaml::Table;

use super::http;

/// Discoveries Prometheus has and we have not.
const OTHERS: [&str; 28] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
    "zookeeper_sd_configs",
];

const RECORDS: [(&str, DnsRecord); 5] = [
    ("A", DnsRecord::A),
    ("AAAA", DnsRecord::Aaaa),
    ("SRV", DnsRecord::Srv),
    ("MX", DnsRecord::Mx),
    ("NS", DnsRecord::Ns),
];

pub(super) fn read(said: &Table<'_>, folder: &Path) -> Vec<Source> {
    let groups: Vec<Group> = said
        .tables("static_configs")
        .into_iter()
        .map(group)
        .collect();
    let mut sources = Vec::new();
    if !groups.is_empty() {
        sources.push(Source::Static(groups));
    }
    let files = said.tables("file_sd_configs").into_iter();
    sources.extend(files.map(|said| file(said, folder)));
    sources.extend(said.tables("dns_sd_configs").into_iter().map(dns));
    let servers = said.tables("http_sd_configs").into_iter();
    sources.extend(servers.map(|said| server(said, folder)));
    for key in OTHERS {
        said.ignored(
            key,
            "this discovery is not built in: let a program write its targets to a file for file_sd_configs, or serve them for http_sd_configs",
        );
    }
    sources
}

fn group(said: Table<'_>) -> Group {
    let targets = said.texts("targets");
    let labels = said.text_map("labels");
    said.finish();
    file::group(targets, labels)
}

fn file(said: Table<'_>, folder: &Path) -> Source {
    let patterns = said.texts("files");
    if patterns.is_empty() {
        said.mistake("files", "is missing: name at least one file");
    }
    let is_known = |pattern: &str| PATTERN_ENDS.iter().any(|end| pattern.ends_with(end));
    if let Some(bad) = patterns.iter().find(|pattern| !is_known(pattern)) {
        let message = format!("{bad:?} does not end in .json, .yml or .yaml");
        said.mistake("files", message);
    }
    let source = Source::File {
        patterns: patterns.iter().map(|p| folder.join(p)).collect(),
        refresh: refresh(&said, Duration::from_secs(300)),
    };
    said.finish();
    source
}

fn dns(said: Table<'_>) -> Source {
    let names = said.texts("names");
    if names.is_empty() {
        said.mistake("names", "is missing: name at least one");
    }
    let record = said.choice("type", &RECORDS).unwrap_or(DnsRecord::Srv);
    let port = said.count("port").unwrap_or(0);
    let port = u16::try_from(port).unwrap_or_else(|_large| {
        said.mistake("port", format!("{port} is no port"));
        0
    });
    if port == 0 && record != DnsRecord::Srv {
        said.mistake("port", "is needed for all records but SRV");
    }
    let source = Source::Dns {
        names,
        record,
        port,
        refresh: refresh(&said, Duration::from_secs(30)),
    };
    said.finish();
    source
}

fn server(said: Table<'_>, folder: &Path) -> Source {
    let url = said.required_text("url");
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    if !url.is_empty() && !is_http {
        said.mistake(
            "url",
            format!("{url:?} begins with neither http:// nor https://"),
        );
    }
    let source = Source::Http {
        url,
        refresh: refresh(&said, Duration::from_secs(60)),
        http: Arc::new(http::read(&said, folder)),
    };
    said.finish();
    source
}

fn refresh(said: &Table<'_>, default: Duration) -> Duration {
    let span = said.duration("refresh_interval").unwrap_or(default);
    if span.is_zero() {
        said.mistake("refresh_interval", "must be above 0");
    }
    span
}
