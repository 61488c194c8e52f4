//! Why no logger could be connected: what happened, what it means for the logger, and what to do now.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use host::conversation::TalkError;

use crate::logger::{Connection, Hindrance, Logger};
use ui::dom::{View, all, choose, el, window};
use ui::text::say;
use ui::words::no_connection;

/// Where the rule is put that lets whoever sits at a Linux computer use the logger: before systemd's 73-seat-late.rules,
/// which takes up the tag (udev(7)).
const UDEV_FILE: &str = "/etc/udev/rules.d/70-logdock.rules";

/// The latest hindrance; empty while there is none.
pub(crate) fn hindrance(logger: Logger) -> View {
    let hindrance = move || {
        logger.connection.with(|connection| match connection {
            Connection::Disconnected(hindrance) => hindrance.clone(),
            _ => None,
        })
    };
    el("div")
        .attr("aria-live", "polite")
        .with([choose(hindrance, |hindrance| {
            all(hindrance.iter().map(explain))
        })])
}

fn explain(hindrance: &Hindrance) -> View {
    match hindrance {
        Hindrance::NothingChosen => advice(
            "note",
            say!("No logger was chosen. Nothing was sent to any."),
            [
                say!(
                    "If the list was empty, this computer sees no logger. Some cables only charge: take one that carries data, and plug it straight into the computer."
                ),
                say!("If it was in the list, choose it there and press Connect."),
            ],
            None,
        ),
        Hindrance::NotOpened { vendor, product } => {
            let platform = window().navigator().platform().unwrap_or_default();
            // Chrome on Android says armv8, too.
            let is_linux = platform.starts_with("Linux") && !platform.starts_with("Linux armv8");
            let busy = say!(
                "Another program, or this page in another tab, may be using it: close that, and connect again."
            );
            let forbidden = is_linux.then(|| {
                say!(
                    "Or your user may not use it: put the line below into the file {file}, unplug the logger and plug it in again.",
                    file = UDEV_FILE
                )
            });
            let rule = format!(
                r#"SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor:04x}", ATTRS{{idProduct}}=="{product:04x}", TAG+="uaccess""#
            );
            advice(
                "refusal",
                say!(
                    "The browser may not open the logger's port. Nothing was sent; the logger is fine."
                ),
                [busy].into_iter().chain(forbidden),
                is_linux.then_some(rule),
            )
        }
        Hindrance::Failed(TalkError::Silent) => advice(
            "refusal",
            say!("What was connected does not answer. Nothing in it was changed."),
            [
                say!("Unplug the logger, plug it in again, and connect it."),
                say!(
                    "A serial adapter with nothing behind it is silent, too: connect again, and choose another port."
                ),
            ],
            None,
        ),
        Hindrance::Failed(error) => advice("refusal", no_connection(error), [], None),
    }
}

/// What happened, what may be done, and a line to copy.
fn advice(
    class: &'static str,
    what: String,
    ways: impl IntoIterator<Item = String>,
    line: Option<String>,
) -> View {
    let ways: Vec<View> = ways.into_iter().map(|way| el("li").text(way)).collect();
    let line = line.map(|line| {
        el("pre")
            .attr("tabindex", "0")
            .attr("aria-label", say!("Line for {file}", file = UDEV_FILE))
            .text(line)
    });
    let first = [el("p").text(what), el("ul").with(ways)];
    el("div").class(class).with(first.into_iter().chain(line))
}
