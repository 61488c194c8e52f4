//! Frames: how a packet is marked off and protected on a byte stream that knows no packets.
//!
//! A frame is the packet followed by its CRC-32 (ISO-HDLC, little-endian), COBS-encoded, closed by one zero byte.
//! Zero occurs nowhere else, so a receiver that joins late or lost bytes is in step again at the next zero.

use core::cell::Cell;
use core::ops::Range;

/// The CRC-32 that protects frames, boot records and stored pages.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::default();
    crc.update(bytes);
    crc.finish()
}

/// The same CRC-32, over bytes that come piece by piece: with a table on a computer.
#[cfg(feature = "crc")]
pub struct Crc32(crc::Digest<'static, u32>);

#[cfg(feature = "crc")]
impl Default for Crc32 {
    fn default() -> Self {
        static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        Crc32(CRC.digest())
    }
}

#[cfg(feature = "crc")]
impl Crc32 {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all pieces.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// The same CRC-32, over bytes that come piece by piece: four bits at a time on a logger, where the crate, which knows
/// every kind of CRC, takes 400 bytes more even without its table. The tests compare the two.
#[cfg(not(feature = "crc"))]
pub struct Crc32(u32);

#[cfg(not(feature = "crc"))]
impl Default for Crc32 {
    fn default() -> Self {
        Crc32(u32::MAX)
    }
}

#[cfg(not(feature = "crc"))]
impl Crc32 {
    /// The polynomial of CRC-32/ISO-HDLC, lowest bit first.
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    /// What four bits that leave the register do to the rest.
    const NIBBLES: [u32; 16] = {
        let mut table = [0; 16];
        let mut nibble = 0;
        while nibble < 16 {
            let mut rest = nibble as u32;
            let mut bit = 0;
            while bit < 4 {
                rest = (rest >> 1) ^ (Self::POLYNOMIAL & (rest & 1).wrapping_neg());
                bit += 1;
            }
            table[nibble] = rest;
            nibble += 1;
        }
        table
    };

    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut crc = self.0;
        for &byte in bytes {
            crc ^= u32::from(byte);
            crc = (crc >> 4) ^ Self::NIBBLES[(crc & 15) as usize];
            crc = (crc >> 4) ^ Self::NIBBLES[(crc & 15) as usize];
        }
        self.0 = crc;
    }

    /// Of all pieces.
    pub fn finish(self) -> u32 {
        !self.0
    }
}

/// Bytes of CRC at the end of each frame.
const CRC_LENGTH: usize = 4;

/// Bytes of a COBS block that is full: its code, and the most that stand for themselves.
const FULL: usize = 255;

/// Room in which a frame of a packet of `length` bytes can be made: for the packet, its CRC, COBS codes and the closing
/// zero. The frame may be a few bytes shorter.
pub const fn max_length(length: usize) -> usize {
    let coded = length + CRC_LENGTH + 1;
    coded + coded / 127 + 8
}

/// Bytes in front of the packet in a room for a frame: no fewer than its COBS codes will be, and whole words. A code for each
/// 128 bytes rather than each [`FULL`], because a small core divides by that at no cost.
const fn front(room: usize) -> usize {
    (room / 128 + 1).next_multiple_of(4)
}

/// Bytes from which on a piece of a packet is put where a word begins.
const LONG: usize = 128;

/// Why a frame was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than the receiver's buffer.
    TooLong,
    /// Not COBS, too short for a CRC, or the CRC differs: bytes were lost or changed on the way.
    Damaged,
}

/// Bytes that begin as a word does, for what takes a word at a time.
#[derive(Clone, Copy)]
#[repr(align(4))]
pub struct Aligned<const N: usize>(pub [u8; N]);

/// Takes bytes as they come and gives packets. `N` is the longest packet plus its CRC, in bytes.
pub struct Decoder<const N: usize> {
    buffer: Aligned<N>,
    length: usize,
    /// Bytes until the next COBS code; 0 = a code comes next.
    until_code: u8,
    /// The block under way ends in a zero of the packet, unless the frame ends there.
    zero_follows: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The packet in `buffer` was handed out; the next byte begins a new one.
    Complete,
    Receiving,
    Overflowed,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// An empty decoder.
    pub const fn new() -> Self {
        Decoder {
            buffer: Aligned([0; N]),
            length: 0,
            until_code: 0,
            zero_follows: false,
            state: State::Complete,
        }
    }

    /// Forgets a frame that began, as after a reconnection.
    pub fn reset(&mut self) {
        self.state = State::Complete;
        self.until_code = 0;
    }

    /// Takes bytes up to and including the end of the first frame. Returns how many it took and, when a frame ended,
    /// its packet or what was wrong with it. Call it again with the rest. Empty frames are passed over.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Result<&[u8], FrameError>>) {
        self.feed_with(bytes, crc32)
    }

    /// The same with another way to [`crc32`]: a chip may have a faster one.
    pub fn feed_with(
        &mut self,
        bytes: &[u8],
        crc32: impl FnOnce(&[u8]) -> u32,
    ) -> (usize, Option<Result<&[u8], FrameError>>) {
        let mut taken = 0;
        while let Some(&code) = bytes.get(taken) {
            if code == 0 {
                taken += 1;
                if self.state != State::Complete {
                    return (taken, Some(self.finish(crc32)));
                }
            } else if self.until_code > 0 {
                taken += self.take_run(&bytes[taken..]);
            } else {
                taken += 1;
                self.take_code(code);
            }
        }
        (taken, None)
    }

    fn take_code(&mut self, code: u8) {
        if self.state == State::Complete {
            self.state = State::Receiving;
            self.length = 0;
            self.zero_follows = false;
        }
        if self.zero_follows {
            match self.buffer.0.get_mut(self.length) {
                Some(place) => {
                    *place = 0;
                    self.length += 1;
                }
                None => self.state = State::Overflowed,
            }
        }
        self.until_code = code - 1;
        self.zero_follows = code != 255;
    }

    /// Bytes that stand for themselves, up to the next code or to a zero that comes too early: how many there were. The
    /// first is no zero.
    fn take_run(&mut self, bytes: &[u8]) -> usize {
        let room = self.buffer.0.get_mut(self.length..).unwrap_or_default();
        let run = bytes.iter().take(self.until_code.into());
        let mut taken = 0;
        for (place, &byte) in room.iter_mut().zip(run) {
            if byte == 0 {
                break;
            }
            *place = byte;
            taken += 1;
        }
        self.length += taken;
        if taken == 0 {
            // No room: it is passed over.
            self.state = State::Overflowed;
            taken = 1;
        }
        self.until_code -= taken as u8;
        taken
    }

    fn finish(&mut self, crc32: impl FnOnce(&[u8]) -> u32) -> Result<&[u8], FrameError> {
        let overflowed = self.state == State::Overflowed;
        self.state = State::Complete;
        let whole = self.until_code == 0;
        self.until_code = 0;
        if overflowed {
            return Err(FrameError::TooLong);
        }
        if !whole {
            return Err(FrameError::Damaged);
        }
        let (packet, crc) = self
            .buffer
            .0
            .get(..self.length)
            .unwrap_or_default()
            .split_last_chunk::<CRC_LENGTH>()
            .ok_or(FrameError::Damaged)?;
        if crc32(packet) == u32::from_le_bytes(*crc) {
            Ok(packet)
        } else {
            Err(FrameError::Damaged)
        }
    }
}

/// The frame does not fit into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Makes one frame in the place where it is wanted, so no second buffer is needed: the packet is gathered a few bytes
/// further on, and moves to the front when it is coded.
///
/// What finds no room is only counted: [`Encoder::finish`] says so. To ask after each piece would cost a logger half a
/// kilobyte of code.
pub struct Encoder<'a> {
    out: &'a mut [u8],
    /// Where the packet begins, and behind it.
    start: usize,
    end: usize,
}

impl<'a> Encoder<'a> {
    /// A frame to be written to the beginning of `out`, which takes [`max_length`] of its packet.
    pub fn new(out: &'a mut [u8]) -> Self {
        let start = front(out.len());
        Encoder {
            out,
            start,
            end: start,
        }
    }

    /// Whether there is nothing of a packet.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// Forgets what there is of a packet.
    pub fn clear(&mut self) {
        self.end = self.start;
    }

    /// The next bytes of the packet.
    pub fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() >= LONG {
            self.move_to_word();
        }
        let start = self.end;
        self.end += bytes.len();
        if let Some(place) = self.out.get_mut(start..self.end) {
            place.copy_from_slice(bytes);
        }
    }

    /// Words are copied many times as fast: it is worth moving the few bytes in front.
    fn move_to_word(&mut self) {
        while !self.end.is_multiple_of(4) {
            let mut before = 0;
            self.end += 1;
            for byte in self.out.get_mut(self.start..self.end).unwrap_or_default() {
                before = core::mem::replace(byte, before);
            }
            self.start += 1;
        }
    }

    /// Closes the frame; the length of the whole.
    pub fn finish(self) -> Result<usize, NoRoom> {
        let (frame, mut coding) = self.close(crc32)?;
        while !coding.is_done() {
            coding.go_on(frame);
        }
        Ok(coding.coded())
    }

    /// Closes the frame with this way to [`crc32`], for a chip may have a faster one. It is still to be coded, in the room
    /// that is given back: its beginning can be sent while the rest of it is coded.
    pub fn close(
        mut self,
        crc32: impl FnOnce(&[u8]) -> u32,
    ) -> Result<(&'a mut [u8], Coding), NoRoom> {
        let packet = self.out.get(self.start..self.end).ok_or(NoRoom)?;
        let [a, b, c, d] = crc32(packet).to_le_bytes();
        // The zero closes the last block, as each does one.
        self.extend(&[a, b, c, d, 0]);
        let coding = Coding {
            code: 0,
            end: 1,
            rest: self.start..self.end,
        };
        match self.end <= self.out.len() {
            true => Ok((self.out, coding)),
            false => Err(NoRoom),
        }
    }
}

/// How far a frame is made: COBS of what lies further on in the same room. Where there are [`front`] bytes before that, no
/// byte is written before it was read.
#[derive(Clone, Debug)]
pub struct Coding {
    /// Where the code of the block under way stands: the bytes before it are as they will be.
    code: usize,
    /// Behind that block, as far as it goes.
    end: usize,
    /// Where that lies which is still to be coded.
    rest: Range<usize>,
}

impl Coding {
    /// Bytes that are coded at once.
    const PIECE: usize = 64;

    /// Of nothing.
    pub const DONE: Coding = Coding {
        code: 0,
        end: 0,
        rest: 0..0,
    };

    /// Whether the frame is complete.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes of the frame that are complete.
    pub fn coded(&self) -> usize {
        self.code
    }

    /// Codes the next piece of the frame in this room.
    pub fn go_on(&mut self, room: &mut [u8]) {
        if self.code_piece(room).is_none() {
            // Another room than its own: there is nothing more in it.
            *self = Coding::DONE;
        }
    }

    fn code_piece(&mut self, room: &mut [u8]) -> Option<()> {
        let room = Cell::from_mut(room).as_slice_of_cells();
        let before = self.end - self.code;
        let length = Self::PIECE.min(self.rest.len()).min(FULL - before);
        self.end += length;
        let block = room.get(self.code..self.end)?;
        // Both as if what is before was still to be coded: a byte and its place have the same number.
        let source = room.get(self.rest.start.checked_sub(before)?..)?;
        self.code += fill(block, source.get(..block.len())?, before);
        self.rest.start += length;
        if self.end - self.code == FULL {
            room.get(self.code)?.set(FULL as u8);
            self.code = self.end;
            self.end += 1;
        }
        if self.is_done() {
            room.get(self.code)?.set(0);
            self.code += 1;
        }
        Some(())
    }
}

/// Puts bytes from number `start` on in their places in a block, and in those of zeros the distances to the next zero, the first
/// of them in the block's code. Gives back the number of the last zero, whose distance is still to come.
#[inline(never)] // By itself it has registers for all it needs.
fn fill(block: &[Cell<u8>], source: &[Cell<u8>], start: usize) -> usize {
    let mut last = 0;
    let (Some(mut code), true) = (block.first(), block.len() == source.len()) else {
        return last;
    };
    for at in start..block.len() {
        let byte = source[at].get();
        if byte != 0 {
            block[at].set(byte);
        } else {
            code.set((at - last) as u8);
            code = &block[at];
            last = at;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn encode(packet: &[u8]) -> Vec<u8> {
        let mut out = std::vec![0; max_length(packet.len())];
        let mut encoder = Encoder::new(&mut out);
        encoder.extend(packet);
        let length = encoder.finish().unwrap();
        out.truncate(length);
        out
    }

    #[test]
    fn a_frame_is_cobs_over_packet_and_crc_closed_by_zero() {
        // CRC-32/ISO-HDLC of "123456789" is 0xCBF43926: the catalogue's check value.
        assert_eq!(
            encode(b"123456789"),
            b"\x0e123456789\x26\x39\xf4\xcb\x00".to_vec()
        );
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn zeros_and_long_runs_come_back_as_they_were() {
        for length in [0, 1, 249, 250, 251, 253, 254, 255, 300, 508, 1020] {
            for fill in [0u8, 1, 255] {
                let packet = std::vec![fill; length];
                let frame = encode(&packet);
                assert_eq!(frame.iter().filter(|&&byte| byte == 0).count(), 1);
                assert!(frame.len() <= max_length(length));
                let mut decoder = Decoder::<1100>::new();
                let (taken, packet_back) = decoder.feed(&frame);
                assert_eq!(taken, frame.len());
                assert_eq!(packet_back, Some(Ok(&packet[..])), "{length} of {fill}");
            }
        }
    }

    #[test]
    fn the_stated_room_is_enough_for_each_packet_however_its_pieces_come() {
        for length in 0..1100 {
            for head in 0..length.min(8) {
                let packet: Vec<u8> = (0..length).map(|at| (at % 255 + 1) as u8).collect();
                let mut frame = std::vec![0; max_length(length)];
                let mut encoder = Encoder::new(&mut frame);
                let (head, rest) = packet.split_at(head);
                head.iter().for_each(|&byte| encoder.extend(&[byte]));
                encoder.extend(rest);
                let taken = encoder.finish().unwrap();
                let mut decoder = Decoder::<1104>::new();
                assert_eq!(decoder.feed(&frame[..taken]).1, Some(Ok(&packet[..])));
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_and_the_next_frame_is_taken() {
        let frame = encode(b"hello");
        for index in 0..frame.len() - 1 {
            let mut bytes = frame.clone();
            bytes[index] ^= 0x40;
            bytes.extend(encode(b"next"));
            let mut decoder = Decoder::<64>::new();
            let mut packets = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (taken, packet) = decoder.feed(rest);
                rest = &rest[taken..];
                packets.extend(packet.map(|packet| packet.map(<[u8]>::to_vec)));
            }
            assert!(packets.iter().any(|packet| packet.is_err()), "byte {index}");
            assert_eq!(packets.last(), Some(&Ok(b"next".to_vec())));
        }
    }

    #[test]
    fn a_frame_longer_than_the_buffer_is_refused_whole() {
        let mut decoder = Decoder::<16>::new();
        assert_eq!(
            decoder.feed(&encode(&[7; 40])).1,
            Some(Err(FrameError::TooLong))
        );
        assert_eq!(decoder.feed(&encode(b"ok")).1, Some(Ok(&b"ok"[..])));
    }

    #[test]
    fn a_buffer_too_small_for_the_frame_is_an_error() {
        let mut out = [0; 8];
        let mut encoder = Encoder::new(&mut out);
        (0..20).for_each(|byte| encoder.extend(&[byte]));
        assert_eq!(encoder.finish(), Err(NoRoom));
    }
}
