//! USB: one CDC-ACM port, the same identity in both programs, so that a browser keeps its permission.
//!
//! It is started once, and can be switched off and on again with the cable.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use cortex_m::peripheral::NVIC;
use protocol::device::{SerialNumber, USB_PRODUCT_ID, USB_VENDOR_ID};
use stm32_metapac::usb::regs::{Bcdr, Istr};
use stm32_metapac::{Interrupt, RCC, USB};
use stm32_usbd::{MemoryAccess, UsbBus, UsbPeripheral};
use usb_device::bus::UsbBusAllocator;
use usb_device::device::{
    StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbDeviceState, UsbVidPid,
};

use crate::cdc_acm::{CdcAcm, PACKET};

struct Peripheral;

// SAFETY: addresses and sizes are those of the STM32L052 (RM0376, section 31), and the values below say how its packet
// memory is reached. Only `Usb` uses them, and there is one.
unsafe impl UsbPeripheral for Peripheral {
    const REGISTERS: *const () = stm32_metapac::USB.as_ptr() as *const ();
    const DP_PULL_UP_FEATURE: bool = true;
    const EP_MEMORY: *const () = stm32_metapac::USBRAM.as_ptr() as *const ();
    const EP_MEMORY_SIZE: usize = 1024;
    const EP_MEMORY_ACCESS: MemoryAccess = MemoryAccess::Word16x2;

    fn enable() {
        RCC.apb1enr().modify(|w| w.set_usben(true));
        RCC.apb1rstr().modify(|w| w.set_usbrst(true));
        RCC.apb1rstr().modify(|w| w.set_usbrst(false));
    }

    fn startup_delay() {
        // 1 µs for the transceiver (DS10182, tSTARTUP).
        cortex_m::asm::delay(crate::clock::CORE_HERTZ / 1_000_000);
    }
}

type Bus = UsbBus<Peripheral>;

/// A place that lives as long as the program, given out once.
struct Place<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: `Usb::start` gives each place out once, before any interrupt could look at it.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    const fn new() -> Self {
        Place(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    /// To be called once.
    unsafe fn put(&'static self, value: T) -> &'static T {
        // SAFETY: nobody else has a reference, as the caller promises.
        unsafe { (*self.0.get()).write(value) }
    }
}

static ALLOCATOR: Place<UsbBusAllocator<Bus>> = Place::new();
static SERIAL_TEXT: Place<[u8; 24]> = Place::new();

/// The USB port.
pub struct Usb {
    device: UsbDevice<'static, Bus>,
    port: CdcAcm<Peripheral>,
    /// The packet sent last was full: the computer's driver may be waiting for more.
    more_expected: bool,
}

impl Usb {
    /// Connects to the bus. The clock proves that the clocks run. Nothing when it was called before.
    #[inline(never)]
    pub fn start(
        _clock: &crate::clock::Clock,
        serial_number: SerialNumber,
    ) -> Option<&'static mut Usb> {
        // SAFETY: `Place`s are given out once: a second call finds the peripheral's clock on.
        // The text is made of digits and capital letters alone.
        let (allocator, text) = unsafe {
            if RCC.apb1enr().read().usben() {
                return None;
            }
            (
                ALLOCATOR.put(UsbBus::new(Peripheral)),
                str::from_utf8_unchecked(SERIAL_TEXT.put(hexadecimal(serial_number))),
            )
        };
        let port = CdcAcm::new(allocator).ok()?;
        let strings = StringDescriptors::default()
            .manufacturer("Logdock")
            .product("Logdock logger")
            .serial_number(text);
        let device = UsbDeviceBuilder::new(allocator, UsbVidPid(USB_VENDOR_ID, USB_PRODUCT_ID))
            .strings(&[strings])
            .ok()?
            .composite_with_iads()
            .build();
        // On the stack it would be moved from caller to caller, and take its 300 bytes each time.
        cortex_m::singleton!(: Usb = Usb {
            device,
            port,
            more_expected: false,
        })
    }

    /// Whether it is on; it is from [`Usb::start`] on.
    pub fn is_on(&self) -> bool {
        RCC.apb1enr().read().usben()
    }

    /// Leaves the bus and stops its clock. Whatever was under way is over: it is no longer configured.
    pub fn switch_off(&mut self) {
        USB.bcdr().write_value(Bcdr(0));
        // As if the computer had reset the bus: that is what the stack begins anew from.
        USB.cntr().write(|w| w.set_fres(true));
        USB.istr().write(|w| w.set_reset(true));
        self.poll();
        self.more_expected = false;
        USB.cntr().write(|w| {
            w.set_fres(true);
            w.set_pdwn(true);
        });
        RCC.apb1enr().modify(|w| w.set_usben(false));
    }

    /// Connects to the bus again, after [`Usb::switch_off`]. The clock that USB needs runs.
    pub fn switch_on(&mut self) {
        RCC.apb1enr().modify(|w| w.set_usben(true));
        USB.cntr().write(|w| w.set_fres(true));
        Peripheral::startup_delay();
        // The interrupts that the driver asks for when it starts.
        USB.cntr().write(|w| {
            w.set_resetm(true);
            w.set_suspm(true);
            w.set_wkupm(true);
            w.set_ctrm(true);
        });
        USB.istr().write_value(Istr(0));
        USB.bcdr().write(|w| w.set_dppu(true));
    }

    /// Does what the bus asks for; to be called often, at least every 10 ms while a computer enumerates.
    pub fn poll(&mut self) {
        self.device.poll(&mut [&mut self.port]);
    }

    /// Whether a computer has configured the port.
    pub fn configured(&self) -> bool {
        self.device.state() == UsbDeviceState::Configured
    }

    /// One packet, if one came: its length.
    pub fn receive(&mut self, packet: &mut [u8; PACKET]) -> Option<usize> {
        self.port.receive(packet)
    }

    /// Hands over the beginning of `bytes`, if the packet before was fetched: how many bytes went.
    ///
    /// To be called with no bytes as well: a full packet is then followed by an empty one, or the computer's driver
    /// would wait for the rest of a transfer.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() && !self.more_expected {
            return 0;
        }
        let packet = &bytes[..bytes.len().min(PACKET)];
        if !self.port.send(packet) {
            // The packet before was not fetched yet, or nobody is there.
            return 0;
        }
        self.more_expected = packet.len() == PACKET;
        packet.len()
    }

    /// Lets the core sleep until the bus wants something, at most until its next frame a millisecond later.
    ///
    /// To be called only while configured: a bus without frames would not wake it.
    pub fn sleep(&mut self) {
        let mut seen = Istr(u32::MAX);
        // Bits are cleared by writing 0.
        seen.set_sof(false);
        USB.istr().write_value(seen);
        USB.cntr().modify(|w| w.set_sofm(true));
        cortex_m::interrupt::free(|_| {
            NVIC::unpend(Interrupt::USB);
            // SAFETY: it wakes the core, but while interrupts are off no handler runs, and it is masked again before.
            unsafe { NVIC::unmask(Interrupt::USB) };
            cortex_m::asm::wfi();
            NVIC::mask(Interrupt::USB);
        });
        USB.cntr().modify(|w| w.set_sofm(false));
    }
}

fn hexadecimal(serial_number: SerialNumber) -> [u8; 24] {
    let mut text = [0; 24];
    for (pair, byte) in text.chunks_exact_mut(2).zip(serial_number.0) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = b"0123456789ABCDEF"[usize::from(nibble)];
        }
    }
    text
}
