//! What one does to a virtual logger with one's hands: its cable, its power, and taking a new one from the shelf.

use alloc::string::String;

use virtual_logger_messages::Command;

use crate::logger::{Cable, Logger, Virtual};
use ui::dom::{View, all, button, either, el, live, when};
use ui::text::say;

/// There only while a virtual logger is.
pub(crate) fn virtual_logger(logger: Logger) -> View {
    when(move || logger.is_virtual(), move || bench(logger))
}

fn bench(logger: Logger) -> View {
    let cable = move || {
        logger.virtual_logger.with(|state| match state {
            Virtual::There { cable, .. } => Some(*cable),
            _ => None,
        })
    };
    let hand = move |name: String, command: Command| {
        button(move || logger.handle_virtual(command)).text(name)
    };
    let hanging = move || match cable() {
        Some(Cable::Out) => say!("The cable is out; the logger goes on with its battery."),
        Some(Cable::NoPower) => say!("It has no power at all. Plugged in, it starts again."),
        _ if logger.is_noisy.get() => say!(
            "Now and then a bit on its cable is wrong. What is damaged is seen, and sent again."
        ),
        _ => String::new(),
    };
    let halted = move || {
        logger.virtual_logger.with(|state| match state {
            Virtual::There { halted: Some(why), .. } => say!(
                "The emulated chip stopped: {why}. That is a mistake in the firmware or the emulator, and worth a report. Cut the power and plug it in to go on.",
                why
            ),
            _ => String::new(),
        })
    };
    let not_kept = move || {
        if logger.virtual_is_kept.get() {
            String::new()
        } else {
            say!(
                "This browser keeps nothing for this page: at the next visit the virtual logger is new."
            )
        }
    };
    el("section")
        .class("card")
        .attr("aria-label", say!("Virtual logger"))
        .with([
            el("h2").text(say!("This is a virtual logger")),
            el("p").class("soft").text(say!(
                "The real bootloader and firmware on an emulated chip, in this tab. It remembers everything until you start over. Pull its cable or cut its power whenever you like, also in the middle of an update."
            )),
            el("div").class("row").with([
                either(
                    move || cable() == Some(Cable::In),
                    move || hand(say!("Unplug"), Command::Unplug),
                    move || hand(say!("Plug in"), Command::Plug),
                ),
                button(move || logger.handle_virtual(Command::Cut))
                    .flag("disabled", move || cable() == Some(Cable::NoPower))
                    .text(say!("Cut the power")),
                hand(say!("Wear out memory"), Command::WearOut),
                either(
                    move || logger.is_noisy.get(),
                    move || hand(say!("Mend the cable"), Command::Mend),
                    move || hand(say!("Make the cable noisy"), Command::Disturb),
                ),
                when(
                    move || !logger.is_updating(),
                    move || {
                        all([
                            hand(say!("Start over with a new logger"), Command::Renew),
                            button(move || logger.leave_virtual()).text(say!("Put it away")),
                        ])
                    },
                ),
            ]),
            el("p").class("hint").attr("aria-live", "polite").text(live(hanging)),
            el("p").class("note").text(live(halted)),
            el("p").class("note").text(live(not_kept)),
        ])
}
