//! The logger's side of a conversation: bytes in, one answer to each request, bytes out.
//!
//! Functions that hold a whole message are not inlined: their temporaries would lie on the stack under every handler.

use protocol::device::Program;
use protocol::frame::{self, Aligned, Coding, Decoder, Encoder, max_length};
use protocol::message::{
    CommonRequest, CommonResponse, Hello, LoggerResponse, Message, Never, Packet, Refusal,
    sequence_of,
};
use protocol::record::SEGMENT;
use protocol::{NEWEST_VERSION, OLDEST_VERSION};
use serde::{Deserialize, Serialize};

use crate::{MAX_DATA, MAX_PACKET};

/// The longest answer as a frame: a segment of the log, with the packet's sequence number (3 bytes), two tags, the
/// segment's number (5) and length (2).
const LONGEST_ANSWER: usize = max_length(3 + 1 + 1 + 5 + 2 + SEGMENT);
/// Whole packets of it.
const OUTGOING: usize = LONGEST_ANSWER.next_multiple_of(PACKET);
/// The most bytes that are taken at once: one USB packet.
pub const PACKET: usize = 64;

/// What the bytes travel on.
pub trait Line {
    /// Bytes of image data that a computer may have under way: no more than can be held while nobody looks, unless the line
    /// itself holds back what does not fit.
    const WINDOW: u16;

    /// Whether it can go at this rate, in bits a second. It then does, once the answer is sent.
    fn set_baud_rate(&mut self, _baud: u32) -> bool {
        false
    }

    /// The other side was understood, or something is being told to it.
    fn heard(&mut self) {}

    /// [`frame::crc32`], by the chip's own unit where it has one.
    fn crc32(bytes: &[u8]) -> u32 {
        frame::crc32(bytes)
    }
}

/// What answers the requests. Those beyond the common ones have types of their own: a program that has none links no
/// code for them.
///
/// Without a reply of its own, a request that went well is answered with "done".
pub trait Handler {
    /// Requests beyond the common ones.
    type Request<'r>: Deserialize<'r>;

    /// Does what a common request asks for, or says why not.
    fn common(&mut self, request: &CommonRequest<'_>, reply: &mut Reply<'_>)
    -> Result<(), Refusal>;

    /// Does what one of the others asks for, or says why not.
    fn other(&mut self, request: &Self::Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal>;

    /// A conversation begins: what was still to be told in the one before is void.
    fn begin(&mut self) {}

    /// Nothing was asked, and there is room to send: makes the next part of an answer that comes in several, after
    /// [`Reply::belong_to`]. Whether there was one.
    fn go_on(&mut self, _reply: &mut Reply<'_>) -> bool {
        false
    }
}

/// The place for an answer: it is written where it is known, for it may be large.
pub struct Reply<'a> {
    sequence: u16,
    frame: Encoder<'a>,
}

impl Reply<'_> {
    /// The number of the request that is answered.
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// Makes it an answer to an earlier request: the one with this number.
    pub fn belong_to(&mut self, sequence: u16) {
        self.sequence = sequence;
    }

    /// Answers with something that both programs say.
    pub fn common(&mut self, response: CommonResponse<'_>) {
        self.send(&Message::<_, Never>::Common(response));
    }

    /// Answers with something that the application alone says.
    pub fn other(&mut self, response: LoggerResponse<'_>) {
        self.send(&Message::<Never, _>::Logger(response));
    }

    #[inline(never)]
    fn send(&mut self, message: &impl Serialize) {
        let packet = Packet {
            sequence: self.sequence,
            message,
        };
        self.frame.clear();
        packet.write(&mut self.frame);
    }
}

/// One conversation at a time.
pub struct Server {
    decoder: Decoder<{ MAX_PACKET + 4 }>,
    /// Received but not looked at yet.
    incoming: [u8; PACKET],
    incoming_at: usize,
    incoming_end: usize,
    outgoing: Aligned<OUTGOING>,
    outgoing_at: usize,
    /// How far what is going out is made.
    coding: Coding,
    program: Program,
    greeted: bool,
}

impl Server {
    /// Nothing received yet. This program answers.
    pub const fn new(program: Program) -> Self {
        Server {
            decoder: Decoder::new(),
            incoming: [0; PACKET],
            incoming_at: 0,
            incoming_end: 0,
            outgoing: Aligned([0; OUTGOING]),
            outgoing_at: 0,
            coding: Coding::DONE,
            program,
            greeted: false,
        }
    }

    /// Forgets the conversation: the cable was pulled or another program opened the port.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.incoming_end = self.incoming_at;
        self.outgoing_at = 0;
        self.coding = Coding::DONE;
        self.greeted = false;
    }

    /// Whether a computer has greeted since the last [`Server::reset`].
    pub fn greeted(&self) -> bool {
        self.greeted
    }

    /// Where to put up to [`PACKET`] received bytes; nothing while those before are not worked through. Tell how many
    /// there were with [`Server::received`].
    pub fn room(&mut self) -> Option<&mut [u8; PACKET]> {
        (self.incoming_at == self.incoming_end).then_some(&mut self.incoming)
    }

    /// How many bytes were put into [`Server::room`].
    pub fn received(&mut self, length: usize) {
        self.incoming_at = 0;
        self.incoming_end = length.min(PACKET);
    }

    /// What is to be sent next: the beginning of a packet, and of how many bytes. None while it is still being made; that
    /// there is nothing more is no bytes.
    pub fn outgoing(&self) -> Option<(&[u8; PACKET], usize)> {
        let packet = self.outgoing.0.get(self.outgoing_at..)?.first_chunk()?;
        let length = PACKET.min(self.coding.coded() - self.outgoing_at);
        (length == PACKET || self.coding.is_done()).then_some((packet, length))
    }

    /// The packet in [`Server::outgoing`] is on its way, if there was one. Makes the next one.
    pub fn sent(&mut self, went: bool) {
        if went {
            self.outgoing_at += PACKET;
        }
        if !self.coding.is_done() {
            self.coding.go_on(&mut self.outgoing.0);
        } else if self.outgoing_at >= self.coding.coded() {
            self.outgoing_at = 0;
            self.coding = Coding::DONE;
        }
    }

    /// Whether there is nothing to work through and nothing to send.
    pub fn is_idle(&self) -> bool {
        self.incoming_at == self.incoming_end && self.is_sent()
    }

    fn is_sent(&self) -> bool {
        self.coding.is_done() && self.outgoing_at >= self.coding.coded()
    }

    /// Works through what was received, up to the first request; its answer is then [`Server::outgoing`], made with the
    /// calls of [`Server::sent`]. Without a request, that is the next part of an answer that comes in several.
    pub fn work<H: Handler, L: Line>(&mut self, handler: &mut H, line: &mut L) {
        if !self.is_sent() {
            return;
        }
        let bytes = self.incoming.get(self.incoming_at..self.incoming_end);
        let bytes = bytes.unwrap_or_default();
        let (taken, packet) = self.decoder.feed_with(bytes, L::crc32);
        self.incoming_at += taken;
        let mut reply = Reply {
            sequence: 0,
            frame: Encoder::new(&mut self.outgoing.0),
        };
        if let Some(packet) = packet {
            reply.sequence = packet.map_or(0, sequence_of);
            let result = match packet {
                Ok(bytes) => {
                    let greeted = &mut self.greeted;
                    answer(handler, line, self.program, greeted, bytes, &mut reply)
                }
                Err(_) => Err(Refusal::Damaged),
            };
            match result {
                Ok(()) if reply.frame.is_empty() => reply.common(CommonResponse::Done),
                Ok(()) => {}
                Err(refusal) => reply.common(CommonResponse::Refused(refusal)),
            }
        } else if self.greeted && handler.go_on(&mut reply) {
            line.heard();
        } else {
            return;
        }
        // No answer is longer than the room for it; the system tests ask for the longest.
        let frame = reply.frame.close(L::crc32);
        self.coding = frame.map_or(Coding::DONE, |(_, coding)| coding);
    }
}

#[inline(never)]
fn parse<'r, H: Handler>(bytes: &'r [u8]) -> Option<Message<CommonRequest<'r>, H::Request<'r>>> {
    Some(Packet::parse(bytes).ok()?.message)
}

#[inline(never)]
fn answer<H: Handler, L: Line>(
    handler: &mut H,
    line: &mut L,
    program: Program,
    greeted: &mut bool,
    bytes: &[u8],
    reply: &mut Reply<'_>,
) -> Result<(), Refusal> {
    line.heard();
    let Some(message) = parse::<H>(bytes) else {
        return Err(Refusal::UnknownRequest);
    };
    match message {
        Message::Common(CommonRequest::Hello { oldest, newest }) => {
            *greeted = false;
            handler.begin();
            reply.common(CommonResponse::Hello(hello::<L>(program, oldest, newest)?));
            *greeted = true;
            Ok(())
        }
        _ if !*greeted => Err(Refusal::HelloFirst),
        #[cfg(feature = "usart")]
        Message::Common(CommonRequest::SetBaudRate { baud }) if line.set_baud_rate(baud) => Ok(()),
        Message::Common(ref request) => handler.common(request, reply),
        Message::Logger(ref request) => handler.other(request, reply),
    }
}

fn hello<L: Line>(program: Program, oldest: u8, newest: u8) -> Result<Hello, Refusal> {
    if newest < OLDEST_VERSION || oldest > NEWEST_VERSION {
        return Err(Refusal::UnsupportedVersion {
            oldest: OLDEST_VERSION,
            newest: NEWEST_VERSION,
        });
    }
    Ok(Hello {
        version: newest.min(NEWEST_VERSION),
        program,
        max_data: MAX_DATA as u16,
        window: L::WINDOW,
    })
}
