//! DMA1 at 0x4002_0000 (RM0376): channels 1 to 7, for SPI1, the USARTs and the ADC.
//!
//! Bus cycles that it takes from the core are not modelled. Memory to memory is not modelled.

use crate::chip::Reg;
use crate::cpu::bus::{BusFault, Width};
use crate::memory::{Memory, RAM_BASE, flash_offset};

/// Channels of the controller.
const CHANNELS: usize = 7;
/// One direction of a peripheral: the channels it can use (from 0), its number in CSELR, its data register, and whether
/// that is where the data goes. Source: `stm32-metapac`.
pub(crate) struct Route {
    pub channels: &'static [usize],
    pub request: u32,
    pub register: u32,
    pub to_peripheral: bool,
}

impl Route {
    const fn from(channels: &'static [usize], request: u32, register: u32) -> Route {
        Route {
            channels,
            request,
            register,
            to_peripheral: false,
        }
    }

    const fn to(channels: &'static [usize], request: u32, register: u32) -> Route {
        Route {
            channels,
            request,
            register,
            to_peripheral: true,
        }
    }
}

/// The ADC's data register.
pub(crate) const FROM_ADC: Route = Route::from(&[0, 1], 0, 0x4001_2440);
/// What USART1, USART2 and LPUART1 received.
pub(crate) const FROM_USART: [Route; 3] = [
    Route::from(&[2, 4], 3, 0x4001_3824),
    Route::from(&[4, 5], 4, 0x4000_4424),
    Route::from(&[2, 5], 5, 0x4000_4824),
];
/// What USART1, USART2 and LPUART1 are to send.
pub(crate) const TO_USART: [Route; 3] = [
    Route::to(&[1, 3], 3, 0x4001_3828),
    Route::to(&[3, 6], 4, 0x4000_4428),
    Route::to(&[1, 6], 5, 0x4000_4828),
];
const FROM_SPI1: Route = Route::from(&[SPI1_RX], 1, 0x4001_300C);
const TO_SPI1: Route = Route::to(&[SPI1_TX], 1, 0x4001_300C);
/// Index of the channel that SPI1_RX can use.
pub(crate) const SPI1_RX: usize = 1;
/// Index of the channel that SPI1_TX can use.
pub(crate) const SPI1_TX: usize = 2;

mod ccr {
    pub const EN: u32 = 1 << 0;
    pub const TCIE: u32 = 1 << 1;
    pub const HTIE: u32 = 1 << 2;
    pub const TEIE: u32 = 1 << 3;
    pub const DIR: u32 = 1 << 4;
    pub const CIRC: u32 = 1 << 5;
    pub const PINC: u32 = 1 << 6;
    pub const MINC: u32 = 1 << 7;
    pub const MEM2MEM: u32 = 1 << 14;
}

mod flag {
    pub const GLOBAL: u32 = 1;
    pub const COMPLETE: u32 = 2;
    pub const HALF: u32 = 4;
    pub const ERROR: u32 = 8;
}

#[derive(Clone, Copy, Default)]
struct Channel {
    ccr: u32,
    left: u32,
    reload: u32,
    par: u32,
    mar: u32,
    memory: u32,
}

/// The registers.
#[derive(Clone)]
pub struct Dma {
    channels: [Channel; CHANNELS],
    isr: u32,
    cselr: u32,
}

impl Dma {
    pub(crate) fn new() -> Dma {
        Dma {
            channels: [Channel::default(); CHANNELS],
            isr: 0,
            cselr: 0,
        }
    }

    /// Whether a channel is set up for SPI1 and has transfers left.
    pub(crate) fn serves_spi1(&self, channel: usize) -> bool {
        let route = if channel == SPI1_TX {
            &TO_SPI1
        } else {
            &FROM_SPI1
        };
        self.serves(channel, route)
    }

    fn serves(&self, channel: usize, route: &Route) -> bool {
        let c = &self.channels[channel];
        c.ccr & ccr::EN != 0
            && c.left > 0
            && self.cselr >> (4 * channel) & 0xF == route.request
            && c.par == route.register
            && (c.ccr & ccr::DIR != 0) == route.to_peripheral
    }

    /// The channel that is set up for a route and has transfers left.
    pub(crate) fn channel(&self, route: &Route) -> Option<usize> {
        let mut channels = route.channels.iter().copied();
        channels.find(|&channel| self.serves(channel, route))
    }

    /// Transfers until a channel raises an interrupt, if it will.
    pub(crate) fn until_interrupt(&self, channel: usize) -> Option<u32> {
        let c = &self.channels[channel];
        if !self.serves_spi1(channel) || c.ccr & (ccr::TCIE | ccr::HTIE | ccr::TEIE) == 0 {
            return None;
        }
        let half = c.reload / 2;
        let half_comes = c.ccr & ccr::HTIE != 0 && c.left > c.reload - half;
        Some(if half_comes {
            c.left - (c.reload - half)
        } else {
            c.left
        })
    }

    /// The next frame to send.
    pub(crate) fn take(&mut self, channel: usize, memory: &Memory) -> Option<u16> {
        let c = self.channels[channel];
        let width = width(c.ccr >> 10);
        let value = load(memory, c.memory, width);
        if value.is_none() {
            self.fail(channel);
        }
        self.step(channel, width);
        value.map(|value| value as u16)
    }

    /// A frame that was received.
    pub(crate) fn store(&mut self, channel: usize, value: u16, memory: &mut Memory) {
        let c = self.channels[channel];
        let width = width(c.ccr >> 10);
        let at = c.memory.wrapping_sub(RAM_BASE) as usize;
        let bytes = u32::from(value).to_le_bytes();
        match memory
            .ram_mut()
            .get_mut(at..at.saturating_add(width as usize))
        {
            Some(cells) => cells.copy_from_slice(&bytes[..width as usize]),
            None => self.fail(channel),
        }
        self.step(channel, width);
    }

    fn fail(&mut self, channel: usize) {
        self.isr |= (flag::GLOBAL | flag::ERROR) << (4 * channel);
        self.channels[channel].ccr &= !ccr::EN;
    }

    fn step(&mut self, channel: usize, width: Width) {
        let c = &mut self.channels[channel];
        if c.ccr & ccr::MINC != 0 {
            c.memory = c.memory.wrapping_add(width as u32);
        }
        c.left -= 1;
        let mut flags = 0;
        if c.left == c.reload - c.reload / 2 {
            flags |= flag::GLOBAL | flag::HALF;
        }
        if c.left == 0 {
            flags |= flag::GLOBAL | flag::COMPLETE;
            if c.ccr & ccr::CIRC != 0 {
                c.left = c.reload;
                c.memory = c.mar;
            }
        }
        self.isr |= flags << (4 * channel);
    }

    /// The interrupt lines: 9 for channel 1, 10 for 2 and 3, 11 for the rest.
    pub(crate) fn interrupts(&self) -> u32 {
        (0..CHANNELS)
            .filter(|&n| {
                self.isr >> (4 * n) & self.channels[n].ccr & (ccr::TCIE | ccr::HTIE | ccr::TEIE)
                    != 0
            })
            .fold(0, |lines, n| {
                lines
                    | 1 << match n {
                        0 => 9,
                        1 | 2 => 10,
                        _ => 11,
                    }
            })
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => self.isr,
            0x04 => 0,
            0xA8 => self.cselr,
            0x08..=0x90 => {
                let c = &self.channels[(offset as usize - 8) / 20];
                match (offset - 8) % 20 {
                    0x0 => c.ccr,
                    0x4 => c.left,
                    0x8 => c.par,
                    0xC => c.mar,
                    _ => return Err(BusFault::Reserved),
                }
            }
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Result<(), BusFault> {
        match offset {
            0x00 => {}
            0x04 => {
                for n in 0..CHANNELS {
                    let clear = value >> (4 * n) & 0xF;
                    // CGIF clears them all.
                    let clear = if clear & flag::GLOBAL != 0 {
                        0xF
                    } else {
                        clear
                    };
                    self.isr &= !(clear << (4 * n));
                    if self.isr >> (4 * n) & 0xE == 0 {
                        self.isr &= !(flag::GLOBAL << (4 * n));
                    }
                }
            }
            0xA8 => self.cselr = value & 0x0FFF_FFFF,
            0x08..=0x90 => {
                let c = &mut self.channels[(offset as usize - 8) / 20];
                let enabled = c.ccr & ccr::EN != 0;
                match (offset - 8) % 20 {
                    0x0 => {
                        if value & (ccr::MEM2MEM | ccr::PINC) != 0 {
                            return Err(BusFault::Reserved);
                        }
                        if value & ccr::EN != 0 && !enabled {
                            c.memory = c.mar;
                        }
                        c.ccr = value & 0x7FFF;
                    }
                    // The rest is read-only while the channel is on.
                    0x4 | 0x8 | 0xC if enabled => {}
                    0x4 => {
                        c.left = value & 0xFFFF;
                        c.reload = c.left;
                    }
                    0x8 => c.par = value,
                    0xC => c.mar = value,
                    _ => return Err(BusFault::Reserved),
                }
            }
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

fn width(size: u32) -> Width {
    match size & 3 {
        0 => Width::Byte,
        1 => Width::Half,
        _ => Width::Word,
    }
}

fn load(memory: &Memory, address: u32, width: Width) -> Option<u32> {
    let length = width as usize;
    let cells: &[u8] = match flash_offset(address) {
        Some(offset) => memory.flash().get(offset..offset + length)?,
        None => {
            let at = address.wrapping_sub(RAM_BASE) as usize;
            memory.ram().get(at..at.saturating_add(length))?
        }
    };
    Some(
        cells
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u32::from(byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(index: usize, ccr: u32, count: u32, address: u32) -> Dma {
        let mut dma = Dma::new();
        let base = 8 + 20 * index as u32;
        for (offset, value) in [
            (0xA8, 0x110),
            (base + 4, count),
            (base + 8, FROM_SPI1.register),
            (base + 12, address),
            (base, ccr | ccr::MINC | ccr::EN),
        ] {
            dma.write(offset, value).unwrap();
        }
        dma
    }

    #[test]
    fn received_frames_go_to_consecutive_bytes_until_the_count_is_used_up() {
        let mut memory = Memory::new();
        let mut dma = channel(SPI1_RX, ccr::TCIE, 2, RAM_BASE + 4);
        assert_eq!(dma.until_interrupt(SPI1_RX), Some(2));
        dma.store(SPI1_RX, 0xA1, &mut memory);
        assert_eq!((dma.read(0), dma.interrupts()), (Ok(0x50), 0));
        dma.store(SPI1_RX, 0xA2, &mut memory);
        assert_eq!((dma.read(0), dma.interrupts()), (Ok(0x70), 1 << 10));
        assert!(!dma.serves_spi1(SPI1_RX));
        assert_eq!(memory.ram()[4..6], [0xA1, 0xA2]);
        dma.write(4, 0x10).unwrap();
        assert_eq!(dma.read(0), Ok(0));
    }

    #[test]
    fn frames_to_send_come_from_ram_or_flash() {
        let mut memory = Memory::new();
        memory.program(0x10, &[7]);
        let mut dma = channel(SPI1_TX, ccr::DIR, 1, 0x0800_0010);
        assert_eq!(dma.take(SPI1_TX, &memory), Some(7));
    }

    #[test]
    fn an_address_where_nothing_is_stops_the_channel_with_an_error() {
        let mut memory = Memory::new();
        let mut dma = channel(SPI1_RX, ccr::TEIE, 4, 0x2000_2000);
        dma.store(SPI1_RX, 1, &mut memory);
        assert_eq!(dma.interrupts(), 1 << 10);
        assert!(!dma.serves_spi1(SPI1_RX));
    }

    #[test]
    fn a_channel_needs_its_request_selected() {
        let mut dma = channel(SPI1_RX, 0, 1, RAM_BASE);
        assert!(dma.serves_spi1(SPI1_RX));
        dma.write(0xA8, 0).unwrap();
        assert!(!dma.serves_spi1(SPI1_RX));
    }

    #[test]
    fn a_route_is_served_by_the_channel_that_was_set_up_for_it() {
        let mut dma = Dma::new();
        assert_eq!(dma.channel(&FROM_USART[1]), None);
        let base = 8 + 20 * 5;
        for (offset, value) in [
            (0xA8, 4 << 20),
            (base + 4, 3),
            (base + 8, 0x4000_4424),
            (base + 12, RAM_BASE),
            (base, ccr::MINC | ccr::EN),
        ] {
            dma.write(offset, value).unwrap();
        }
        assert_eq!(dma.channel(&FROM_USART[1]), Some(5));
        assert_eq!(dma.channel(&TO_USART[1]), None);
        assert_eq!(dma.channel(&FROM_USART[2]), None);
    }

    #[test]
    fn a_circular_channel_starts_over() {
        let mut memory = Memory::new();
        let mut dma = channel(SPI1_RX, ccr::CIRC, 2, RAM_BASE);
        for value in [1, 2, 3] {
            dma.store(SPI1_RX, value, &mut memory);
        }
        assert_eq!(memory.ram()[..2], [3, 2]);
    }
}
