//! The browser's IndexedDB, as far as the virtual logger's memories need it: one store, read whole, changed in
//! transactions of which none is left half done.

use core::cell::RefCell;
use std::rc::Rc;

use futures_channel::oneshot;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{
    DedicatedWorkerGlobalScope, IdbDatabase, IdbObjectStore, IdbRequest, IdbTransactionMode,
};

use crate::memories::{Change, Key};

const DATABASE: &str = "logdock-virtual-logger";
const STORE: &str = "memories";

/// The opened database.
pub(crate) struct Storage(IdbDatabase);

impl Storage {
    /// Opens it, and makes it at the first visit.
    ///
    /// # Errors
    /// The browser's, when it offers no storage here.
    pub(crate) async fn open(scope: &DedicatedWorkerGlobalScope) -> Result<Storage, JsValue> {
        let factory = scope
            .indexed_db()?
            .ok_or_else(|| JsValue::from("no storage"))?;
        let request = factory.open_with_u32(DATABASE, 1)?;
        let opening = request.clone();
        let make = Closure::once(move || {
            if let Ok(database) = opening.result() {
                // When it fails, so does the opening.
                let _ = database
                    .unchecked_into::<IdbDatabase>()
                    .create_object_store(STORE);
            }
        });
        request.set_onupgradeneeded(Some(make.as_ref().unchecked_ref()));
        Ok(Storage(done(&request).await?.unchecked_into()))
    }

    /// All that is kept.
    ///
    /// # Errors
    /// The browser's.
    pub(crate) async fn parts(&self) -> Result<Vec<(Key, Vec<u8>)>, JsValue> {
        let store = self.store(IdbTransactionMode::Readonly)?;
        let (keys, values) = (store.get_all_keys()?, store.get_all()?);
        let keys: Array = done(&keys).await?.unchecked_into();
        let values: Array = done(&values).await?.unchecked_into();
        Ok(keys
            .iter()
            .zip(values.iter())
            .filter_map(|(key, value)| {
                let bytes = value.dyn_into::<Uint8Array>().ok()?;
                Some((key.as_f64()? as Key, bytes.to_vec()))
            })
            .collect())
    }

    /// Follows these changes, all or none; after everything was forgotten, if `anew`.
    ///
    /// # Errors
    /// The browser's.
    pub(crate) async fn follow(&self, anew: bool, changes: Vec<Change>) -> Result<(), JsValue> {
        let store = self.store(IdbTransactionMode::Readwrite)?;
        if anew {
            store.clear()?;
        }
        for change in changes {
            match change {
                Change::Put(key, bytes) => {
                    store.put_with_key(&Uint8Array::from(bytes.as_slice()), &key.into())?
                }
                Change::Delete(key) => store.delete(&key.into())?,
            };
        }
        let transaction = store.transaction();
        outcome(|complete, fail| {
            transaction.set_oncomplete(Some(complete));
            transaction.set_onabort(Some(fail));
        })
        .await
    }

    fn store(&self, mode: IdbTransactionMode) -> Result<IdbObjectStore, JsValue> {
        self.0
            .transaction_with_str_and_mode(STORE, mode)?
            .object_store(STORE)
    }
}

/// Waits for a request's result.
async fn done(request: &IdbRequest) -> Result<JsValue, JsValue> {
    outcome(|succeed, fail| {
        request.set_onsuccess(Some(succeed));
        request.set_onerror(Some(fail));
    })
    .await?;
    request.result()
}

/// Waits until one of two handlers is called.
async fn outcome(listen: impl FnOnce(&js_sys::Function, &js_sys::Function)) -> Result<(), JsValue> {
    let (sender, receiver) = oneshot::channel();
    let sender = Rc::new(RefCell::new(Some(sender)));
    let handler = |good: bool| {
        let sender = sender.clone();
        Closure::<dyn FnMut()>::new(move || {
            if let Some(sender) = sender.borrow_mut().take() {
                let _ = sender.send(good);
            }
        })
    };
    let (good, bad) = (handler(true), handler(false));
    listen(good.as_ref().unchecked_ref(), bad.as_ref().unchecked_ref());
    match receiver.await {
        Ok(true) => Ok(()),
        _ => Err("the storage refused".into()),
    }
}
