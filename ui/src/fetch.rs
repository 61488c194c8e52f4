//! Files from where the page came from. It asks nobody else for anything.

use alloc::vec::Vec;

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use crate::dom::window;

/// The bytes of a file beside the page.
pub async fn fetch(address: &str) -> Result<Vec<u8>, JsValue> {
    let response: Response = JsFuture::from(window().fetch_with_str(address))
        .await?
        .unchecked_into();
    if !response.ok() {
        return Err(response.status_text().into());
    }
    let bytes = JsFuture::from(response.array_buffer()?).await?;
    Ok(Uint8Array::new(&bytes).to_vec())
}
