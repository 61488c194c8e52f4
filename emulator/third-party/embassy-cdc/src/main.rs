//! embassy's USB serial example for the STM32L052: whatever comes over the CDC goes back.
//!
//! HAL, USB stack and executor are embassy's, from the registry. This is the glue that its examples show, and it must
//! stay that: nothing in it may know that it runs on an emulator.

#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_futures::join::join;
use embassy_stm32::rcc::{Hsi48Config, Pll, PllDiv, PllMul, PllSource, Sysclk, mux};
use embassy_stm32::usb::{Driver, Instance, InterruptHandler};
use embassy_stm32::{Config, bind_interrupts, pac, peripherals};
use embassy_usb::Builder;
use embassy_usb::class::cdc_acm::{CdcAcmClass, State};
use embassy_usb::driver::EndpointError;

bind_interrupts!(struct Irqs {
    USB => InterruptHandler<peripherals::USB>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    // embassy's `init` writes DBGMCU without giving it its clock, which does nothing on the chip and is an error to an
    // emulator that is strict.
    pac::RCC.apb2enr().modify(|w| w.set_dbgen(true));
    let mut config = Config::default();
    config.rcc.hsi = true;
    config.rcc.pll = Some(Pll {
        source: PllSource::HSI,
        mul: PllMul::MUL4,
        div: PllDiv::DIV2,
    });
    config.rcc.sys = Sysclk::PLL1_R;
    config.rcc.hsi48 = Some(Hsi48Config {
        sync_from_usb: true,
    });
    config.rcc.mux.clk48sel = mux::Clk48sel::HSI48;
    let p = embassy_stm32::init(config);

    let driver = Driver::new(p.USB, Irqs, p.PA12, p.PA11);

    let mut config = embassy_usb::Config::new(0xc0de, 0xcafe);
    config.manufacturer = Some("Embassy");
    config.product = Some("USB-serial example");
    config.serial_number = Some("12345678");

    let mut config_descriptor = [0; 256];
    let mut bos_descriptor = [0; 256];
    let mut control_buf = [0; 64];
    let mut state = State::new();
    let mut builder = Builder::new(
        driver,
        config,
        &mut config_descriptor,
        &mut bos_descriptor,
        &mut [],
        &mut control_buf,
    );
    let mut class = CdcAcmClass::new(&mut builder, &mut state, 64);
    let mut usb = builder.build();

    let echo_forever = async {
        loop {
            class.wait_connection().await;
            let _ = echo(&mut class).await;
        }
    };
    join(usb.run(), echo_forever).await;
}

struct Disconnected;

impl From<EndpointError> for Disconnected {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::BufferOverflow => panic!("a packet longer than its buffer"),
            EndpointError::Disabled => Disconnected,
        }
    }
}

async fn echo<'d, T: Instance + 'd>(
    class: &mut CdcAcmClass<'d, Driver<'d, T>>,
) -> Result<(), Disconnected> {
    let mut buffer = [0; 64];
    loop {
        let length = class.read_packet(&mut buffer).await?;
        class.write_packet(&buffer[..length]).await?;
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}
