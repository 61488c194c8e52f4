//! What the core sees beyond its own registers: the contract between `cpu` and `chip`.

use crate::memory::Memory;
use crate::time::Time;

/// Why an access did not go through. The core turns every one of them into a HardFault;
/// in strict mode the machine stops as well and reports it with the program counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusFault {
    /// Nothing answers at this address.
    Unmapped,
    /// The peripheral's clock is off in RCC.
    Unclocked,
    /// The address belongs to a peripheral, but to no register of it that is modelled.
    Reserved,
    /// The register does not take an access of this width.
    Width,
    /// Not aligned to its own width: ARMv6-M has no unaligned accesses.
    Unaligned,
}

/// Width of an access in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Half = 2,
    /// 32 bits.
    Word = 4,
}

/// What a write asks the core to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Go on executing.
    None,
    /// Leave the fast loop: an interrupt line, the clock, flash or a timed event may have changed.
    Attention,
}

/// Everything outside the core: peripherals, flash programming, EEPROM, system memory.
///
/// RAM and flash *reads* and fetches never come here, the core does them on [`Memory`] itself.
/// Flash *writes* (0x0800_0000 and its alias at 0) do, because the flash controller decides on them.
/// The private peripheral bus (0xE000_0000: NVIC, SCB, SysTick) belongs to the core and never comes here.
pub trait Bus {
    /// A data read at `now`. `address` is aligned to `width`.
    fn read(
        &mut self,
        memory: &mut Memory,
        address: u32,
        width: Width,
        now: Time,
    ) -> Result<u32, BusFault>;

    /// A data write at `now`. `address` is aligned to `width`; `value` has no bits above it.
    fn write(
        &mut self,
        memory: &mut Memory,
        address: u32,
        width: Width,
        value: u32,
        now: Time,
    ) -> Result<Effect, BusFault>;

    /// When the next timed event is due (USB slot, end of a flash operation, watchdog ...), if any.
    fn next_event(&self) -> Option<Time>;

    /// Runs every event that is due at `now`, and returns the interrupt lines that are asserted, a bit each.
    fn poll(&mut self, memory: &mut Memory, now: Time) -> u32;

    /// Length of one core cycle: follows RCC.
    fn cycle(&self) -> Time;

    /// Until when a fetch or read from flash stalls the core, if a flash or EEPROM operation is running at `now`.
    fn flash_busy_until(&self, now: Time) -> Option<Time>;

    /// The core is about to fetch from flash: told whenever it has left its fast loop, so at least after every write
    /// that asked for [`Effect::Attention`]. Half-page programming must not see it.
    fn flash_fetched(&mut self) {}

    /// Whether a read of `address` has no effect, and gives the same value until the next event of the bus or the next
    /// write to it.
    fn is_steady(&self, _address: u32) -> bool {
        false
    }

    /// The core is about to wait in its sleep at `now`; `deep` is SCR.SLEEPDEEP. True when the bus has to be polled again
    /// first, because that changed something.
    fn sleeping(&mut self, _deep: bool, _now: Time) -> bool {
        false
    }

    /// Whether an event for WFE came from outside the core. Taken once.
    fn take_event(&mut self) -> bool {
        false
    }

    /// Why the chip wants to be reset now, if it does (watchdog). Taken once.
    fn take_reset(&mut self) -> Option<ResetCause>;
}

/// What made the chip start over: the flags of RCC_CSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// Power came up.
    PowerOn,
    /// NRST was pulled low.
    Pin,
    /// AIRCR.SYSRESETREQ.
    Software,
    /// The independent watchdog ran out.
    IndependentWatchdog,
    /// OBL_LAUNCH: option bytes are being reloaded.
    OptionBytes,
    /// STOP or STANDBY was asked for, and option bytes make that a reset.
    LowPower,
    /// STANDBY ended.
    Standby,
}
