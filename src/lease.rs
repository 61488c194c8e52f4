//! The way to the logger, lent for a while: the [workbench](crate::workbench) talks to the logger too, and two must never
//! talk at once. While a lease is out the [session](crate::session) says nothing. A lease ends when it is given back, when
//! the logger is gone, and when nothing is asked of it for [`IDLE`].
//!
//! It only passes bytes on.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use futures_util::future::{Either, select};
use host::link::{Link, LinkError};
use js_sys::Uint8Array;
use ui::queue::{Receiver, Sender, queue};
use ui::time::timer;
use wasm_bindgen::prelude::*;

use crate::logger::{Logger, Order};

/// Whoever has a lease may be silent for so long.
const IDLE: Duration = Duration::from_secs(2);

/// What is asked of a link that was lent.
enum Request {
    Send(Vec<u8>),
    Receive(Duration),
}

/// The session's end of a lease.
pub(crate) struct Lent {
    requests: Receiver<Request>,
    replies: Sender<Result<Vec<u8>, LinkError>>,
}

/// The other end.
#[wasm_bindgen]
pub struct Lease {
    requests: Sender<Request>,
    replies: RefCell<Receiver<Result<Vec<u8>, LinkError>>>,
}

/// Asks for a lease, and waits for it. None when there is no logger, or it is being updated.
pub(crate) async fn lease(logger: Logger) -> Option<Lease> {
    let (ask, requests) = queue();
    let (replies, mut answers) = queue();
    logger.order(Order::Lend(Lent { requests, replies }));
    // The first answer says that it begins.
    answers.next().await?.ok()?;
    Some(Lease {
        requests: ask,
        replies: RefCell::new(answers),
    })
}

/// Does what is asked of a link, until the lease ends.
///
/// # Errors
/// When the link failed. Whoever has the lease was told.
pub(crate) async fn lend<L: Link>(link: &mut L, mut lent: Lent) -> Result<(), LinkError> {
    lent.replies.send(Ok(Vec::new()));
    while let Either::Left((Some(request), _)) = select(lent.requests.next(), timer(IDLE)).await {
        let result = match request {
            Request::Send(bytes) => link.send(&bytes).await.map(|()| Vec::new()),
            Request::Receive(timeout) => link.receive(timeout).await,
        };
        lent.replies.send(result.clone());
        result?;
    }
    Ok(())
}

/// Each answers with bytes; with nothing when the logger is gone, or the lease; with words when the system refused.
#[wasm_bindgen]
impl Lease {
    /// Sends bytes; the answer is empty.
    pub async fn send(&self, bytes: Vec<u8>) -> JsValue {
        self.ask(Request::Send(bytes)).await
    }

    /// Waits for bytes, at most so many milliseconds; none when they passed.
    pub async fn receive(&self, millis: u32) -> JsValue {
        self.ask(Request::Receive(Duration::from_millis(millis.into())))
            .await
    }

    #[expect(
        clippy::await_holding_refcell_ref,
        reason = "one question at a time, as with every link"
    )]
    async fn ask(&self, request: Request) -> JsValue {
        let Ok(mut replies) = self.replies.try_borrow_mut() else {
            return JsValue::UNDEFINED;
        };
        self.requests.send(request);
        match replies.next().await {
            Some(Ok(bytes)) => Uint8Array::from(&bytes[..]).into(),
            Some(Err(LinkError::System(words))) => words.into(),
            Some(Err(LinkError::Lost | LinkError::NotBack)) | None => JsValue::UNDEFINED,
        }
    }
}
