//! The logger's side of a conversation: bytes in, one answer to each request, bytes out.
//!
//! Functions that hold a whole message are not inlined: their temporaries would lie on the stack under every handler.

use protocol::device::Program;
use protocol::frame::{Decoder, max_length};
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

/// The place for an answer: it is made into a frame where it is known, for it may be large.
pub struct Reply<'a> {
    sequence: u16,
    out: &'a mut [u8; LONGEST_ANSWER],
    length: usize,
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
        // No answer is longer than the room for it; the system tests ask for the longest.
        self.length = packet.frame(self.out).unwrap_or(0);
    }
}

/// One conversation at a time.
pub struct Server {
    decoder: Decoder<{ MAX_PACKET + 4 }>,
    /// Received but not looked at yet.
    incoming: [u8; PACKET],
    incoming_at: usize,
    incoming_end: usize,
    outgoing: [u8; LONGEST_ANSWER],
    outgoing_at: usize,
    outgoing_end: usize,
    program: Program,
    greeted: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// Nothing received yet.
    pub const fn new() -> Self {
        Server {
            decoder: Decoder::new(),
            incoming: [0; PACKET],
            incoming_at: 0,
            incoming_end: 0,
            outgoing: [0; LONGEST_ANSWER],
            outgoing_at: 0,
            outgoing_end: 0,
            program: Program::Application,
            greeted: false,
        }
    }

    /// Which program answers.
    pub fn set_program(&mut self, program: Program) {
        self.program = program;
    }

    /// Forgets the conversation: the cable was pulled or another program opened the port.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.incoming_end = self.incoming_at;
        self.outgoing_end = self.outgoing_at;
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

    /// What is to be sent next.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.outgoing_at..self.outgoing_end]
    }

    /// How many bytes of [`Server::outgoing`] were sent.
    pub fn sent(&mut self, length: usize) {
        self.outgoing_at = (self.outgoing_at + length).min(self.outgoing_end);
    }

    /// Whether there is nothing to work through and nothing to send.
    pub fn is_idle(&self) -> bool {
        self.incoming_at == self.incoming_end && self.outgoing().is_empty()
    }

    /// Works through what was received, up to the first request; its answer is then [`Server::outgoing`]. Without a
    /// request, that is the next part of an answer that comes in several.
    pub fn work<H: Handler, L: Line>(&mut self, handler: &mut H, line: &mut L) {
        if !self.outgoing().is_empty() {
            return;
        }
        let bytes = &self.incoming[self.incoming_at..self.incoming_end];
        let (taken, packet) = self.decoder.feed(bytes);
        self.incoming_at += taken;
        let Some(packet) = packet else {
            let mut reply = Reply {
                sequence: 0,
                out: &mut self.outgoing,
                length: 0,
            };
            if self.greeted && handler.go_on(&mut reply) {
                line.heard();
                self.outgoing_at = 0;
                self.outgoing_end = reply.length;
            }
            return;
        };
        let mut reply = Reply {
            sequence: packet.map_or(0, sequence_of),
            out: &mut self.outgoing,
            length: 0,
        };
        let result = match packet {
            Ok(bytes) => {
                let greeted = &mut self.greeted;
                answer(handler, line, self.program, greeted, bytes, &mut reply)
            }
            Err(_) => Err(Refusal::Damaged),
        };
        match result {
            Ok(()) if reply.length == 0 => reply.common(CommonResponse::Done),
            Ok(()) => {}
            Err(refusal) => reply.common(CommonResponse::Refused(refusal)),
        }
        self.outgoing_at = 0;
        self.outgoing_end = reply.length;
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
