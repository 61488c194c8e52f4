//! Whether an image is whole, for this device and signed: asked of the received image by the application, and of the
//! stored and the installed one by the bootloader.

use protocol::device::HeldImage;
use protocol::image::{
    Digest, HEADER_LENGTH, HEADER_SIZE, Header, ImageError, MAX_TRAILER, Target, Trailer,
};
use protocol::message::{Refusal, StorageError};
use signature::{Arithmetic, Sha256};

use crate::boot_record::BootRecord;
use crate::memory::{ReadImage, Unreadable};

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key's 32 bytes (RFC 8410).
const DER_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Bytes that are hashed at once.
const PIECE: usize = 128;

/// Their place, at a word: reading and hashing take whole words there.
#[repr(align(4))]
struct Piece([u8; PIECE]);

/// Why an image failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not one for this device.
    Image(ImageError),
    /// It cannot be read.
    Unreadable,
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Failure::Image(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(_: Unreadable) -> Self {
        Failure::Unreadable
    }
}

/// An image whose lengths fit, whose digest was computed and is right, and which is for this device. Its signature was
/// not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeImage {
    /// What it is.
    pub image: HeldImage,
    /// Its security counter, which the caller compares with the device's.
    pub security_counter: u32,
    header: Header,
}

/// A whole image with a good signature: it may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedImage(HeldImage);

impl SignedImage {
    /// What it is.
    pub fn image(&self) -> HeldImage {
        self.0
    }
}

/// Whether the image of `length` bytes (when that is known) is whole and for this device.
#[inline(never)]
pub fn check<A: Arithmetic>(
    image: &mut dyn ReadImage,
    length: Option<u32>,
    target: &Target,
) -> Result<WholeImage, Failure> {
    let mut start = [0; HEADER_LENGTH];
    image.read(0, &mut start)?;
    let header = Header::parse(&start)?;
    target.check_size(&header, length.unwrap_or(target.slot_size))?;

    let mut vectors = [0; 8];
    image.read(u32::from(HEADER_SIZE), &mut vectors)?;
    target.check_vectors(&header, &vectors)?;

    let digest = hash::<A>(image, header.signed_length())?;
    check_trailer(image, header, digest, length, target)
}

/// Whether what was received is the image that was announced with this digest and length, whole, for this device, and
/// none that the boot record forbids; if not, what the computer is told.
pub(crate) fn check_received<A: Arithmetic>(
    image: &mut dyn ReadImage,
    (digest, length): (Digest, u32),
    record: &BootRecord,
    target: &Target,
) -> Result<WholeImage, Refusal> {
    let whole = check::<A>(image, Some(length), target).map_err(|failure| match failure {
        Failure::Image(error) => Refusal::Image(error),
        Failure::Unreadable => Refusal::Storage(StorageError::Unreadable),
    })?;
    record
        .check_counter(whole.security_counter)
        .map_err(Refusal::Image)?;
    if whole.image.digest != digest {
        return Err(Refusal::Image(ImageError::BadDigest));
    }
    Ok(whole)
}

/// Whether it was signed with this key, and may be installed.
///
/// Apart from [`check`]: only the bootloader asks for that, and where it converses with a computer there would not be
/// the stack for it.
#[inline(never)]
pub fn check_signature<A: Arithmetic>(
    image: &mut dyn ReadImage,
    whole: WholeImage,
    public_key: &[u8; 32],
) -> Result<SignedImage, Failure> {
    let mut buffer = [0; MAX_TRAILER];
    let trailer = read_trailer(image, &whole.header, whole.image.length, &mut buffer)?;
    // Of the digest that was computed, whatever can be read of the trailer now.
    check_key::<A>(&trailer, whole.image.digest, public_key)?;
    Ok(SignedImage(whole.image))
}

/// The same of an image of which only the header and, in `bytes`, the TLVs are known, and the digest and length that it
/// is announced with. Its security counter, which the caller compares with the device's.
///
/// Whether it has that digest, and so that counter, shows only when all of it is there.
pub fn check_announced<A: Arithmetic>(
    header: &Header,
    bytes: &[u8],
    (digest, length): (Digest, u32),
    target: &Target,
    public_key: &[u8; 32],
) -> Result<u32, ImageError> {
    let trailer = Trailer::parse(header, bytes)?;
    target.check_trailer(header, &trailer, length)?;
    if trailer.digest != digest {
        return Err(ImageError::BadDigest);
    }
    check_key::<A>(&trailer, digest, public_key)?;
    Ok(trailer.security_counter)
}

fn check_key<A: Arithmetic>(
    trailer: &Trailer<'_>,
    digest: Digest,
    public_key: &[u8; 32],
) -> Result<(), ImageError> {
    let mut der = Sha256::<A>::new();
    der.update(&DER_PREFIX);
    der.update(public_key);
    if trailer.key_hash != der.finish() {
        return Err(ImageError::OtherKey);
    }
    signature::verify::<A>(public_key, &digest.0, trailer.signature)
        .map_err(|_| ImageError::BadSignature)
}

/// Apart from [`hash`], so that their buffers do not add up on the stack.
#[inline(never)]
fn check_trailer(
    image: &mut dyn ReadImage,
    header: Header,
    digest: Digest,
    length: Option<u32>,
    target: &Target,
) -> Result<WholeImage, Failure> {
    let mut buffer = [0; MAX_TRAILER];
    let end = length.unwrap_or(target.slot_size);
    let trailer = read_trailer(image, &header, end, &mut buffer)?;
    let whole = header.trailer_offset() + trailer.length;
    target.check_trailer(&header, &trailer, length.unwrap_or(whole))?;
    if trailer.digest != digest {
        return Err(ImageError::BadDigest.into());
    }
    Ok(WholeImage {
        image: HeldImage {
            version: header.version,
            digest,
            length: whole,
        },
        security_counter: trailer.security_counter,
        header,
    })
}

/// The TLVs, which end before `end`.
#[inline(never)]
fn read_trailer<'a>(
    image: &mut dyn ReadImage,
    header: &Header,
    end: u32,
    buffer: &'a mut [u8; MAX_TRAILER],
) -> Result<Trailer<'a>, Failure> {
    let room = end - header.trailer_offset();
    let bytes = &mut buffer[..MAX_TRAILER.min(room as usize)];
    image.read(header.trailer_offset(), bytes)?;
    Ok(Trailer::parse(header, bytes)?)
}

#[inline(never)]
fn hash<A: Arithmetic>(image: &mut dyn ReadImage, length: u32) -> Result<Digest, Unreadable> {
    let mut sha = Sha256::<A>::new();
    let mut piece = Piece([0; PIECE]);
    let mut offset = 0;
    while offset < length {
        let piece = &mut piece.0[..PIECE.min((length - offset) as usize)];
        image.read(offset, piece)?;
        sha.update(piece);
        offset += piece.len() as u32;
    }
    Ok(Digest(sha.finish()))
}
