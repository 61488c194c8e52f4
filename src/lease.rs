//! The way to the logger, lent for a while: the [workbench](crate::workbench) talks to the logger too, and two must never
//! talk at once. While a lease is out the [session](crate::session) says nothing. A lease ends when it is given back, when
//! the logger is gone, and when nothing is asked of it for [`IDLE`].
//!
//! It only passes bytes on. Whoever asks is called back in any case.

use alloc::vec::Vec;
use core::time::Duration;

use futures_util::future::{Either, select};
use host::link::{Link, LinkError};
use js_sys::{Function, Uint8Array};
use ui::queue::{Sender, queue};
use ui::time::timer;
use wasm_bindgen::prelude::*;

/// Whoever has a lease may be silent for so long.
const IDLE: Duration = Duration::from_secs(2);

/// Somebody waits for an answer. Dropped, it is answered with nothing.
pub(crate) struct Asked(Option<Function>);

impl Asked {
    /// Calls back once.
    pub(crate) fn new(call_back: Function) -> Asked {
        Asked(Some(call_back))
    }

    fn answer(mut self, with: &JsValue) {
        self.call_back(with);
    }

    fn call_back(&mut self, with: &JsValue) {
        if let Some(call_back) = self.0.take() {
            // What it throws is its own matter.
            let _ = call_back.call1(&JsValue::NULL, with);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.call_back(&JsValue::UNDEFINED);
    }
}

/// What is asked of a link that was lent.
enum Request {
    Send(Vec<u8>),
    Receive(Duration),
}

/// The end of whoever has it. Answers are bytes; nothing when the logger is gone, or the lease; words when the system
/// refused.
#[wasm_bindgen]
pub struct Lease(Sender<(Request, Asked)>);

#[wasm_bindgen]
impl Lease {
    /// Sends bytes; the answer is empty.
    pub fn send(&self, bytes: Vec<u8>, answer: Function) {
        self.ask(Request::Send(bytes), answer);
    }

    /// Waits for bytes, at most so many milliseconds; none when they passed.
    pub fn receive(&self, millis: u32, answer: Function) {
        self.ask(
            Request::Receive(Duration::from_millis(millis.into())),
            answer,
        );
    }

    fn ask(&self, request: Request, answer: Function) {
        let asked = Asked::new(answer);
        if !self.0.is_alone() {
            self.0.send((request, asked));
        }
    }
}

/// Lends a link to whoever asked for it, and does what is asked of it until the lease ends.
///
/// # Errors
/// When the link failed. Whoever has the lease was told.
pub(crate) async fn lend<L: Link>(link: &mut L, to: Asked) -> Result<(), LinkError> {
    let (requests, mut asked) = queue();
    to.answer(&Lease(requests).into());
    while let Either::Left((Some((request, asked)), _)) = select(asked.next(), timer(IDLE)).await {
        let result = match request {
            Request::Send(bytes) => link.send(&bytes).await.map(|()| Vec::new()),
            Request::Receive(timeout) => link.receive(timeout).await,
        };
        asked.answer(&match &result {
            Ok(bytes) => Uint8Array::from(&bytes[..]).into(),
            Err(LinkError::System(words)) => words.into(),
            Err(LinkError::Lost | LinkError::NotBack) => JsValue::UNDEFINED,
        });
        result?;
    }
    Ok(())
}
