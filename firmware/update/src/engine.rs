//! The engine both programs hold: the memories, the boot record, and the part of the conversation that is about
//! updates.

use protocol::device::{DeviceInfo, HeldImage, Outcome, Phase, SerialNumber};
use protocol::image::{Digest, ImageError, Target, Version};
use protocol::message::{CommonRequest, CommonResponse, Refusal, StorageError};

use crate::boot_record::{BootRecord, EEPROM_END};
use crate::image_check::{self, WholeImage};
use crate::memory::{Eeprom, Flash, InFlash, Nand, Page, WriteFailed};
use crate::server::Reply;
use crate::store::{self, Slot, Writing};

/// What does not change on one device.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Hardware model.
    pub model: &'static str,
    /// The chip's unique number.
    pub serial: SerialNumber,
    /// What images must be, with a security counter of 0: the boot record has the one that counts.
    pub target: &'static Target,
    /// The key that images must be signed with: the bootloader's.
    pub public_key: &'static [u8; 32],
    /// The bootloader's version.
    pub bootloader: Version,
}

/// Memories, boot record and the upload under way.
pub struct Engine<F, E, N> {
    /// The application slot.
    pub flash: F,
    /// The data EEPROM; settings of the application share it, from [`EEPROM_END`] on.
    pub eeprom: E,
    /// The NAND; the log shares it, from [`store::END_BLOCK`] on.
    pub nand: N,
    pub(crate) identity: Identity,
    pub(crate) record: BootRecord,
    upload: Upload,
    /// The image in flash, once it was found whole. Hashing a full slot takes 0.15 s, and nothing but an installation
    /// changes it.
    pub(crate) in_flash: Option<WholeImage>,
    /// A computer asked for a restart.
    restart: bool,
    /// No application runs: the bootloader converses.
    pub(crate) waits: bool,
    /// The bootloader converses only because the application handed over to it, and can give back.
    pub(crate) handed_over: bool,
}

/// What was received since this program started.
#[derive(Clone, Copy)]
enum Upload {
    None,
    Receiving(Slot, Writing),
    Sealed(Slot),
}

/// First byte of EEPROM that the engine leaves to others.
pub const FREE_EEPROM: u32 = EEPROM_END;

impl<F: Flash, E: Eeprom, N: Nand> Engine<F, E, N> {
    /// Takes over the memories and reads the boot record.
    #[inline(never)]
    pub fn new(flash: F, eeprom: E, nand: N, identity: Identity) -> Self {
        let record = BootRecord::load(&eeprom);
        Engine {
            flash,
            eeprom,
            nand,
            identity,
            record,
            upload: Upload::None,
            in_flash: None,
            restart: false,
            waits: false,
            handed_over: false,
        }
    }

    /// The boot record, as it is kept.
    pub fn record(&self) -> &BootRecord {
        &self.record
    }

    /// Whether a computer asked for a restart.
    pub fn restart_requested(&self) -> bool {
        self.restart
    }

    /// Whether update mode was only asked for, and nothing has been erased: without a word from a computer the application
    /// goes on.
    pub fn handed_over(&self) -> bool {
        !N::FITTED && self.handed_over
    }

    /// Whether the image in flash still waits for a computer to confirm it.
    pub fn on_trial(&self) -> bool {
        matches!(self.record.phase, Phase::Trial { .. })
    }

    /// The image in flash, when it is whole.
    pub(crate) fn check_flash(&mut self) -> Option<WholeImage> {
        if self.in_flash.is_none() {
            self.in_flash = image_check::check::<F::Arithmetic>(
                &mut InFlash(&self.flash),
                None,
                self.identity.target,
            )
            .ok();
        }
        self.in_flash
    }

    /// Changes the record, first in EEPROM, then here.
    pub(crate) fn save(&mut self, change: impl FnOnce(&mut BootRecord)) -> Result<(), WriteFailed> {
        let mut record = self.record;
        change(&mut record);
        record.save(&mut self.eeprom)?;
        self.record = record;
        Ok(())
    }

    /// Does what both programs know, but for the greeting, which is the server's.
    pub fn handle(
        &mut self,
        request: &CommonRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Refusal> {
        match *request {
            CommonRequest::DeviceInfo => reply.common(CommonResponse::DeviceInfo(self.info())),
            CommonRequest::BeginUpload { .. }
            | CommonRequest::UploadData { .. }
            | CommonRequest::FinishUpload
            | CommonRequest::AbortUpload
            | CommonRequest::Install
                if !N::FITTED =>
            {
                self.handle_direct(request, reply)?;
            }
            CommonRequest::BeginUpload { digest, length } => {
                let offset = self.begin(digest, length)?;
                reply.common(CommonResponse::Received { offset });
            }
            CommonRequest::UploadData { offset, data } => {
                let offset = self.append(offset, data)?;
                reply.common(CommonResponse::Received { offset });
            }
            CommonRequest::FinishUpload => self.finish()?,
            CommonRequest::AbortUpload => self.upload = Upload::None,
            CommonRequest::Install => self.install()?,
            CommonRequest::GoBack => self.go_back()?,
            CommonRequest::Confirm { digest } => self.confirm(digest)?,
            CommonRequest::Reboot => self.restart = true,
            // The greeting is the server's, and so is the rate, where there is one.
            _ => return Err(Refusal::UnknownRequest),
        }
        Ok(())
    }

    #[inline(never)]
    fn info(&mut self) -> DeviceInfo<'static> {
        let running = self.check_flash().map(|whole| whole.image);
        let staged = match self.upload {
            Upload::Sealed(slot) => Some(slot),
            _ => self.record.staged,
        };
        DeviceInfo {
            model: self.identity.model,
            serial: self.identity.serial,
            vendor_id: self.identity.target.vendor_id,
            class_id: self.identity.target.class_id,
            public_key: *self.identity.public_key,
            bootloader: self.identity.bootloader,
            slot_address: self.identity.target.slot_address,
            slot_size: self.identity.target.slot_size,
            page_size: F::Page::BYTES as u16,
            security_counter: self.record.security_counter,
            direct: !N::FITTED,
            phase: self.record.phase,
            outcome: self.record.outcome,
            running,
            previous: self.held(self.record.previous),
            staged: self.held(staged),
        }
    }

    fn held(&mut self, slot: Option<Slot>) -> Option<HeldImage> {
        store::held(&mut self.nand, slot?).map(|(image, _)| image)
    }

    #[inline(never)]
    fn begin(&mut self, digest: Digest, length: u32) -> Result<u32, Refusal> {
        if length > self.identity.target.slot_size {
            return Err(Refusal::Image(ImageError::TooLarge));
        }
        if let Upload::Receiving(_, writing) = self.upload
            && writing.digest() == digest
            && writing.length() == length
        {
            return Ok(writing.offset());
        }
        // The end of a trial has to be known before the next update begins; unless the image on trial is not the one that
        // converses, and a better one has to take its place.
        if self.on_trial() && !self.waits {
            return Err(Refusal::TrialUnderWay);
        }
        let slot = match (self.upload, self.record.staged) {
            (Upload::Sealed(slot), _) | (_, Some(slot)) => slot,
            _ => self.record.free_slot(),
        };
        if let Some(image) = self.held(Some(slot))
            && image.digest == digest
            && image.length == length
        {
            self.upload = Upload::Sealed(slot);
            return Ok(length);
        }
        if self.record.staged.is_some() {
            self.save(|record| {
                record.staged = None;
                // Where flash is being written, the phase stays until the new image is staged: what is in flash then
                // must not pass for a confirmed one.
                if record.phase == Phase::Pending {
                    record.phase = Phase::Idle;
                }
            })
            .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))?;
        }
        self.upload = Upload::None;
        let writing =
            store::begin(&mut self.nand, slot, digest, length).map_err(Refusal::Storage)?;
        self.upload = Upload::Receiving(slot, writing);
        Ok(0)
    }

    fn append(&mut self, offset: u32, data: &[u8]) -> Result<u32, Refusal> {
        let Upload::Receiving(_, writing) = &mut self.upload else {
            return Err(Refusal::NoUpload);
        };
        if offset != writing.offset() || data.is_empty() || data.len() != writing.next_length() {
            return Err(Refusal::WrongOffset {
                expected: writing.offset(),
            });
        }
        store::append(&mut self.nand, writing, data).map_err(Refusal::Storage)?;
        Ok(writing.offset())
    }

    #[inline(never)]
    fn finish(&mut self) -> Result<(), Refusal> {
        let (slot, writing) = match self.upload {
            Upload::None => return Err(Refusal::NoUpload),
            Upload::Sealed(_) => return Ok(()),
            Upload::Receiving(slot, writing) => (slot, writing),
        };
        if writing.offset() != writing.length() {
            return Err(Refusal::WrongOffset {
                expected: writing.offset(),
            });
        }
        // Whatever is wrong with it, it has to be sent anew.
        self.upload = Upload::None;
        let mut image = store::unsealed(&mut self.nand, &writing);
        let whole = image_check::check_received::<F::Arithmetic>(
            &mut image,
            (writing.digest(), writing.length()),
            &self.record,
            self.identity.target,
        )?;
        store::seal(&mut self.nand, &writing, whole.image.version).map_err(Refusal::Storage)?;
        self.upload = Upload::Sealed(slot);
        Ok(())
    }

    fn install(&mut self) -> Result<(), Refusal> {
        let slot = match self.upload {
            Upload::Sealed(slot) => slot,
            _ if self.record.phase == Phase::Pending => return Ok(()),
            _ => return Err(Refusal::NothingStaged),
        };
        self.make_pending(slot)
    }

    /// The image before becomes the staged one; then everything is as with one that was sent, and the one that runs now
    /// becomes the one before.
    #[inline(never)]
    fn go_back(&mut self) -> Result<(), Refusal> {
        if self.on_trial() && !self.waits {
            return Err(Refusal::TrialUnderWay);
        }
        let previous = self.record.previous;
        match previous {
            Some(slot) if self.held(previous).is_some() => self.make_pending(slot),
            // Asked again, for the answer was lost.
            None if self.record.phase == Phase::Pending => Ok(()),
            _ => Err(Refusal::NothingStaged),
        }
    }

    fn make_pending(&mut self, slot: Slot) -> Result<(), Refusal> {
        self.save(|record| {
            record.staged = Some(slot);
            record.previous = record.previous.filter(|&previous| previous != slot);
            record.phase = Phase::Pending;
        })
        .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))
    }

    /// For update mode, when no image was sent: lets the restart install the image that is kept in the store, be it a
    /// staged one whose installation did not end or the one before. Whether there is one.
    pub fn put_back(&mut self) -> Result<bool, Refusal> {
        if !N::FITTED || !matches!(self.upload, Upload::None) {
            return Ok(false);
        }
        if self.record.phase == Phase::Idle && self.record.previous.is_some() {
            self.save(|record| record.phase = Phase::Reverting)
                .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))?;
        }
        Ok(matches!(
            self.record.phase,
            Phase::Pending | Phase::Installing | Phase::Reverting
        ))
    }

    #[inline(never)]
    fn confirm(&mut self, digest: Digest) -> Result<(), Refusal> {
        let Some(whole) = self
            .check_flash()
            .filter(|whole| whole.image.digest == digest)
        else {
            return Err(Refusal::OtherImageRuns);
        };
        if !self.on_trial() {
            return Ok(());
        }
        self.save(|record| {
            record.phase = Phase::Idle;
            record.outcome = Outcome::Installed(whole.image.version);
            record.security_counter = record.security_counter.max(whole.security_counter);
        })
        .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))
    }
}
