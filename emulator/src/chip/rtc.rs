//! Real-time clock at 0x4000_2800 (RM0376), clocked by the LSI: calendar, alarms, wake-up timer, backup registers.
//!
//! It goes on through every reset but power-on, and in STOP and STANDBY. It must never change while write-protected.
//! No 32 kHz crystal is fitted, so with any other clock selected it stands still. The 12-hour format, calibration,
//! shift, time stamp, tamper detection and outputs are not modelled.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

const KEYS: [u32; 2] = [0xCA, 0x53];
/// Flags cross between the clock domains in two of the RTC's cycles.
const CROSSING: u64 = 2;
const DAY: u64 = 86_400;
/// Days of 100 years from 2000-01-01 on, all that the calendar holds.
const CENTURY: u64 = 36_525;

mod cr {
    pub const WUCKSEL: u32 = 7;
    pub const BYPSHAD: u32 = 1 << 5;
    pub const ALRAE: u32 = 1 << 8;
    pub const WUTE: u32 = 1 << 10;
    pub const WUTIE: u32 = 1 << 14;
    pub const ADD1H: u32 = 1 << 16;
    pub const SUB1H: u32 = 1 << 17;
    pub const BKP: u32 = 1 << 18;
    pub const WRITABLE: u32 =
        WUCKSEL | BYPSHAD | 3 << 8 | WUTE | 3 << 12 | WUTIE | ADD1H | SUB1H | BKP;
}

mod isr {
    pub const ALRAWF: u32 = 1 << 0;
    pub const WUTWF: u32 = 1 << 2;
    pub const INITS: u32 = 1 << 4;
    pub const RSF: u32 = 1 << 5;
    pub const INITF: u32 = 1 << 6;
    pub const INIT: u32 = 1 << 7;
    pub const ALRAF: u32 = 1 << 8;
    pub const WUTF: u32 = 1 << 10;
    /// ALRAF, ALRBF and WUTF: cleared by writing 0.
    pub const FLAGS: u32 = 7 << 8;
}

const PRER_RESET: u32 = 0x007F_00FF;

/// One alarm: its registers, and the tick at which it goes off next.
#[derive(Clone, Copy, Default)]
struct Alarm {
    when: u32,
    subseconds: u32,
    next: Option<u64>,
}

/// The registers. Time is counted in ticks: cycles of its clock.
#[derive(Clone)]
pub struct Rtc {
    /// Of its clock.
    hertz: u32,
    /// Ticks up to `since`.
    ticks: u64,
    since: Time,
    running: bool,
    /// Calendar at tick `origin`, seconds since 2000-01-01.
    seconds: u64,
    origin: u64,
    /// Weekday less the one that follows from the date: software may count from any day.
    weekday: u64,
    prer: u32,
    cr: u32,
    init: Option<u64>,
    /// TR and DR as written in initialisation mode.
    entry: Option<(u32, u32)>,
    flags: u32,
    synchronised_at: u64,
    /// Tick that DR stays at after TR or SSR were read.
    locked: Option<u64>,
    keys: usize,
    alarms: [Alarm; 2],
    wutr: u32,
    wakeup_writable_at: Option<u64>,
    wakeup_next: Option<u64>,
    backup: [u32; 5],
}

fn bcd(value: u64) -> u32 {
    let (tens, ones) = (value / 10, value % 10);
    ((tens << 4) | ones) as u32
}

fn from_bcd(value: u32) -> u64 {
    u64::from(value >> 4 & 0xF) * 10 + u64::from(value & 0xF)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4)
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Year (0..99), month and day (from 1) of a day since 2000-01-01.
fn date(mut day: u64) -> (u64, u64, u64) {
    day %= CENTURY;
    let mut year = 0;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while day >= month_days(year, month) {
        day -= month_days(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// TR of a second since 2000-01-01.
fn time_register(second: u64) -> u32 {
    let time = second % DAY;
    bcd(time / 3600) << 16 | bcd(time / 60 % 60) << 8 | bcd(time % 60)
}

impl Rtc {
    /// The backup registers: what programs leave there for the time after a reset.
    pub fn backup(&self) -> &[u32; 5] {
        &self.backup
    }

    pub(crate) fn new(hertz: u32) -> Rtc {
        Rtc {
            hertz,
            ticks: 0,
            since: Time::ZERO,
            running: false,
            seconds: 0,
            origin: 0,
            // 2000-01-01 is a Monday here, as DR's reset value says.
            weekday: 0,
            prer: PRER_RESET,
            cr: 0,
            init: None,
            entry: None,
            flags: 0,
            synchronised_at: 0,
            locked: None,
            keys: 0,
            alarms: [Alarm::default(); 2],
            wutr: 0xFFFF,
            wakeup_writable_at: Some(0),
            wakeup_next: None,
            backup: [0; 5],
        }
    }

    /// A system reset: everything but the key sequence and the read lock goes on.
    pub(crate) fn reset(&mut self) {
        self.keys = 0;
        self.locked = None;
    }

    fn ticks(&self, now: Time) -> u64 {
        let elapsed = if self.running {
            u128::from(now.since(self.since).picos()) * u128::from(self.hertz) / 1_000_000_000_000
        } else {
            0
        };
        self.ticks + elapsed as u64
    }

    fn time_of(&self, tick: u64) -> Time {
        let picos = u128::from(tick.saturating_sub(self.ticks)) * 1_000_000_000_000;
        self.since + Time::from_picos(picos.div_ceil(u128::from(self.hertz)) as u64)
    }

    /// Its clock came or went.
    pub(crate) fn set_running(&mut self, running: bool, now: Time) {
        if running != self.running {
            self.ticks = self.ticks(now);
            self.since = now;
            self.running = running;
        }
    }

    fn asynchronous(&self) -> u64 {
        u64::from(self.prer >> 16 & 0x7F) + 1
    }

    fn synchronous(&self) -> u64 {
        u64::from(self.prer & 0x7FFF) + 1
    }

    fn second_ticks(&self) -> u64 {
        self.asynchronous() * self.synchronous()
    }

    /// Seconds since 2000-01-01 and the value of SSR, at a tick.
    fn calendar(&self, tick: u64) -> (u64, u64) {
        let elapsed = tick.saturating_sub(self.origin);
        let fast = elapsed / self.asynchronous();
        (
            self.seconds + fast / self.synchronous(),
            self.synchronous() - 1 - fast % self.synchronous(),
        )
    }

    fn date_register(&self, second: u64) -> u32 {
        let day = second / DAY;
        let (year, month, date) = date(day);
        let weekday = (day + self.weekday) % 7 + 1;
        bcd(year) << 16 | (weekday as u32) << 13 | bcd(month) << 8 | bcd(date)
    }

    /// Takes the calendar as it was entered, at `tick`.
    fn leave_init(&mut self, tick: u64) {
        let (second, _) = self.calendar(tick);
        let (time, date) = self
            .entry
            .take()
            .unwrap_or((time_register(second), self.date_register(second)));
        let (year, month, day) = (
            from_bcd(date >> 16 & 0xFF),
            from_bcd(date >> 8 & 0x1F).max(1),
            from_bcd(date & 0x3F).max(1),
        );
        let days = (0..year)
            .map(|year| 365 + u64::from(is_leap(year)))
            .sum::<u64>()
            + (1..month).map(|month| month_days(year, month)).sum::<u64>()
            + day
            - 1;
        let weekday = u64::from(date >> 13 & 7).max(1) - 1;
        self.weekday = (weekday + 7 - days % 7) % 7;
        self.seconds = days * DAY
            + from_bcd(time >> 16 & 0x3F) * 3600
            + from_bcd(time >> 8 & 0x7F) * 60
            + from_bcd(time & 0x7F);
        self.origin = tick;
    }

    /// The first tick after `tick` at which an alarm matches.
    fn next_match(&self, alarm: &Alarm, tick: u64) -> Option<u64> {
        let when = alarm.when;
        let (mut second, _) = self.calendar(tick);
        let subseconds = match alarm.subseconds >> 24 & 0xF {
            0 => None,
            bits => Some((1u64 << bits.min(15)) - 1),
        };
        // Each round moves on by a day, an hour, a minute or a second; a date comes again within eight years.
        for _ in 0..4000 {
            let time = time_register(second);
            let date = self.date_register(second);
            let day_matches = when >> 31 & 1 != 0
                || if when >> 30 & 1 != 0 {
                    date >> 13 & 7 == when >> 24 & 0xF
                } else {
                    date & 0x3F == when >> 24 & 0x3F
                };
            let matches = |mask: u32, field: u32| {
                when >> mask & 1 != 0 || time >> field & 0x7F == when >> field & 0x7F
            };
            second = if !day_matches {
                (second / DAY + 1) * DAY
            } else if !matches(23, 16) {
                (second / 3600 + 1) * 3600
            } else if !matches(15, 8) {
                (second / 60 + 1) * 60
            } else if !matches(7, 0) {
                second + 1
            } else {
                let start = self.origin + (second - self.seconds) * self.second_ticks();
                let found = match subseconds {
                    None => (start > tick).then_some(start),
                    Some(mask) => {
                        let wanted = u64::from(alarm.subseconds & 0x7FFF) & mask;
                        (0..self.synchronous())
                            .filter(|step| (self.synchronous() - 1 - step) & mask == wanted)
                            .map(|step| start + step * self.asynchronous())
                            .find(|&at| at > tick)
                    }
                };
                if found.is_some() {
                    return found;
                }
                second + 1
            };
        }
        None
    }

    fn plan_alarms(&mut self, tick: u64) {
        for index in 0..2 {
            let on = self.cr & cr::ALRAE << index != 0 && self.init.is_none();
            self.alarms[index].next = on
                .then(|| self.next_match(&self.alarms[index], tick))
                .flatten();
        }
    }

    /// The tick at which the wake-up timer, started or reloaded at `tick`, runs out.
    fn wakeup_after(&self, tick: u64) -> u64 {
        let select = self.cr & cr::WUCKSEL;
        let count = u64::from(self.wutr) + 1;
        if select < 4 {
            return tick + count * (16 >> select);
        }
        let count = if select >= 6 { count + 0x1_0000 } else { count };
        let second = self.second_ticks();
        let elapsed = tick.saturating_sub(self.origin) / second;
        self.origin + (elapsed + count) * second
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        if !self.running {
            return None;
        }
        [self.alarms[0].next, self.alarms[1].next, self.wakeup_next]
            .into_iter()
            .flatten()
            .min()
            .map(|tick| self.time_of(tick))
    }

    pub(crate) fn tick(&mut self, now: Time) {
        if self.next_event().is_none_or(|due| due > now) {
            return;
        }
        let tick = self.ticks(now);
        for index in 0..2 {
            if let Some(due) = self.alarms[index].next.filter(|&due| due <= tick) {
                self.flags |= isr::ALRAF << index;
                let alarm = self.alarms[index];
                self.alarms[index].next = self.next_match(&alarm, tick.max(due));
            }
        }
        while let Some(due) = self.wakeup_next.filter(|&due| due <= tick) {
            self.flags |= isr::WUTF;
            self.wakeup_next = Some(self.wakeup_after(due));
        }
    }

    /// What EXTI line 17 carries.
    pub(crate) fn alarm_line(&self) -> bool {
        // ALRAIE and ALRBIE stand four bits above the flags they enable.
        let enabled = self.cr >> 4 & (isr::ALRAF | isr::ALRAF << 1);
        self.flags & enabled != 0
    }

    /// What EXTI line 20 carries.
    pub(crate) fn wakeup_line(&self) -> bool {
        self.flags & isr::WUTF != 0 && self.cr & cr::WUTIE != 0
    }

    fn status(&self, tick: u64) -> u32 {
        let flag = |set, mask| if set { mask } else { 0 };
        let alarms = (0..2)
            .map(|index| {
                let off = self.cr & cr::ALRAE << index == 0;
                flag(off || self.init.is_some(), isr::ALRAWF << index)
            })
            .sum::<u32>();
        let (second, _) = self.calendar(tick);
        self.flags
            | alarms
            | flag(
                self.wakeup_writable_at.is_some_and(|at| at <= tick),
                isr::WUTWF,
            )
            | flag(date(second / DAY).0 != 0, isr::INITS)
            | flag(
                self.synchronised_at <= tick && self.init.is_none(),
                isr::RSF,
            )
            | flag(self.init.is_some(), isr::INIT)
            | flag(self.init.is_some_and(|at| at <= tick), isr::INITF)
    }

    /// The tick a calendar register shows: DR stays at what TR or SSR showed until it is read itself.
    fn shown(&mut self, tick: u64, releases: bool) -> u64 {
        if self.cr & cr::BYPSHAD != 0 {
            return tick;
        }
        let shown = *self.locked.get_or_insert(tick);
        if releases {
            self.locked = None;
        }
        shown
    }

    pub(crate) fn read(&mut self, offset: u32, now: Time) -> Reg {
        let tick = self.ticks(now);
        Ok(match offset {
            0x00 => match self.entry {
                Some((time, _)) => time,
                None => {
                    let shown = self.shown(tick, false);
                    time_register(self.calendar(shown).0)
                }
            },
            0x04 => match self.entry {
                Some((_, date)) => date,
                None => {
                    let shown = self.shown(tick, true);
                    self.date_register(self.calendar(shown).0)
                }
            },
            0x08 => self.cr,
            0x0C => self.status(tick),
            0x10 => self.prer,
            0x14 => self.wutr,
            0x1C | 0x20 => self.alarms[(offset as usize - 0x1C) / 4].when,
            0x24 => 0,
            0x28 => {
                let shown = self.shown(tick, false);
                self.calendar(shown).1 as u32
            }
            // No time stamp was ever taken, no calibration set, no tamper input enabled.
            0x30..=0x40 => 0,
            0x44 | 0x48 => self.alarms[(offset as usize - 0x44) / 4].subseconds,
            0x4C => 0,
            0x50..=0x60 => self.backup[(offset as usize - 0x50) / 4],
            _ => return Err(BusFault::Reserved),
        })
    }

    /// `access`: PWR_CR.DBP, without which nothing here can be written.
    pub(crate) fn write(
        &mut self,
        offset: u32,
        value: u32,
        access: bool,
        now: Time,
    ) -> Result<(), BusFault> {
        let tick = self.ticks(now);
        let unlocked = access && self.keys == KEYS.len();
        let initialising = self.init.is_some_and(|at| at <= tick);
        match offset {
            0x24 => {
                self.keys = match (self.keys, value & 0xFF) {
                    (0, key) if key == KEYS[0] => 1,
                    (1, key) if key == KEYS[1] => 2,
                    _ => 0,
                };
            }
            // Flags can be cleared without the keys.
            0x0C => {
                self.flags &= value | !isr::FLAGS;
                if unlocked {
                    if value & isr::RSF == 0 {
                        self.synchronised_at = tick + CROSSING;
                    }
                    self.switch_init(value & isr::INIT != 0, tick);
                }
            }
            0x40 if value & 0x01FF_FFFF == 0 => {}
            0x4C if value & 3 == 0 => {}
            0x50..=0x60 if access => self.backup[(offset as usize - 0x50) / 4] = value,
            0x00..=0x60 if !unlocked => {}
            0x00 | 0x04 => {
                if offset == 0 && value & 1 << 22 != 0 {
                    return Err(BusFault::Reserved);
                }
                if initialising {
                    let (second, _) = self.calendar(tick);
                    let entry = self
                        .entry
                        .get_or_insert((time_register(second), self.date_register(second)));
                    if offset == 0 {
                        entry.0 = value & 0x3F_7F7F;
                    } else {
                        entry.1 = value & 0xFF_FF3F;
                    }
                }
            }
            0x08 => self.write_cr(value, tick)?,
            0x10 if initialising => {
                // The calendar goes on from what it shows.
                let (second, _) = self.calendar(tick);
                self.seconds = second;
                self.origin = tick;
                self.prer = value & 0x007F_7FFF;
            }
            0x14 if self.wakeup_writable_at.is_some_and(|at| at <= tick) => {
                self.wutr = value & 0xFFFF;
            }
            0x1C | 0x20 | 0x44 | 0x48 => {
                let index = usize::from(matches!(offset, 0x20 | 0x48));
                if self.cr & cr::ALRAE << index == 0 || self.init.is_some() {
                    let alarm = &mut self.alarms[index];
                    if offset >= 0x44 {
                        alarm.subseconds = value & 0x0F00_7FFF;
                    } else {
                        alarm.when = value;
                    }
                }
            }
            0x10 | 0x14 => {}
            // Shift and calibration: only "none" is modelled.
            0x2C | 0x3C if value == 0 => {}
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }

    fn switch_init(&mut self, on: bool, tick: u64) {
        match (on, self.init) {
            (true, None) => self.init = Some(tick + CROSSING),
            (false, Some(_)) => {
                self.init = None;
                self.leave_init(tick);
                self.synchronised_at = tick + CROSSING;
            }
            _ => return,
        }
        self.plan_alarms(tick);
    }

    fn write_cr(&mut self, value: u32, tick: u64) -> Result<(), BusFault> {
        if value & !cr::WRITABLE != 0 {
            return Err(BusFault::Reserved);
        }
        let old = self.cr;
        let mut value = value;
        if self.wakeup_writable_at.is_none_or(|at| at > tick) {
            value = value & !cr::WUCKSEL | old & cr::WUCKSEL;
        }
        if value & cr::ADD1H != 0 {
            self.seconds += 3600;
        }
        if value & cr::SUB1H != 0 {
            self.seconds = self.seconds.saturating_sub(3600);
        }
        self.cr = value & !(cr::ADD1H | cr::SUB1H);
        self.plan_alarms(tick);
        match (old & cr::WUTE != 0, value & cr::WUTE != 0) {
            (false, true) => {
                self.wakeup_writable_at = None;
                self.wakeup_next = Some(self.wakeup_after(tick));
            }
            (true, false) => {
                self.wakeup_writable_at = Some(tick + CROSSING);
                self.wakeup_next = None;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALRAIE: u32 = 1 << 12;

    /// 1 January 2000, a Monday.
    const DR_RESET: u32 = 0x2101;

    /// Unlocked, on a 37 kHz clock with PREDIV_A 36 and PREDIV_S 999: exact seconds, milliseconds in SSR.
    struct Bench {
        rtc: Rtc,
        now: Time,
    }

    impl Bench {
        fn new() -> Bench {
            let mut bench = Bench {
                rtc: Rtc::new(crate::chip::rcc::LSI),
                now: Time::ZERO,
            };
            bench.rtc.set_running(true, Time::ZERO);
            bench.write(0x24, 0xCA);
            bench.write(0x24, 0x53);
            bench
        }

        fn at(time: u32, date: u32) -> Bench {
            let mut bench = Bench::new();
            bench.write(0x0C, isr::INIT);
            bench.pass(Time::from_micros(100));
            assert_eq!(bench.read(0x0C) & isr::INITF, isr::INITF);
            bench.write(0x10, 36 << 16 | 999);
            bench.write(0x00, time);
            bench.write(0x04, date);
            bench.write(0x0C, 0);
            bench
        }

        fn pass(&mut self, span: Time) {
            self.now += span;
            self.rtc.tick(self.now);
        }

        fn write(&mut self, offset: u32, value: u32) {
            self.rtc.write(offset, value, true, self.now).unwrap();
        }

        fn read(&mut self, offset: u32) -> u32 {
            self.rtc.read(offset, self.now).unwrap()
        }
    }

    #[test]
    fn it_starts_at_midnight_of_a_monday_in_2000() {
        let mut bench = Bench::new();
        assert_eq!((bench.read(0x00), bench.read(0x04)), (0, DR_RESET));
        assert_eq!(bench.read(0x0C) & isr::INITS, 0);
    }

    #[test]
    fn the_calendar_carries_into_a_leap_day_and_past_the_year() {
        let mut bench = Bench::at(0x23_5959, 0x24_0000 | 3 << 13 | 0x0228);
        bench.pass(Time::from_millis(999));
        assert_eq!(bench.read(0x00), 0x23_5959);
        bench.read(0x04);
        bench.pass(Time::from_millis(1));
        assert_eq!(bench.read(0x00), 0);
        assert_eq!(bench.read(0x04), 0x24_0000 | 4 << 13 | 0x0229);

        let mut bench = Bench::at(0x23_5959, 0x25_0000 | 7 << 13 | 0x1231);
        bench.pass(Time::from_millis(1000));
        bench.read(0x00);
        assert_eq!(bench.read(0x04), 0x26_0000 | 1 << 13 | 0x0101);
    }

    #[test]
    fn date_stays_with_the_time_that_was_read_before_it() {
        let mut bench = Bench::at(0x23_5959, 0x25_0000 | 7 << 13 | 0x1231);
        assert_eq!(bench.read(0x28), 999);
        bench.pass(Time::from_millis(1500));
        assert_eq!(bench.read(0x04), 0x25_0000 | 7 << 13 | 0x1231);
        assert_eq!(bench.read(0x28), 499);
        assert_eq!(bench.read(0x04), 0x26_0000 | 1 << 13 | 0x0101);
    }

    #[test]
    fn nothing_changes_without_the_keys_or_without_access_to_the_domain() {
        let mut bench = Bench::new();
        bench.write(0x24, 0x00);
        bench.write(0x14, 5);
        assert_eq!(bench.read(0x14), 0xFFFF);
        bench.rtc.write(0x50, 7, false, Time::ZERO).unwrap();
        assert_eq!(bench.read(0x50), 0);
        bench.write(0x50, 7);
        assert_eq!(bench.read(0x50), 7, "backup registers need no keys");
    }

    #[test]
    fn the_wakeup_timer_comes_again_and_again_with_its_period() {
        let mut bench = Bench::new();
        bench.write(0x14, 2311); // 2312 * 16 cycles of 37 kHz: 999.78 ms
        bench.write(0x08, cr::WUTE | cr::WUTIE);
        bench.pass(Time::from_micros(999_700));
        assert!(!bench.rtc.wakeup_line());
        bench.pass(Time::from_micros(100));
        assert!(bench.rtc.wakeup_line());
        bench.write(0x0C, !(isr::WUTF | isr::INIT));
        assert!(!bench.rtc.wakeup_line());
        bench.pass(Time::from_micros(999_700));
        assert!(!bench.rtc.wakeup_line());
        bench.pass(Time::from_micros(100));
        assert!(bench.rtc.wakeup_line());
        bench.write(0x14, 1);
        assert_eq!(bench.read(0x14), 2311, "not while it runs");
    }

    #[test]
    fn the_wakeup_timer_on_seconds_follows_the_calendar() {
        let mut bench = Bench::at(0, 0x2101);
        bench.pass(Time::from_millis(300));
        bench.write(0x14, 1);
        bench.write(0x08, cr::WUTE | cr::WUTIE | 4);
        bench.pass(Time::from_millis(1699));
        assert!(!bench.rtc.wakeup_line());
        bench.pass(Time::from_millis(1));
        assert!(bench.rtc.wakeup_line());
    }

    #[test]
    fn an_alarm_goes_off_at_its_time_of_its_day_only() {
        let mut bench = Bench::at(0x10_0000, 0x25_0000 | 1 << 13 | 0x0130);
        // The 2nd at 11:30:15: February in between has no 30th.
        bench.write(0x1C, 0x0211_3015);
        bench.write(0x08, cr::ALRAE | ALRAIE);
        let due = Time::from_millis((3 * DAY + 5415) * 1000);
        assert!(bench.rtc.next_event().unwrap().since(due) < Time::from_millis(2));
        bench.pass(due - Time::from_millis(1));
        assert!(!bench.rtc.alarm_line());
        bench.pass(Time::from_millis(2));
        assert!(bench.rtc.alarm_line());
        bench.read(0x00);
        assert_eq!(bench.read(0x00), 0x11_3015);
    }

    #[test]
    fn alarm_b_with_all_masks_and_subseconds_goes_off_each_second() {
        let mut bench = Bench::at(0, 0x2101);
        bench.write(0x20, 0x8080_8080);
        bench.write(0x48, 0x0F00_0000 | 499);
        bench.write(0x08, cr::ALRAE << 1 | ALRAIE << 1);
        for _ in 0..3 {
            bench.pass(Time::from_millis(499));
            assert!(!bench.rtc.alarm_line());
            bench.pass(Time::from_millis(2));
            assert!(bench.rtc.alarm_line());
            bench.write(0x0C, !(isr::ALRAF << 1 | isr::INIT));
            bench.pass(Time::from_millis(499));
        }
    }

    #[test]
    fn it_stands_still_without_its_clock() {
        let mut bench = Bench::at(0, 0x2101);
        bench.rtc.set_running(false, bench.now);
        bench.pass(Time::from_millis(5000));
        bench.rtc.set_running(true, bench.now);
        bench.pass(Time::from_millis(1500));
        assert_eq!(bench.read(0x00), 1);
    }

    #[test]
    fn what_is_not_modelled_is_refused() {
        let mut bench = Bench::new();
        for (offset, value) in [(0x08, 1 << 23), (0x3C, 1), (0x2C, 1), (0x40, 1), (0x64, 0)] {
            let result = bench.rtc.write(offset, value, true, Time::ZERO);
            assert_eq!(result, Err(BusFault::Reserved), "{offset:#x}");
        }
    }
}
