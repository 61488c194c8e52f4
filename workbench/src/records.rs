//! What the logger recorded.

use alloc::string::String;

use ui::dom::{View, el, live};
use ui::text::say;
use ui::words::count;

use crate::logger::Logger;

/// The tab.
pub(crate) fn records(logger: Logger) -> View {
    let number = move || {
        logger.status.with(|status| {
            status.as_ref().map_or_else(String::new, |status| {
                say!(
                    "{number} records since it was made or last erased.",
                    number = count(status.next_record)
                )
            })
        })
    };
    el("section")
        .class("card")
        .attr("aria-label", say!("Records"))
        .with([
            el("h2").text(say!("Records")),
            el("p").class("under").text(live(number)),
        ])
}
