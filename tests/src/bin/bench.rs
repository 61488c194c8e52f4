//! Prints the figures of the emulated logger and its peers, one a line, as `name value unit goal`.
//!
//! `cargo xtask bench` builds what it needs, runs it, and adds the figures of page and build. With `--profile` it prints
//! where the time of an update goes instead.

use logdock_tests::bench;

fn main() {
    if std::env::args().any(|argument| argument == "--profile") {
        return bench::profile::print();
    }
    bench::measure(|figure| println!("{figure}"));
}
