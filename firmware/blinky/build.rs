//! Links the application to its slot, behind the image's header.

use linker::stm32f072::*;

fn main() {
    let flash = APPLICATION_SIZE - HEADER_SIZE - TRAILER_SIZE;
    linker::link((APPLICATION_VECTORS, flash), (RAM, PROGRAM_RAM_SIZE), "");
}
