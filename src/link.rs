//! The ways a browser reaches a logger. Each is a [`Link`] and knows nothing of what is said over it.

pub(crate) mod serial;
pub(crate) mod virtual_logger;

use alloc::vec::Vec;
use core::time::Duration;

use host::link::{Link, LinkError};
use web_sys::SerialPort;

use serial::SerialLink;
use virtual_logger::VirtualLink;

/// What happened to the port, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortEvent {
    /// It was opened.
    Opened,
    /// It vanished: the logger was unplugged or restarts.
    Lost,
}

/// Something that can be opened.
#[derive(Clone)]
pub(crate) enum Port {
    /// A real one.
    Serial(SerialPort),
    /// That of the virtual logger.
    Virtual,
}

impl Port {
    /// Maker and kind of what is plugged in, while it is.
    pub(crate) fn identity(&self) -> Option<(u16, u16)> {
        match self {
            Port::Serial(port) => {
                let connected = js_sys::Reflect::get(port, &"connected".into());
                let info = port.get_info();
                let identity = (info.get_usb_vendor_id()?, info.get_usb_product_id()?);
                connected.ok()?.is_truthy().then_some(identity)
            }
            Port::Virtual => None,
        }
    }
}

/// All ways to a logger. While there is a virtual logger, it is the one that is meant; else a real one over Web Serial,
/// where the browser has that.
pub(crate) struct AnyLink {
    /// The real ones.
    pub(crate) serial: Option<SerialLink>,
    /// The virtual one.
    pub(crate) virtual_logger: Option<VirtualLink>,
}

impl AnyLink {
    /// Waits until a logger is plugged in.
    pub(crate) async fn arrival(&mut self) {
        match (&mut self.virtual_logger, &mut self.serial) {
            (Some(link), _) => link.arrival().await,
            (None, Some(link)) => link.arrival().await,
            (None, None) => core::future::pending().await,
        }
    }

    /// A logger that is plugged in and may be opened.
    pub(crate) async fn known(&self) -> Option<Port> {
        match (&self.virtual_logger, &self.serial) {
            (Some(link), _) => link.is_plugged().then_some(Port::Virtual),
            (None, Some(link)) => link.known().await.into_iter().next().map(Port::Serial),
            (None, None) => None,
        }
    }

    /// Whether its logger is known from now on: then others' are left.
    pub(crate) fn knows(&self, its: bool) {
        if let Some(link) = &self.serial {
            link.knows(its);
        }
    }

    /// Leaves a port to others, until the person chooses it or it comes anew.
    pub(crate) fn refuse(&self, port: Port) {
        if let (Port::Serial(port), Some(link)) = (port, &self.serial) {
            link.refuse(port);
        }
    }

    /// Opens a port; the one that was open is closed.
    pub(crate) async fn open(&mut self, port: Port) -> Result<(), LinkError> {
        match (port, &mut self.virtual_logger, &mut self.serial) {
            (Port::Virtual, Some(link), _) => link.open(),
            (Port::Serial(port), None, Some(link)) => link.open(port).await,
            // It was a port of what is not meant any more.
            _ => Err(LinkError::Lost),
        }
    }

    /// Closes what is open.
    pub(crate) async fn close(&mut self) {
        if let Some(link) = &mut self.virtual_logger {
            link.close();
        }
        if let Some(link) = &mut self.serial {
            link.close().await;
        }
    }
}

impl Link for AnyLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        match (&mut self.virtual_logger, &mut self.serial) {
            (Some(link), _) => link.send(bytes).await,
            (None, Some(link)) => link.send(bytes).await,
            (None, None) => Err(LinkError::Lost),
        }
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        match (&mut self.virtual_logger, &mut self.serial) {
            (Some(link), _) => link.receive(timeout).await,
            (None, Some(link)) => link.receive(timeout).await,
            (None, None) => Err(LinkError::Lost),
        }
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        match (&mut self.virtual_logger, &mut self.serial) {
            (Some(link), _) => link.reopen(timeout).await,
            (None, Some(link)) => link.reopen(timeout).await,
            (None, None) => Err(LinkError::NotBack),
        }
    }

    async fn leave(&mut self) -> bool {
        match (&self.virtual_logger, &mut self.serial) {
            (None, Some(link)) => link.leave().await,
            _ => false,
        }
    }

    async fn sleep(&mut self, time: Duration) {
        ui::time::timer(time).await;
    }
}
