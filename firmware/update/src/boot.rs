//! What happens between power-on and the application: the bootloader's half of the engine.
//!
//! Every step can be cut anywhere and begins again at the next start: copying skips pages that are already equal, and
//! the record says what to do until it is done.

use protocol::device::{HeldImage, Outcome, Phase};
use protocol::image::{ImageError, Version};

use crate::boot_record::TRIAL_STARTS;
use crate::engine::Engine;
use crate::image_check::{self, Failure, SignedImage};
use crate::memory::{Eeprom, Flash, Nand, Page, ReadImage, WriteFailed, holds, put_page};
use crate::store::{self, CHUNK, Slot};

/// What the bootloader does when the engine has done its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start the image in flash: it is whole.
    Start,
    /// There is nothing that could be started, or a memory does not do what it should: talk to a computer, and look again.
    Wait,
}

/// What an installed image is started with in the same go: the first start of its trial, so that it takes one save of the
/// record and not two.
const FIRST_START: Phase = Phase::Trial {
    starts_left: TRIAL_STARTS - 1,
};

/// Why an image did not get into flash.
enum NotInstalled {
    /// It is not one that may be installed, or cannot be read; flash was not touched.
    Image(Failure),
    /// Flash did not take it.
    Flash,
}

impl<F: Flash, E: Eeprom, N: Nand> Engine<F, E, N> {
    /// Does whatever the boot record asks for, until something can be started or nothing can.
    #[inline(never)]
    pub fn boot(&mut self) -> Decision {
        let decision = self.decide();
        self.waits = decision == Decision::Wait;
        decision
    }

    fn decide(&mut self) -> Decision {
        // What this very start has verified need not be verified again before it is copied.
        let mut verified = None;
        // Each round ends in a later phase. Only a memory that lost what was just written could go round for ever.
        for _ in 0..8 {
            let step = match self.record.phase {
                Phase::Idle => match self.reinstall() {
                    Ok(decision) => return decision,
                    Err(failed) => Err(failed),
                },
                // The application asked for update mode. When no image comes, the next start is one like any other.
                Phase::Pending if !N::FITTED => {
                    self.handed_over = self.save(|record| record.phase = Phase::Idle).is_ok();
                    return Decision::Wait;
                }
                Phase::Installing if !N::FITTED => {
                    if self.check_written().is_err() {
                        return Decision::Wait;
                    }
                    match self.save(|record| record.phase = FIRST_START) {
                        Ok(()) => return Decision::Start,
                        failed => failed,
                    }
                }
                Phase::Pending => self.take_up(&mut verified),
                Phase::Installing => match self.install_staged(verified.take()) {
                    Ok(true) => return Decision::Start,
                    Ok(false) => Ok(()),
                    Err(failed) => Err(failed),
                },
                Phase::Trial { starts_left: 0 } => {
                    if self.record.previous.is_none() {
                        // Nothing to go back to, and it may only have lacked a computer: it gets its starts again,
                        // after a while in which the bootloader can be talked to.
                        let _ = self.save(|record| {
                            record.phase = Phase::Trial {
                                starts_left: TRIAL_STARTS,
                            };
                        });
                        return Decision::Wait;
                    }
                    self.save(|record| record.phase = Phase::Reverting)
                }
                Phase::Trial { starts_left } => {
                    let whole = self.check_flash().is_some();
                    let starts_left = if whole { starts_left - 1 } else { 0 };
                    match self.save(|record| record.phase = Phase::Trial { starts_left }) {
                        Ok(()) if whole => return Decision::Start,
                        other => other,
                    }
                }
                Phase::Reverting => match self.revert() {
                    Ok(true) => Ok(()),
                    Ok(false) => return Decision::Wait,
                    Err(failed) => Err(failed),
                },
            };
            if step.is_err() {
                break;
            }
        }
        Decision::Wait
    }

    /// Idle: starts what is in flash; when that is not whole, puts a stored image there.
    fn reinstall(&mut self) -> Result<Decision, WriteFailed> {
        if self.check_flash().is_some() {
            return Ok(Decision::Start);
        }
        for slot in [self.record.running, self.record.previous]
            .into_iter()
            .flatten()
        {
            if self.put_into_flash(slot, None).is_ok() {
                self.save(|record| record.running = Some(slot))?;
                return Ok(Decision::Start);
            }
        }
        Ok(Decision::Wait)
    }

    /// Pending: verifies the staged image and keeps the old one, before flash is touched.
    fn take_up(&mut self, verified: &mut Option<SignedImage>) -> Result<(), WriteFailed> {
        let staged = self.record.staged;
        let checked = match staged {
            Some(slot) => self.verify(slot),
            None => Err(Failure::Unreadable),
        };
        let old = match checked {
            Ok(signed) => {
                *verified = Some(signed);
                self.keep_running()
            }
            Err(failure) => Err(failure),
        };
        let version = self.version_of(staged);
        self.save(|record| match old {
            Ok(old) => {
                record.phase = Phase::Installing;
                record.previous = old.or(record.previous);
                record.running = None;
            }
            Err(failure) => {
                record.phase = Phase::Idle;
                record.staged = None;
                record.outcome = refused(version, failure);
            }
        })
    }

    /// Installing: copies the staged image, which then can be started; when it cannot be read any more, goes back to the
    /// old one.
    fn install_staged(&mut self, verified: Option<SignedImage>) -> Result<bool, WriteFailed> {
        let staged = self.record.staged;
        let installed = match staged {
            Some(slot) => self.put_into_flash(slot, verified),
            None => Err(NotInstalled::Image(Failure::Unreadable)),
        };
        match installed {
            Ok(()) => self.save(|record| {
                record.phase = FIRST_START;
                record.running = staged;
                record.staged = None;
            })?,
            Err(NotInstalled::Flash) => return Err(WriteFailed),
            Err(NotInstalled::Image(failure)) => {
                let version = self.version_of(staged);
                self.save(|record| {
                    record.outcome = refused(version, failure);
                    record.staged = None;
                    record.phase = match record.previous {
                        Some(_) => Phase::Reverting,
                        None => Phase::Idle,
                    };
                })?;
            }
        }
        Ok(installed.is_ok())
    }

    /// Reverting: puts the old image back. False when there is none that could be.
    fn revert(&mut self) -> Result<bool, WriteFailed> {
        let Some(slot) = self.record.previous else {
            return Ok(false);
        };
        match self.put_into_flash(slot, None) {
            Ok(()) => {}
            Err(NotInstalled::Image(_)) if self.check_flash().is_some() => {
                // The old image is lost, but the new one is whole: it goes on with its trial.
                self.save(|record| {
                    record.phase = Phase::Trial {
                        starts_left: TRIAL_STARTS,
                    };
                    record.previous = None;
                })?;
                return Ok(true);
            }
            Err(_) => return Ok(false),
        }
        // Set when a trial ended; an image that could not even be installed has its outcome already.
        let failed = self.record.running;
        let version = self.version_of(failed);
        self.save(|record| {
            record.phase = Phase::Idle;
            record.running = Some(slot);
            record.previous = None;
            if failed.is_some() {
                record.outcome = Outcome::Reverted(version);
            }
        })?;
        Ok(true)
    }

    fn version_of(&mut self, slot: Option<Slot>) -> Version {
        slot.and_then(|slot| store::held(&mut self.nand, slot))
            .map_or(Version::default(), |(image, _)| image.version)
    }

    /// Whether a stored image may be installed: whole, for this device, not too old, signed.
    fn verify(&mut self, slot: Slot) -> Result<SignedImage, Failure> {
        let (image, mut stored) = store::held(&mut self.nand, slot).ok_or(Failure::Unreadable)?;
        let whole = image_check::check::<F::Arithmetic>(
            &mut stored,
            Some(image.length),
            self.identity.target,
        )?;
        if whole.image.digest != image.digest {
            return Err(ImageError::BadDigest.into());
        }
        self.record.check_counter(whole.security_counter)?;
        image_check::check_signature::<F::Arithmetic>(&mut stored, whole, self.identity.public_key)
    }

    /// Sees to it that the image in flash is in the store as well. Nothing when flash holds no whole image.
    fn keep_running(&mut self) -> Result<Option<Slot>, Failure> {
        // A seal alone says nothing of the pages behind it. Flash was written from them after their signature had been
        // checked: when both still say the same, byte for byte, neither has changed since.
        if let Some(slot) = self.record.running
            && let Some((image, mut stored)) = store::held(&mut self.nand, slot)
            && copy(
                &mut stored,
                image.length,
                &mut self.flash,
                Differing::Refused,
            )
            .is_ok()
        {
            return Ok(Some(slot));
        }
        let Some(whole) = self.check_flash() else {
            return Ok(None);
        };
        // The first update of a factory-flashed logger, or the copy has gone bad. What else is kept is older than what runs.
        let mut record = self.record;
        record.previous = None;
        let slot = record.free_slot();
        self.store_flash(slot, whole.image)
            .map_err(|_| Failure::Unreadable)?;
        self.verify(slot)?;
        Ok(Some(slot))
    }

    /// Apart, for its buffer would lie on the stack under all of [`Engine::boot`].
    #[inline(never)]
    fn store_flash(
        &mut self,
        slot: Slot,
        image: HeldImage,
    ) -> Result<(), protocol::message::StorageError> {
        let mut writing = store::begin(&mut self.nand, slot, image.digest, image.length)?;
        // A block that fails makes it begin anew in the next one.
        while writing.offset() < image.length {
            let mut chunk = [0; CHUNK];
            let chunk = &mut chunk[..writing.next_length()];
            self.flash.read(writing.offset(), chunk);
            store::append(&mut self.nand, &mut writing, chunk)?;
        }
        store::seal(&mut self.nand, &writing, image.version)
    }

    /// Copies what differs of a stored image into flash, and checks the result: it is the verified image, or it is not
    /// started. Verifies it first, unless that has just been done.
    fn put_into_flash(
        &mut self,
        slot: Slot,
        verified: Option<SignedImage>,
    ) -> Result<(), NotInstalled> {
        let signed = match verified {
            Some(signed) => signed,
            None => self.verify(slot).map_err(NotInstalled::Image)?,
        };
        let Some((_, mut stored)) = store::held(&mut self.nand, slot) else {
            return Err(NotInstalled::Image(Failure::Unreadable));
        };
        self.in_flash = None;
        let length = signed.image().length;
        copy(&mut stored, length, &mut self.flash, Differing::Written)?;
        match self.check_flash() {
            Some(written) if written.image == signed.image() => Ok(()),
            _ => Err(NotInstalled::Flash),
        }
    }
}

/// What becomes of pages of flash that differ from the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Differing {
    Written,
    Refused,
}

/// Makes flash hold the image, or says whether it does: pages that are equal stay as they are.
#[inline(never)]
fn copy<F: Flash>(
    image: &mut impl ReadImage,
    length: u32,
    flash: &mut F,
    differing: Differing,
) -> Result<(), NotInstalled> {
    let mut offset = 0;
    while offset < length {
        let mut page = F::Page::filled(F::ERASED);
        let end = F::Page::BYTES.min((length - offset) as usize);
        image
            .read(offset, &mut page.as_mut()[..end])
            .map_err(|unreadable| NotInstalled::Image(unreadable.into()))?;
        match differing {
            Differing::Written => {
                put_page(flash, offset, &page).map_err(|WriteFailed| NotInstalled::Flash)?;
            }
            Differing::Refused if holds(flash, offset, &page) => {}
            Differing::Refused => return Err(NotInstalled::Flash),
        }
        offset += F::Page::BYTES as u32;
    }
    Ok(())
}

fn refused(version: Version, failure: Failure) -> Outcome {
    match failure {
        Failure::Image(error) => Outcome::Refused(version, error),
        Failure::Unreadable => Outcome::Unreadable(version),
    }
}
