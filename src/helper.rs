//! The page's helper, a Worker that is loaded when it is first asked: firmware files are read and checked there, and
//! the maker's catalogue.
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
use crate::logger::{Firmware, Offer, Unreadable};
use ui::text::language;

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

/// Reads a firmware file: a `File`.
pub(crate) async fn read(name: &str, content: &JsValue) -> Result<Rc<Firmware>, Unreadable> {
    read_as("read", name, content).await
}

/// Reads one that came from beside the page, by its bytes; one that the catalogue lists has to be the one that it means.
pub(crate) async fn read_listed(name: &str, bytes: &[u8]) -> Result<Rc<Firmware>, Unreadable> {
    read_as("listed", name, &Uint8Array::from(bytes)).await
}

async fn read_as(
    question: &str,
    name: &str,
    content: &JsValue,
) -> Result<Rc<Firmware>, Unreadable> {
    let answer = answer(question, &[&name.into(), content])
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

/// What a catalogue has for a logger, and what is wrong with the catalogue, for its maker.
pub(crate) async fn offer(catalogue: &[u8], device: &Device) -> (Option<Offer>, String) {
    let ids = [device.target.vendor_id.0, device.target.class_id.0].concat();
    let running = device.running.map(|running| running.version.to_bytes());
    let bytes = Uint8Array::from(catalogue);
    let (ids, running) = (
        Uint8Array::from(&ids[..]),
        Uint8Array::from(running.as_ref().map_or(&[][..], |version| version)),
    );
    let Ok(answer) = answer("offer", &[&bytes, &ids, &running, &language().into()]).await else {
        return (None, String::new());
    };
    let answer: Array = answer.unchecked_into();
    let newer: Array = answer.get(0).unchecked_into();
    let [version, file, date, notes] =
        [0, 1, 2, 3].map(|index| newer.get(index).as_string().unwrap_or_default());
    let offer = Offer {
        version,
        file,
        date,
        notes,
    };
    (
        Some(offer).filter(|offer| !offer.file.is_empty()),
        answer.get(1).as_string().unwrap_or_default(),
    )
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
