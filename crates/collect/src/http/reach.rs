//! Which addresses may be asked. Link-local ones answer with the credentials of the machine in
//! many clouds (`169.254.169.254`), so that whoever may name an address must not name those. What
//! a name stands for is looked at after it is resolved, by the very look-up the connection uses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::Uri;
use hyper_util::client::legacy::connect::{
    HttpConnector,
    dns::{GaiResolver, Name},
};
use tower_service::Service;

use super::HttpError;

/// Which addresses may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// All.
    #[default]
    Anywhere,
    /// All but link-local ones and those at which clouds keep metadata.
    NotLinkLocal,
}

/// Metadata services outside the link-local ranges: Amazon's by IPv6, Alibaba's.
const METADATA: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

impl Reach {
    /// Whether an address may be asked.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        self == Self::Anywhere || !(is_link_local || METADATA.contains(&address))
    }

    /// Fails for a literal address that may not be asked; names are looked at when resolved.
    pub(super) fn check(self, uri: &Uri) -> Result<(), HttpError> {
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) if !self.allows(address) => Err(HttpError::OutOfReach {
                host: host.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// A connector whose names resolve within reach.
pub(super) fn connector(reach: Reach) -> HttpConnector<Resolver> {
    let resolver = Resolver {
        reach,
        system: GaiResolver::new(),
    };
    HttpConnector::new_with_resolver(resolver)
}

/// The system's resolver, less what is out of reach.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    reach: Reach,
    system: GaiResolver,
}

type Resolving = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Resolving {
        let (reach, host) = (self.reach, name.as_str().to_owned());
        let found = self.system.call(name);
        Box::pin(async move {
            let all: Vec<SocketAddr> = found.await?.collect();
            let within: Vec<SocketAddr> = all
                .iter()
                .filter(|address| reach.allows(address.ip()))
                .copied()
                .collect();
            if within.is_empty() && !all.is_empty() {
                let what = format!("{host} is a link-local or metadata address");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
            }
            Ok(within.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_out_of_reach() {
        for denied in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(
                !Reach::NotLinkLocal.allows(denied.parse().unwrap()),
                "{denied}"
            );
            assert!(Reach::Anywhere.allows(denied.parse().unwrap()));
        }
        for allowed in ["127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"] {
            assert!(
                Reach::NotLinkLocal.allows(allowed.parse().unwrap()),
                "{allowed}"
            );
        }
        let literal = "http://[fe80::1]:80/".parse().unwrap();
        assert!(Reach::NotLinkLocal.check(&literal).is_err());
        assert!(
            Reach::NotLinkLocal
                .check(&"http://host/".parse().unwrap())
                .is_ok()
        );
    }
}
