//! The way to the logger that the page lends: a [`Link`] for one matter, given back when it is dropped.

use alloc::vec::Vec;
use core::time::Duration;

use host::link::{Link, LinkError};
use js_sys::{Function, Promise, Uint8Array};
use ui::time::timer;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// The logger, as the page lends it (`src/workbench.rs`).
    pub type SharedLogger;

    /// Asks for a way to it; the answer is nothing when there is none now.
    #[wasm_bindgen(method)]
    fn lease(this: &SharedLogger, answer: &Function);

    /// Tells the page how its owner calls it.
    #[wasm_bindgen(method)]
    pub(crate) fn name(this: &SharedLogger, name: &str);

    /// Does something to the virtual logger, by its command's text.
    #[wasm_bindgen(method)]
    pub(crate) fn handle(this: &SharedLogger, command: &str);

    /// Gives the page lines for the details.
    #[wasm_bindgen(method)]
    pub(crate) fn report(this: &SharedLogger, lines: &str);

    /// That way (`src/lease.rs`, where its answers are explained).
    type Lease;

    #[wasm_bindgen(method)]
    fn send(this: &Lease, bytes: &[u8], answer: &Function);

    #[wasm_bindgen(method)]
    fn receive(this: &Lease, millis: u32, answer: &Function);

    #[wasm_bindgen(method)]
    fn free(this: &Lease);
}

/// What is answered to a question.
async fn answer(mut ask: impl FnMut(&Function)) -> JsValue {
    let promise = Promise::new(&mut |answer, _| ask(&answer));
    JsFuture::from(promise).await.unwrap_or_default()
}

/// What the page lent.
pub(crate) struct LentLink(Lease);

impl LentLink {
    /// Asks for it, and waits while the page talks to the logger itself.
    ///
    /// # Errors
    /// [`LinkError::Lost`] when there is no logger, or it is being updated.
    pub(crate) async fn ask(logger: &SharedLogger) -> Result<LentLink, LinkError> {
        let lease = answer(|answer| logger.lease(answer)).await;
        if lease.is_undefined() {
            return Err(LinkError::Lost);
        }
        Ok(LentLink(lease.unchecked_into()))
    }
}

impl Drop for LentLink {
    fn drop(&mut self) {
        self.0.free();
    }
}

fn bytes(answer: JsValue) -> Result<Vec<u8>, LinkError> {
    if let Some(words) = answer.as_string() {
        return Err(LinkError::System(words));
    }
    let bytes: Uint8Array = answer.dyn_into().map_err(|_| LinkError::Lost)?;
    Ok(bytes.to_vec())
}

impl Link for LentLink {
    async fn send(&mut self, sent: &[u8]) -> Result<(), LinkError> {
        bytes(answer(|answer| self.0.send(sent, answer)).await).map(drop)
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let millis = timeout.as_millis().try_into().unwrap_or(u32::MAX);
        bytes(answer(|answer| self.0.receive(millis, answer)).await)
    }

    /// Only the page waits for loggers.
    async fn reopen(&mut self, _: Duration) -> Result<(), LinkError> {
        Err(LinkError::NotBack)
    }

    async fn sleep(&mut self, time: Duration) {
        timer(time).await;
    }
}
