//! The way to the logger that the page lends: a [`Link`] for one matter, given back when it is dropped.

use alloc::vec::Vec;
use core::time::Duration;

use host::link::{Link, LinkError};
use js_sys::Uint8Array;
use ui::time::timer;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The logger, as the page lends it (`src/workbench.rs`).
    pub type SharedLogger;

    /// Waits for a way to it; nothing when there is none now.
    #[wasm_bindgen(method, catch)]
    async fn lease(this: &SharedLogger) -> Result<JsValue, JsValue>;

    /// Tells the page how its owner calls it.
    #[wasm_bindgen(method)]
    pub(crate) fn name(this: &SharedLogger, name: &str);

    /// Gives the page lines for the details.
    #[wasm_bindgen(method)]
    pub(crate) fn health(this: &SharedLogger, lines: &str);

    /// That way (`src/lease.rs`, where its answers are explained).
    type Lease;

    #[wasm_bindgen(method, catch)]
    async fn send(this: &Lease, bytes: &[u8]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn receive(this: &Lease, millis: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn free(this: &Lease) -> Result<(), JsValue>;
}

/// What the page lent.
pub(crate) struct LentLink(Lease);

impl LentLink {
    /// Asks for it, and waits while the page talks to the logger itself.
    ///
    /// # Errors
    /// [`LinkError::Lost`] when there is no logger, or it is being updated.
    pub(crate) async fn ask(logger: &SharedLogger) -> Result<LentLink, LinkError> {
        match logger.lease().await {
            Ok(lease) if !lease.is_undefined() => Ok(LentLink(lease.unchecked_into())),
            _ => Err(LinkError::Lost),
        }
    }
}

impl Drop for LentLink {
    fn drop(&mut self) {
        // In the middle of an answer it cannot: the lease ends by itself then.
        let _ = self.0.free();
    }
}

fn bytes(answer: Result<JsValue, JsValue>) -> Result<Vec<u8>, LinkError> {
    let answer = answer.map_err(|_| LinkError::Lost)?;
    if let Some(words) = answer.as_string() {
        return Err(LinkError::System(words));
    }
    let bytes: Uint8Array = answer.dyn_into().map_err(|_| LinkError::Lost)?;
    Ok(bytes.to_vec())
}

impl Link for LentLink {
    async fn send(&mut self, sent: &[u8]) -> Result<(), LinkError> {
        bytes(self.0.send(sent).await).map(drop)
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let millis = timeout.as_millis().try_into().unwrap_or(u32::MAX);
        bytes(self.0.receive(millis).await)
    }

    /// Only the page waits for loggers.
    async fn reopen(&mut self, _: Duration) -> Result<(), LinkError> {
        Err(LinkError::NotBack)
    }

    async fn sleep(&mut self, time: Duration) {
        timer(time).await;
    }
}
