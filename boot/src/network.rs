//! The machine's network: QEMU's user network, which needs no rights and no set-up. The guest is 10.0.2.15 by DHCP; 10.0.2.2
//! is the host, whose loopback it reaches.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use manifest::{Device, Manifest};

/// PCI vendor and ids of virtio network devices (virtio 1.2, 4.1.2.1).
const VENDOR: u16 = 0x1af4;
const IDS: [u16; 2] = [0x1000, 0x1041];

/// Checks that ports of the host can be forwarded.
///
/// # Errors
/// One is in use, is given twice, or may not be used.
pub fn check(forward: &[(u16, u16)]) -> Result<()> {
    let mut held = Vec::new();
    for (host, _) in forward {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *host));
        held.push(
            listener
                .with_context(|| format!("--forward: port {host} of 127.0.0.1 cannot be used"))?,
        );
    }
    Ok(())
}

/// QEMU's arguments for the network of a machine that boots a system: none if no program has a use for one.
///
/// # Errors
/// Ports are to be forwarded to such a system.
pub fn arguments(forward: &[(u16, u16)], manifest: &Manifest) -> Result<Vec<String>> {
    let is_network = |device: &Device| matches!(device, Device::Pci { vendor: VENDOR, device, .. } if device.iter().any(|id| IDS.contains(id)));
    if !manifest
        .programs
        .iter()
        .flat_map(|p| &p.devices)
        .any(is_network)
    {
        if !forward.is_empty() {
            bail!(
                "--forward: the system `{}` has no network server",
                manifest.name
            );
        }
        return Ok(Vec::new());
    }
    Ok(device(forward))
}

/// QEMU's arguments for the network.
pub fn device(forward: &[(u16, u16)]) -> Vec<String> {
    // Nobody here speaks version 6; its host would announce itself, at times of its own.
    let mut user = "user,id=n0,ipv6=off".to_string();
    for (host, guest) in forward {
        user += &format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
    }
    // Without `romfile` the firmware looks for a system on the network before it starts ours.
    let device = "virtio-net-pci,netdev=n0,disable-legacy=on,romfile=".to_string();
    vec!["-netdev".into(), user, "-device".into(), device]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::System;

    fn manifest() -> Manifest {
        System::load("default").expect("it is there").manifest
    }

    #[test]
    fn forwarding_is_to_loopback_alone() {
        let line = arguments(&[(8080, 80), (2323, 23)], &manifest())
            .expect("it has a network")
            .join(" ");
        assert_eq!(
            line,
            "-netdev user,id=n0,ipv6=off,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:127.0.0.1:2323-:23 \
             -device virtio-net-pci,netdev=n0,disable-legacy=on,romfile="
        );
    }

    #[test]
    fn a_system_without_a_network() {
        let mut manifest = manifest();
        manifest.programs.retain(|program| program.name != "net");
        assert!(arguments(&[], &manifest).expect("that is fine").is_empty());
        let error = arguments(&[(1, 2)], &manifest).unwrap_err().to_string();
        assert!(error.contains("`default` has no network server"), "{error}");
    }

    #[test]
    fn ports_in_use() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        let port = taken.local_addr().expect("it has an address").port();
        let error = format!("{:#}", check(&[(port, 80)]).unwrap_err());
        assert!(
            error.contains(&format!("port {port} of 127.0.0.1")),
            "{error}"
        );
        drop(taken);
        check(&[(port, 80)]).expect("it is free again");
        assert!(check(&[(port, 80), (port, 81)]).is_err());
    }
}
