//! Independent watchdog at 0x4000_3000 (RM0376), clocked by the LSI.
//!
//! Once started it must never stop but by a reset.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

const KEY_RELOAD: u32 = 0xAAAA;
const KEY_UNLOCK: u32 = 0x5555;
const KEY_START: u32 = 0xCCCC;
/// Registers cross into the LSI's domain in about so many of its cycles.
const UPDATE: u64 = 5;

/// The registers.
#[derive(Clone)]
pub struct Iwdg {
    /// Of the LSI, in hertz.
    lsi: u32,
    unlocked: bool,
    prescaler: u32,
    reload: u32,
    window: u32,
    /// When each of PR, RLR and WINR has crossed over.
    updated: [Time; 3],
    /// When the counter reaches zero, once started.
    deadline: Option<Time>,
    bitten: bool,
}

impl Iwdg {
    pub(crate) fn new(lsi: u32) -> Iwdg {
        Iwdg {
            lsi,
            unlocked: false,
            prescaler: 0,
            reload: 0xFFF,
            window: 0xFFF,
            updated: [Time::ZERO; 3],
            deadline: None,
            bitten: false,
        }
    }

    fn tick_time(&self) -> Time {
        // PR 6 and 7 both divide by 256.
        Time::from_picos((1_000_000_000_000 * (4 << self.prescaler.min(6))) / u64::from(self.lsi))
    }

    fn restart(&mut self, now: Time) {
        self.deadline = Some(now + self.tick_time() * u64::from(self.reload + 1));
    }

    fn counter(&self, deadline: Time, now: Time) -> u64 {
        deadline.since(now).picos().saturating_sub(1) / self.tick_time().picos()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.deadline.is_some()
    }

    /// Starts by itself when option byte WDG_SW is 0.
    pub(crate) fn start(&mut self, now: Time) {
        if self.deadline.is_none() {
            self.restart(now);
        }
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        self.deadline
    }

    /// True once when the watchdog wants a reset.
    pub(crate) fn bites(&mut self, now: Time) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            return true;
        }
        std::mem::take(&mut self.bitten)
    }

    pub(crate) fn read(&self, offset: u32, now: Time) -> Reg {
        Ok(match offset {
            0x00 => 0,
            0x04 => self.prescaler,
            0x08 => self.reload,
            0x0C => (0..3).map(|n| u32::from(now < self.updated[n]) << n).sum(),
            0x10 => self.window,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), BusFault> {
        match offset {
            0x00 => {
                match value & 0xFFFF {
                    KEY_RELOAD => {
                        if let Some(deadline) = self.deadline {
                            // Reloading outside the window is as bad as not reloading.
                            self.bitten |= self.counter(deadline, now) > u64::from(self.window);
                            self.restart(now);
                        }
                    }
                    KEY_START => self.start(now),
                    _ => {}
                }
                self.unlocked = value & 0xFFFF == KEY_UNLOCK;
            }
            0x04 | 0x08 | 0x10 if self.unlocked => {
                let index = match offset {
                    0x04 => {
                        let left = self.deadline.map(|deadline| self.counter(deadline, now));
                        self.prescaler = value & 7;
                        if let Some(left) = left {
                            self.deadline = Some(now + self.tick_time() * (left + 1));
                        }
                        0
                    }
                    0x08 => {
                        self.reload = value & 0xFFF;
                        1
                    }
                    _ => {
                        self.window = value & 0xFFF;
                        // Writing the window reloads the counter as well.
                        if self.deadline.is_some() {
                            self.restart(now);
                        }
                        2
                    }
                };
                self.updated[index] = now + Time::period_of(self.lsi.into()) * UPDATE;
            }
            0x04 | 0x08 | 0x10 => {}
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(prescaler: u32, reload: u32) -> Iwdg {
        let mut iwdg = Iwdg::new(crate::chip::rcc::LSI);
        for (offset, value) in [
            (0, KEY_START),
            (0, KEY_UNLOCK),
            (4, prescaler),
            (8, reload),
            (0, KEY_RELOAD),
        ] {
            iwdg.write(offset, value, Time::ZERO).unwrap();
        }
        iwdg
    }

    #[test]
    fn it_bites_after_its_time_and_not_before() {
        // 37 kHz / 32 with reload 1155: one second.
        let mut iwdg = started(3, 1155);
        assert!(!iwdg.bites(Time::from_micros(999_700)));
        assert!(iwdg.bites(Time::from_micros(999_800)));
    }

    #[test]
    fn a_reload_in_time_starts_it_over() {
        let mut iwdg = started(3, 1155);
        iwdg.write(0, KEY_RELOAD, Time::from_millis(900)).unwrap();
        assert!(!iwdg.bites(Time::from_millis(1890)));
        assert!(iwdg.bites(Time::from_millis(1900)));
    }

    #[test]
    fn registers_take_no_value_while_locked() {
        let mut iwdg = Iwdg::new(crate::chip::rcc::LSI);
        iwdg.write(8, 5, Time::ZERO).unwrap();
        assert_eq!(iwdg.read(8, Time::ZERO), Ok(0xFFF));
        iwdg.write(0, KEY_UNLOCK, Time::ZERO).unwrap();
        iwdg.write(8, 5, Time::ZERO).unwrap();
        assert_eq!(iwdg.read(8, Time::ZERO), Ok(5));
        assert_eq!(iwdg.read(0xC, Time::ZERO), Ok(2));
        assert_eq!(iwdg.read(0xC, Time::from_micros(140)), Ok(0));
    }

    #[test]
    fn a_reload_before_the_window_bites() {
        let mut iwdg = started(3, 1155);
        iwdg.write(0, KEY_UNLOCK, Time::ZERO).unwrap();
        iwdg.write(0x10, 500, Time::ZERO).unwrap();
        iwdg.write(0, KEY_RELOAD, Time::from_millis(600)).unwrap();
        assert!(!iwdg.bites(Time::from_millis(600)));
        iwdg.write(0, KEY_RELOAD, Time::from_millis(800)).unwrap();
        assert!(iwdg.bites(Time::from_millis(800)));
    }
}
