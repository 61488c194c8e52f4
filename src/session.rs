//! The one task that talks to the logger: it connects, asks how the logger is, and carries out orders one after
//! another, so that nothing ever speaks while something else does.
//!
//! All it learns goes to [`Logger`]. It never decides to change a logger by itself, but for one thing: firmware on
//! trial that answers is confirmed, because answering is what the trial is about.

use alloc::boxed::Box;
use alloc::string::String;
use core::convert::Infallible;
use core::pin::{Pin, pin};
use core::time::Duration;

use futures_util::future::{Either, select};
use host::conversation::{Conversation, TalkError};
use host::device::{Device, read_status, sync_clock};
use host::link::{Link, LinkError};
use host::update::{UpdateError, install, put_back};
use protocol::device::{Phase, Program};
use protocol::message::CommonRequest;
use web_sys::Serial;

use crate::lease::lend;
use crate::link::serial::SerialLink;
use crate::link::virtual_logger::VirtualLink;
use crate::link::{AnyLink, Port};
use crate::logger::{Connection, End, Hindrance, Logger, Order};
use ui::queue::Receiver;
use ui::time::{ahead_of_utc, timer, utc};

/// How often the logger is asked what it measures.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// What a logger's clock may be off by before the page sets it, in milliseconds: setting it leaves a mark in the log.
const CLOCK_OFF: i64 = 1000;
/// How often the elapsed time of an update is shown anew.
const TICK: Duration = Duration::from_millis(200);
/// How long a logger may stay away when it restarts.
const RESTART_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a port that has just come is tried: the system may still be setting its permissions.
const OPEN_TRIES: usize = 5;
/// Between two tries.
const OPEN_PAUSE: Duration = Duration::from_millis(300);

/// Of each logger, lives as long as the page.
pub(crate) async fn run(logger: Logger, serial: Option<Serial>, mut orders: Receiver<Order>) {
    let mut link = AnyLink {
        serial: serial.map(|serial| {
            SerialLink::new(serial, logger.page.desk(), move |event| {
                logger.port_changed(event);
            })
        }),
        virtual_logger: None,
    };
    let mut known = link.known().await;
    loop {
        if link.virtual_logger.is_some() != logger.wants_virtual() {
            exchange(&mut link, logger);
            known = link.known().await;
        }
        let port = match known.take() {
            Some(port) => port,
            None => match next_port(&mut link, &mut orders).await {
                Some(port) => port,
                None => continue,
            },
        };
        logger.connection.set(Connection::Connecting);
        let (returned, hindrance) = match open(link, port.clone()).await {
            Ok(mut conversation) => {
                let Err(error) = attend(&mut conversation, logger, &mut orders).await;
                (conversation.into_link(), Hindrance::Failed(error))
            }
            Err(failed) => failed,
        };
        link = returned;
        link.close().await;
        logger.status.set(None);
        logger.connection.set(match hindrance {
            Hindrance::Failed(TalkError::Link(LinkError::Lost | LinkError::NotBack)) => {
                logger.without_port()
            }
            hindrance => {
                // Nothing that it would help to try by itself once more; perhaps another port does.
                link.refuse(port);
                Connection::Disconnected(Some(hindrance))
            }
        });
    }
}

/// Takes the virtual logger in place of the real ones, or the other way round.
fn exchange(link: &mut AnyLink, logger: Logger) {
    link.virtual_logger = None;
    logger.forget();
    if !logger.wants_virtual() {
        return;
    }
    let made = VirtualLink::new(
        move |event| logger.port_changed(event),
        move |event| logger.virtual_changed(event),
    );
    match made {
        Ok(made) => {
            logger.give_hand(made.hand());
            link.virtual_logger = Some(made);
        }
        Err(_) => logger.virtual_failed(String::new()),
    }
}

/// A port to try: one that the person chose now, or one chosen before that was plugged in. None when the person wants
/// another kind of logger.
async fn next_port(link: &mut AnyLink, orders: &mut Receiver<Order>) -> Option<Port> {
    loop {
        let order = match select(orders.next(), pin!(link.arrival())).await {
            Either::Left((order, _)) => order,
            Either::Right(_) => None,
        };
        match order {
            Some(Order::Connect(port)) => return Some(Port::Serial(port)),
            Some(Order::Exchange) => return None,
            Some(Order::Forget) => link.knows(false),
            // Without a logger, nothing else can be done.
            _ => {}
        }
        if let Some(port) = link.known().await {
            return Some(port);
        }
    }
}

async fn open(
    mut link: AnyLink,
    port: Port,
) -> Result<Conversation<AnyLink>, (AnyLink, Hindrance)> {
    let mut tries = 1;
    while let Err(error) = link.open(port.clone()).await {
        if tries == OPEN_TRIES {
            let hindrance = match port.identity() {
                Some((vendor, product)) => Hindrance::NotOpened { vendor, product },
                None => Hindrance::Failed(error.into()),
            };
            return Err((link, hindrance));
        }
        tries += 1;
        link.sleep(OPEN_PAUSE).await;
    }
    let opened = Conversation::open(link).await;
    opened.map_err(|(link, error)| (link, Hindrance::Failed(error)))
}

/// Deals with a logger until it is gone.
async fn attend(
    conversation: &mut Conversation<AnyLink>,
    logger: Logger,
    orders: &mut Receiver<Order>,
) -> Result<Infallible, TalkError> {
    get_to_know(conversation, logger).await?;
    let mut drift_is_known = false;
    loop {
        // The bootloader measures nothing.
        if conversation.hello().program == Program::Application {
            look(conversation, logger).await?;
            // Set a second time, a clock knows how it drifts. A third would only leave another mark in the log.
            if !drift_is_known && logger.ahead.get().is_some_and(is_off) {
                unless_refused(sync_clock(conversation, |_| utc() as u64, ahead_of_utc()).await)?;
                drift_is_known = true;
            }
        }
        let order = match select(
            orders.next(),
            pin!(conversation.link().receive(STATUS_EVERY)),
        )
        .await
        {
            Either::Left((order, _)) => order,
            Either::Right((late, _)) => {
                // What nobody asked for is a late answer.
                late?;
                continue;
            }
        };
        match order {
            Some(Order::Update) => bring_up_to_date(conversation, logger, orders).await?,
            Some(Order::Lend(to)) => lend(conversation.link(), to).await?,
            Some(Order::Exchange) => return Err(LinkError::Lost.into()),
            Some(Order::PutBack) => put_back_kept(conversation, logger, orders).await?,
            Some(Order::Restart) => {
                conversation.tell(CommonRequest::Reboot).await?;
                conversation.reopen(RESTART_TIMEOUT).await?;
                get_to_know(conversation, logger).await?;
            }
            // There is a logger already, or nothing to cancel any more.
            Some(Order::Connect(_) | Order::Cancel | Order::Forget) | None => {}
        }
    }
}

/// Asks the logger what it measures.
async fn look<L: Link>(
    conversation: &mut Conversation<L>,
    logger: Logger,
) -> Result<(), TalkError> {
    let status = unless_refused(read_status(conversation).await)?;
    let ahead = status
        .as_ref()
        .and_then(|status| Some(status.time as i64 + status.utc_offset? - utc()));
    logger.ahead.set(ahead);
    logger.status.set(status);
    Ok(())
}

/// Whether a clock is to be set that is so many milliseconds ahead.
fn is_off(ahead: i64) -> bool {
    ahead.abs() >= CLOCK_OFF
}

/// Sets the logger's clock when it is off.
async fn set_right<L: Link>(
    conversation: &mut Conversation<L>,
    logger: Logger,
) -> Result<(), TalkError> {
    look(conversation, logger).await?;
    if logger.ahead.get().is_none_or(is_off) {
        let before = sync_clock(conversation, |_| utc() as u64, ahead_of_utc()).await;
        logger.ahead_before.set(unless_refused(before)?);
    }
    Ok(())
}

/// Asks the logger who it is, and takes its firmware out of its trial.
async fn get_to_know(
    conversation: &mut Conversation<AnyLink>,
    logger: Logger,
) -> Result<(), TalkError> {
    let program = conversation.hello().program;
    let mut device = Device::read(conversation).await?;
    let same = logger.of_device(|before| before.serial) == Some(device.serial);
    // The virtual logger may be another one each time.
    let meant = logger.page.with_serial(device.serial).unwrap_or(logger);
    if !logger.wants_virtual() && (meant != logger || !same && logger.device.with(Option::is_some))
    {
        conversation.link().leave().await;
        return Err(LinkError::Lost.into());
    }
    if !same {
        logger.forget_logger();
    }
    if let (Program::Application, Phase::Trial { .. }, Some(running)) =
        (program, device.phase, device.running)
    {
        let digest = running.digest;
        unless_refused(conversation.tell(CommonRequest::Confirm { digest }).await)?;
        device = Device::read(conversation).await?;
        if device.phase == Phase::Idle {
            logger.confirmed.set(Some(running.version));
            forget_failure(logger, &device);
        }
    }
    if program == Program::Bootloader && logger.has_installed() {
        // What it began with so well is not how it stands.
        logger.course.set(None);
    }
    logger.program.set(program);
    if logger
        .device
        .with(|before| before.as_ref() != Some(&device))
    {
        logger.set_device(Some(device));
    }
    if program == Program::Application {
        set_right(conversation, logger).await?;
    }
    logger.connection.set(Connection::Connected);
    logger.page.introduce(logger);
    conversation.link().knows(true);
    Ok(())
}

/// An update that was given up has come to its good end after all.
fn forget_failure(logger: Logger, device: &Device) {
    let arrived = logger.course.with(|course| {
        let digest = course.as_ref().map(|course| course.digest);
        device.running.map(|running| running.digest) == digest
    });
    if arrived {
        logger.course.set(None);
    }
}

async fn bring_up_to_date(
    conversation: &mut Conversation<AnyLink>,
    logger: Logger,
    orders: &mut Receiver<Order>,
) -> Result<(), TalkError> {
    let Some((file, checked_in)) = logger.page.whole_file() else {
        return Ok(());
    };
    let Some(device) = logger.device.get() else {
        return Ok(());
    };
    if !logger.is_accepted() {
        return Ok(());
    }
    logger.update_begins(&device, &file, checked_in);
    let end = {
        let update = install(conversation, &device, &file.upload, |progress| {
            logger.update_progresses(progress);
        });
        watch(Box::pin(update), logger, orders).await
    };
    logger.update_ends(end);
    get_to_know(conversation, logger).await
}

async fn put_back_kept(
    conversation: &mut Conversation<AnyLink>,
    logger: Logger,
    orders: &mut Receiver<Order>,
) -> Result<(), TalkError> {
    let Some(device) = logger.device.get() else {
        return Ok(());
    };
    let Some(kept) = device.kept(logger.program.get()) else {
        return Ok(());
    };
    logger.put_back_begins(&device, &kept);
    let end = {
        let put_back = put_back(conversation, &device, |progress| {
            logger.update_progresses(progress);
        });
        watch(Box::pin(put_back), logger, orders).await
    };
    logger.update_ends(end);
    get_to_know(conversation, logger).await
}

/// What goes on until an installation ends.
type Installation<'a> = Pin<Box<dyn Future<Output = Result<Device, UpdateError>> + 'a>>;

/// Lets an installation run to its end, and stops it when the person wants that in time.
async fn watch(
    mut installation: Installation<'_>,
    logger: Logger,
    orders: &mut Receiver<Order>,
) -> End {
    loop {
        let meanwhile = select(orders.next(), timer(TICK));
        match select(installation.as_mut(), meanwhile).await {
            Either::Left((Ok(device), _)) => {
                logger.set_device(Some(device));
                return End::Installed;
            }
            Either::Left((Err(error), _)) => return End::Failed(error),
            Either::Right((Either::Left((Some(Order::Cancel), _)), _)) if logger.may_cancel() => {
                return End::Cancelled;
            }
            Either::Right(_) => logger.update_waits(),
        }
    }
}

/// A refusal is an answer too: the logger does not offer it.
fn unless_refused<T>(result: Result<T, TalkError>) -> Result<Option<T>, TalkError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(TalkError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
