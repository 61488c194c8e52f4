//! The time: milliseconds since power came up, on the LSI, through every reset but power-on and through STOP. Next to
//! it, kept as long, what has to be added to get the time of day.
//!
//! The calendar is never set: it counts from the beginning of the year 2000 on, and holds 100 years.
//! Source: RM0376, section 27.

use cortex_m::peripheral::{NVIC, SYST};
use protocol::record::Timekeeping;
use stm32_metapac::rcc::vals::Rtcsel;
use stm32_metapac::rtc::regs::{Bkpr, Cr, Isr, Prer, Wpr, Wutr};
use stm32_metapac::{EXTI, Interrupt, PWR, RCC, RTC};

use crate::clock::{CYCLES_PER_MILLISECOND, Clock, SYSTICK_SPAN};

/// EXTI's line of the wake-up timer.
pub(crate) const WAKE_UP_LINE: usize = 20;

/// The LSI's typical frequency in kilohertz. It is 26 to 56 in one chip or the other (DS10182).
const LSI_KILOHERTZ: u32 = 37;
/// Ticks of the subseconds in a second: each is a millisecond.
const MILLISECONDS: u32 = 1000;
/// The same while the LSI is measured: a clock that is not set up yet.
const MEASURING: u32 = 1 << 15;
/// Ticks that it is measured over.
const MEASURED: u32 = 8;

/// What makes so many cycles a tick, and so many ticks a second.
fn prescaler(cycles: u32, ticks: u32) -> Prer {
    let mut prescaler = Prer(0);
    prescaler.set_prediv_a(cycles as u8 - 1);
    prescaler.set_prediv_s(ticks as u16 - 1);
    prescaler
}

/// The LSI's frequency as it was measured: the cycles of a tick.
fn kilohertz() -> u32 {
    u32::from(RTC.prer().read().prediv_a()) + 1
}

/// Waits for the next tick: what SysTick shows then.
fn next_tick() -> u32 {
    let before = RTC.ssr().read();
    while RTC.ssr().read() == before {}
    SYST::get_current()
}

/// The calendar is read from the counters themselves: its shadow would be behind for two cycles after each STOP. The
/// wake-up timer counts every 16 cycles.
fn control(timer: bool) -> Cr {
    let mut control = Cr(0);
    control.set_bypshad(true);
    control.set_wute(timer);
    control.set_wutie(timer);
    control
}

/// What a computer said of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSetting {
    /// What has to be added to [`Rtc::now`] to get UTC in milliseconds since 1970. 48 bits.
    pub utc_offset: i64,
    /// What the computer was ahead of UTC, in minutes.
    pub local_offset: i16,
    /// [`Rtc::now`] when it was set. 48 bits.
    pub set_at: u64,
    /// How much too fast the clock runs, in millionths, when that is known; not `i32::MIN`.
    pub drift: Option<i32>,
}

/// So that registers that hold nothing are no setting.
const CHECK: u32 = 0x4C44;

impl ClockSetting {
    /// What [`Rtc::now`] will show at this UTC, in seconds since 1970, if the clock goes on as it did; 0 when that was before
    /// it was started.
    pub fn when(&self, utc: u32) -> u64 {
        let shown = i64::from(utc) * 1000 - self.utc_offset;
        let drift = i64::from(self.drift.unwrap_or(0));
        // Millionths, without a division: 4295 / 2^32. Centuries and a clock of double speed stay within 63 bits.
        let ahead = ((((shown - self.set_at as i64) * drift) >> 12) * 4295) >> 20;
        (shown + ahead).max(0) as u64
    }

    /// As the five backup registers hold it, all but the upper half of the last: the check.
    fn to_words(self) -> [u32; 5] {
        let (offset, set_at) = (self.utc_offset as u64, self.set_at);
        [
            offset as u32,
            set_at as u32,
            (offset >> 32) as u32 & 0xFFFF | ((set_at >> 32) as u32) << 16,
            self.drift.unwrap_or(Timekeeping::NO_DRIFT) as u32,
            u32::from(self.local_offset as u16),
        ]
    }

    fn from_words(words: &[u32; 5]) -> ClockSetting {
        let drift = words[3] as i32;
        ClockSetting {
            // The sign is in the highest of 48 bits.
            utc_offset: (u64::from(words[0]) << 16 | u64::from(words[2]) << 48) as i64 >> 16,
            local_offset: words[4] as i16,
            set_at: u64::from(words[1]) | u64::from(words[2] >> 16) << 32,
            drift: (drift != Timekeeping::NO_DRIFT).then_some(drift),
        }
    }
}

/// The check of a setting, in the upper half of a word.
fn check(words: &[u32; 5]) -> u32 {
    let mut sum = CHECK + (words[4] & 0xFFFF);
    for word in &words[..4] {
        // Not the same for halves or words that have changed places.
        sum = (sum << 1) + (word >> 16) + (word & 0xFFFF) * 3;
    }
    sum << 16
}

/// The clock.
pub struct Rtc(());

impl Rtc {
    pub(crate) fn new() -> Rtc {
        Rtc(())
    }

    /// Whether it was started since power came up. When not, a new session begins with [`Rtc::start`].
    pub fn is_running(&self) -> bool {
        RCC.csr().read().rtcen()
            && u32::from(RTC.prer().read().prediv_s()) == MILLISECONDS - 1
            && !RTC.isr().read().initf()
    }

    /// Starts it at 0, unless it is running. To be called at each start all the same: the LSI must be on.
    ///
    /// What the LSI makes in a millisecond is measured first, so that the clock is off by a few percent at most, however
    /// far the LSI is. By how much is the computer's to measure. The core's clock proves that there is something to measure
    /// with: HSI16 is within 1 % at 25 °C (DS10182).
    pub fn start(&mut self, _at_full_speed: &Clock) {
        PWR.cr().modify(|w| w.set_dbp(true));
        RCC.csr().modify(|w| w.set_lsion(true));
        while !RCC.csr().read().lsirdy() {}
        if self.is_running() {
            return;
        }
        RCC.csr().modify(|w| {
            w.set_rtcsel(Rtcsel::LSI);
            w.set_rtcen(true);
        });
        count(prescaler(LSI_KILOHERTZ, MEASURING));
        let first = next_tick();
        let mut last = first;
        for _ in 0..MEASURED {
            last = next_tick();
        }
        // SysTick counts down. Never 0.
        let passed = (first.wrapping_sub(last) % SYSTICK_SPAN) | 1;
        let cycles = (LSI_KILOHERTZ * MEASURED * CYCLES_PER_MILLISECOND + passed / 2) / passed;
        count(prescaler(cycles, MILLISECONDS));
    }

    /// Milliseconds since it was started.
    pub fn now(&self) -> u64 {
        let (subseconds, time, date) = loop {
            let subseconds = RTC.ssr().read();
            let read = (subseconds, RTC.tr().read().0, RTC.dr().read().0);
            // All three change at the same moment, if they do.
            if RTC.ssr().read() == subseconds {
                break read;
            }
        };
        let hours = days(date) * 24 + two_digits(time >> 16 & 0x3F);
        let minutes = hours * 60 + two_digits(time >> 8 & 0x7F);
        let seconds = minutes * 60 + two_digits(time & 0x7F);
        // They count down.
        u64::from(seconds) * u64::from(MILLISECONDS)
            + u64::from(MILLISECONDS - 1 - u32::from(subseconds.ss()))
    }

    /// What a computer said of the time in this session.
    pub fn setting(&self) -> Option<ClockSetting> {
        let words = core::array::from_fn(|index| RTC.bkpr(index).read().0);
        (words[4] & 0xFFFF_0000 == check(&words)).then(|| ClockSetting::from_words(&words))
    }

    /// The same, as it is kept with what is recorded.
    pub fn timekeeping(&self) -> Timekeeping {
        let setting = self.setting();
        Timekeeping {
            set_at: setting.map_or(0, |setting| setting.set_at),
            drift: setting.and_then(|setting| setting.drift),
            cycles: kilohertz() as u8,
        }
    }

    /// Keeps what a computer said of the time. A reset meanwhile leaves none.
    pub fn set(&self, setting: ClockSetting) {
        let mut words = setting.to_words();
        words[4] |= check(&words);
        for (index, word) in words.into_iter().enumerate() {
            RTC.bkpr(index).write_value(Bkpr(word));
        }
    }

    /// Starts the wake-up timer: it goes off after that many milliseconds, at most 28,000, never sooner, and at most
    /// 1 ms later.
    pub(crate) fn wake_after(&self, milliseconds: u32) {
        unlocked(|| {
            RTC.cr().write_value(control(false));
            while !RTC.isr().read().wutwf() {}
            // The timer takes one count more than it says.
            RTC.wutr()
                .write_value(Wutr(milliseconds * kilohertz() / 16));
            // Flags are cleared by writing 0, and this one alone may be touched.
            let mut others = Isr(u32::MAX);
            others.set_wutf(false);
            others.set_init(false);
            RTC.isr().write_value(others);
            EXTI.pr(0).write(|w| w.set_line(WAKE_UP_LINE, true));
            NVIC::unpend(Interrupt::RTC);
            RTC.cr().write_value(control(true));
        });
    }

    /// Whether the wake-up timer went off.
    pub(crate) fn woke(&self) -> bool {
        RTC.isr().read().wutf()
    }
}

/// Counts from 0 on in these steps.
fn count(prescaler: Prer) {
    unlocked(|| {
        RTC.cr().write_value(control(false));
        RTC.isr().write(|w| w.set_init(true));
        while !RTC.isr().read().initf() {}
        // In two steps, the synchronous half first.
        RTC.prer().write(|w| w.set_prediv_s(prescaler.prediv_s()));
        RTC.prer().write_value(prescaler);
        RTC.isr().write_value(Isr(0));
    });
}

/// Takes the write protection away for as long as `work` takes.
fn unlocked(work: impl FnOnce()) {
    for key in [0xCA, 0x53] {
        RTC.wpr().write_value(Wpr(key));
    }
    work();
    // Any wrong key locks.
    RTC.wpr().write_value(Wpr(0xFF));
}

/// The value of two decimal digits, four bits each.
fn two_digits(digits: u32) -> u32 {
    (digits >> 4) * 10 + (digits & 0xF)
}

/// Days since the beginning of the year 2000, from the date register.
fn days(date: u32) -> u32 {
    // Years begin in March, so that the leap day is their last; and before the first of them, not to go below zero.
    let (mut year, mut month) = (
        two_digits(date >> 16 & 0xFF) + 4,
        two_digits(date >> 8 & 0x1F),
    );
    if month < 3 {
        year -= 1;
        month += 12;
    }
    // Days before each month of such a year, as a straight line: 0, 31, 61, 92 and so on.
    let month_days = (979 * month - 2919) >> 5;
    // The last number brings the first day of 2000 to 0.
    year * 365 + year / 4 + month_days + two_digits(date & 0x3F) - 1402
}
