//! A logger behind the browser's Web Serial; where there is WebUSB alone, `assets/web-usb.js` makes the one of the other.
//!
//! A [`SerialLink`] lives as long as the page: ports come and go, it stays. There is one for each logger, and the
//! [`Desk`] sees to it that none takes another's port. It never asks for permission by itself; only [`ask`] does, from a
//! click. It does not know what is said, and never drops a byte that came while nobody waited.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use futures_util::future::{Either, select};
use host::link::{Link, LinkError};
use js_sys::{Reflect, Uint8Array};
use protocol::BAUD_RATE;
use protocol::device::{USB_PRODUCT_ID, USB_VENDOR_ID};
use wasm_bindgen::prelude::*;
use web_sys::{
    DomException, ReadableStream, ReadableStreamDefaultReader, Serial, SerialOptions, SerialPort,
    SerialPortFilter, SerialPortRequestOptions, WritableStreamDefaultWriter,
};

use super::PortEvent;
use ui::dom::window;
use ui::queue::{Receiver, Sender, queue};
use ui::task::spawn;
use ui::time::{now, timer};

/// What a logger's port says it is: the logger itself, or one of the bridges that its USART may be behind. Whether there is
/// a logger behind a bridge only its answer tells.
const IDENTITIES: [(u16, u16); 4] = [
    (USB_VENDOR_ID, USB_PRODUCT_ID),
    // CP2102.
    (0x10C4, 0xEA60),
    // CH340.
    (0x1A86, 0x7523),
    // FT232R.
    (0x0403, 0x6001),
];
/// The default of 255 bytes would hold the rate near 1 MB/s.
const BUFFER_SIZE: u32 = 16_384;
/// How long a port may look open after the logger was told to restart. One that then still does is a bridge's.
const VANISHES_WITHIN: Duration = Duration::from_secs(2);
/// How often ports are looked for, besides when the browser tells of a new one.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long a logger may refuse to take bytes.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The browser's Web Serial; none when it does not have it.
pub(crate) fn serial() -> Option<Serial> {
    let navigator = window().navigator();
    let serial = Reflect::get(&navigator, &"serial".into()).ok()?;
    (!serial.is_undefined()).then(|| serial.unchecked_into())
}

/// Lets the person choose a logger; none when they chose none. Must be the first thing that a click does: the browser
/// opens its chooser for nothing else.
pub(crate) fn ask(serial: &Serial) -> impl Future<Output = Option<SerialPort>> + use<> {
    let filters = IDENTITIES.map(|(vendor, product)| {
        let filter = SerialPortFilter::new();
        filter.set_usb_vendor_id(vendor);
        filter.set_usb_product_id(product);
        filter
    });
    let options = SerialPortRequestOptions::new();
    options.set_filters(&filters);
    let chosen = serial.request_port_with_options(&options);
    // Cancelled, an empty list and forbidden all give the same error.
    async move { chosen.await.ok() }
}

/// Which port is whose. What is behind a port only its answer tells: so whoever knows its logger tries ports first, and
/// whoever knows none takes what all others have refused.
#[derive(Default)]
pub(crate) struct Desk(RefCell<Vec<Taker>>);

/// One who takes ports.
struct Taker {
    /// Told when a port may be free that was not.
    arrived: Sender<()>,
    /// It knows its logger, and looks for no other.
    knows: bool,
    /// The one that it has.
    port: Option<SerialPort>,
    /// Those with another logger behind them, or with none.
    refused: Vec<SerialPort>,
}

impl Desk {
    fn enter(&self, arrived: Sender<()>) -> usize {
        let mut takers = self.0.borrow_mut();
        takers.push(Taker {
            arrived,
            knows: false,
            port: None,
            refused: Vec::new(),
        });
        takers.len() - 1
    }

    /// Whose a port is, by the order in which they came.
    pub(crate) fn holder(&self, port: &SerialPort) -> Option<usize> {
        let takers = self.0.borrow();
        takers
            .iter()
            .position(|taker| taker.port.as_ref() == Some(port))
    }

    /// Those of `there` that are for this one to try.
    fn free(&self, number: usize, there: Vec<SerialPort>) -> Vec<SerialPort> {
        let mut takers = self.0.borrow_mut();
        takers[number].refused.retain(|port| there.contains(port));
        let knows = takers[number].knows;
        let is_free = |port: &SerialPort| {
            takers.iter().enumerate().all(|(other, taker)| {
                if other == number {
                    return !taker.refused.contains(port);
                }
                let may_be_its = taker.knows && taker.port.is_none();
                taker.port.as_ref() != Some(port)
                    && (knows || !may_be_its || taker.refused.contains(port))
            })
        };
        there.into_iter().filter(is_free).collect()
    }

    /// Changes what is known of one of them, and tells the others.
    fn change(&self, number: usize, change: impl FnOnce(&mut Taker)) {
        let mut takers = self.0.borrow_mut();
        change(&mut takers[number]);
        // Who is woken looks later, when this is over.
        takers.iter().for_each(|taker| taker.arrived.send(()));
    }
}

/// Ports, of which at most one is open.
pub(crate) struct SerialLink {
    serial: Serial,
    desk: &'static Desk,
    /// Its own at the desk.
    number: usize,
    arrivals: Receiver<()>,
    /// Kept because the browser calls it.
    _on_connect: Closure<dyn FnMut()>,
    watch: Box<dyn Fn(PortEvent)>,
    open: Option<OpenPort>,
}

struct OpenPort {
    port: SerialPort,
    writer: WritableStreamDefaultWriter,
    /// Ends when nothing reads from the port any more.
    incoming: Receiver<Vec<u8>>,
    stop: Sender<()>,
}

impl SerialLink {
    /// `watch` is told when a port opens or vanishes.
    pub(crate) fn new(
        serial: Serial,
        desk: &'static Desk,
        watch: impl Fn(PortEvent) + 'static,
    ) -> Self {
        let (arrived, arrivals) = queue();
        let number = desk.enter(arrived.clone());
        // A listener with `once` is never called for real events in Chromium 156.
        let on_connect = Closure::<dyn FnMut()>::new(move || {
            arrived.send(());
        });
        // Should it fail, ports are still found by looking.
        let _ =
            serial.add_event_listener_with_callback("connect", on_connect.as_ref().unchecked_ref());
        SerialLink {
            serial,
            desk,
            number,
            arrivals,
            _on_connect: on_connect,
            watch: Box::new(watch),
            open: None,
        }
    }

    /// Waits until a port may be there to try.
    pub(crate) async fn arrival(&mut self) {
        self.arrivals.next().await;
        while self.arrivals.take().is_some() {}
    }

    /// Ports that are there, that the person has once chosen, and that are for this one to try.
    pub(crate) async fn known(&self) -> Vec<SerialPort> {
        let Ok(ports) = self.serial.get_ports().await else {
            return Vec::new();
        };
        let ports = ports
            .iter()
            .filter(|port| {
                let info = port.get_info();
                let identity = (info.get_usb_vendor_id(), info.get_usb_product_id());
                IDENTITIES
                    .into_iter()
                    .any(|(vendor, product)| identity == (Some(vendor), Some(product)))
            })
            .collect();
        self.desk.free(self.number, ports)
    }

    /// Whether its logger is known from now on: then others' are left.
    pub(crate) fn knows(&self, its: bool) {
        self.desk.change(self.number, |taker| taker.knows = its);
    }

    /// Leaves a port to the others, until the person chooses it or it comes anew.
    pub(crate) fn refuse(&self, port: SerialPort) {
        self.desk
            .change(self.number, |taker| taker.refused.push(port));
    }

    /// Opens a port; the one that was open is closed.
    pub(crate) async fn open(&mut self, port: SerialPort) -> Result<(), LinkError> {
        self.close().await;
        // From now on no other tries it.
        self.desk.change(self.number, |taker| {
            taker.refused.retain(|other| *other != port);
            taker.port = Some(port.clone());
        });
        let opened = self.open_taken(port).await;
        if opened.is_err() {
            self.desk.change(self.number, |taker| taker.port = None);
        }
        opened
    }

    async fn open_taken(&mut self, port: SerialPort) -> Result<(), LinkError> {
        let options = SerialOptions::new(BAUD_RATE);
        options.set_buffer_size(BUFFER_SIZE);
        port.open(&options).await.map_err(describe)?;
        let writer = port.writable().get_writer().map_err(describe)?;
        let (received, incoming) = queue();
        let (stop, stopped) = queue();
        spawn(read_all(port.clone(), received, stopped));
        self.open = Some(OpenPort {
            port,
            writer,
            incoming,
            stop,
        });
        (self.watch)(PortEvent::Opened);
        Ok(())
    }

    /// Closes the port, when one is open. What was not sent yet is forgotten.
    pub(crate) async fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        // A port that is gone refuses all of this, and is closed then.
        open.stop.send(());
        while open.incoming.next().await.is_some() {}
        let _ = open.writer.abort().await;
        open.writer.release_lock();
        let _ = open.port.close().await;
        self.desk.change(self.number, |taker| taker.port = None);
    }

    /// Bytes, or none when the time passed; whatever comes later is kept.
    async fn next(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, LinkError> {
        let open = self.open.as_mut().ok_or(LinkError::Lost)?;
        match select(open.incoming.next(), timer(timeout)).await {
            Either::Left((Some(bytes), _)) => Ok(Some(bytes)),
            Either::Left((None, _)) => {
                self.lost().await;
                Err(LinkError::Lost)
            }
            Either::Right(_) => Ok(None),
        }
    }

    async fn lost(&mut self) {
        if self.open.is_some() {
            (self.watch)(PortEvent::Lost);
            self.close().await;
        }
    }
}

impl Link for SerialLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let open = self.open.as_ref().ok_or(LinkError::Lost)?;
        let written = open
            .writer
            .write_with_chunk(&Uint8Array::from(bytes))
            .into_future();
        match select(written, timer(SEND_TIMEOUT)).await {
            Either::Left((Ok(_), _)) => Ok(()),
            Either::Left((Err(_), _)) => {
                self.lost().await;
                Err(LinkError::Lost)
            }
            Either::Right(_) => Err(LinkError::System("the logger takes no data.".into())),
        }
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        Ok(self.next(timeout).await?.unwrap_or_default())
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        let vanishes = now() + VANISHES_WITHIN.as_secs_f64();
        while self.open.is_some() {
            match self.next(LOOK_AGAIN).await {
                Ok(_) if now() > vanishes => return Ok(()),
                // What still comes was said before the restart.
                Ok(_) | Err(_) => {}
            }
        }
        let end = now() + timeout.as_secs_f64();
        loop {
            for port in self.known().await {
                // A port that has just come may refuse for a moment: its permissions are being set.
                if self.open(port).await.is_ok() {
                    return Ok(());
                }
            }
            if now() > end {
                return Err(LinkError::NotBack);
            }
            select(self.arrivals.next(), timer(LOOK_AGAIN)).await;
        }
    }

    async fn leave(&mut self) -> bool {
        if let Some(port) = self.open.as_ref().map(|open| open.port.clone()) {
            self.close().await;
            self.refuse(port);
        }
        true
    }

    async fn sleep(&mut self, time: Duration) {
        timer(time).await;
    }
}

/// Hands over all that comes until the port is lost or `stopped` says so; then gives the port's stream back.
async fn read_all(port: SerialPort, received: Sender<Vec<u8>>, mut stopped: Receiver<()>) {
    // After an overrun the port has a new stream; after it is lost, none.
    while let Ok(readable) = JsValue::from(port.readable()).dyn_into::<ReadableStream>() {
        let Ok(reader) = ReadableStreamDefaultReader::new(&readable) else {
            return;
        };
        loop {
            match select(reader.read().into_future(), stopped.next()).await {
                Either::Left((Ok(chunk), _)) => match chunk_bytes(&chunk) {
                    Some(bytes) => {
                        received.send(bytes);
                    }
                    None => {
                        reader.release_lock();
                        return;
                    }
                },
                Either::Left((Err(error), _)) => {
                    reader.release_lock();
                    if is_loss(&error) {
                        return;
                    }
                    break;
                }
                Either::Right(_) => {
                    let _ = reader.cancel().await;
                    reader.release_lock();
                    return;
                }
            }
        }
    }
}

/// Whether the device is gone, and not only a byte.
fn is_loss(error: &JsValue) -> bool {
    error
        .dyn_ref::<DomException>()
        .is_none_or(|error| error.name() == "NetworkError")
}

/// The bytes of what a reader read; none when the stream has ended.
fn chunk_bytes(chunk: &JsValue) -> Option<Vec<u8>> {
    let value = Reflect::get(chunk, &"value".into()).ok()?;
    Some(value.dyn_into::<Uint8Array>().ok()?.to_vec())
}

fn describe(error: JsValue) -> LinkError {
    let words = error
        .dyn_into::<DomException>()
        .map_or_else(|_| "it did not open.".into(), |error| error.message());
    LinkError::System(words)
}
