//! Boards without NAND: the bootloader writes flash straight from the computer.
//!
//! Nothing is erased before what can be known beforehand is known: the computer shows the image's beginning and its
//! TLVs first, and only when they fit this device and its key has signed the announced digest does the upload begin.
//! Never is there a moment at which flash could be taken for what it is not: the page with the header goes first, and the
//! header comes last, and the boot record says Installing in between. So a whole image in phase Installing is the new one.

use protocol::device::Phase;
use protocol::image::{Digest, HEADER_SIZE, Header, ImageError};
use protocol::message::{CommonRequest, CommonResponse, Refusal, StorageError};

use crate::MAX_DATA;
use crate::engine::Engine;
use crate::image_check::{self, Failure};
use crate::memory::{
    Eeprom, Flash, InFlash, Nand, Page, Unreadable, WriteFailed, program_all, put_page, put_part,
};
use crate::server::Reply;

/// Bytes of the image that are written last: the header, without which there is no image. As many as any chip programs at
/// once.
const KEPT_BACK: usize = 64;

/// In the place of the NAND on a board that has none. The application takes no upload, the bootloader takes one.
pub struct NoNand<const UPLOADS: usize> {
    uploads: [Upload; UPLOADS],
}

/// What has been received since this program started.
pub struct Upload {
    digest: Digest,
    length: u32,
    stage: Stage,
}

/// What is waited for.
enum Stage {
    /// An announcement.
    Nothing,
    /// The image's beginning, to be looked at: header and vectors.
    Beginning,
    /// Its TLVs, to be looked at.
    Trailer(Header),
    /// Its bytes from `offset` on. The first of them are written last.
    Data { offset: u32, first: [u8; KEPT_BACK] },
    /// A restart: flash holds the image.
    Whole,
}

impl<const UPLOADS: usize> NoNand<UPLOADS> {
    /// Nothing received yet.
    #[allow(
        clippy::new_without_default,
        reason = "nobody needs one whose number of uploads is inferred"
    )]
    pub const fn new() -> Self {
        NoNand {
            uploads: [const {
                Upload {
                    digest: Digest([0; 32]),
                    length: 0,
                    stage: Stage::Nothing,
                }
            }; UPLOADS],
        }
    }
}

impl<const UPLOADS: usize> Nand for NoNand<UPLOADS> {
    const FITTED: bool = false;

    fn direct(&mut self) -> Option<&mut Upload> {
        self.uploads.first_mut()
    }

    fn is_there(&mut self) -> bool {
        false
    }

    fn open(&mut self, _: u32) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn read(&mut self, _: u16, _: &mut [u8]) {}

    fn program(&mut self, _: u32, _: u16, _: &[u8]) -> Result<(), WriteFailed> {
        Err(WriteFailed)
    }

    fn erase(&mut self, _: u32) -> Result<(), WriteFailed> {
        Err(WriteFailed)
    }

    fn is_bad(&mut self, _: u32) -> bool {
        true
    }

    fn mark_bad(&mut self, _: u32) {}
}

impl<F: Flash, E: Eeprom, N: Nand> Engine<F, E, N> {
    /// Does what a request about an upload asks for, on a board without NAND.
    #[inline(never)]
    pub(crate) fn handle_direct(
        &mut self,
        request: &CommonRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Refusal> {
        let Some(upload) = self.nand.direct() else {
            return match request {
                CommonRequest::Install => self.ask_for_update_mode(),
                _ => Err(Refusal::UnknownRequest),
            };
        };
        let offset = match *request {
            CommonRequest::BeginUpload { digest, length } => self.announced(digest, length)?,
            CommonRequest::UploadData { offset, data } => {
                let result = self.take(offset, data);
                if let Err(Refusal::Image(_)) = result {
                    // Whatever is wrong with it, it has to be announced anew.
                    self.forget();
                }
                result?
            }
            CommonRequest::FinishUpload => return self.complete(),
            CommonRequest::Install => {
                return match upload.stage {
                    Stage::Whole => Ok(()),
                    _ => Err(Refusal::NothingStaged),
                };
            }
            _ => {
                self.forget();
                return Ok(());
            }
        };
        reply.common(CommonResponse::Received { offset });
        Ok(())
    }

    /// Lets the next start wait for an image. The application itself cannot take one.
    fn ask_for_update_mode(&mut self) -> Result<(), Refusal> {
        // Else an image that nobody confirmed would count as confirmed when none comes.
        if self.on_trial() {
            return Err(Refusal::TrialUnderWay);
        }
        self.save(|record| record.phase = Phase::Pending)
            .map_err(not_written)
    }

    fn forget(&mut self) {
        if let Some(upload) = self.nand.direct() {
            upload.stage = Stage::Nothing;
        }
    }

    fn announced(&mut self, digest: Digest, length: u32) -> Result<u32, Refusal> {
        if length > self.identity.target.slot_size {
            return Err(Refusal::Image(ImageError::TooLarge));
        }
        let upload = self.nand.direct().ok_or(Refusal::NoUpload)?;
        if upload.digest == digest && upload.length == length {
            match upload.stage {
                Stage::Data { offset, .. } => return Ok(offset),
                Stage::Whole => return Ok(length),
                _ => {}
            }
        }
        *upload = Upload {
            digest,
            length,
            stage: Stage::Beginning,
        };
        Ok(0)
    }

    /// Takes the next part: the two that are looked at, then the image from its first byte on. The next byte that is
    /// waited for.
    fn take(&mut self, offset: u32, data: &[u8]) -> Result<u32, Refusal> {
        let upload = self.nand.direct().ok_or(Refusal::NoUpload)?;
        let length = upload.length;
        let expected = match upload.stage {
            Stage::Nothing | Stage::Whole => return Err(Refusal::NoUpload),
            Stage::Beginning => 0,
            Stage::Trailer(header) => header.trailer_offset(),
            Stage::Data { offset, .. } => offset,
        };
        if offset != expected {
            return Err(Refusal::WrongOffset { expected });
        }
        match &mut upload.stage {
            Stage::Trailer(header) => {
                let identity = &self.identity;
                let counter = image_check::check_announced::<F::Arithmetic>(
                    header,
                    data,
                    (upload.digest, length),
                    identity.target,
                    identity.public_key,
                )
                .map_err(Refusal::Image)?;
                self.record.check_counter(counter).map_err(Refusal::Image)?;
                upload.stage = Stage::Data {
                    offset: 0,
                    first: [F::ERASED; KEPT_BACK],
                };
                Ok(0)
            }
            Stage::Data { offset, first } => {
                if data.is_empty() || data.len() != MAX_DATA.min((length - *offset) as usize) {
                    return Err(Refusal::WrongOffset { expected });
                }
                let mut at = expected;
                let mut rest = data;
                if at == 0
                    && let Some((beginning, others)) = data.split_first_chunk()
                {
                    *first = *beginning;
                    at = KEPT_BACK as u32;
                    rest = others;
                    self.give_up_flash().map_err(not_written)?;
                }
                while !rest.is_empty() {
                    let room = F::Page::BYTES - at as usize % F::Page::BYTES;
                    let (part, others) = rest.split_at(room.min(rest.len()));
                    put_part(&mut self.flash, at, part).map_err(not_written)?;
                    at += part.len() as u32;
                    rest = others;
                }
                let next = expected + data.len() as u32;
                if let Some(Upload {
                    stage: Stage::Data { offset, .. },
                    ..
                }) = self.nand.direct()
                {
                    *offset = next;
                }
                Ok(next)
            }
            stage => {
                let header = Header::parse(data).map_err(Refusal::Image)?;
                let target = self.identity.target;
                let vectors = data.get(usize::from(HEADER_SIZE)..).unwrap_or_default();
                target
                    .check_size(&header, length)
                    .and_then(|()| target.check_vectors(&header, vectors))
                    .map_err(Refusal::Image)?;
                *stage = Stage::Trailer(header);
                Ok(header.trailer_offset())
            }
        }
    }

    /// The point of no return: takes away the header, so that what is in flash is no image any more, and then says so.
    fn give_up_flash(&mut self) -> Result<(), WriteFailed> {
        self.in_flash = None;
        self.handed_over = false;
        put_page(&mut self.flash, 0, &F::Page::filled(F::ERASED))?;
        if self.record.phase != Phase::Installing {
            self.save(|record| record.phase = Phase::Installing)?;
        }
        Ok(())
    }

    /// Writes what was kept back, and looks whether flash then holds what was announced.
    #[inline(never)]
    fn complete(&mut self) -> Result<(), Refusal> {
        let upload = self.nand.direct().ok_or(Refusal::NoUpload)?;
        let (digest, length) = (upload.digest, upload.length);
        match &upload.stage {
            Stage::Whole => return Ok(()),
            Stage::Data { offset, first } if *offset == length => {
                const { assert!(KEPT_BACK.is_multiple_of(F::UNIT)) };
                program_all(&mut self.flash, 0, first).map_err(not_written)?;
            }
            Stage::Data { offset, .. } => {
                return Err(Refusal::WrongOffset { expected: *offset });
            }
            _ => return Err(Refusal::NoUpload),
        }
        // Whatever is wrong with it, it has to be sent anew.
        self.forget();
        image_check::check_received::<F::Arithmetic>(
            &mut InFlash(&self.flash),
            (digest, length),
            &self.record,
            self.identity.target,
        )?;
        if let Some(upload) = self.nand.direct() {
            upload.stage = Stage::Whole;
        }
        Ok(())
    }

    /// Whether flash, which a computer was writing, holds all of an image that may be started.
    pub(crate) fn check_written(&self) -> Result<(), Failure> {
        let mut flash = InFlash(&self.flash);
        let whole = image_check::check::<F::Arithmetic>(&mut flash, None, self.identity.target)?;
        self.record.check_counter(whole.security_counter)?;
        image_check::check_signature::<F::Arithmetic>(&mut flash, whole, self.identity.public_key)?;
        Ok(())
    }
}

fn not_written(_: WriteFailed) -> Refusal {
    Refusal::Storage(StorageError::WriteFailed)
}
