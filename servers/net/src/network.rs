//! The interface: its address, by DHCP or from the program's arguments, and the translation of names by DNS.

use crate::frames::{Frames, Link};
use crate::name::Host;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use libsys::proto::io::IoError;
use libsys::proto::net::Source;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::dns::{GetQueryResultError, QueryHandle, StartQueryError};
use smoltcp::socket::{dhcpv4, dns, tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DnsQueryType, EthernetAddress, IpAddress, IpCidr, Ipv4Cidr};

/// How long a name or an address of our own may take.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long DHCP servers have before the arguments count.
const PATIENCE: Duration = Duration::from_secs(4);
/// First port of those that connections of ours begin at (RFC 6335, 6).
const FIRST_PORT: u16 = 49152;
/// DNS servers that are asked at most.
const SERVERS: usize = 3;

/// What to use if no DHCP server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    address: Ipv4Cidr,
    gateway: Ipv4Addr,
    dns: Ipv4Addr,
}

impl Fallback {
    /// Understands `ADDRESS/PREFIX,GATEWAY,DNS`, such as `10.0.2.15/24,10.0.2.2,10.0.2.3`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let (address, prefix) = parts.next()?.split_once('/')?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        // smoltcp panics at an address that is not one machine's.
        let one = |address: &Ipv4Addr| {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        };
        let address = address.parse().ok().filter(one)?;
        let fallback = Self {
            address: Ipv4Cidr::new(address, prefix),
            gateway: parts.next()?.parse().ok()?,
            dns: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(fallback)
    }
}

/// The interface, its sockets, and how it is configured.
pub struct Network {
    /// smoltcp's interface.
    pub interface: Interface,
    /// All sockets.
    pub sockets: SocketSet<'static>,
    /// Where the address is from.
    pub source: Source,
    /// Where packets for other networks go.
    pub gateway: Option<Ipv4Addr>,
    /// Who translates names.
    pub servers: Vec<Ipv4Addr>,
    dhcp: SocketHandle,
    dns: SocketHandle,
    fallback: Option<(Fallback, Instant)>,
    next_port: u16,
}

impl Network {
    /// An interface without an address. `seed` is for numbers that others should not guess.
    pub fn new<L: Link>(
        frames: &mut Frames<L>,
        fallback: Option<Fallback>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut config = Config::new(EthernetAddress(frames.link().mac()).into());
        config.random_seed = seed;
        let interface = Interface::new(config, frames, now);
        let mut sockets = SocketSet::new(Vec::new());
        Self {
            interface,
            dhcp: sockets.add(dhcpv4::Socket::new()),
            dns: sockets.add(dns::Socket::new(&[], Vec::new())),
            sockets,
            source: Source::Nowhere,
            gateway: None,
            servers: Vec::new(),
            fallback: fallback.map(|fallback| (fallback, now + PATIENCE)),
            next_port: FIRST_PORT + (seed % 10_000) as u16,
        }
    }

    /// Takes over what DHCP says.
    pub fn advance(&mut self, now: Instant) {
        let event = self.sockets.get_mut::<dhcpv4::Socket>(self.dhcp).poll();
        match event {
            Some(dhcpv4::Event::Configured(config)) => {
                let (address, gateway) = (config.address, config.router);
                let servers: Vec<_> = config.dns_servers.iter().copied().take(SERVERS).collect();
                self.configure(Source::Dhcp, Some(address), gateway, servers);
            }
            Some(dhcpv4::Event::Deconfigured) if self.source == Source::Dhcp => {
                self.configure(Source::Nowhere, None, None, Vec::new());
            }
            _ => {}
        }
        let due = |(_, when): &mut (Fallback, Instant)| *when <= now;
        if self.source == Source::Nowhere
            && let Some((fallback, _)) = self.fallback.take_if(due)
        {
            let Fallback {
                address,
                gateway,
                dns,
            } = fallback;
            self.configure(
                Source::Arguments,
                Some(address),
                Some(gateway),
                [dns].into(),
            );
        }
    }

    /// When [`Network::advance`] has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.source == Source::Nowhere;
        self.fallback
            .as_ref()
            .filter(|_| waits)
            .map(|(_, when)| *when)
    }

    fn configure(
        &mut self,
        source: Source,
        address: Option<Ipv4Cidr>,
        gateway: Option<Ipv4Addr>,
        servers: Vec<Ipv4Addr>,
    ) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for two.
            let _ = address.map(|address| addresses.push(IpCidr::Ipv4(address)));
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = gateway {
            // There is room for two, and no other is ever added.
            let _ = routes.add_default_ipv4_route(gateway);
        }
        let addresses: Vec<IpAddress> = servers.iter().map(|s| IpAddress::Ipv4(*s)).collect();
        self.sockets
            .get_mut::<dns::Socket>(self.dns)
            .update_servers(&addresses);
        (self.source, self.gateway, self.servers) = (source, gateway, servers);
    }

    /// A port that no socket of ours uses.
    pub fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !self.uses_port(port) {
                return port;
            }
        }
    }

    /// Whether a socket uses a port. There are far fewer sockets than ports.
    fn uses_port(&self, port: u16) -> bool {
        use smoltcp::socket::Socket;
        self.sockets.iter().any(|(_, socket)| match socket {
            Socket::Tcp(socket) => {
                let local = tcp::Socket::local_endpoint(socket);
                local.is_some_and(|local| local.port == port)
                    || socket.listen_endpoint().port == port
            }
            Socket::Udp(socket) => udp::Socket::endpoint(socket).port == port,
            _ => false,
        })
    }
}

/// A host on its way to an address.
pub struct Lookup {
    state: State,
    until: Instant,
}

enum State {
    /// The network may still lack an address of its own.
    Waiting(Host),
    Asked(QueryHandle),
}

impl Lookup {
    /// Begins.
    pub fn new(host: Host, now: Instant) -> Self {
        Self {
            state: State::Waiting(host),
            until: now + LOOKUP,
        }
    }

    /// Goes on; `None`: it is not known yet.
    pub fn advance(
        &mut self,
        network: &mut Network,
        now: Instant,
    ) -> Option<Result<Ipv4Addr, IoError>> {
        if let State::Waiting(host) = &self.state {
            if network.source == Source::Nowhere {
                return (self.until <= now).then_some(Err(IoError::NoNetwork));
            }
            let name = match host {
                Host::Address(address) => return Some(Ok(*address)),
                Host::Named(name) => name,
            };
            let socket = network.sockets.get_mut::<dns::Socket>(network.dns);
            match socket.start_query(network.interface.context(), name, DnsQueryType::A) {
                Ok(query) => self.state = State::Asked(query),
                Err(StartQueryError::NoFreeSlot) => return Some(Err(IoError::WouldBlock)),
                Err(_) => return Some(Err(IoError::NotFound)),
            }
        }
        let State::Asked(query) = self.state else {
            return None;
        };
        let socket = network.sockets.get_mut::<dns::Socket>(network.dns);
        match socket.get_query_result(query) {
            Err(GetQueryResultError::Pending) => None,
            Err(GetQueryResultError::Failed) => Some(Err(IoError::NotFound)),
            Ok(addresses) => Some(match addresses.first() {
                Some(IpAddress::Ipv4(address)) => Ok(*address),
                None => Err(IoError::NotFound),
            }),
        }
    }

    /// When [`Lookup::advance`] has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        matches!(self.state, State::Waiting(_)).then_some(self.until)
    }

    /// Ends before it has an answer.
    pub fn cancel(self, network: &mut Network) {
        if let State::Asked(query) = self.state {
            let socket = network.sockets.get_mut::<dns::Socket>(network.dns);
            socket.cancel_query(query);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let good = Fallback::parse("10.0.2.15/24,10.0.2.2,10.0.2.3").unwrap();
        assert_eq!(good.address, Ipv4Cidr::new(Ipv4Addr::new(10, 0, 2, 15), 24));
        assert_eq!(good.dns, Ipv4Addr::new(10, 0, 2, 3));
        for bad in [
            "",
            "10.0.2.15",
            "10.0.2.15/33,10.0.2.2,10.0.2.3",
            "10.0.2.15/24,10.0.2.2",
            "10.0.2.15/24,10.0.2.2,10.0.2.3,",
            "10.0.2.15/x,10.0.2.2,10.0.2.3",
            "host/24,10.0.2.2,10.0.2.3",
            "0.0.0.0/24,10.0.2.2,10.0.2.3",
            "224.0.0.1/24,10.0.2.2,10.0.2.3",
            "255.255.255.255/24,10.0.2.2,10.0.2.3",
        ] {
            assert_eq!(Fallback::parse(bad), None, "{bad}");
        }
    }
}
