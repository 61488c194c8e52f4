//! Byte arrays on the wire: length and bytes at once. Serde's own way, one element after the other, costs the device
//! more than a kilobyte of code.

use core::fmt;
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// For `#[serde(with = "byte_array")]`.
pub fn serialize<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// For `#[serde(with = "byte_array")]`.
pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    deserializer.deserialize_bytes(Bytes)
}

/// For a type that is a fixed number of bytes on the wire.
macro_rules! as_bytes {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::byte_array::serialize(&self.to_bytes(), serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::byte_array::deserialize(deserializer).map(|bytes| Self::from_bytes(&bytes))
            }
        }
    };
}
pub(crate) use as_bytes;

/// Fills a record, field after field. A field that does not fit any more is left out: a record's length is the sum of
/// its fields.
pub(crate) struct Writer<'a>(pub &'a mut [u8]);

impl Writer<'_> {
    /// The next field.
    pub(crate) fn put(&mut self, field: &[u8]) {
        if let Some((place, rest)) = core::mem::take(&mut self.0).split_at_mut_checked(field.len())
        {
            place.copy_from_slice(field);
            self.0 = rest;
        }
    }
}

/// Takes a record apart, field after field. Behind its end there are zeros.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// The next field.
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }
}

struct Bytes<const N: usize>;

impl<const N: usize> Visitor<'_> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("bytes of the right number")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes
            .try_into()
            .map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}
