//! A picture of the logger's memory, as far as the logger and this page know it: never a guess. Flash is drawn page by
//! page; of the image store, what it holds. A logger that installs says nothing meanwhile; of the virtual one it is known
//! how far its flash was written.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use host::device::Device;
use protocol::image::Version;

use crate::logger::{Course, End, Logger, Virtual};
use ui::dom::{View, all, choose, el, live};
use ui::step::Step;
use ui::text::say;
use ui::words::kilobytes;

/// Where flash begins (STM32L0 reference manual, memory map).
const FLASH: u32 = 0x0800_0000;

/// What a page of flash is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Locked,
    Free,
    Firmware,
    Changing,
    Put,
    Written,
}

/// Runs of pages that are alike.
#[derive(Clone, PartialEq)]
struct Flash {
    page_size: u16,
    runs: Vec<(Page, u32)>,
}

/// Flash and image store.
pub(crate) fn memory_map(logger: Logger) -> View {
    el("section")
        .class("card memory")
        .attr("aria-label", say!("Memory"))
        .with([
            el("h2").text(say!("Inside the logger")),
            choose(
                move || logger.of_device(|device| flash(logger, device)),
                |flash| all(flash.iter().map(flash_view)),
            ),
            el("dl").class("slots").with([
                slot(logger, say!("Received"), received),
                slot(logger, say!("Before"), |logger| {
                    let previous = logger.of_device(|device| device.previous).flatten();
                    previous.map(|held| Held {
                        version: held.version,
                        percent: 100,
                        words: say!("{size}, kept to go back to", size = kilobytes(held.length)),
                    })
                }),
            ]),
        ])
}

/// How flash is divided now.
fn flash(logger: Logger, device: &Device) -> Flash {
    let page_size = u32::from(device.page_size.max(1));
    let pages = |bytes: u32| bytes.div_ceil(page_size);
    let slot = pages(device.target.slot_size);
    let running = device.running.map_or(0, |running| pages(running.length));
    let (state, new) = logger.course.with(|course| match course {
        Some(course) => match (&course.end, course.step) {
            (None, Step::Restarted | Step::Installed) => (Page::Changing, pages(course.total)),
            (None, Step::Started | Step::Confirmed) | (Some(End::Installed), _) => {
                (Page::Written, pages(course.total))
            }
            _ => (Page::Firmware, 0),
        },
        None => (Page::Firmware, 0),
    });
    let new = new.min(slot);
    let old = running.clamp(new, slot) - new;
    let locked = pages(device.target.slot_address.saturating_sub(FLASH));
    let put = match state {
        Page::Changing => put(logger, page_size).saturating_sub(locked).min(new),
        _ => 0,
    };
    let runs = [
        (Page::Locked, locked),
        (Page::Put, put),
        (state, new - put),
        // What a shorter image leaves of a longer one is erased with the rest.
        (
            if state == Page::Firmware {
                state
            } else {
                Page::Free
            },
            old,
        ),
        (Page::Free, slot - new - old),
    ];
    Flash {
        page_size: device.page_size,
        runs: runs.into_iter().filter(|(_, count)| *count > 0).collect(),
    }
}

/// Whole pages from where flash begins that are known to be done with.
fn put(logger: Logger, page_size: u32) -> u32 {
    logger.virtual_logger.with(|state| match state {
        Virtual::There { written, .. } => written / page_size,
        _ => 0,
    })
}

fn flash_view(flash: &Flash) -> View {
    let squares = flash.runs.iter().flat_map(|(page, count)| {
        let class = page.class();
        (0..*count).map(move |_| el("i").class(class).with([]))
    });
    let legend = flash.runs.iter().map(|(page, count)| {
        el("li").with([
            el("i")
                .class(page.class())
                .attr("aria-hidden", "true")
                .with([]),
            el("span").text(say!("{kind}: {count} pages", kind = page.name(), count)),
        ])
    });
    all([
        el("p").class("under").text(say!(
            "Each square is a page of {size} bytes of its flash memory.",
            size = flash.page_size
        )),
        el("div")
            .class("map")
            .attr("aria-hidden", "true")
            .with(squares),
        el("ul").class("legend").with(legend),
    ])
}

impl Page {
    fn class(self) -> &'static str {
        match self {
            Page::Locked => "l",
            Page::Free => "f",
            Page::Firmware => "s",
            Page::Changing => "c",
            Page::Put | Page::Written => "d",
        }
    }

    fn name(self) -> String {
        match self {
            Page::Locked => say!("bootloader, locked"),
            Page::Free => say!("free"),
            Page::Firmware => say!("firmware"),
            Page::Changing => say!("compared, and written where they differ"),
            Page::Put => say!("new firmware"),
            Page::Written => say!("new firmware, checked"),
        }
    }
}

/// What a slot of the image store holds.
struct Held {
    version: Version,
    percent: u32,
    words: String,
}

fn received(logger: Logger) -> Option<Held> {
    let copying = logger.course.with(|course| {
        let course = course.as_ref().filter(|course| !course.is_kept)?;
        (course.end != Some(End::Installed)).then(|| arriving(course))
    });
    copying.or_else(|| {
        let staged = logger.of_device(|device| device.staged).flatten()?;
        Some(Held {
            version: staged.version,
            percent: 100,
            words: say!("{size}, whole", size = kilobytes(staged.length)),
        })
    })
}

fn arriving(course: &Course) -> Held {
    Held {
        version: course.to,
        percent: course.percent(),
        words: say!(
            "{kept} of {total}",
            kept = kilobytes(course.kept),
            total = kilobytes(course.total)
        ),
    }
}

fn slot(logger: Logger, name: String, held: fn(Logger) -> Option<Held>) -> View {
    let version = move || match held(logger) {
        Some(held) => held.version.to_string(),
        None => say!("empty"),
    };
    el("div").class("slot").with([
        el("dt").text(name),
        el("dd").with([
            el("b").text(live(version)),
            el("div")
                .class("bar")
                .attr("aria-hidden", "true")
                .with([el("i")
                    .style("width", move || {
                        let percent = held(logger).map_or(0, |held| held.percent);
                        [&percent.to_string(), "%"].concat()
                    })
                    .with([])]),
            el("span").text(live(move || {
                held(logger).map_or_else(String::new, |held| held.words)
            })),
        ]),
    ])
}
