//! What MCUmgr's clients send to upload an image over a serial port: SMP requests in base64 lines.
//!
//! Sources: Zephyr, "SMP Protocol Specification", "SMP Transport Specification" (console) and "Application/software image
//! management"; RFC 8949 (CBOR), RFC 4648 (base64). The bytes are compared with smpclient's in tests/other_tools.rs.

use emulator::machine::Machine;
use emulator::time::Time;
use sha2::{Digest as _, Sha256};

/// The server's buffer for one request with its length and CRC: Zephyr's CONFIG_MCUMGR_TRANSPORT_NETBUF_SIZE.
pub const BUFFER: usize = 384;
/// Requests on their way at once, for clients that do not wait for each answer: CONFIG_MCUMGR_TRANSPORT_NETBUF_COUNT.
pub const WINDOW: usize = 4;
/// Characters of base64 in a line; with two bytes of mark and the line feed 127.
const LINE: usize = 124;
/// Bytes around a request in a frame: length and CRC.
const AROUND: usize = 4;
/// A packet of USB, and how many a frame of 1 ms carries.
const PACKET: u64 = 64;
const PACKETS_A_FRAME: u64 = 19;
/// A start and a stop bit around eight.
const UART_BITS: u64 = 10;
const BAUD: u64 = 115_200;

/// Everything that goes over the wire: requests as lines, answers as lines.
pub struct Traffic {
    /// By request.
    pub requests: Vec<Vec<u8>>,
    /// The answer to each.
    pub answers: Vec<Vec<u8>>,
}

impl Traffic {
    /// For this image.
    pub fn of(image: &[u8]) -> Self {
        let mut traffic = Traffic {
            requests: Vec::new(),
            answers: Vec::new(),
        };
        let mut offset = 0;
        let mut sequence = 0_u8;
        while offset < image.len() {
            let room = BUFFER - AROUND - message(sequence, &upload(image, offset, &[])).len();
            let room = room - head(2, room).len() + 1;
            let data = &image[offset..image.len().min(offset + room)];
            traffic
                .requests
                .push(lines(&message(sequence, &upload(image, offset, data))));
            offset += data.len();
            traffic
                .answers
                .push(lines(&message(sequence, &answer(offset))));
            sequence = sequence.wrapping_add(1);
        }
        traffic
    }

    /// Bytes in both directions.
    pub fn bytes(&self) -> usize {
        self.requests
            .iter()
            .chain(&self.answers)
            .map(Vec::len)
            .sum()
    }
}

/// The time of an upload on the emulated link, with so many requests under way.
///
/// The requests go to the logger's own firmware, which takes them for a frame that does not end: it does less with them
/// than any server of MCUmgr, and it writes nothing. An answer costs its packets on the bus.
pub fn send(mut machine: Machine, image: &[u8], in_flight: usize) -> Time {
    let traffic = Traffic::of(image);
    let start = machine.now();
    for window in traffic.requests.chunks(in_flight) {
        for request in window {
            machine.usb_mut().write(request);
        }
        while machine.usb().pending_out() > 0 {
            run(&mut machine, Time::from_micros(10));
        }
        // Answers to a window come while it is sent, but for the last.
        let last = traffic.answers[0].len() as u64;
        let packet = Time::from_nanos(1_000_000 / PACKETS_A_FRAME);
        run(&mut machine, packet * last.div_ceil(PACKET));
    }
    machine.now() - start
}

/// The time on a UART at 115,200 baud, one request at a time, with a server that answers at once.
pub fn at_115200(traffic: &Traffic) -> Time {
    Time::from_micros(traffic.bytes() as u64 * UART_BITS * 1_000_000 / BAUD)
}

fn run(machine: &mut Machine, time: Time) {
    machine
        .run_for(time)
        .unwrap_or_else(|halt| panic!("at {:?}: {halt}", machine.now()));
}

/// A request to upload: a CBOR map, its keys in canonical order.
fn upload(image: &[u8], offset: usize, data: &[u8]) -> Vec<u8> {
    let mut map = Vec::new();
    if offset == 0 {
        map.extend(head(5, 6));
        map.extend(text("len"));
        map.extend(head(0, image.len()));
    } else {
        map.extend(head(5, 2));
    }
    map.extend(text("off"));
    map.extend(head(0, offset));
    if offset == 0 {
        map.extend(text("sha"));
        map.extend(bytes(&Sha256::digest(image)));
    }
    map.extend(text("data"));
    map.extend(bytes(data));
    if offset == 0 {
        map.extend(text("image"));
        map.extend(head(0, 0));
        map.extend(text("upgrade"));
        map.push(0xF4); // false
    }
    map
}

/// What a server answers: all is well up to here.
fn answer(offset: usize) -> Vec<u8> {
    let mut map = head(5, 2);
    map.extend(text("rc"));
    map.extend(head(0, 0));
    map.extend(text("off"));
    map.extend(head(0, offset));
    map
}

/// Begins an item of CBOR: major type and value or length.
fn head(major: u8, value: usize) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..24 => vec![major | value as u8],
        24..256 => vec![major | 24, value as u8],
        256..65_536 => [vec![major | 25], (value as u16).to_be_bytes().into()].concat(),
        _ => [vec![major | 26], (value as u32).to_be_bytes().into()].concat(),
    }
}

fn text(words: &str) -> Vec<u8> {
    [head(3, words.len()), words.into()].concat()
}

fn bytes(data: &[u8]) -> Vec<u8> {
    [head(2, data.len()), data.into()].concat()
}

/// An SMP message of the image group: version 2, write, "upload".
fn message(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let header = [1 << 3 | 2, 0, high, low, 0, 1, sequence, 1];
    [&header, payload].concat()
}

/// A message as it goes over a console: length and CRC around it, base64, in lines that begin with a mark.
fn lines(message: &[u8]) -> Vec<u8> {
    let length = (message.len() + 2) as u16;
    let frame = [
        &length.to_be_bytes()[..],
        message,
        &crc16(message).to_be_bytes(),
    ]
    .concat();
    let mut lines = Vec::new();
    for (index, line) in base64(&frame).chunks(LINE).enumerate() {
        lines.extend(if index == 0 { [6, 9] } else { [4, 20] });
        lines.extend(line);
        lines.push(b'\n');
    }
    lines
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            let carry = crc >> 15;
            (crc << 1) ^ (0x1021 * carry)
        })
    })
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let [a, b, c] = three.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for digit in 0..4 {
            out.push(if digit <= group.len() {
                DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]
            } else {
                b'='
            });
        }
    }
    out
}
