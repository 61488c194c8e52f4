//! The udev event that tells browsers of a serial port, in the form that systemd-udevd broadcasts.
//!
//! Chromium learns of serial ports from libudev's monitor, and that listens to a netlink group. Whoever may send to
//! the group (CAP_NET_ADMIN in the network namespace) may say that a USB serial port was plugged. The format is
//! libudev's own (systemd, `src/libsystemd/sd-device/device-monitor.c`, `monitor_netlink_header`).

use rustix::io;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

/// The netlink multicast group of processed events (`MONITOR_GROUP_UDEV`); group 1 is the kernel's own.
const GROUP_UDEV: u32 = 2;
/// `UDEV_MONITOR_MAGIC`, in network byte order on the wire.
const MAGIC: u32 = 0xfeed_cafe;
/// Length of libudev's header: the prefix, the magic, three lengths, four filter words.
const HEADER: u32 = 40;
/// MurmurHash2 of "tty" with seed 0, what a listener's filter for the subsystem compares, in network byte order.
const TTY_SUBSYSTEM_HASH: u32 = 0x8afa_90c8;

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It was plugged.
    Add,
    /// It is gone.
    Remove,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Add => "add",
            Action::Remove => "remove",
        }
    }
}

/// Tells every listener in this network namespace.
///
/// # Errors
/// `PERM` without CAP_NET_ADMIN. A namespace in which nobody listens is no error.
pub(crate) fn broadcast(action: Action, properties: &[(&str, String)]) -> io::Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::KOBJECT_UEVENT),
    )?;
    let group = SocketAddrNetlink::new(0, GROUP_UDEV);
    match sendto(
        &socket,
        &message(action, properties),
        SendFlags::empty(),
        &group,
    ) {
        // The kernel's answer to a group without members.
        Ok(_) | Err(io::Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The bytes of one event of the subsystem "tty".
fn message(action: Action, properties: &[(&str, String)]) -> Vec<u8> {
    let mut body = format!("ACTION={}\0", action.name()).into_bytes();
    for (key, value) in properties {
        body.extend_from_slice(format!("{key}={value}\0").as_bytes());
    }
    let mut message = b"libudev\0".to_vec();
    message.extend_from_slice(&MAGIC.to_be_bytes());
    for length in [HEADER, HEADER, body.len() as u32] {
        message.extend_from_slice(&length.to_ne_bytes());
    }
    message.extend_from_slice(&TTY_SUBSYSTEM_HASH.to_be_bytes());
    // No hash of the device type, no tag filter.
    message.extend_from_slice(&[0; 12]);
    message.extend_from_slice(&body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_header_of_forty_bytes_and_the_properties() {
        let message = message(Action::Add, &[("SUBSYSTEM", "tty".to_string())]);
        let body = b"ACTION=add\0SUBSYSTEM=tty\0";
        assert_eq!(&message[..12], b"libudev\0\xfe\xed\xca\xfe");
        assert_eq!(
            message[12..16],
            40_u32.to_ne_bytes(),
            "length of the header"
        );
        assert_eq!(
            message[16..20],
            40_u32.to_ne_bytes(),
            "where the properties begin"
        );
        assert_eq!(
            message[20..24],
            (body.len() as u32).to_ne_bytes(),
            "length of the properties"
        );
        assert_eq!(
            &message[24..28],
            b"\x8a\xfa\x90\xc8",
            "hash of the subsystem"
        );
        assert_eq!(message[28..40], [0; 12]);
        assert_eq!(&message[40..], body);
    }

    #[test]
    fn a_removal_says_so() {
        assert!(message(Action::Remove, &[])[40..].starts_with(b"ACTION=remove\0"));
    }
}
