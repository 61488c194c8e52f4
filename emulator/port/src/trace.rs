//! Accesses to peripherals as lines for a person: when, from where, which register, what.
//!
//! Names only: nothing here may know what a register does.

use emulator::cpu::Access;

/// A peripheral: its name, first address, length, and its registers from there on, a word each ("" for none).
type Peripheral = (&'static str, u32, u32, &'static [&'static str]);

/// Names and addresses as in `stm32-metapac` for the STM32L052; DDI 0419 for the core's own.
const PERIPHERALS: &[Peripheral] = &[
    ("TIM2", 0x4000_0000, 0x400, TIMER),
    ("TIM6", 0x4000_1000, 0x400, TIMER),
    ("RTC", 0x4000_2800, 0x400, RTC),
    ("WWDG", 0x4000_2C00, 0x400, &["CR", "CFR", "SR"]),
    (
        "IWDG",
        0x4000_3000,
        0x400,
        &["KR", "PR", "RLR", "SR", "WINR"],
    ),
    ("SPI2", 0x4000_3800, 0x400, SPI),
    ("USART2", 0x4000_4400, 0x400, USART),
    ("LPUART1", 0x4000_4800, 0x400, USART),
    ("I2C1", 0x4000_5400, 0x400, &[]),
    ("I2C2", 0x4000_5800, 0x400, &[]),
    ("USB", 0x4000_5C00, 0x400, USB),
    ("USBRAM", 0x4000_6000, 0x400, &[]),
    ("CRS", 0x4000_6C00, 0x400, &["CR", "CFGR", "ISR", "ICR"]),
    ("PWR", 0x4000_7000, 0x400, &["CR", "CSR"]),
    ("DAC", 0x4000_7400, 0x400, &[]),
    ("LPTIM1", 0x4000_7C00, 0x400, LPTIM),
    ("SYSCFG", 0x4001_0000, 0x400, SYSCFG),
    (
        "EXTI",
        0x4001_0400,
        0x400,
        &["IMR", "EMR", "RTSR", "FTSR", "SWIER", "PR"],
    ),
    ("TIM21", 0x4001_0800, 0x400, TIMER),
    ("TIM22", 0x4001_1400, 0x400, TIMER),
    ("FIREWALL", 0x4001_1C00, 0x400, &[]),
    ("ADC", 0x4001_2400, 0x400, ADC),
    ("SPI1", 0x4001_3000, 0x400, SPI),
    ("USART1", 0x4001_3800, 0x400, USART),
    (
        "DBGMCU",
        0x4001_5800,
        0x400,
        &["IDCODE", "CR", "APB1FZ", "APB2FZ"],
    ),
    ("DMA1", 0x4002_0000, 0x400, DMA),
    ("RCC", 0x4002_1000, 0x400, RCC),
    ("FLASH", 0x4002_2000, 0x400, FLASH),
    (
        "CRC",
        0x4002_3000,
        0x400,
        &["DR", "IDR", "CR", "", "INIT", "POL"],
    ),
    ("TSC", 0x4002_4000, 0x400, &[]),
    ("RNG", 0x4002_5000, 0x400, &["CR", "SR", "DR"]),
    ("GPIOA", 0x5000_0000, 0x400, GPIO),
    ("GPIOB", 0x5000_0400, 0x400, GPIO),
    ("GPIOC", 0x5000_0800, 0x400, GPIO),
    ("GPIOD", 0x5000_0C00, 0x400, GPIO),
    ("GPIOH", 0x5000_1C00, 0x400, GPIO),
    ("EEPROM", 0x0808_0000, 0x800, &[]),
    ("OPTIONS", 0x1FF8_0000, 0x20, &[]),
    ("SYSTEM", 0x1FF8_0020, 0xE0, &[]),
    ("FLASHCELLS", 0x0800_0000, 0x1_0000, &[]),
    ("SYST", 0xE000_E010, 0x10, &["CSR", "RVR", "CVR", "CALIB"]),
    ("NVIC_ISER", 0xE000_E100, 4, &[]),
    ("NVIC_ICER", 0xE000_E180, 4, &[]),
    ("NVIC_ISPR", 0xE000_E200, 4, &[]),
    ("NVIC_ICPR", 0xE000_E280, 4, &[]),
    ("NVIC_IPR", 0xE000_E400, 0x20, &[]),
    ("SCB", 0xE000_ED00, 0x90, SCB),
];

const TIMER: &[&str] = &[
    "CR1", "CR2", "SMCR", "DIER", "SR", "EGR", "CCMR1", "CCMR2", "CCER", "CNT", "PSC", "ARR", "",
    "CCR1", "CCR2", "CCR3", "CCR4", "", "DCR", "DMAR", "OR",
];
const RTC: &[&str] = &[
    "TR", "DR", "CR", "ISR", "PRER", "WUTR", "", "ALRMAR", "ALRMBR", "WPR", "SSR", "SHIFTR",
    "TSTR", "TSDR", "TSSSR", "CALR", "TAMPCR", "ALRMASSR", "ALRMBSSR", "OR", "BKP0R", "BKP1R",
    "BKP2R", "BKP3R", "BKP4R",
];
const SPI: &[&str] = &[
    "CR1", "CR2", "SR", "DR", "CRCPR", "RXCRCR", "TXCRCR", "I2SCFGR", "I2SPR",
];
const USART: &[&str] = &[
    "CR1", "CR2", "CR3", "BRR", "GTPR", "RTOR", "RQR", "ISR", "ICR", "RDR", "TDR",
];
const USB: &[&str] = &[
    "EP0R", "EP1R", "EP2R", "EP3R", "EP4R", "EP5R", "EP6R", "EP7R", "", "", "", "", "", "", "", "",
    "CNTR", "ISTR", "FNR", "DADDR", "BTABLE", "LPMCSR", "BCDR",
];
const LPTIM: &[&str] = &["ISR", "ICR", "IER", "CFGR", "CR", "CMP", "ARR", "CNT"];
const SYSCFG: &[&str] = &[
    "CFGR1",
    "CFGR2",
    "EXTICR1",
    "EXTICR2",
    "EXTICR3",
    "EXTICR4",
    "COMP1_CSR",
    "COMP2_CSR",
    "CFGR3",
];
const ADC: &[&str] = &[
    "ISR", "IER", "CR", "CFGR1", "CFGR2", "SMPR", "", "", "TR", "", "CHSELR", "", "", "", "", "",
    "DR",
];
const DMA: &[&str] = &[
    "ISR", "IFCR", "CCR1", "CNDTR1", "CPAR1", "CMAR1", "", "CCR2", "CNDTR2", "CPAR2", "CMAR2", "",
    "CCR3", "CNDTR3", "CPAR3", "CMAR3", "", "CCR4", "CNDTR4", "CPAR4", "CMAR4", "", "CCR5",
    "CNDTR5", "CPAR5", "CMAR5", "", "CCR6", "CNDTR6", "CPAR6", "CMAR6", "", "CCR7", "CNDTR7",
    "CPAR7", "CMAR7",
];
const RCC: &[&str] = &[
    "CR",
    "ICSCR",
    "CRRCR",
    "CFGR",
    "CIER",
    "CIFR",
    "CICR",
    "IOPRSTR",
    "AHBRSTR",
    "APB2RSTR",
    "APB1RSTR",
    "IOPENR",
    "AHBENR",
    "APB2ENR",
    "APB1ENR",
    "IOPSMENR",
    "AHBSMENR",
    "APB2SMENR",
    "APB1SMENR",
    "CCIPR",
    "CSR",
];
const FLASH: &[&str] = &[
    "ACR", "PECR", "PDKEYR", "PEKEYR", "PRGKEYR", "OPTKEYR", "SR", "OPTR", "WRPROT1",
];
const GPIO: &[&str] = &[
    "MODER", "OTYPER", "OSPEEDR", "PUPDR", "IDR", "ODR", "BSRR", "LCKR", "AFRL", "AFRH", "BRR",
];
const SCB: &[&str] = &[
    "CPUID", "ICSR", "VTOR", "AIRCR", "SCR", "CCR", "", "SHPR2", "SHPR3",
];

/// The register at an address, such as `USB.ISTR` or `USBRAM+0x06`; the bare address where nothing is.
fn name(address: u32) -> String {
    let found = PERIPHERALS
        .iter()
        .find(|(_, base, length, _)| address.wrapping_sub(*base) < *length);
    let Some((peripheral, base, _, registers)) = found else {
        return format!("{address:#010x}");
    };
    let offset = address - base;
    match registers.get(offset as usize / 4) {
        Some(&register) if !register.is_empty() && offset.is_multiple_of(4) => {
            format!("{peripheral}.{register}")
        }
        _ => format!("{peripheral}+{offset:#04x}"),
    }
}

/// One access as a line: milliseconds, program counter, direction, register, address, value or refusal.
pub(crate) fn line(access: &Access) -> String {
    let milliseconds = access.at.picos() as f64 / 1e9;
    let direction = if access.write { "<-" } else { "->" };
    let digits = 2 * access.width as usize;
    let value = match access.value {
        Ok(value) => format!("{value:0digits$x}"),
        Err(fault) => fault.to_string(),
    };
    format!(
        "{milliseconds:.6} ms pc {:#010x} {} ({:#010x}) {direction} {value}",
        access.pc,
        name(access.address),
        access.address
    )
}

#[cfg(test)]
mod tests {
    use emulator::cpu::bus::{BusFault, Width};
    use emulator::time::Time;

    use super::*;

    #[test]
    fn registers_have_the_names_of_the_manual() {
        for (address, expected) in [
            (0x4002_1000, "RCC.CR"),
            (0x4002_1050, "RCC.CSR"),
            (0x4000_5C44, "USB.ISTR"),
            (0x4000_5C20, "USB+0x20"),
            (0x4000_6006, "USBRAM+0x06"),
            (0x4000_2850, "RTC.BKP0R"),
            (0x4001_0020, "SYSCFG.CFGR3"),
            (0x4001_2440, "ADC.DR"),
            (0x4002_008C, "DMA1.CMAR7"),
            (0x5000_0418, "GPIOB.BSRR"),
            (0xE000_ED10, "SCB.SCR"),
            (0xE000_E404, "NVIC_IPR+0x04"),
            (0x6000_0000, "0x60000000"),
        ] {
            assert_eq!(name(address), expected);
        }
    }

    #[test]
    fn no_address_belongs_to_two_peripherals() {
        for (first, base, length, registers) in PERIPHERALS {
            assert!(registers.len() as u32 * 4 <= *length, "{first}");
            for (second, other, other_length, _) in PERIPHERALS {
                let apart = base + length <= *other || other + other_length <= *base;
                assert!(apart || first == second, "{first} and {second}");
            }
        }
    }

    #[test]
    fn a_line_says_when_where_what() {
        let access = Access {
            at: Time::from_micros(1500),
            pc: 0x0800_0106,
            address: 0x4000_5C44,
            width: Width::Half,
            write: false,
            value: Ok(0x8310),
        };
        assert_eq!(
            line(&access),
            "1.500000 ms pc 0x08000106 USB.ISTR (0x40005c44) -> 8310"
        );
        let refused = Access {
            write: true,
            value: Err(BusFault::Unclocked),
            ..access
        };
        assert!(
            line(&refused).ends_with("<- the peripheral's clock is off"),
            "{}",
            line(&refused)
        );
    }
}
