//! Work that goes on beside the views.

use alloc::boxed::Box;
use core::pin::Pin;

/// Begins it. Boxed, so that the machinery behind it is compiled once, not once for each kind of work.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    wasm_bindgen_futures::spawn_local(work);
}
