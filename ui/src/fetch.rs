//! Files from where the page came from. It asks nobody else for anything.

use alloc::vec::Vec;

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestInit, Response};

use crate::dom::window;

/// The bytes of a file beside the page, as it is now: its name does not change with its content.
pub async fn fetch(address: &str) -> Result<Vec<u8>, JsValue> {
    let as_it_is = RequestInit::new();
    as_it_is.set_cache(RequestCache::NoCache);
    let answer = window().fetch_with_str_and_init(address, &as_it_is);
    let response: Response = JsFuture::from(answer).await?.unchecked_into();
    if !response.ok() {
        return Err(response.status_text().into());
    }
    let bytes = JsFuture::from(response.array_buffer()?).await?;
    Ok(Uint8Array::new(&bytes).to_vec())
}
