//! The page's helper, a Worker that is loaded when it is first asked: firmware files are read and checked there.
//!
//! What it answers is only passed on here.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use host::device::Device;
use host::update::Upload;
use js_sys::{Array, Uint8Array, Uint32Array};
use protocol::image::{Digest, Version};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::browser::ask;
use crate::logger::{Firmware, Unreadable};

/// The helper could not be loaded, or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoHelp;

/// What may be asked stands in `assets/helper-worker.js`.
async fn answer(question: &str, values: &[&JsValue]) -> Result<JsValue, NoHelp> {
    let whole = Array::of1(&question.into());
    for value in values {
        whole.push(value);
    }
    JsFuture::from(ask(&whole)).await.map_err(|_| NoHelp)
}

/// Reads a firmware file: a `File` or its bytes.
pub(crate) async fn read(name: &str, content: &JsValue) -> Result<Rc<Firmware>, Unreadable> {
    let answer = answer("read", &[&name.into(), content])
        .await
        .map_err(|NoHelp| Unreadable::NoHelp)?;
    if let Some(why) = answer.as_string() {
        return Err(Unreadable::File(why));
    }
    let parts = answer
        .dyn_into::<Array>()
        .map_err(|_| Unreadable::Browser)?;
    let bytes = |index| -> Vec<u8> { Uint8Array::new(&parts.get(index)).to_vec() };
    let (version, digest) = (bytes(0), bytes(1));
    Ok(Rc::new(Firmware {
        name: name.into(),
        upload: Upload {
            version: Version::from_bytes(version.first_chunk().ok_or(Unreadable::NoHelp)?),
            digest: Digest(*digest.first_chunk().ok_or(Unreadable::NoHelp)?),
            image: bytes(2),
            trailer: parts.get(3).as_f64().unwrap_or_default() as u32,
        },
    }))
}

/// Why a logger would not take the file that was read last; none when it will.
pub(crate) async fn objection(device: Device) -> Result<Option<String>, NoHelp> {
    let target = device.target;
    let numbers = [
        target.slot_address,
        target.slot_size,
        target.ram_address,
        target.ram_size,
        target.security_counter,
    ];
    let ids = [
        target.vendor_id.0.as_slice(),
        &target.class_id.0,
        &device.public_key,
    ]
    .concat();
    let (numbers, ids) = (Uint32Array::from(&numbers[..]), Uint8Array::from(&ids[..]));
    Ok(answer("objection", &[&numbers, &ids]).await?.as_string())
}
