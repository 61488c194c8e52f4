//! Frames: how a packet is marked off and protected on a byte stream that knows no packets.
//!
//! A frame is the packet followed by its CRC-32 (ISO-HDLC, little-endian), COBS-encoded, closed by one zero byte.
//! Zero occurs nowhere else, so a receiver that joins late or lost bytes is in step again at the next zero.

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

/// Room that a frame of a packet of `length` bytes takes at most: CRC, COBS codes and the closing zero.
pub const fn max_length(length: usize) -> usize {
    let protected = length + CRC_LENGTH;
    protected + protected / 254 + 2
}

/// Why a frame was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than the receiver's buffer.
    TooLong,
    /// Not COBS, too short for a CRC, or the CRC differs: bytes were lost or changed on the way.
    Damaged,
}

/// Takes bytes as they come and gives packets. `N` is the longest packet plus its CRC, in bytes.
pub struct Decoder<const N: usize> {
    buffer: [u8; N],
    length: usize,
    /// Bytes until the next COBS code; 0 = a code comes next.
    until_code: u8,
    /// The block under way ends in a zero of the packet, unless the frame ends there.
    zero_follows: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Receiving,
    Overflowed,
    /// The packet in `buffer` was handed out; the next byte begins a new one.
    Complete,
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
            buffer: [0; N],
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
        let mut taken = 0;
        while let Some(&code) = bytes.get(taken) {
            if code == 0 {
                taken += 1;
                if self.state != State::Complete {
                    return (taken, Some(self.finish()));
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
            match self.buffer.get_mut(self.length) {
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
        let room = &mut self.buffer[self.length..];
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

    fn finish(&mut self) -> Result<&[u8], FrameError> {
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
        let (packet, crc) = self.buffer[..self.length]
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

/// Writes one frame straight into `out`: CRC and COBS are made as the bytes come, so no second buffer is needed.
///
/// What finds no room is only counted: [`Encoder::finish`] says so. To ask after each piece would cost a logger half a
/// kilobyte of code.
pub struct Encoder<'a> {
    out: &'a mut [u8],
    /// Where the code of the block under way stands.
    code_at: usize,
    length: usize,
    crc: Crc32,
}

impl<'a> Encoder<'a> {
    /// A frame to be written to the beginning of `out`, which takes [`max_length`] of its packet.
    pub fn new(out: &'a mut [u8]) -> Self {
        Encoder {
            out,
            code_at: 0,
            length: 1,
            crc: Crc32::default(),
        }
    }

    /// The next bytes of the packet.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.put(bytes);
    }

    /// Closes the frame; the length of the whole.
    pub fn finish(mut self) -> Result<usize, NoRoom> {
        let crc = core::mem::take(&mut self.crc).finish();
        self.put(&crc.to_le_bytes());
        self.close_block();
        // What would be the next block's code is the place of the closing zero: the last one of all.
        *self.out.get_mut(self.code_at).ok_or(NoRoom)? = 0;
        Ok(self.length)
    }

    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // A full block (254 bytes) is closed only when another byte follows, so none stays empty at the end.
            if self.length - self.code_at == 255 {
                self.close_block();
            }
            if byte == 0 {
                self.close_block();
            } else {
                self.write(self.length, byte);
                self.length += 1;
            }
        }
    }

    fn close_block(&mut self) {
        let code = self.length - self.code_at;
        self.write(self.code_at, code as u8);
        self.code_at = self.length;
        self.length += 1;
    }

    fn write(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.out.get_mut(at) {
            *place = byte;
        }
    }
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
