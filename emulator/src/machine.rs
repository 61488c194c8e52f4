//! The whole logger: core, memories, chip and board, with power, resets and time.
//!
//! A clone is a snapshot: the two go on independently and, given the same inputs, identically. Nothing here reads the
//! computer's clock.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Range;

use crate::board::Board;
use crate::chip::Chip;
use crate::chip::flash::{EEPROM_SIZE, Flash, OptionBytes};
use crate::chip::rcc::LSI;
use crate::chip::usart::Serial;
use crate::cpu::bus::{Bus, ResetCause};
use crate::cpu::{Core, FaultReport, Stop};
use crate::current::{self, Activity};
use crate::fault::{CutPoint, Faults, Random};
use crate::memory::{FLASH_BASE, FLASH_SIZE, Memory, RAM_SIZE};
use crate::nand::Nand;
use crate::time::Time;
use crate::usb_host::UsbHost;

/// From power coming up to the first instruction: reset temporisation with BOR enabled, DS10182, typical.
const POWER_ON_TIME: Time = Time::from_millis(2);
/// From any other reset to the first instruction: the pulse on NRST, RM0376.
const RESET_TIME: Time = Time::from_micros(20);
/// From a wake-up event in STANDBY to the first instruction, with PWR_CR.FWU and without: DS10182, typical.
const STANDBY_TIME: [Time; 2] = [Time::from_micros(65), Time::from_micros(2_200)];

/// What a machine is made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that is left to chance: which bits an unplanned power cut tears, and what is in RAM at
    /// power-on.
    pub seed: u64,
    /// Stop at every access that the chip does not answer soundly, and at clocks beyond its limits.
    pub strict: bool,
    /// The chip's 96-bit unique id.
    pub unique_id: [u32; 3],
    /// Frequency of the chip's LSI in hertz, which RTC and watchdog count: 37,000 typically, and from 26,000 to 56,000
    /// on one chip or another ([`LSI_RANGE`](crate::chip::rcc::LSI_RANGE)).
    pub lsi: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            strict: true,
            unique_id: [0x0041_0027, 0x3436_510F, 0x3437_3834],
            lsi: LSI,
        }
    }
}

/// Why an image does not go into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Some of it lies outside flash.
    OutsideFlash {
        /// First address of the image.
        address: u32,
        /// Its bytes.
        length: usize,
    },
    /// Some of it lies outside the EEPROM.
    OutsideEeprom {
        /// Offset in the EEPROM.
        offset: usize,
        /// Its bytes.
        length: usize,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::OutsideFlash { address, length } => write!(
                f,
                "{length} bytes at {address:#010x} do not lie in flash ({FLASH_BASE:#010x}, {FLASH_SIZE} bytes)"
            ),
            LoadError::OutsideEeprom { offset, length } => write!(
                f,
                "{length} bytes at offset {offset} do not lie in the EEPROM ({EEPROM_SIZE} bytes)"
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// Why the machine stopped before its time was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A planned cut took the power away. [`Machine::power_on`] brings it back.
    PowerLost,
    /// In strict mode: an access that nothing sound answers.
    Fault(FaultReport),
    /// In strict mode: the firmware asked of the chip what it cannot do.
    Violation(String),
    /// A fault inside a fault handler: the core is dead until a reset.
    Lockup(FaultReport),
    /// A BKPT instruction with its number.
    Breakpoint(u8),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::PowerLost => write!(f, "power was lost"),
            Halt::Fault(report) => write!(f, "{report}"),
            Halt::Violation(text) => write!(f, "{text}"),
            Halt::Lockup(report) => write!(f, "lockup: {report}"),
            Halt::Breakpoint(number) => write!(f, "breakpoint {number}"),
        }
    }
}

impl std::error::Error for Halt {}

/// How often the chip was reset, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Resets([u64; 7]);

const fn index(cause: ResetCause) -> usize {
    match cause {
        ResetCause::PowerOn => 0,
        ResetCause::Pin => 1,
        ResetCause::Software => 2,
        ResetCause::IndependentWatchdog => 3,
        ResetCause::OptionBytes => 4,
        ResetCause::LowPower => 5,
        ResetCause::Standby => 6,
    }
}

/// How long the chip was in each of its power modes while the battery was connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerTime {
    /// The core executes, stalls on flash or comes out of reset.
    pub run: Time,
    /// The core sleeps while clocks run; coming out of STOP counts as this.
    pub sleep: Time,
    /// STOP: every clock is off but the LSI.
    pub stop: Time,
    /// STANDBY: everything is off but RTC and watchdog.
    pub standby: Time,
}

/// A serial port of the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialPort {
    /// On PA9 and PA10, or PB6 and PB7.
    Usart1,
    /// On PA2 and PA3, or PA14 and PA15.
    Usart2,
    /// On PB10 and PB11.
    Lpuart1,
}

/// A logger. A clone is a snapshot.
#[derive(Clone)]
pub struct Machine {
    core: Core,
    memory: Memory,
    chip: Chip,
    random: Random,
    on: bool,
    /// When the battery was connected last, and the time with it before.
    on_since: Time,
    on_before: Time,
    halt: Option<Halt>,
    locked_up: Option<FaultReport>,
    resets: Resets,
    last_reset: Option<ResetCause>,
}

impl Machine {
    /// A logger fresh from the production line, switched off: flash, EEPROM and NAND erased.
    pub fn new(options: Options) -> Machine {
        let mut core = Core::new();
        core.set_strict(options.strict);
        Machine {
            core,
            memory: Memory::new(),
            chip: Chip::new(options.strict, options.unique_id, options.lsi),
            random: Random::new(options.seed),
            on: false,
            on_since: Time::ZERO,
            on_before: Time::ZERO,
            halt: None,
            locked_up: None,
            resets: Resets::default(),
            last_reset: None,
        }
    }

    /// A logger, switched off, with the memories of `other` and nothing else of it: no plan, no cable, no time that passed.
    ///
    /// # Panics
    /// When `other` is switched on: what an operation under way leaves behind is not decided yet.
    pub fn with_memories(options: Options, other: &Machine) -> Machine {
        assert!(!other.on, "memories outlive a loss of power");
        let mut machine = Machine::new(options);
        machine.memory = Memory::with_flash(&other.memory);
        *machine.chip.flash_mut() = Flash::with_cells(other.chip.flash());
        machine.chip.board.nand = Nand::with_cells(&other.chip.board.nand, machine.random.next());
        machine
    }

    /// Feeds what a loss of power leaves to `hasher`: flash, EEPROM, option bytes, and the NAND with what its ECC makes of
    /// each page. Two machines that feed the same are the same machine in [`Machine::with_memories`], and run alike.
    ///
    /// # Panics
    /// When it is switched on, as [`Machine::with_memories`].
    pub fn hash_memories(&self, hasher: &mut impl Hasher) {
        self.hash_memories_without(0..0, 0..0, hasher);
    }

    /// The same without these bytes of EEPROM and these blocks of the NAND: for whoever can say that they are no matter.
    ///
    /// # Panics
    /// When it is switched on, or EEPROM does not have these bytes.
    pub fn hash_memories_without(
        &self,
        eeprom: Range<usize>,
        blocks: Range<usize>,
        hasher: &mut impl Hasher,
    ) {
        assert!(!self.on, "memories outlive a loss of power");
        self.memory.flash().hash(hasher);
        self.chip.flash().hash_cells(eeprom, hasher);
        self.chip.board.nand.hash_cells(blocks, hasher);
    }

    /// Puts `bytes` into flash as a programmer does, whatever was there.
    ///
    /// # Errors
    /// When they do not all lie in flash; nothing is changed then.
    pub fn program_flash(&mut self, address: u32, bytes: &[u8]) -> Result<(), LoadError> {
        let offset = address.wrapping_sub(FLASH_BASE) as usize;
        if offset.saturating_add(bytes.len()) > FLASH_SIZE {
            return Err(LoadError::OutsideFlash {
                address,
                length: bytes.len(),
            });
        }
        self.memory.program(offset, bytes);
        Ok(())
    }

    /// Puts `bytes` into the EEPROM at `offset` from its beginning.
    ///
    /// # Errors
    /// When they do not all lie in it; nothing is changed then.
    pub fn program_eeprom(&mut self, offset: usize, bytes: &[u8]) -> Result<(), LoadError> {
        let end = offset.saturating_add(bytes.len());
        let length = bytes.len();
        let cells = self
            .chip
            .flash_mut()
            .eeprom_mut()
            .get_mut(offset..end)
            .ok_or(LoadError::OutsideEeprom { offset, length })?;
        cells.copy_from_slice(bytes);
        Ok(())
    }

    /// The option bytes in force.
    pub fn option_bytes(&self) -> OptionBytes {
        self.chip.flash().options()
    }

    /// Sets the option bytes as a programmer does; in force at the next power-on.
    pub fn set_option_bytes(&mut self, options: OptionBytes) {
        self.chip.flash_mut().set_options(options);
    }

    /// Connects the battery, if it is not connected. RAM holds random bits then.
    pub fn power_on(&mut self) {
        if self.on {
            return;
        }
        self.on = true;
        self.on_since = self.core.now();
        self.chip.faults.power_on();
        self.chip.board.nand.power_on();
        self.scramble_ram();
        self.reset(ResetCause::PowerOn);
    }

    fn scramble_ram(&mut self) {
        let random = &mut self.random;
        for cells in self.memory.ram_mut().chunks_exact_mut(8) {
            cells.copy_from_slice(&random.next().to_le_bytes());
        }
    }

    /// Takes battery and USB power away at once. Registers and RAM are lost; flash, EEPROM, option bytes and NAND stay,
    /// but for the cells of an operation that was running.
    pub fn power_off(&mut self) {
        if !self.on {
            return;
        }
        self.on = false;
        self.halt = None;
        let now = self.core.now();
        self.on_before += now.since(self.on_since);
        self.chip.power_off(now);
        let seed = self.random.next();
        self.chip.flash_mut().abort(&mut self.memory, seed);
        self.chip.board.nand.power_off(seed);
        self.chip.board.usb.observe(false, self.core.now());
        self.memory.ram_mut().fill(0);
    }

    /// Whether the battery is connected.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Pulls NRST low for a moment.
    pub fn reset_pin(&mut self) {
        if self.on {
            self.reset(ResetCause::Pin);
        }
    }

    fn reset(&mut self, cause: ResetCause) {
        let seed = self.random.next();
        let now = self.core.now();
        let standby = STANDBY_TIME[usize::from(!self.chip.fast_wakeup())];
        self.chip.reset(cause, &mut self.memory, now, seed);
        let delay = match cause {
            ResetCause::PowerOn => POWER_ON_TIME,
            ResetCause::Standby => {
                self.scramble_ram();
                standby
            }
            _ => RESET_TIME,
        };
        self.core.reset(&self.memory, now + delay);
        self.halt = None;
        self.locked_up = None;
        self.resets.0[index(cause)] += 1;
        self.last_reset = Some(cause);
    }

    /// How often the chip was reset for this cause.
    pub fn resets(&self, cause: ResetCause) -> u64 {
        self.resets.0[index(cause)]
    }

    /// What the last reset came from; `None` before the first power-on.
    pub fn last_reset(&self) -> Option<ResetCause> {
        self.last_reset
    }

    /// Virtual time since the machine was made. It goes on while it is off.
    pub fn now(&self) -> Time {
        self.core.now()
    }

    /// Runs for `span`: see [`Machine::run_until`].
    ///
    /// # Errors
    /// As [`Machine::run_until`].
    pub fn run_for(&mut self, span: Time) -> Result<(), Halt> {
        self.run_until(self.now() + span)
    }

    /// Runs until `deadline`, through resets. It may end an instruction later.
    ///
    /// # Errors
    /// Why it stopped before. Time stands still then; running on gives the same answer until a reset or power-on.
    pub fn run_until(&mut self, deadline: Time) -> Result<(), Halt> {
        if let Some(halt) = &self.halt {
            return Err(halt.clone());
        }
        if !self.on {
            if deadline > self.core.now() {
                self.core.set_now(deadline);
            }
            return Ok(());
        }
        if let Some(report) = self.locked_up {
            return self.wait_locked_up(report, deadline);
        }
        loop {
            let stop = self.core.run(&mut self.memory, &mut self.chip, deadline);
            // Both show as a reset, but other reasons to stop may come first.
            if self.chip.faults.power_lost() {
                self.power_off();
                return self.stop(Halt::PowerLost);
            }
            if let Some(text) = self.chip.take_violation() {
                return self.stop(Halt::Violation(text));
            }
            match stop {
                Stop::Deadline => return Ok(()),
                Stop::Reset(cause) => self.reset(cause),
                Stop::Breakpoint(number) => return self.stop(Halt::Breakpoint(number)),
                Stop::Lockup(report) => {
                    self.locked_up = Some(report);
                    return self.wait_locked_up(report, deadline);
                }
                Stop::Fault(report) => return self.stop(Halt::Fault(report)),
            }
        }
    }

    /// A core that is locked up executes nothing; only the watchdog can help it.
    fn wait_locked_up(&mut self, report: FaultReport, deadline: Time) -> Result<(), Halt> {
        if self.core.strict() || !self.chip.has_watchdog() {
            return self.stop(Halt::Lockup(report));
        }
        while self.core.now() < deadline {
            let next = self
                .chip
                .next_event()
                .map_or(deadline, |event| event.min(deadline));
            if next > self.core.now() {
                self.core.set_now(next);
            }
            self.chip.poll(&mut self.memory, self.core.now());
            if let Some(cause) = self.chip.take_reset() {
                if self.chip.faults.power_lost() {
                    self.power_off();
                    return self.stop(Halt::PowerLost);
                }
                self.reset(cause);
                return self.run_until(deadline);
            }
        }
        Ok(())
    }

    fn stop(&mut self, halt: Halt) -> Result<(), Halt> {
        // A breakpoint can be gone on from once the caller has moved PC; power comes back with power_on.
        if !matches!(halt, Halt::Breakpoint(_)) {
            self.halt = Some(halt.clone());
        }
        Err(halt)
    }

    /// Why the machine stands still, if it does.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Operations on flash, EEPROM and NAND begun so far: the number of the next one.
    pub fn operations(&self) -> u64 {
        self.chip.faults.operations()
    }

    /// Plans a power cut.
    pub fn cut_at(&mut self, point: CutPoint) {
        self.chip.faults.cut_at(point);
    }

    /// The counter of operations and the plan of the cut.
    pub fn faults(&self) -> &Faults {
        &self.chip.faults
    }

    /// The counter of operations and the plan of the cut, to record or cancel.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.chip.faults
    }

    /// How long the chip was in each of its power modes, all its life: what its battery pays for.
    pub fn power_time(&self) -> PowerTime {
        let now = self.core.now();
        let on = match self.on {
            true => self.on_before + now.since(self.on_since),
            false => self.on_before,
        };
        let (stop, standby) = self.chip.deep_sleep_time(now);
        PowerTime {
            run: on.since(self.core.asleep()),
            sleep: self.core.asleep().since(stop + standby),
            stop,
            standby,
        }
    }

    /// What the battery gave, all its life: an estimate from typical currents, see [`current`]. In coulombs.
    pub fn charge(&self) -> f64 {
        current::charge(&Activity {
            power: self.power_time(),
            cycles_awake: self.core.cycles() - self.core.cycles_asleep(),
            cycles_asleep: self.core.cycles_asleep(),
            nand_busy: self.chip.board.nand.busy_time(),
        })
    }

    /// The other end of a serial port's cable, to send, receive and set its rate.
    pub fn serial(&mut self, port: SerialPort) -> &mut Serial {
        self.chip.serial_mut(match port {
            SerialPort::Usart1 => 0,
            SerialPort::Usart2 => 1,
            SerialPort::Lpuart1 => 2,
        })
    }

    /// The computer at the USB cable.
    pub fn usb(&self) -> &UsbHost {
        &self.chip.board.usb
    }

    /// The computer at the USB cable, to plug, unplug, send and receive.
    pub fn usb_mut(&mut self) -> &mut UsbHost {
        &mut self.chip.board.usb
    }

    /// The NAND flash.
    pub fn nand(&self) -> &Nand {
        &self.chip.board.nand
    }

    /// The NAND flash, to load it or break it.
    pub fn nand_mut(&mut self) -> &mut Nand {
        &mut self.chip.board.nand
    }

    /// Supply, temperature and inputs.
    pub fn board(&self) -> &Board {
        &self.chip.board
    }

    /// Supply, temperature and inputs, to change them.
    pub fn board_mut(&mut self) -> &mut Board {
        &mut self.chip.board
    }

    /// The chip's peripherals.
    pub fn chip(&self) -> &Chip {
        &self.chip
    }

    /// Content of flash from 0x0800_0000.
    pub fn flash(&self) -> &[u8] {
        self.memory.flash()
    }

    /// Content of the data EEPROM.
    pub fn eeprom(&self) -> &[u8] {
        self.chip.flash().eeprom()
    }

    /// Content of RAM from 0x2000_0000.
    pub fn ram(&self) -> &[u8; RAM_SIZE] {
        self.memory.ram()
    }

    /// RAM, to be changed from outside.
    pub fn ram_mut(&mut self) -> &mut [u8; RAM_SIZE] {
        self.memory.ram_mut()
    }

    /// The core.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The core, to set registers as a debugger does.
    pub fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{OperationKind, Place};
    use crate::memory::RAM_BASE;
    use crate::nand::JEDEC_ID;

    const RCC: u32 = 0x4002_1000;
    const PWR: u32 = 0x4000_7000;
    const FLASH: u32 = 0x4002_2000;
    const IWDG: u32 = 0x4000_3000;
    const SPI1: u32 = 0x4001_3000;
    const GPIOA: u32 = 0x5000_0000;
    const SYSTICK: u32 = 0xE000_E010;
    const AIRCR: u32 = 0xE000_ED0C;
    /// Where the programs put what they read.
    const RESULT: u32 = RAM_BASE + 0x100;

    /// Assembles programs out of a few steps, each a handful of Thumb instructions with their literals behind them.
    struct Program(Vec<u8>);

    impl Program {
        fn new() -> Program {
            let mut program = Program(Vec::new());
            program.word(RAM_BASE + RAM_SIZE as u32);
            program.word(FLASH_BASE + 9);
            program
        }

        fn word(&mut self, value: u32) {
            self.0.extend(value.to_le_bytes());
        }

        fn code(&mut self, halves: &[u16]) {
            for half in halves {
                self.0.extend(half.to_le_bytes());
            }
        }

        /// *address = value
        fn write(mut self, address: u32, value: u32) -> Program {
            // ldr r0,[pc,#4]; ldr r1,[pc,#8]; str r1,[r0]; b +16
            self.code(&[0x4801, 0x4902, 0x6001, 0xE003]);
            self.word(address);
            self.word(value);
            self
        }

        fn write_byte(mut self, address: u32, value: u8) -> Program {
            self.code(&[0x4801, 0x4902, 0x7001, 0xE003]);
            self.word(address);
            self.word(value.into());
            self
        }

        /// while *address & mask == 0 {}
        fn wait_set(self, address: u32, mask: u32) -> Program {
            self.wait(0xD0FC, address, mask)
        }

        /// while *address & mask != 0 {}
        fn wait_clear(self, address: u32, mask: u32) -> Program {
            self.wait(0xD1FC, address, mask)
        }

        fn wait(mut self, branch: u16, address: u32, mask: u32) -> Program {
            // ldr r0,[pc,#8]; ldr r1,[pc,#12]; ldr r2,[r0]; ands r2,r1; beq/bne .-4; b +20
            self.code(&[0x4802, 0x4903, 0x6802, 0x400A, branch, 0xE003]);
            self.word(address);
            self.word(mask);
            self
        }

        /// *to = *from
        fn copy(mut self, from: u32, to: u32) -> Program {
            self.code(&[0x4802, 0x4903, 0x6802, 0x600A, 0xE004, 0xBF00]);
            self.word(from);
            self.word(to);
            self
        }

        fn nops(mut self, count: usize) -> Program {
            self.code(&vec![0xBF00; count]);
            self
        }

        fn stop(mut self) -> Vec<u8> {
            self.code(&[0xBE07]);
            self.0
        }

        /// Range 1, one wait state, HSI16 through the PLL: 32 MHz.
        fn at_32_mhz(self) -> Program {
            self.write(RCC + 0x38, 1 << 28)
                .write(PWR, 0x0800)
                .wait_clear(PWR + 4, 1 << 4)
                .write(FLASH, 1)
                .write(RCC, 0x101)
                .wait_set(RCC, 1 << 2)
                .write(RCC + 0x0C, 1 << 18 | 1 << 22)
                .write(RCC, 0x0100_0101)
                .wait_set(RCC, 1 << 25)
                .write(RCC + 0x0C, 1 << 18 | 1 << 22 | 3)
                .wait_set(RCC + 0x0C, 2 << 2)
        }

        fn unlock_flash(self) -> Program {
            self.write(FLASH + 0x0C, 0x89AB_CDEF)
                .write(FLASH + 0x0C, 0x0203_0405)
                .write(FLASH + 0x10, 0x8C9D_AEBF)
                .write(FLASH + 0x10, 0x1314_1516)
        }
    }

    fn powered(program: &[u8]) -> Machine {
        let mut machine = Machine::new(Options::default());
        machine.program_flash(FLASH_BASE, program).unwrap();
        machine.power_on();
        machine
    }

    fn finish(machine: &mut Machine) {
        assert_eq!(
            machine.run_for(Time::from_millis(2000)),
            Err(Halt::Breakpoint(7))
        );
    }

    fn result(machine: &Machine, index: usize) -> u32 {
        let at = 0x100 + 4 * index;
        u32::from_le_bytes(machine.ram()[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_millisecond_of_systick_is_a_millisecond_at_reset_clock_and_at_32_mhz() {
        for (program, hertz) in [
            (Program::new(), 2_097_152),
            (Program::new().at_32_mhz(), 32_000_000),
        ] {
            let program = program
                .write(SYSTICK + 4, hertz / 1000 - 1)
                .write(SYSTICK + 8, 0)
                .write(SYSTICK, 5)
                .wait_set(SYSTICK, 1 << 16)
                .write(RESULT, 1)
                .wait_set(SYSTICK, 1 << 16)
                .stop();
            let mut machine = powered(&program);
            while result(&machine, 0) != 1 {
                machine.run_for(Time::from_micros(1)).unwrap();
            }
            let start = machine.now();
            finish(&mut machine);
            let micros = machine.now().since(start).micros();
            assert!((985..=1005).contains(&micros), "{micros} µs at {hertz} Hz");
            assert_eq!(machine.chip().rcc().hclk(), hertz.into());
        }
    }

    #[test]
    fn a_clock_beyond_its_voltage_range_is_a_violation() {
        let program = Program::new()
            .write(RCC, 0x101)
            .wait_set(RCC, 1 << 2)
            .write(RCC + 0x0C, 1)
            .nops(50)
            .stop();
        let mut machine = powered(&program);
        let halt = machine.run_for(Time::from_millis(10)).unwrap_err();
        assert_eq!(
            halt.to_string(),
            "16000000 Hz in Range2 needs a flash wait state"
        );
    }

    #[test]
    fn a_page_is_erased_and_a_word_programmed_while_the_core_stalls() {
        let program = Program::new()
            .unlock_flash()
            .write(FLASH + 4, 1 << 3 | 1 << 9)
            .write(FLASH_BASE + 0x8000, 0)
            .wait_clear(FLASH + 0x18, 1)
            .write(FLASH + 4, 0)
            .write(FLASH_BASE + 0x8004, 0xCAFE_F00D)
            .copy(FLASH_BASE + 0x8004, RESULT)
            .copy(FLASH + 0x18, RESULT + 4)
            .stop();
        let mut machine = Machine::new(Options::default());
        machine.program_flash(FLASH_BASE, &program).unwrap();
        machine
            .program_flash(FLASH_BASE + 0x8000, &[0x55; 128])
            .unwrap();
        machine.faults_mut().record();
        machine.power_on();
        let start = machine.now();
        finish(&mut machine);
        assert_eq!(result(&machine, 0), 0xCAFE_F00D);
        assert_eq!(machine.flash()[0x8000..0x8004], [0; 4]);
        let micros = machine.now().since(start).micros();
        assert!(
            (6400..6700).contains(&micros),
            "two operations took {micros} µs"
        );
        let kinds: Vec<_> = machine
            .faults()
            .recorded()
            .iter()
            .map(|operation| operation.kind)
            .collect();
        assert_eq!(
            kinds,
            [OperationKind::FlashPageErase, OperationKind::FlashWord]
        );
    }

    #[test]
    fn a_half_page_loaded_by_code_in_flash_fails() {
        let program = Program::new()
            .unlock_flash()
            .write(FLASH + 4, 1 << 3 | 1 << 10)
            .write(FLASH_BASE + 0x8000, 1)
            .copy(FLASH + 0x18, RESULT)
            .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        assert_eq!(result(&machine, 0) & 1 << 17, 1 << 17, "FWWERR");
    }

    #[test]
    fn waiting_in_ram_for_flash_takes_the_same_cycles_with_every_access_recorded() {
        // Two erases, each awaited by a loop of its own: str r6,[r1]; ldr r4,[r3]; tst r4,r5; bne; nop; str r6,[r1];
        // ldr r4,[r3]; lsls r7,r4,#31; bne; bkpt
        let code: [u16; 10] = [
            0x600E, 0x681C, 0x422C, 0xD1FC, 0xBF00, 0x600E, 0x681C, 0x07E7, 0xD1FC, 0xBE07,
        ];
        let program = Program::new()
            .at_32_mhz()
            .unlock_flash()
            .write(FLASH + 4, 1 << 3 | 1 << 9)
            .stop();
        let runs = [false, true].map(|recorded| {
            let mut machine = powered(&program);
            finish(&mut machine);
            for (cells, half) in machine.ram_mut()[0x200..].chunks_exact_mut(2).zip(code) {
                cells.copy_from_slice(&half.to_le_bytes());
            }
            let core = machine.core_mut();
            core.set_register(1, FLASH_BASE + 0x8000);
            core.set_register(3, FLASH + 0x18);
            core.set_register(5, 1);
            core.set_pc(RAM_BASE + 0x200);
            core.record_accesses(recorded);
            let start = machine.now();
            finish(&mut machine);
            assert!(machine.now().since(start) > Time::from_micros(6400));
            let core = machine.core();
            let registers = [0, 1, 2, 3, 4, 5, 6, 7, 15].map(|n| core.register(n));
            (machine.now(), core.instructions(), core.xpsr(), registers)
        });
        assert_eq!(runs[0], runs[1]);
        assert!(runs[0].1 > 50_000, "{} instructions", runs[0].1);
    }

    #[test]
    fn a_half_page_loaded_by_code_in_ram_is_programmed() {
        // push {lr} is not needed: the code in RAM ends in a breakpoint.
        // loop: str r1,[r0]; adds r0,#4; adds r1,#1; subs r2,#1; bne loop; bkpt
        let code: [u16; 6] = [0x6001, 0x3004, 0x3101, 0x3A01, 0xD1FA, 0xBE07];
        let program = Program::new()
            .unlock_flash()
            .write(FLASH + 4, 1 << 3 | 1 << 10)
            .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        for (cells, half) in machine.ram_mut()[0x200..].chunks_exact_mut(2).zip(code) {
            cells.copy_from_slice(&half.to_le_bytes());
        }
        let core = machine.core_mut();
        core.set_register(0, FLASH_BASE + 0x8040);
        core.set_register(1, 100);
        core.set_register(2, 16);
        core.set_pc(RAM_BASE + 0x200);
        finish(&mut machine);
        assert_eq!(machine.flash()[0x8040..0x8044], [0; 4], "still busy");
        machine
            .core_mut()
            .set_pc(FLASH_BASE + program.len() as u32 - 2);
        finish(&mut machine);
        assert_eq!(
            (machine.flash()[0x8040], machine.flash()[0x807C]),
            (100, 115)
        );
    }

    #[test]
    fn the_watchdog_resets_a_program_that_hangs() {
        let program = Program::new()
            .write(IWDG, 0xCCCC)
            .write(IWDG, 0x5555)
            .write(IWDG + 4, 2)
            .write(IWDG + 8, 230)
            .wait_clear(IWDG + 0x0C, 3)
            .write(IWDG, 0xAAAA)
            .wait_set(RESULT, 0)
            .stop();
        let mut machine = powered(&program);
        machine.run_for(Time::from_millis(105)).unwrap();
        assert_eq!(machine.last_reset(), Some(ResetCause::IndependentWatchdog));
        assert_eq!(machine.resets(ResetCause::IndependentWatchdog), 1);
        machine.run_for(Time::from_millis(400)).unwrap();
        assert_eq!(machine.resets(ResetCause::IndependentWatchdog), 5);
        assert_eq!(machine.resets(ResetCause::PowerOn), 1);
    }

    #[test]
    fn the_watchdog_frees_a_core_that_is_locked_up() {
        // The stack is gone: the fault cannot be handled.
        let program = Program::new()
            .write(IWDG, 0xCCCC)
            .write(0xE000_ED08, 0x0007_0000)
            .write(0x7000_0000, 0)
            .stop();
        let mut machine = Machine::new(Options {
            strict: false,
            ..Options::default()
        });
        machine.program_flash(FLASH_BASE, &program).unwrap();
        machine.power_on();
        machine.run_for(Time::from_millis(400)).unwrap();
        assert_eq!(machine.resets(ResetCause::IndependentWatchdog), 0);
        machine.run_for(Time::from_millis(100)).unwrap();
        assert_eq!(machine.resets(ResetCause::IndependentWatchdog), 1);

        let mut machine = powered(&program);
        assert!(machine.run_for(Time::from_millis(500)).is_err());
    }

    #[test]
    fn a_software_reset_leaves_its_flag() {
        let program = Program::new()
            .copy(RCC + 0x50, RESULT)
            .write(RCC + 0x50, 1 << 23)
            .wait_set(RESULT, 1 << 27)
            .write(AIRCR, 0x05FA_0004)
            .nops(8)
            .stop();
        let mut machine = powered(&program);
        machine.run_for(Time::from_millis(3)).unwrap();
        assert_eq!(machine.resets(ResetCause::Software), 1);
        assert_eq!(result(&machine, 0), 0x1400_0000);
    }

    /// SPI1 at half of APB2, with its pins and the NAND's chip select.
    fn with_spi(program: Program) -> Program {
        program
            .write(RCC + 0x2C, 1)
            .write(RCC + 0x34, 1 << 12)
            .write(GPIOA + 0x18, 1 << 4)
            .write(GPIOA, 0xEBFF_A9FF)
            .write(SPI1, 0x0344)
    }

    fn exchange(program: Program, byte: u8, to: u32) -> Program {
        program
            .write_byte(SPI1 + 0x0C, byte)
            .wait_set(SPI1 + 8, 1)
            .copy(SPI1 + 0x0C, to)
    }

    #[test]
    fn the_nand_tells_its_id_over_spi() {
        let mut program = with_spi(Program::new().at_32_mhz()).write(GPIOA + 0x28, 1 << 4);
        for (index, byte) in [0x9F, 0, 0, 0, 0].into_iter().enumerate() {
            program = exchange(program, byte, RESULT + 4 * index as u32);
        }
        let mut machine = powered(&program.write(GPIOA + 0x18, 1 << 4).stop());
        finish(&mut machine);
        let answer = [2, 3, 4].map(|index| result(&machine, index) as u8);
        assert_eq!(answer, JEDEC_ID);
        assert!(machine.nand().violations().is_empty());
    }

    #[test]
    fn dma_moves_a_transfer_and_interrupts_at_its_end() {
        const DMA: u32 = 0x4002_0000;
        let program = with_spi(Program::new().at_32_mhz())
            .write(RCC + 0x30, 0x101)
            .write(DMA + 0xA8, 0x110)
            .write(RAM_BASE + 0x200, 0x9F)
            .write(RAM_BASE + 0x204, 0)
            .write(DMA + 0x1C + 4, 5)
            .write(DMA + 0x1C + 8, SPI1 + 0x0C)
            .write(DMA + 0x1C + 12, RESULT)
            .write(DMA + 0x1C, 0x83)
            .write(DMA + 0x30 + 4, 5)
            .write(DMA + 0x30 + 8, SPI1 + 0x0C)
            .write(DMA + 0x30 + 12, RAM_BASE + 0x200)
            .write(DMA + 0x30, 0x91)
            .write(GPIOA + 0x28, 1 << 4)
            .write(SPI1 + 4, 3)
            .wait_set(0xE000_E200, 1 << 10)
            .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        assert_eq!(machine.ram()[0x102..0x105], JEDEC_ID);
    }

    #[test]
    fn an_access_to_an_unclocked_peripheral_stops_a_strict_machine_and_only_that() {
        let program = Program::new().copy(SPI1, RESULT).stop();
        let mut machine = powered(&program);
        let halt = machine.run_for(Time::from_millis(10)).unwrap_err();
        let text = halt.to_string();
        assert!(
            text.contains("0x40013000") && text.contains("clock is off"),
            "{text}"
        );
        assert_eq!(machine.run_for(Time::from_millis(1)), Err(halt));

        let mut machine = Machine::new(Options {
            strict: false,
            ..Options::default()
        });
        machine.program_flash(FLASH_BASE, &program).unwrap();
        machine.power_on();
        finish(&mut machine);
        assert_eq!(result(&machine, 0), 0);
    }

    const RTC: u32 = 0x4000_2800;
    const EXTI: u32 = 0x4001_0400;
    const SCR: u32 = 0xE000_ED10;

    /// WFI with interrupts masked: it ends without a handler.
    fn wait_for_interrupt(mut program: Program) -> Program {
        program.code(&[0xB672, 0xBF30]);
        program
    }

    /// The RTC on the LSI, unlocked, its access open.
    fn with_rtc(program: Program) -> Program {
        program
            .write(RCC + 0x38, 1 << 28)
            .write(PWR, 0x0900)
            .wait_clear(PWR + 4, 1 << 4)
            .write(RCC + 0x50, 1)
            .wait_set(RCC + 0x50, 2)
            .write(RCC + 0x50, 1 | 2 << 16 | 1 << 18)
            .write(RTC + 0x24, 0xCA)
            .write(RTC + 0x24, 0x53)
    }

    /// A wake-up from the RTC each 999.8 ms, through EXTI line 20, its interrupt enabled.
    fn with_wakeup_timer(program: Program) -> Program {
        with_rtc(program)
            .write(RTC + 0x14, 2311)
            .write(RTC + 8, 1 << 10 | 1 << 14)
            .write(EXTI, 1 << 20)
            .write(EXTI + 8, 1 << 20)
            .write(0xE000_E100, 1 << 2)
    }

    #[test]
    fn stop_ends_with_the_rtc_on_the_msi_and_its_time_is_told() {
        let program =
            wait_for_interrupt(with_wakeup_timer(Program::new().at_32_mhz()).write(SCR, 4));
        let program = program
            .copy(RCC + 0x0C, RESULT)
            .copy(RCC, RESULT + 4)
            .copy(RCC + 0x50, RESULT + 8)
            .copy(EXTI + 0x14, RESULT + 12)
            .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        assert_eq!(result(&machine, 0) & 0xF, 0, "SYSCLK is the MSI");
        assert_eq!(result(&machine, 1) & 0x0300_0305, 0x0200 | 0x0100);
        assert_eq!(result(&machine, 2) & 2, 2, "the LSI went on");
        assert_eq!(result(&machine, 3), 1 << 20);
        assert_eq!(machine.chip().rcc().hclk(), 2_097_152);
        let time = machine.power_time();
        assert!((999..=1000).contains(&time.stop.millis()), "{time:?}");
        assert_eq!(time.standby, Time::ZERO);
        let whole = time.run + time.sleep + time.stop;
        assert_eq!(whole, machine.now());
        assert!(time.run.millis() < 5, "{time:?}");
    }

    #[test]
    fn stop_can_end_on_hsi16() {
        let program = wait_for_interrupt(
            with_wakeup_timer(Program::new())
                .write(PWR, 0x0900)
                .write(RCC + 0x0C, 1 << 15)
                .write(SCR, 4),
        )
        .copy(RCC + 0x0C, RESULT)
        .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        assert_eq!(result(&machine, 0) & 0xF, 0b0101);
        assert_eq!(machine.chip().rcc().hclk(), 16_000_000);
    }

    #[test]
    fn a_timer_stands_still_in_stop_and_the_watchdog_does_not() {
        let program = wait_for_interrupt(
            with_wakeup_timer(Program::new())
                .write(RCC + 0x38, 1 << 28 | 1)
                .write(0x4000_0000, 1)
                .write(SCR, 4),
        )
        .copy(0x4000_0024, RESULT)
        .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        assert!(result(&machine, 0) < 200, "{}", result(&machine, 0));

        let program = wait_for_interrupt(
            with_wakeup_timer(Program::new())
                .write(IWDG, 0xCCCC)
                .write(SCR, 4),
        )
        .stop();
        let mut machine = powered(&program);
        machine.run_for(Time::from_millis(600)).unwrap();
        assert_eq!(machine.last_reset(), Some(ResetCause::IndependentWatchdog));
    }

    #[test]
    fn the_rtc_counts_the_lsi_that_this_chip_has() {
        for lsi in [26_000, LSI, 56_000] {
            let program = wait_for_interrupt(with_wakeup_timer(Program::new()).write(SCR, 4));
            let mut machine = Machine::new(Options {
                lsi,
                ..Options::default()
            });
            machine.program_flash(FLASH_BASE, &program.stop()).unwrap();
            machine.power_on();
            finish(&mut machine);
            // 2,312 times 16 of its periods.
            let expected = 2312 * 16 * 1_000 / u64::from(lsi);
            let stopped = machine.power_time().stop.millis();
            assert!(stopped.abs_diff(expected) <= 1, "{lsi} Hz: {stopped} ms");
        }
    }

    #[test]
    fn a_contact_that_closes_pulls_the_event_input_low() {
        let program = wait_for_interrupt(
            Program::new()
                .write(RCC + 0x2C, 1)
                // PA8 as an input with its pull-up.
                .write(GPIOA, 0xEBFC_FCFF)
                .write(GPIOA + 0x0C, 1 << 16)
                .write(EXTI, 1 << 8)
                .write(EXTI + 12, 1 << 8)
                .write(0xE000_E100, 1 << 7)
                .copy(GPIOA + 0x10, RESULT)
                .write(SCR, 4),
        )
        .copy(EXTI + 0x14, RESULT + 4)
        .copy(GPIOA + 0x10, RESULT + 8)
        .stop();
        let mut machine = powered(&program);
        machine.run_for(Time::from_millis(1000)).unwrap();
        assert_ne!(result(&machine, 0) & 1 << 8, 0, "open");
        machine.board_mut().event_closed = true;
        finish(&mut machine);
        assert_eq!(result(&machine, 1), 1 << 8, "a falling edge");
        assert_eq!(result(&machine, 2) & 1 << 8, 0, "closed");
    }

    #[test]
    fn a_charge_is_what_the_modes_take() {
        let in_stop = wait_for_interrupt(Program::new().write(SCR, 4)).stop();
        let mut machine = powered(&in_stop);
        let before = machine.charge();
        machine.run_for(Time::from_millis(100_000)).unwrap();
        // 1.2 µA and the NAND's 10 µA for 100 s, and a little for what came before.
        let stopped = machine.charge() - before;
        assert!((1.12e-3..1.13e-3).contains(&stopped), "{stopped} C");

        let running = Program::new().at_32_mhz().wait_set(RESULT, 8).stop();
        let mut machine = powered(&running);
        machine.run_for(Time::from_millis(10)).unwrap();
        let before = machine.charge();
        machine.run_for(Time::from_millis(1000)).unwrap();
        let run = machine.charge() - before;
        // 32 MHz at 200 µA/MHz for 1 s.
        assert!((6.40e-3..6.42e-3).contains(&run), "{run} C");
        machine.power_off();
        let off = machine.charge();
        machine.run_for(Time::from_millis(1000)).unwrap();
        assert_eq!(machine.charge(), off);
    }

    #[test]
    fn a_cable_that_is_plugged_in_wakes_through_its_pin_and_else_stop_lasts() {
        let program = wait_for_interrupt(
            Program::new()
                .write(RCC + 0x2C, 1)
                .write(GPIOA, 0xEBF3_FCFF)
                .write(EXTI, 1 << 9)
                .write(EXTI + 8, 1 << 9)
                .write(0xE000_E100, 1 << 7)
                .write(SCR, 4),
        )
        .copy(EXTI + 0x14, RESULT)
        .stop();
        let mut machine = powered(&program);
        machine.run_for(Time::from_millis(5000)).unwrap();
        assert!(machine.power_time().stop.millis() > 4990);
        let instructions = machine.core().instructions();
        machine.run_for(Time::from_millis(5000)).unwrap();
        assert_eq!(machine.core().instructions(), instructions);
        machine.usb_mut().attach();
        finish(&mut machine);
        assert_eq!(result(&machine, 0), 1 << 9);
    }

    #[test]
    fn standby_ends_in_a_reset_and_only_the_rtc_domain_survives_it() {
        let program = with_rtc(Program::new())
            .copy(PWR + 4, RESULT)
            .copy(RTC + 0x50, RESULT + 4)
            .copy(RCC + 0x50, RESULT + 8)
            .write(RTC + 0x50, 0xBACC)
            .write(RESULT + 12, 0x1234_5678)
            .write(PWR + 4, 1 << 8)
            .write(RCC + 0x50, 1 | 2 << 16 | 1 << 18 | 1 << 23)
            // CWUF, PDDS, DBP
            .write(PWR, 0x0906)
            .write(SCR, 4);
        let mut machine = powered(&wait_for_interrupt(program).stop());
        machine.run_for(Time::from_millis(100)).unwrap();
        assert_eq!(result(&machine, 0), 0x08, "no flags after power-on");
        assert_eq!(result(&machine, 3), 0x1234_5678);
        let before = machine.power_time().standby;
        machine.board_mut().inputs[0] = 3000;
        machine.run_for(Time::from_millis(1)).unwrap();
        assert_eq!(machine.last_reset(), Some(ResetCause::Standby));
        assert_ne!(result(&machine, 3), 0x1234_5678);
        machine.run_for(Time::from_millis(20)).unwrap();
        assert_eq!(result(&machine, 0) & 0x0B, 0x0B, "SBF and WUF");
        assert_eq!(result(&machine, 1), 0xBACC);
        assert_eq!(result(&machine, 2) >> 24, 0, "no reset flag");
        assert!(before.millis() > 90, "{before:?}");
    }

    #[test]
    fn option_bytes_can_make_stop_a_reset() {
        let program = wait_for_interrupt(Program::new().write(SCR, 4)).stop();
        let mut machine = Machine::new(Options::default());
        machine.program_flash(FLASH_BASE, &program).unwrap();
        machine.set_option_bytes(OptionBytes {
            optr: 0x8050_00AA,
            write_protection: 0,
        });
        machine.power_on();
        machine.run_for(Time::from_millis(3)).unwrap();
        assert!(machine.resets(ResetCause::LowPower) > 1);
        assert_eq!(machine.power_time().stop, Time::ZERO);
    }

    #[test]
    fn a_timer_interrupts_at_its_rate() {
        // 2.097 MHz / 2097: each millisecond. The line pends again once its flag is cleared.
        let mut program = Program::new()
            .write(RCC + 0x34, 1 << 2)
            .write(0x4001_0828, 20)
            .write(0x4001_082C, 99)
            .write(0x4001_0814, 1)
            .write(0x4001_0810, 0)
            .write(0x4001_080C, 1)
            .write(0x4001_0800, 1);
        for _ in 0..2 {
            program = program
                .wait_set(0xE000_E200, 1 << 20)
                .write(RESULT, 1)
                .write(0x4001_0810, 0)
                .write(0xE000_E280, 1 << 20);
        }
        let mut machine = powered(&program.stop());
        while result(&machine, 0) != 1 {
            machine.run_for(Time::from_micros(2)).unwrap();
        }
        let start = machine.now();
        finish(&mut machine);
        let micros = machine.now().since(start).micros();
        assert!((970..=1030).contains(&micros), "{micros} µs");
    }

    #[test]
    fn usart2_sends_and_receives_by_dma_at_its_rate() {
        const USART2: u32 = 0x4000_4400;
        const DMA: u32 = 0x4002_0000;
        let program = Program::new()
            .at_32_mhz()
            .write(RCC + 0x2C, 1)
            .write(RCC + 0x30, 0x101)
            .write(RCC + 0x38, 1 << 28 | 1 << 17)
            .write(GPIOA, 0xEBFF_FCAF)
            .write(GPIOA + 0x20, 0x4400)
            .write(RAM_BASE + 0x200, u32::from_le_bytes(*b"LOGD"))
            .write(DMA + 0xA8, 4 << 12 | 4 << 16)
            .write(DMA + 0x44 + 4, 4)
            .write(DMA + 0x44 + 8, USART2 + 0x28)
            .write(DMA + 0x44 + 12, RAM_BASE + 0x200)
            .write(DMA + 0x44, 0x91)
            .write(DMA + 0x58 + 4, 3)
            .write(DMA + 0x58 + 8, USART2 + 0x24)
            .write(DMA + 0x58 + 12, RESULT)
            .write(DMA + 0x58, 0x83)
            .write(USART2 + 0x0C, 278)
            .write(USART2 + 8, 0xC0)
            .write(USART2, 0x0D)
            .write(RESULT + 8, 1)
            .wait_set(0xE000_E200, 1 << 11)
            .stop();
        let mut machine = powered(&program);
        while result(&machine, 2) != 1 {
            machine.run_for(Time::from_micros(1)).unwrap();
        }
        machine.serial(SerialPort::Usart2).write(b"abc");
        let start = machine.now();
        finish(&mut machine);
        // 32 MHz / 278: three frames of ten bits at 115,108 baud.
        let micros = machine.now().since(start).micros();
        assert!((259..=264).contains(&micros), "{micros} µs");
        assert_eq!(machine.ram()[0x100..0x103], *b"abc");
        assert_eq!(machine.serial(SerialPort::Usart2).read(), b"LOG");
    }

    #[test]
    fn the_adc_fills_memory_by_dma() {
        const ADC: u32 = 0x4001_2400;
        const DMA: u32 = 0x4002_0000;
        let program = Program::new()
            .write(RCC + 0x30, 0x101)
            .write(RCC + 0x34, 1 << 9)
            .write(ADC + 0x308, 3 << 22)
            .write(ADC + 0x10, 3 << 30)
            .write(ADC + 0x0C, 1)
            .write(ADC + 0x28, 3 << 17)
            .write(DMA + 8 + 4, 2)
            .write(DMA + 8 + 8, ADC + 0x40)
            .write(DMA + 8 + 12, RESULT)
            .write(DMA + 8, 0x583)
            .write(ADC + 8, 1)
            .wait_set(ADC, 1)
            .write(ADC + 8, 5)
            .wait_set(0xE000_E200, 1 << 9)
            .copy(ADC, RESULT + 4)
            .stop();
        let mut machine = powered(&program);
        finish(&mut machine);
        // VREFINT and the sensor at 3.0 V and 25 °C.
        assert_eq!(result(&machine, 0) & 0xFFFF, 1671);
        assert_eq!(result(&machine, 0) >> 16, 684);
        assert_eq!(result(&machine, 1) & 0x14, 0, "no overrun, nothing left");
    }

    #[test]
    fn what_is_not_modelled_stops_a_strict_machine() {
        let program = Program::new().write(0x4000_5400, 1).stop();
        let text = powered(&program)
            .run_for(Time::from_millis(10))
            .unwrap_err()
            .to_string();
        assert!(text.contains("0x40005400"), "{text}");
    }

    #[test]
    fn a_planned_cut_takes_power_away_and_power_on_brings_it_back() {
        let program = Program::new()
            .unlock_flash()
            .write(FLASH_BASE + 0x8000, 0xFFFF_FFFF)
            .wait_clear(FLASH + 0x18, 1)
            .stop();
        let mut left = Vec::new();
        for place in [Place::Before, Place::Inside { seed: 3 }, Place::After] {
            let mut machine = powered(&program);
            machine.cut_at(CutPoint {
                operation: 0,
                place,
            });
            assert_eq!(
                machine.run_for(Time::from_millis(100)),
                Err(Halt::PowerLost)
            );
            assert!(!machine.is_on());
            left.push(
                machine.flash()[0x8000..0x8004]
                    .iter()
                    .map(|byte| byte.count_ones())
                    .sum::<u32>(),
            );
            machine.power_on();
            finish(&mut machine);
            assert_eq!(machine.resets(ResetCause::PowerOn), 2);
        }
        assert_eq!((left[0], left[2]), (0, 32));
        assert!((1..32).contains(&left[1]), "{} bits", left[1]);
    }

    #[test]
    fn switching_off_tears_what_is_running_and_loses_ram() {
        let program = Program::new()
            .unlock_flash()
            .write(RESULT, 0x1234)
            .write(FLASH + 4, 1 << 3 | 1 << 9)
            .write(FLASH_BASE + 0x8000, 0)
            .stop();
        let mut machine = Machine::new(Options::default());
        machine.program_flash(FLASH_BASE, &program).unwrap();
        machine
            .program_flash(FLASH_BASE + 0x8000, &[0xFF; 128])
            .unwrap();
        machine.power_on();
        machine.run_for(Time::from_millis(2)).unwrap();
        machine.power_off();
        let ones: u32 = machine.flash()[0x8000..0x8080]
            .iter()
            .map(|byte| byte.count_ones())
            .sum();
        assert!((1..1024).contains(&ones), "{ones} bits left");
        assert_ne!(result(&machine, 0), 0x1234);
        let before = machine.now();
        machine.run_for(Time::from_millis(5)).unwrap();
        assert_eq!(machine.now().since(before), Time::from_millis(5));
    }

    #[test]
    fn pa9_is_high_while_a_cable_is_plugged_in() {
        let program = Program::new()
            .write(RCC + 0x2C, 1)
            .write(GPIOA, 0xEBF3_FCFF)
            .copy(GPIOA + 0x10, RESULT)
            .stop();
        for plugged in [false, true] {
            let mut machine = powered(&program);
            if plugged {
                machine.usb_mut().attach();
            }
            finish(&mut machine);
            assert_eq!(result(&machine, 0) & 1 << 9 != 0, plugged);
        }
    }

    #[test]
    fn the_unique_id_is_where_the_manual_says() {
        let program = Program::new()
            .copy(0x1FF8_0050, RESULT)
            .copy(0x1FF8_0054, RESULT + 4)
            .copy(0x1FF8_0064, RESULT + 8)
            .copy(0x1FF8_007C, RESULT + 12)
            .stop();
        let mut machine = Machine::new(Options {
            unique_id: [1, 2, 3],
            ..Options::default()
        });
        machine.program_flash(FLASH_BASE, &program).unwrap();
        machine.power_on();
        finish(&mut machine);
        assert_eq!([0, 1, 2].map(|index| result(&machine, index)), [1, 2, 3]);
        assert_eq!(result(&machine, 3) & 0xFFFF, 64);
    }

    #[test]
    fn a_clone_goes_on_exactly_as_the_original() {
        let program = Program::new()
            .at_32_mhz()
            .write(RESULT, 5)
            .wait_set(RESULT, 8)
            .stop();
        let mut machine = powered(&program);
        machine.run_for(Time::from_millis(3)).unwrap();
        let mut copy = machine.clone();
        machine.run_for(Time::from_millis(7)).unwrap();
        for _ in 0..7 {
            copy.run_for(Time::from_millis(1)).unwrap();
        }
        assert_eq!(
            machine
                .core()
                .instructions()
                .abs_diff(copy.core().instructions()),
            0
        );
        assert_eq!(machine.core().pc(), copy.core().pc());
        assert_eq!(machine.ram()[..], copy.ram()[..]);
    }

    fn memories(machine: &Machine) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        machine.hash_memories(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn memories_are_told_apart_by_each_of_their_cells_and_by_nothing_else() {
        let mut machine = powered(&Program::new().stop());
        finish(&mut machine);
        machine.power_off();
        let before = memories(&machine);
        let fresh = Machine::with_memories(Options::default(), &machine);
        assert_eq!(memories(&fresh), before);
        assert_eq!(fresh.now(), Time::ZERO);
        assert_eq!(fresh.flash()[..], machine.flash()[..]);

        let changes: [fn(&mut Machine); 7] = [
            |machine| machine.program_flash(FLASH_BASE + 0xFFFF, &[1]).unwrap(),
            |machine| machine.program_eeprom(2047, &[1]).unwrap(),
            |machine| {
                let mut options = machine.option_bytes();
                options.write_protection = 1;
                machine.set_option_bytes(options);
            },
            |machine| machine.nand_mut().load_page(65_535, &[0xFE; 2112]),
            |machine| {
                machine.nand_mut().load_page(65_535, &[0xFE; 2112]);
                machine.nand_mut().set_bit_errors(65_535, 3, 1);
            },
            |machine| machine.nand_mut().fail_erase(5),
            |machine| machine.nand_mut().set_answers(false),
        ];
        let mut seen = vec![before];
        for change in changes {
            let mut changed = fresh.clone();
            change(&mut changed);
            let hash = memories(&changed);
            assert!(!seen.contains(&hash), "change {}", seen.len());
            let again = Machine::with_memories(Options::default(), &changed);
            assert_eq!(memories(&again), hash, "change {}", seen.len());
            seen.push(hash);
        }
    }

    #[test]
    fn images_outside_memory_are_refused() {
        let mut machine = Machine::new(Options::default());
        let error = machine
            .program_flash(FLASH_BASE + 0xFFFF, &[0; 2])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 bytes at 0x0800ffff do not lie in flash (0x08000000, 65536 bytes)"
        );
        assert!(machine.program_flash(RAM_BASE, &[0; 2]).is_err());
        assert!(machine.program_eeprom(2047, &[0; 2]).is_err());
        assert!(machine.program_eeprom(2046, &[1; 2]).is_ok());
    }
}
