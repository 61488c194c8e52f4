//! The Worker: messages of the page in, the port's bytes and events out, and the machine kept in step with the clock in
//! between. It must never run for long without letting messages in.

use core::cell::RefCell;

use emulator::machine::Machine;
use js_sys::{Math, Uint8Array};
use virtual_logger_messages::{Command, Event};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent, MessagePort, Response};

use crate::device::{Device, Output};
use crate::memories::{Kept, from_the_factory, restore};
use crate::pace::Pace;
use crate::storage::Storage;

/// Bootloader and logger 1.0.0, as they are put into flash from its beginning.
const FACTORY: &str = "./firmware/factory-1.0.0.bin";
/// Longest time, in milliseconds, without letting messages in.
const TURN: f64 = 8.0;
/// Time between two turns, in milliseconds, while the machine is in step.
const REST: i32 = 1;
/// Virtual seconds a second: as on hardware, and so that each step of an update can be watched.
const PACE: f64 = 1.0;
const SLOW: f64 = 0.1;
/// Time between two keepings of the memories, in milliseconds; longer than any operation on them takes.
const KEEP_EVERY: f64 = 100.0;

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// The running logger, and what ties it to the browser.
struct Bench {
    scope: DedicatedWorkerGlobalScope,
    device: Device,
    unique_id: [u32; 3],
    factory: Vec<u8>,
    pace: Pace,
    speed: f64,
    keeper: Keeper,
    /// To be called again at once; a timer would take 4 ms.
    at_once: MessagePort,
    /// Calls [`wake`].
    wake: Closure<dyn FnMut()>,
    /// Whether a call is on its way.
    asleep: bool,
}

/// What is kept, and when.
struct Keeper {
    kept: Kept,
    /// The store is of another logger still.
    anew: bool,
    /// The machine's count of operations when something was last found changed.
    operations: u64,
    /// Keepings to come: one may meet an operation that has not ended, so there is always another.
    due: u8,
    last: f64,
    /// None while the store is at work, and for good once it failed.
    storage: Option<Storage>,
}

/// Starts the logger: the one of the last visit, or a new one.
pub(crate) fn start() {
    spawn_local(async {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        if let Err(error) = run(scope.clone()).await {
            let words = error.dyn_ref::<js_sys::Error>().map_or_else(
                || error.as_string().unwrap_or_default(),
                |error| error.message().into(),
            );
            tell(&scope, &Event::Failed(words));
        }
    });
}

async fn run(scope: DedicatedWorkerGlobalScope) -> Result<(), JsValue> {
    let factory = fetch(&scope, FACTORY).await?;
    let storage = Storage::open(&scope).await.ok();
    let parts = match &storage {
        Some(storage) => storage.parts().await.unwrap_or_default(),
        None => Vec::new(),
    };
    if storage.is_none() {
        tell(&scope, &Event::NotKept);
    }
    let (machine, unique_id) = match restore(random(), parts) {
        Ok(restored) => restored,
        Err(_) => new_logger(&factory)?,
    };
    let channel = MessageChannel::new()?;
    let wake = Closure::<dyn FnMut()>::new(wake);
    channel
        .port2()
        .set_onmessage(Some(wake.as_ref().unchecked_ref()));
    let device = Device::new(machine);
    let bench = Bench {
        pace: Pace::new(PACE, clock(&scope), device.machine().now()),
        speed: PACE,
        device,
        unique_id,
        factory,
        keeper: Keeper {
            kept: Kept::default(),
            anew: true,
            operations: 0,
            due: 2,
            last: 0.0,
            storage,
        },
        at_once: channel.port1(),
        wake,
        asleep: false,
        scope: scope.clone(),
    };
    BENCH.set(Some(bench));

    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(receive);
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // It lives as long as the Worker.
    on_message.forget();
    tell(&scope, &Event::Started);
    turn();
    Ok(())
}

fn new_logger(factory: &[u8]) -> Result<(Machine, [u32; 3]), JsValue> {
    let unique_id = [(); 3].map(|()| random() as u32);
    let machine = from_the_factory(random(), unique_id, factory)
        .map_err(|error| JsValue::from(error.to_string()))?;
    Ok((machine, unique_id))
}

/// A message of the page.
fn receive(message: MessageEvent) {
    with_bench(|bench| {
        let data = message.data();
        if let Some(bytes) = data.dyn_ref::<Uint8Array>() {
            bench.device.send(&bytes.to_vec());
        } else if let Some(command) = data.as_string().and_then(|text| Command::read(&text)) {
            bench.obey(command);
        }
    });
    turn();
}

/// It slept long enough.
fn wake() {
    with_bench(|bench| bench.asleep = false);
    turn();
}

/// Brings the machine in step with the clock.
fn turn() {
    with_bench(|bench| {
        let begun = clock(&bench.scope);
        let mut now = begun;
        let behind = loop {
            let due = bench.pace.until(now, bench.device.machine().now());
            if !bench.device.advance(due) {
                break false;
            }
            now = clock(&bench.scope);
            if now - begun > TURN {
                break true;
            }
        };
        bench.hand_over();
        bench.keep(now);
        bench.sleep(behind);
    });
}

fn with_bench(act: impl FnOnce(&mut Bench)) {
    BENCH.with_borrow_mut(|bench| {
        if let Some(bench) = bench {
            act(bench);
        }
    });
}

impl Bench {
    fn obey(&mut self, command: Command) {
        match command {
            Command::Renew => self.renew(),
            Command::Slow => self.set_speed(SLOW),
            Command::Swift => self.set_speed(PACE),
            _ => self.device.obey(command),
        }
        // Power that goes leaves torn cells behind without a new operation.
        self.keeper.due = 2;
    }

    fn renew(&mut self) {
        self.device.obey(Command::Cut);
        self.hand_over();
        // The factory's image fitted once.
        if let Ok((machine, unique_id)) = new_logger(&self.factory) {
            self.device = Device::new(machine);
            self.unique_id = unique_id;
            self.set_speed(self.speed);
            self.keeper.kept = Kept::default();
            self.keeper.anew = true;
            self.keeper.operations = 0;
        }
    }

    fn set_speed(&mut self, speed: f64) {
        self.speed = speed;
        let now = self.device.machine().now();
        self.pace = Pace::new(speed, clock(&self.scope), now);
    }

    /// Gives the page what came out.
    fn hand_over(&mut self) {
        for output in self.device.take_output() {
            match output {
                Output::Bytes(bytes) => post(&self.scope, &Uint8Array::from(bytes.as_slice())),
                Output::Taken(count) => post(&self.scope, &JsValue::from(count as f64)),
                Output::Event(event) => tell(&self.scope, &event),
            }
        }
    }

    /// Keeps what changed, now and then.
    fn keep(&mut self, now: f64) {
        let keeper = &mut self.keeper;
        let operations = self.device.machine().operations();
        if operations != keeper.operations {
            keeper.operations = operations;
            keeper.due = 2;
        }
        if keeper.due == 0 || now - keeper.last < KEEP_EVERY {
            return;
        }
        let Some(storage) = keeper.storage.take() else {
            return;
        };
        keeper.due -= 1;
        keeper.last = now;
        let anew = core::mem::take(&mut keeper.anew);
        let changes = keeper.kept.changes(self.device.machine(), self.unique_id);
        if changes.is_empty() {
            keeper.storage = Some(storage);
            return;
        }
        spawn_local(async move {
            let followed = storage.follow(anew, changes).await;
            with_bench(|bench| match followed {
                Ok(()) => bench.keeper.storage = Some(storage),
                Err(_) => tell(&bench.scope, &Event::NotKept),
            });
        });
    }

    /// Sees to it that [`wake`] is called.
    fn sleep(&mut self, behind: bool) {
        if core::mem::replace(&mut self.asleep, true) {
            return;
        }
        let asked = if behind {
            self.at_once.post_message(&JsValue::NULL)
        } else {
            self.scope
                .set_timeout_with_callback_and_timeout_and_arguments_0(
                    self.wake.as_ref().unchecked_ref(),
                    REST,
                )
                .map(drop)
        };
        if asked.is_err() {
            tell(
                &self.scope,
                &Event::Halted("the browser lets it rest for ever".into()),
            );
        }
    }
}

/// Goes on with so many virtual seconds a second: for tests that need a slow logger, and to see how fast it can be.
#[wasm_bindgen]
pub fn set_speed(speed: f64) {
    with_bench(|bench| bench.set_speed(speed));
}

/// Virtual time since the logger was switched on in this visit, in milliseconds.
#[wasm_bindgen]
pub fn virtual_milliseconds() -> f64 {
    let mut milliseconds = 0.0;
    with_bench(|bench| milliseconds = bench.device.machine().now().millis() as f64);
    milliseconds
}

async fn fetch(scope: &DedicatedWorkerGlobalScope, address: &str) -> Result<Vec<u8>, JsValue> {
    let response: Response = JsFuture::from(scope.fetch_with_str(address))
        .await?
        .unchecked_into();
    if !response.ok() {
        return Err(format!("{address} is not there").into());
    }
    let bytes = JsFuture::from(response.array_buffer()?).await?;
    Ok(Uint8Array::new(&bytes).to_vec())
}

fn tell(scope: &DedicatedWorkerGlobalScope, event: &Event) {
    post(scope, &JsValue::from(event.text()));
}

fn post(scope: &DedicatedWorkerGlobalScope, message: &JsValue) {
    // It fails for what cannot be copied; bytes, numbers and texts can.
    let _ = scope.post_message(message);
}

/// Milliseconds.
fn clock(scope: &DedicatedWorkerGlobalScope) -> f64 {
    scope.performance().map_or(0.0, |clock| clock.now())
}

fn random() -> u64 {
    // 53 random bits of it are the most that there are.
    (Math::random() * (1_u64 << 53) as f64) as u64
}
