//! `HTTPS_PROXY` and `NO_PROXY` as Go programs read them (package `golang.org/x/net/http/httpproxy`): the connector and the
//! agent are Go programs.

use std::net::{IpAddr, Ipv4Addr};

use super::Process;

/// The proxy that an HTTPS request to `host:port` goes through; none if it goes directly.
pub(super) fn proxy_for(process: &Process, host: &str, port: u16) -> Option<String> {
    let proxy = process.variable("HTTPS_PROXY").or_else(|| process.variable("https_proxy"))?;
    let exceptions =
        process.variable("NO_PROXY").or_else(|| process.variable("no_proxy")).unwrap_or_default();
    if goes_directly(exceptions, host, port) {
        return None;
    }
    Some(if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") })
}

fn goes_directly(exceptions: &str, host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    exceptions.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        let (name, wanted_port) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') => match digits.parse::<u16>() {
                Ok(digits) => (name, Some(digits)),
                Err(_) => (entry.as_str(), None),
            },
            _ => (entry.as_str(), None),
        };
        if wanted_port.is_some_and(|wanted| wanted != port) || name.is_empty() {
            return false;
        }
        if name == "*" {
            return true;
        }
        match (address, name.split_once('/')) {
            (Some(IpAddr::V4(address)), Some((network, bits))) => in_network(address, network, bits),
            (Some(_), _) => name == host,
            (None, _) => match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
                Some(suffix) => host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')),
                None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
            },
        }
    })
}

fn in_network(address: Ipv4Addr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<Ipv4Addr>(), bits.parse::<u32>()) else { return false };
    let Some(host_bits) = 32_u32.checked_sub(bits) else { return false };
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_read_as_go_reads_them() {
        for (exceptions, host, direct) in [
            ("", "ssm.eu-west-1.amazonaws.com", false),
            ("amazonaws.com", "ssm.eu-west-1.amazonaws.com", true),
            (".amazonaws.com", "ssm.eu-west-1.amazonaws.com", true),
            (".amazonaws.com", "amazonaws.com", false),
            ("zonaws.com", "amazonaws.com", false),
            ("other.com, *", "amazonaws.com", true),
            ("10.0.0.0/16", "10.0.3.4", true),
            ("10.0.0.0/16", "10.1.3.4", false),
            ("0.0.0.0/0", "10.1.3.4", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1:6443", "10.0.0.1", false),
            ("10.0.0.1:443", "10.0.0.1", true),
            (".svc,.cluster.local", "kubernetes.default.svc", true),
            ("", "127.0.0.1", true),
        ] {
            assert_eq!(goes_directly(exceptions, host, 443), direct, "{host} with {exceptions}");
        }
    }
}
