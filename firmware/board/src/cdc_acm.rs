//! A serial port over USB (CDC, abstract control model): no more of it than computers ask for.
//!
//! There is no line behind it, so what computers set for one is kept and told, and changes nothing.
//! Source: USB 2.0, chapter 9; USB CDC 1.2, section 5; CDC PSTN 1.2, section 6.3.

use stm32_usbd::{UsbBus, UsbPeripheral};
use usb_device::Result;
use usb_device::bus::UsbBusAllocator;
use usb_device::class::{ControlIn, ControlOut, UsbClass};
use usb_device::control::{Request, RequestType};
use usb_device::descriptor::descriptor_type;
use usb_device::endpoint::{EndpointIn, EndpointOut, EndpointType};

/// Bytes of one packet.
pub const PACKET: usize = 64;

/// Addresses of the endpoints. Both directions of a number are of one type: the chip has one register for them.
mod endpoint {
    pub const NOTIFICATIONS: u8 = 0x81;
    pub const RECEIVE: u8 = 0x02;
    pub const SEND: u8 = 0x82;
}

/// The most bytes of a notification, and how often computers ask for one, in milliseconds. There never is one.
const NOTIFICATION: u8 = 8;
const NOTIFICATION_INTERVAL: u8 = 255;

/// Requests to the port.
mod request {
    pub const SET_LINE_CODING: u8 = 0x20;
    pub const GET_LINE_CODING: u8 = 0x21;
    pub const SET_CONTROL_LINE_STATE: u8 = 0x22;
}

/// The configuration: descriptor by descriptor, each with its length and type in front.
#[rustfmt::skip]
static CONFIGURATION: [u8; 75] = [
    // Configuration 1: two interfaces, powered by the bus, 100 mA.
    9, 2, 75, 0, 2, 1, 0, 0x80, 50,
    // Association of both interfaces: CDC, abstract control model.
    8, 11, 0, 2, 0x02, 0x02, 0, 0,
    // Interface 0: control.
    9, 4, 0, 0, 1, 0x02, 0x02, 0, 0,
    // CDC 1.10; it knows the three requests; data on interface 1; no call management.
    5, 0x24, 0x00, 0x10, 0x01,
    4, 0x24, 0x02, 0x02,
    5, 0x24, 0x06, 0, 1,
    5, 0x24, 0x01, 0x00, 1,
    7, 5, endpoint::NOTIFICATIONS, 3, NOTIFICATION, 0, NOTIFICATION_INTERVAL,
    // Interface 1: data.
    9, 4, 1, 0, 2, 0x0A, 0, 0, 0,
    7, 5, endpoint::SEND, 2, PACKET as u8, 0, 0,
    7, 5, endpoint::RECEIVE, 2, PACKET as u8, 0, 0,
];

/// Bytes of a line coding.
const LINE_CODING: usize = 7;

/// The port.
pub struct CdcAcm<P: UsbPeripheral + 'static> {
    receive: EndpointOut<'static, UsbBus<P>>,
    send: EndpointIn<'static, UsbBus<P>>,
    /// Bits a second (4 bytes), stop bits, parity, data bits, as set last.
    line_coding: [u8; LINE_CODING],
}

impl<P: UsbPeripheral + 'static> CdcAcm<P> {
    /// Takes its endpoints, which must be free still.
    pub fn new(allocator: &'static UsbBusAllocator<UsbBus<P>>) -> Result<Self> {
        let _: EndpointIn<_> = allocator.alloc(
            Some(endpoint::NOTIFICATIONS.into()),
            EndpointType::Interrupt,
            NOTIFICATION.into(),
            NOTIFICATION_INTERVAL,
        )?;
        let bulk = EndpointType::Bulk;
        Ok(CdcAcm {
            receive: allocator.alloc(Some(endpoint::RECEIVE.into()), bulk, PACKET as u16, 0)?,
            send: allocator.alloc(Some(endpoint::SEND.into()), bulk, PACKET as u16, 0)?,
            // 9600 bits a second, 8 data bits, no parity, one stop bit.
            line_coding: [0x80, 0x25, 0, 0, 0, 0, 8],
        })
    }

    /// One packet, if one came: its length.
    pub fn receive(&mut self, packet: &mut [u8; PACKET]) -> Option<usize> {
        self.receive.read(packet).ok()
    }

    /// Hands over at most [`PACKET`] bytes, if the packet before was fetched; whether they went.
    pub fn send(&mut self, packet: &[u8]) -> bool {
        self.send.write(packet).is_ok()
    }
}

impl<P: UsbPeripheral + 'static> UsbClass<UsbBus<P>> for CdcAcm<P> {
    fn control_in(&mut self, transfer: ControlIn<UsbBus<P>>) {
        let request = transfer.request();
        let (descriptor, _) = request.descriptor_type_index();
        // An answer fails only when nobody waits for it any more.
        let _ = match (request.request_type, request.request) {
            (RequestType::Standard, Request::GET_DESCRIPTOR)
                if descriptor == descriptor_type::CONFIGURATION =>
            {
                transfer.accept_with_static(&CONFIGURATION)
            }
            (RequestType::Class, request::GET_LINE_CODING) => {
                transfer.accept_with(&self.line_coding)
            }
            _ => Ok(()),
        };
    }

    fn control_out(&mut self, transfer: ControlOut<UsbBus<P>>) {
        let request = transfer.request();
        if request.request_type != RequestType::Class {
            return;
        }
        let _ = match (request.request, transfer.data().first_chunk()) {
            (request::SET_LINE_CODING, Some(line_coding)) => {
                self.line_coding = *line_coding;
                transfer.accept()
            }
            (request::SET_CONTROL_LINE_STATE, _) => transfer.accept(),
            _ => transfer.reject(),
        };
    }
}
