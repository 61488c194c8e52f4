//! Takes samples when they are due, whatever else the program is at.
//!
//! Reading a whole image, hashing it or writing settings takes longer than the shortest interval. So the memories are
//! handed to the update engine in a wrapping, [`Sampling`], that looks at the clock before each operation. What was
//! sampled waits in a queue until the main loop records it. Neither writes memory.

use core::cell::Cell;

use board::adc::{Adc, Measurement};
use board::inputs::Inputs;
use board::rtc::Rtc;
use protocol::record::{CHANNELS, ChannelSet};
use update::direct::Upload;
use update::memory::{Eeprom, Flash, Nand, Unreadable, WriteFailed};

/// Most samples that wait: those of the longest work at the shortest interval, a change of all settings (125 words of
/// EEPROM at 6.4 ms).
const WAITING: usize = 12;

/// All channels at one moment.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Its point of the grid: the clock in milliseconds, the lower half of it.
    time: u32,
    measurement: Measurement,
    /// Events since the sample before.
    events: u32,
}

impl Sample {
    const NONE: Sample = Sample {
        time: 0,
        measurement: Measurement {
            supply: 0,
            temperature: 0,
            inputs: [0; 2],
        },
        events: 0,
    };

    /// Its values by channel.
    pub fn values(&self) -> [i32; CHANNELS] {
        let Measurement {
            supply,
            temperature,
            inputs: [a, b],
        } = self.measurement;
        [
            supply.into(),
            temperature.into(),
            a.into(),
            b.into(),
            self.events as i32,
        ]
    }

    /// When it was taken, from the time a little later.
    pub fn time(&self, now: u64) -> u64 {
        now - u64::from((now as u32).wrapping_sub(self.time))
    }
}

/// How samples are taken.
#[derive(Clone, Copy, Default)]
pub struct Plan {
    /// From one to the next, in milliseconds.
    pub interval: u32,
    /// What is measured.
    pub channels: ChannelSet,
    /// Conversions that make one value.
    pub conversions: u32,
}

/// The clock and the sensors. Shared by all that takes time, so everything that changes is in cells.
pub struct Sampler {
    /// The clock.
    pub rtc: Rtc,
    /// When the next sample is due: the clock in milliseconds.
    pub due: Cell<u64>,
    /// How it is taken.
    pub plan: Cell<Plan>,
    adc: Adc,
    inputs: Inputs,
    /// Events up to the sample before.
    events: Cell<u32>,
    queue: [Cell<Sample>; WAITING],
    waiting: Cell<usize>,
}

impl Sampler {
    /// For [`Sampler::due`]: not at all.
    pub const NEVER: u64 = u64::MAX;

    /// Nothing is due yet.
    pub fn new(rtc: Rtc, adc: Adc, inputs: Inputs) -> Sampler {
        Sampler {
            rtc,
            due: Cell::new(Self::NEVER),
            plan: Cell::default(),
            adc,
            inputs,
            events: Cell::new(0),
            queue: [const { Cell::new(Sample::NONE) }; WAITING],
            waiting: Cell::new(0),
        }
    }

    /// Takes a sample if one is due. Points of the grid that have passed by meanwhile stay a gap.
    #[inline(never)]
    pub fn poll(&self) {
        let now = self.rtc.now();
        let mut due = self.due.get();
        if now < due {
            return;
        }
        let plan = self.plan.get();
        let mut point = due;
        while due <= now {
            point = due;
            due += u64::from(plan.interval);
        }
        self.due.set(due);
        let sample = self.measure(plan.channels, point);
        if let Some(place) = self.queue.get(self.waiting.get()) {
            place.set(sample);
            self.waiting.set(self.waiting.get() + 1);
            self.events.set(self.events());
        }
    }

    /// All of `channels` now, as a sample of this time.
    pub fn measure(&self, channels: ChannelSet, time: u64) -> Sample {
        Sample {
            time: time as u32,
            events: self.events().wrapping_sub(self.events.get()),
            measurement: self.adc.measure(channels, self.plan.get().conversions),
        }
    }

    /// The oldest sample that waits.
    pub fn take(&self) -> Option<Sample> {
        let waiting = self.waiting.get().checked_sub(1)?;
        self.waiting.set(waiting);
        let sample = self.queue[0].get();
        for pair in self.queue.windows(2) {
            pair[0].set(pair[1].get());
        }
        Some(sample)
    }

    /// Events since the start.
    pub fn events(&self) -> u32 {
        self.inputs.events()
    }
}

/// A memory that takes time, and is not to keep samples waiting.
pub struct Sampling<'a, M> {
    /// The memory.
    pub memory: M,
    sampler: &'a Sampler,
}

impl<'a, M> Sampling<'a, M> {
    /// Looks at the clock before each operation of `memory`.
    pub fn new(memory: M, sampler: &'a Sampler) -> Self {
        Sampling { memory, sampler }
    }
}

impl<M: Flash> Flash for Sampling<'_, M> {
    const SIZE: u32 = M::SIZE;
    type Page = M::Page;
    const UNIT: usize = M::UNIT;
    const ERASED: u8 = M::ERASED;
    type Arithmetic = M::Arithmetic;

    fn read(&self, offset: u32, out: &mut [u8]) {
        self.sampler.poll();
        self.memory.read(offset, out);
    }

    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed> {
        self.memory.erase_page(offset)
    }

    fn program(&mut self, offset: u32, unit: &[u8]) -> Result<(), WriteFailed> {
        self.memory.program(offset, unit)
    }
}

impl<M: Eeprom> Eeprom for Sampling<'_, M> {
    fn read_word(&self, offset: u32) -> u32 {
        self.memory.read_word(offset)
    }

    fn write_word(&mut self, offset: u32, word: u32) -> Result<(), WriteFailed> {
        self.sampler.poll();
        self.memory.write_word(offset, word)
    }
}

impl<M: Nand> Nand for Sampling<'_, M> {
    const FITTED: bool = M::FITTED;

    fn direct(&mut self) -> Option<&mut Upload> {
        self.memory.direct()
    }

    fn is_there(&mut self) -> bool {
        self.memory.is_there()
    }

    fn open(&mut self, page: u32) -> Result<(), Unreadable> {
        self.sampler.poll();
        self.memory.open(page)
    }

    fn read(&mut self, column: u16, out: &mut [u8]) {
        self.memory.read(column, out);
    }

    fn program(&mut self, page: u32, column: u16, data: &[u8]) -> Result<(), WriteFailed> {
        self.sampler.poll();
        self.memory.program(page, column, data)
    }

    fn erase(&mut self, block: u32) -> Result<(), WriteFailed> {
        self.sampler.poll();
        self.memory.erase(block)
    }

    fn is_bad(&mut self, block: u32) -> bool {
        self.memory.is_bad(block)
    }

    fn mark_bad(&mut self, block: u32) {
        self.memory.mark_bad(block);
    }
}
