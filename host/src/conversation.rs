//! Requests and answers over a link: sequence numbers, retries, and what a refusal means in words.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use protocol::MAX_PACKET;
use protocol::frame::{Decoder, max_length};
use protocol::image::{Digest, HEADER_SIZE};
use protocol::message::{
    CommonRequest, CommonResponse, Hello, LoggerRequest, LoggerResponse, Packet, Refusal, Request,
    Response, StorageError,
};

use crate::check::explain;
use crate::link::{Link, LinkError};

/// How long the logger has for one answer: longer than it needs to write all its settings.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long it has for answers that are the result of reading or writing a whole image.
const WORK_TIMEOUT: Duration = Duration::from_secs(6);
/// What answers a greeting does so in one go. Before it did, so many pieces of something else are heard at most, with no
/// longer pause between them: a receiver says its position for ever.
const GREETING_PIECES: u32 = 80;
const GREETING_PAUSE: Duration = Duration::from_millis(300);
/// Bytes of the initial stack pointer and the reset vector, with which the payload begins.
const VECTORS: usize = 8;
/// How long it has for the answers around a change of the rate.
const RATE_TIMEOUT: Duration = Duration::from_millis(300);
/// How often the logger is greeted at a new rate before that is given up.
const RATE_TRIES: usize = 3;
/// After this time without a word that it understood the logger is back at [`protocol::BAUD_RATE`]: it waits for 1 s.
const RATE_FALLBACK: Duration = Duration::from_millis(1200);
/// Segments of the log for which another rate is worth its while.
const MANY_SEGMENTS: u32 = 8;
/// How often a request is sent before the logger counts as silent.
pub(crate) const TRIES: usize = 4;
/// The longest answer that is taken, in bytes: more than any that today's loggers give.
const LONGEST_ANSWER: usize = 2048;

/// A logger that was greeted and answers.
pub struct Conversation<L> {
    link: L,
    decoder: Decoder<LONGEST_ANSWER>,
    /// Received; looked at up to `seen`.
    incoming: Vec<u8>,
    seen: usize,
    sequence: u16,
    hello: Hello,
    /// The rate was raised.
    fast: bool,
    /// Pieces that came since it was greeted and are nothing of a logger's.
    babble: u32,
}

/// Why a request had no good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkError {
    /// The link failed.
    Link(LinkError),
    /// No answer came, however often it was asked.
    Silent,
    /// The logger refused.
    Refused(Refusal),
    /// More than one request holds: nothing was sent.
    TooMuch,
    /// The answer does not belong to the question: not a logger, or a fault in one.
    Unexpected,
}

impl From<LinkError> for TalkError {
    fn from(error: LinkError) -> Self {
        TalkError::Link(error)
    }
}

impl fmt::Display for TalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TalkError::Link(error) => error.fmt(f),
            TalkError::Silent => f.write_str(
                "The logger does not answer. If another program uses its port, close that program; else unplug the logger and plug it in again.",
            ),
            TalkError::Refused(refusal) => describe_refusal(f, refusal),
            TalkError::TooMuch => f.write_str(
                "That is more than one message to the logger holds. Nothing was sent; do it in smaller parts.",
            ),
            TalkError::Unexpected => {
                f.write_str("What answers on this port is no Logdock logger. Nothing in it was changed. Connect again, and choose another port.")
            }
        }
    }
}

impl core::error::Error for TalkError {}

fn describe_refusal(f: &mut fmt::Formatter<'_>, refusal: &Refusal) -> fmt::Result {
    f.write_str(match refusal {
        Refusal::UnknownRequest => "The logger's firmware is too old for this; update it first.",
        Refusal::Damaged | Refusal::HelloFirst | Refusal::NoUpload | Refusal::WrongOffset { .. } => {
            "The logger and this page lost step with each other. Try it again."
        }
        Refusal::UnsupportedVersion { oldest, .. } => {
            return write!(
                f,
                "The logger speaks a newer language (version {oldest}) than this page. Reload the page to get its newest version."
            );
        }
        Refusal::Image(error) => explain(*error),
        Refusal::Storage(StorageError::NotThere) => {
            "The logger's NAND memory does not answer, so it cannot keep a new image. It goes on with its present firmware."
        }
        Refusal::Storage(StorageError::NoGoodBlock) => {
            "Too many blocks of the logger's NAND memory are worn out to keep a new image. It goes on with its present firmware."
        }
        Refusal::Storage(StorageError::Unreadable) => {
            "The logger could not read back what it had stored. Nothing was changed; try it again."
        }
        Refusal::Storage(StorageError::WriteFailed) => {
            "The logger could not write its memory. Nothing was changed; try it again."
        }
        Refusal::NothingStaged => "The logger holds no new image to install. Send it again.",
        Refusal::TrialUnderWay => {
            "The logger is still trying out its newest firmware. Confirm that first, or restart the logger three times to go back."
        }
        Refusal::OtherImageRuns => {
            "The logger runs another firmware than the one that was sent."
        }
        Refusal::NoSuchSetting => "The logger does not have this setting.",
        Refusal::Setting { .. } => "The logger refused one of the values; none was changed.",
        Refusal::ImpossibleTime => {
            "The computer's clock says a time that cannot be: set it, and try again."
        }
        Refusal::OtherLog => {
            "The logger's records are not those any more that were asked for: older ones were overwritten or erased, or new ones came. Read its summary again."
        }
    })
}

impl<L: Link> Conversation<L> {
    /// Greets the logger.
    pub async fn open(link: L) -> Result<Self, (L, TalkError)> {
        let mut conversation = Conversation {
            link,
            decoder: Decoder::new(),
            incoming: Vec::new(),
            seen: 0,
            sequence: 0,
            hello: Hello {
                version: protocol::NEWEST_VERSION,
                program: protocol::device::Program::Application,
                max_data: 0,
                window: 0,
            },
            fast: false,
            babble: 0,
        };
        match conversation.greet().await {
            Ok(()) => Ok(conversation),
            Err(error) => Err((conversation.link, error)),
        }
    }

    /// What the logger said of itself when it was greeted.
    pub fn hello(&self) -> Hello {
        self.hello
    }

    /// The way to the logger.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Ends the conversation; the logger needs no farewell.
    pub fn into_link(self) -> L {
        self.link
    }

    /// Waits until the logger is there again, and greets it.
    pub async fn reopen(&mut self, timeout: Duration) -> Result<(), TalkError> {
        self.link.reopen(timeout).await?;
        self.greet().await
    }

    async fn greet(&mut self) -> Result<(), TalkError> {
        self.slow_down().await?;
        self.hail(TRIES, ANSWER_TIMEOUT).await
    }

    /// Says hello, at whatever rate.
    async fn hail(&mut self, tries: usize, timeout: Duration) -> Result<(), TalkError> {
        self.decoder.reset();
        self.incoming.clear();
        self.seen = 0;
        self.babble = 0;
        // Ends whatever half a frame the logger may have from a connection before.
        self.link.send(&[0]).await?;
        let request = CommonRequest::Hello {
            oldest: protocol::OLDEST_VERSION,
            newest: protocol::NEWEST_VERSION,
        };
        self.hello = self
            .common(tries, request, timeout, |response| match response {
                CommonResponse::Hello(hello) => Some(hello),
                _ => None,
            })
            .await
            .map_err(|error| match error {
                TalkError::Silent if self.babble > 0 => TalkError::Unexpected,
                error => error,
            })?;
        Ok(())
    }

    /// Goes on at the fastest rate that logger and link both know and that works between them, if there is one. For what
    /// takes long: where nothing is said for a second the logger goes back.
    async fn speed_up(&mut self) -> Result<(), TalkError> {
        self.slow_down().await?;
        for &baud in self.link.baud_rates() {
            match self.agree_on(baud).await {
                Ok(()) => {}
                Err(TalkError::Refused(_) | TalkError::Silent) => continue,
                Err(error) => return Err(error),
            }
            self.fast = true;
            self.link.set_baud_rate(baud).await?;
            match self.hail(RATE_TRIES, RATE_TIMEOUT).await {
                Ok(()) => return Ok(()),
                Err(TalkError::Link(error)) => return Err(error.into()),
                // Too fast for what lies between.
                Err(_) => self.greet().await?,
            }
        }
        Ok(())
    }

    /// Goes back to the rate that every conversation begins with.
    async fn slow_down(&mut self) -> Result<(), TalkError> {
        if !self.fast {
            return Ok(());
        }
        let agreed = self.agree_on(protocol::BAUD_RATE).await;
        self.fast = false;
        self.link.set_baud_rate(protocol::BAUD_RATE).await?;
        if agreed.is_err() {
            self.link.sleep(RATE_FALLBACK).await;
        }
        Ok(())
    }

    async fn agree_on(&mut self, baud: u32) -> Result<(), TalkError> {
        let request = CommonRequest::SetBaudRate { baud };
        self.common(1, request, RATE_TIMEOUT, |response| {
            matches!(response, CommonResponse::Done).then_some(())
        })
        .await
    }

    /// Asks something that both programs answer; `read` takes what it expects from the answer.
    pub async fn ask<T>(
        &mut self,
        request: CommonRequest<'_>,
        read: impl Fn(CommonResponse<'_>) -> Option<T>,
    ) -> Result<T, TalkError> {
        let timeout = match request {
            CommonRequest::FinishUpload | CommonRequest::BeginUpload { .. } => WORK_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        self.slow_down().await?;
        self.common(TRIES, request, timeout, read).await
    }

    /// The same, at whatever rate.
    fn common<'a, T: 'a>(
        &'a mut self,
        tries: usize,
        request: CommonRequest<'a>,
        timeout: Duration,
        read: impl Fn(CommonResponse<'_>) -> Option<T> + 'a,
    ) -> impl Future<Output = Result<T, TalkError>> + 'a {
        let request = Request::Common(request);
        self.exchange(tries, request, timeout, move |response| match response {
            Response::Common(response) => read(response),
            Response::Logger(_) => None,
        })
    }

    /// Asks something that only the application answers.
    pub async fn ask_logger<T>(
        &mut self,
        request: LoggerRequest<'_>,
        read: impl Fn(LoggerResponse<'_>) -> Option<T>,
    ) -> Result<T, TalkError> {
        self.slow_down().await?;
        self.exchange(
            TRIES,
            Request::Logger(request),
            ANSWER_TIMEOUT,
            |response| match response {
                Response::Logger(response) => read(response),
                Response::Common(_) => None,
            },
        )
        .await
    }

    /// Asks for something that has no answer but that it is done.
    pub async fn tell(&mut self, request: CommonRequest<'_>) -> Result<(), TalkError> {
        self.ask(request, |response| {
            matches!(response, CommonResponse::Done).then_some(())
        })
        .await
    }

    /// The same, of the application.
    pub async fn tell_logger(&mut self, request: LoggerRequest<'_>) -> Result<(), TalkError> {
        self.slow_down().await?;
        self.exchange(TRIES, Request::Logger(request), ANSWER_TIMEOUT, done)
            .await
    }

    /// The same, without a second try: for a request that must not be late.
    pub(crate) async fn tell_logger_once(
        &mut self,
        request: LoggerRequest<'_>,
    ) -> Result<(), TalkError> {
        self.slow_down().await?;
        self.exchange(1, Request::Logger(request), ANSWER_TIMEOUT, done)
            .await
    }

    /// Asks for segments of the log, and gives each one that comes to `take` with its sequence number; whether the logger
    /// said that there are no more, or just went silent. A segment may be lost on the way: the caller knows which ones it
    /// has.
    pub(crate) async fn read_log(
        &mut self,
        first: u32,
        count: u32,
        take: impl FnMut(u32, &[u8]),
    ) -> Result<bool, TalkError> {
        if count > MANY_SEGMENTS {
            self.speed_up().await?;
        } else {
            self.slow_down().await?;
        }
        let whole = self.read_segments(first, count, take).await;
        self.slow_down().await?;
        whole
    }

    async fn read_segments(
        &mut self,
        first: u32,
        count: u32,
        mut take: impl FnMut(u32, &[u8]),
    ) -> Result<bool, TalkError> {
        let request = LoggerRequest::ReadLog { first, count };
        let sequence = self.post(&Request::Logger(request)).await?;
        while let Some((answered, answer)) = self.next_answer(ANSWER_TIMEOUT).await? {
            match answer {
                Answer::Refused(Refusal::Damaged) => return Ok(false),
                _ if answered != sequence => {}
                Answer::Refused(refusal) => return Err(TalkError::Refused(refusal)),
                Answer::Other(packet) => {
                    match Packet::<Response>::parse(&packet).map(|packet| packet.message) {
                        Ok(Response::Logger(LoggerResponse::Segment { sequence, bytes })) => {
                            take(sequence, bytes);
                        }
                        Ok(Response::Common(CommonResponse::Done)) => return Ok(true),
                        _ => return Err(TalkError::Unexpected),
                    }
                }
            }
        }
        Ok(false)
    }

    /// Asks until an answer comes. A request may reach the logger twice when an answer is lost: every request can be
    /// repeated without harm.
    async fn exchange<T>(
        &mut self,
        tries: usize,
        request: Request<'_>,
        timeout: Duration,
        read: impl Fn(Response<'_>) -> Option<T>,
    ) -> Result<T, TalkError> {
        let packet = self.answer(tries, &request, timeout).await?;
        let packet = Packet::<Response>::parse(&packet).map_err(|_| TalkError::Unexpected)?;
        read(packet.message).ok_or(TalkError::Unexpected)
    }

    /// The same, with the answer as it came: apart, so that it is compiled once, not for each kind of answer.
    async fn answer(
        &mut self,
        tries: usize,
        request: &Request<'_>,
        timeout: Duration,
    ) -> Result<Vec<u8>, TalkError> {
        for _ in 0..tries {
            let sequence = self.post(request).await?;
            loop {
                match self.next_answer(timeout).await? {
                    Some((answered, _)) if answered != sequence && answered != 0 => continue,
                    Some((_, Answer::Refused(Refusal::Damaged))) | None => break,
                    Some((_, Answer::Refused(refusal))) => return Err(TalkError::Refused(refusal)),
                    Some((_, Answer::Other(packet))) => return Ok(packet),
                }
            }
        }
        Err(TalkError::Silent)
    }

    /// Shows a logger that has no image store what it looks at before it erases its firmware: the image's beginning and
    /// its TLVs, from `trailer` on. Then [`Conversation::upload`] sends all of it.
    pub async fn announce(
        &mut self,
        digest: Digest,
        image: &[u8],
        trailer: usize,
    ) -> Result<(), TalkError> {
        let length = image.len() as u32;
        let kept = self
            .ask(CommonRequest::BeginUpload { digest, length }, received)
            .await?;
        // It has looked at them before: the upload goes on.
        if kept > 0 {
            return Ok(());
        }
        for part in [0..usize::from(HEADER_SIZE) + VECTORS, trailer..image.len()] {
            let offset = part.start as u32;
            let data = image.get(part).ok_or(TalkError::Unexpected)?;
            let request = CommonRequest::UploadData { offset, data };
            match self.ask(request, received).await {
                // Or it has seen this part, but its answer was lost.
                Ok(_) | Err(TalkError::Refused(Refusal::WrongOffset { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends an image in windows, from where the logger stands. `progress` gets the bytes that the logger keeps safe.
    pub async fn upload(
        &mut self,
        digest: Digest,
        image: &[u8],
        mut progress: impl FnMut(u32),
    ) -> Result<(), TalkError> {
        let length = image.len() as u32;
        let begin = CommonRequest::BeginUpload { digest, length };
        let mut kept = self.ask(begin.clone(), received).await?;
        if kept < length {
            self.speed_up().await?;
        }
        let mut sent = kept;
        let mut silent = 0;
        progress(kept);
        while kept < length {
            while sent < length && sent - kept < u32::from(self.hello.window) {
                let end = length.min(sent + u32::from(self.hello.max_data));
                let data = image
                    .get(sent as usize..end as usize)
                    .ok_or(TalkError::Unexpected)?;
                self.post(&Request::Common(CommonRequest::UploadData {
                    offset: sent,
                    data,
                }))
                .await?;
                sent = end;
            }
            match self.next_answer(ANSWER_TIMEOUT).await? {
                Some((_, Answer::Other(packet))) => {
                    silent = 0;
                    let offset =
                        match Packet::<Response>::parse(&packet).map(|packet| packet.message) {
                            Ok(Response::Common(response)) => received(response),
                            _ => None,
                        };
                    if let Some(offset) = offset.filter(|offset| (kept..=sent).contains(offset)) {
                        kept = offset;
                        progress(kept);
                    }
                }
                Some((_, Answer::Refused(Refusal::WrongOffset { expected }))) => {
                    // Something was lost on the way. Answers to the rest of the window say the same: pass over them.
                    silent = 0;
                    while self.next_answer(Duration::from_millis(60)).await?.is_some() {}
                    kept = expected.min(length);
                    sent = kept;
                }
                Some((_, Answer::Refused(Refusal::Damaged))) => {
                    // Nothing else was under way whose answer would tell what to go on with.
                    if sent - kept <= u32::from(self.hello.max_data) {
                        sent = kept;
                    }
                }
                Some((_, Answer::Refused(refusal))) => return Err(TalkError::Refused(refusal)),
                None => {
                    silent += 1;
                    if silent == TRIES {
                        return Err(TalkError::Silent);
                    }
                    kept = self.ask(begin.clone(), received).await?;
                    sent = kept;
                }
            }
        }
        self.slow_down().await
    }

    async fn post(&mut self, request: &Request<'_>) -> Result<u16, TalkError> {
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let packet = Packet {
            sequence: self.sequence,
            message: request,
        };
        let mut frame = [0; max_length(MAX_PACKET)];
        let length = packet.frame(&mut frame).map_err(|_| TalkError::TooMuch)?;
        self.link.send(&frame[..length]).await?;
        Ok(self.sequence)
    }

    /// The next answer and its sequence number; none when the time passed without one, or with what is none.
    async fn next_answer(&mut self, timeout: Duration) -> Result<Option<(u16, Answer)>, TalkError> {
        let mut heard = 0;
        // Its answer to that says more than nothing.
        let is_greeted = self.hello.window > 0;
        loop {
            let unseen = self.incoming.get(self.seen..).unwrap_or_default();
            let (taken, packet) = self.decoder.feed(unseen);
            // A damaged answer counts as none: the request will be repeated.
            let answer = packet.and_then(Result::ok).map(|bytes| {
                let answer = match Packet::<Response>::parse(bytes).map(|packet| packet.message) {
                    Ok(Response::Common(CommonResponse::Refused(refusal))) => {
                        Answer::Refused(refusal)
                    }
                    _ => Answer::Other(bytes.to_vec()),
                };
                (protocol::message::sequence_of(bytes), answer)
            });
            self.seen += taken;
            heard += taken;
            if answer.is_some() {
                return Ok(answer);
            }
            self.babble += u32::from(heard > 0);
            // What never stops talking is no logger.
            if heard > LONGEST_ANSWER || !is_greeted && self.babble > GREETING_PIECES {
                return Ok(None);
            }
            if self.seen >= self.incoming.len() {
                self.seen = 0;
                let patience = if is_greeted || heard == 0 {
                    timeout
                } else {
                    GREETING_PAUSE
                };
                self.incoming = self.link.receive(patience).await?;
                if self.incoming.is_empty() {
                    return Ok(None);
                }
            }
        }
    }
}

enum Answer {
    Refused(Refusal),
    Other(Vec<u8>),
}

fn received(response: CommonResponse<'_>) -> Option<u32> {
    match response {
        CommonResponse::Received { offset } => Some(offset),
        _ => None,
    }
}

fn done(response: Response<'_>) -> Option<()> {
    matches!(response, Response::Common(CommonResponse::Done)).then_some(())
}
