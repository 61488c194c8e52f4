//! A virtual logger: the emulated chip in a Worker, which is loaded when this link is made and ends with it.
//!
//! Its port comes, goes and loses bytes as a real one does. It does not know what is said, and never drops a byte that
//! came while nobody waited.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use futures_util::future::{Either, select};
use host::link::{Link, LinkError};
use js_sys::Uint8Array;
use virtual_logger_messages::{Command, Event};
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, MessageEvent, Worker};

use super::PortEvent;
use ui::queue::{Receiver, Sender, queue};
use ui::time::{now, timer};

/// The script of the Worker, beside the page.
const SCRIPT: &str = "./virtual-logger-worker.js";
/// How much may be on its way to the port before more has to wait.
const ON_THE_WAY: usize = 16 * 1024;
/// How long the logger may refuse to take bytes.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the port may stay after the logger was told to restart.
const VANISHES_WITHIN: Duration = Duration::from_secs(2);

/// A hand on the cable: works at any moment, whatever the link is doing.
#[derive(Clone)]
pub(crate) struct Hand(Worker);

impl Hand {
    /// Does it.
    pub(crate) fn act(&self, command: Command) {
        // It fails for what cannot be copied; a text can.
        let _ = self.0.post_message(&command.text().into());
    }
}

/// The Worker and its port.
pub(crate) struct VirtualLink {
    worker: Worker,
    port: Rc<RefCell<Port>>,
    arrivals: Receiver<()>,
    open: Option<OpenPort>,
    watch: Box<dyn Fn(PortEvent)>,
    /// Kept because the browser calls them.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

/// The port as the messages tell of it.
#[derive(Default)]
struct Port {
    plugged: bool,
    /// Where its bytes go while it is open.
    outlet: Option<Outlet>,
}

struct Outlet {
    received: Sender<Vec<u8>>,
    taken: Sender<usize>,
}

struct OpenPort {
    /// Ends when the port is lost.
    incoming: Receiver<Vec<u8>>,
    taken: Receiver<usize>,
    /// Bytes that were sent and not taken yet.
    on_the_way: usize,
}

impl VirtualLink {
    /// Loads and starts the logger. `watch` is told when its port opens or vanishes, `tell` what else happens.
    pub(crate) fn new(
        watch: impl Fn(PortEvent) + 'static,
        tell: impl Fn(Event) + Clone + 'static,
    ) -> Result<VirtualLink, JsValue> {
        let worker = Worker::new(SCRIPT)?;
        let port = Rc::new(RefCell::new(Port::default()));
        let (arrived, arrivals) = queue();
        let on_message = {
            let (port, tell) = (port.clone(), tell.clone());
            Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
                let event = port.borrow_mut().take(&message.data());
                if event == Some(Event::Plugged) {
                    arrived.send(());
                }
                if let Some(event) = event {
                    tell(event);
                }
            })
        };
        let on_error = Closure::<dyn FnMut(ErrorEvent)>::new(move |error: ErrorEvent| {
            // A script that cannot be fetched gives no words.
            let words = js_sys::Reflect::get(&error, &"message".into());
            tell(Event::Failed(
                words
                    .ok()
                    .and_then(|words| words.as_string())
                    .unwrap_or_default(),
            ));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(VirtualLink {
            worker,
            port,
            arrivals,
            open: None,
            watch: Box::new(watch),
            _on_message: on_message,
            _on_error: on_error,
        })
    }

    /// A hand on its cable.
    pub(crate) fn hand(&self) -> Hand {
        Hand(self.worker.clone())
    }

    /// Waits until the logger has a port.
    pub(crate) async fn arrival(&mut self) {
        self.arrivals.next().await;
    }

    /// Whether it has one.
    pub(crate) fn is_plugged(&self) -> bool {
        self.port.borrow().plugged
    }

    /// Opens the port; what was open is closed.
    pub(crate) fn open(&mut self) -> Result<(), LinkError> {
        self.close();
        if !self.is_plugged() {
            return Err(LinkError::Lost);
        }
        let (received, incoming) = queue();
        let (took, taken) = queue();
        self.port.borrow_mut().outlet = Some(Outlet {
            received,
            taken: took,
        });
        self.open = Some(OpenPort {
            incoming,
            taken,
            on_the_way: 0,
        });
        self.hand().act(Command::Open);
        (self.watch)(PortEvent::Opened);
        Ok(())
    }

    /// Closes the port, when it is open.
    pub(crate) fn close(&mut self) {
        if self.open.take().is_some() {
            self.port.borrow_mut().outlet = None;
            self.hand().act(Command::Close);
        }
    }

    fn lost(&mut self) -> LinkError {
        if self.open.is_some() {
            (self.watch)(PortEvent::Lost);
            self.close();
        }
        LinkError::Lost
    }
}

impl Drop for VirtualLink {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

impl Port {
    /// Takes a message of the Worker; gives the event that it was.
    fn take(&mut self, message: &JsValue) -> Option<Event> {
        if let Some(bytes) = message.dyn_ref::<Uint8Array>() {
            if let Some(outlet) = &self.outlet {
                outlet.received.send(bytes.to_vec());
            }
            return None;
        }
        if let Some(count) = message.as_f64() {
            if let Some(outlet) = &self.outlet {
                outlet.taken.send(count as usize);
            }
            return None;
        }
        let event = Event::read(&message.as_string()?)?;
        match event {
            Event::Plugged => self.plugged = true,
            Event::Unplugged => *self = Port::default(),
            _ => {}
        }
        Some(event)
    }
}

impl Link for VirtualLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let open = self.open.as_mut().ok_or(LinkError::Lost)?;
        // It fails for what cannot be copied; bytes can.
        let _ = self.worker.post_message(&Uint8Array::from(bytes));
        open.on_the_way += bytes.len();
        while let Some(count) = open.taken.take() {
            open.on_the_way = open.on_the_way.saturating_sub(count);
        }
        while open.on_the_way > ON_THE_WAY {
            match select(open.taken.next(), timer(SEND_TIMEOUT)).await {
                Either::Left((Some(count), _)) => {
                    open.on_the_way = open.on_the_way.saturating_sub(count);
                }
                Either::Left((None, _)) => return Err(self.lost()),
                Either::Right(_) => {
                    return Err(LinkError::System("the logger takes no data.".into()));
                }
            }
        }
        Ok(())
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let open = self.open.as_mut().ok_or(LinkError::Lost)?;
        match select(open.incoming.next(), timer(timeout)).await {
            Either::Left((Some(bytes), _)) => Ok(bytes),
            Either::Left((None, _)) => Err(self.lost()),
            Either::Right(_) => Ok(Vec::new()),
        }
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        let vanishes = now() + VANISHES_WITHIN.as_secs_f64();
        while self.open.is_some() && now() < vanishes {
            // What still comes was said before the restart.
            let _ = self.receive(VANISHES_WITHIN).await;
        }
        let end = now() + timeout.as_secs_f64();
        while self.open.is_none() && self.open().is_err() {
            let left = end - now();
            if left <= 0.0 {
                return Err(LinkError::NotBack);
            }
            select(self.arrivals.next(), timer(Duration::from_secs_f64(left))).await;
        }
        Ok(())
    }

    async fn sleep(&mut self, time: Duration) {
        timer(time).await;
    }
}
