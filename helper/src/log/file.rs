//! Where the copy of a log lies: a file that the browser keeps for the page, or memory where there is none. It knows
//! nothing of what it holds.

/// Bytes that are held where the browser keeps no files for the page.
pub(crate) const MEMORY: u64 = 32 << 20;

/// Why a file did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileError {
    /// There is no room for more.
    Full,
    /// The browser refused.
    #[cfg_attr(test, expect(dead_code, reason = "memory refuses nothing"))]
    Refused,
}

/// Bytes that can be read and written anywhere.
pub(crate) trait File {
    /// How many there are.
    fn length(&self) -> Result<u64, FileError>;

    /// Reads from `at` on; how many bytes were there, at most as many as `out` takes.
    fn read(&self, at: u64, out: &mut [u8]) -> Result<usize, FileError>;

    /// Writes all of them, or nothing that counts: what lies behind `at` is lost either way.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), FileError>;

    /// Forgets what lies behind.
    fn truncate(&mut self, length: u64) -> Result<(), FileError>;
}

/// A file that goes with the page.
#[derive(Default)]
pub(crate) struct Memory(Vec<u8>);

impl File for Memory {
    fn length(&self) -> Result<u64, FileError> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<usize, FileError> {
        let bytes = self.0.get(at as usize..).unwrap_or_default();
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        self.0.truncate(at as usize);
        if at + bytes.len() as u64 > MEMORY {
            return Err(FileError::Full);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<(), FileError> {
        self.0.truncate(length as usize);
        Ok(())
    }
}

/// A file in the origin's private file system.
#[cfg(target_arch = "wasm32")]
pub(crate) mod kept {
    use wasm_bindgen::JsCast;
    use web_sys::{DomException, FileSystemReadWriteOptions, FileSystemSyncAccessHandle};

    use super::{File, FileError};

    /// Closed when it is dropped, so that another tab may have it.
    pub(crate) struct Kept(pub(crate) FileSystemSyncAccessHandle);

    fn place(at: u64) -> FileSystemReadWriteOptions {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(at as f64);
        options
    }

    fn why(error: wasm_bindgen::JsValue) -> FileError {
        match error.dyn_ref::<DomException>() {
            Some(error) if error.name() == "QuotaExceededError" => FileError::Full,
            _ => FileError::Refused,
        }
    }

    impl File for Kept {
        fn length(&self) -> Result<u64, FileError> {
            self.0.get_size().map(|size| size as u64).map_err(why)
        }

        fn read(&self, at: u64, out: &mut [u8]) -> Result<usize, FileError> {
            let read = self.0.read_with_u8_array_and_options(out, &place(at));
            read.map(|count| count as usize).map_err(why)
        }

        fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
            self.truncate(at)?;
            let written = self
                .0
                .write_with_u8_array_and_options(bytes, &place(at))
                .map_err(why)?;
            if written as usize == bytes.len() {
                Ok(())
            } else {
                Err(FileError::Full)
            }
        }

        fn truncate(&mut self, length: u64) -> Result<(), FileError> {
            self.0.truncate_with_f64(length as f64).map_err(why)
        }
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            self.0.close();
        }
    }
}
