//! The maker's catalogue: what is newer for a logger, and whether a file is the one that it lists.

use host::catalogue::{Catalogue, Release};
use host::protocol::device::Uuid;
use host::protocol::image::{Target, Version};
use wasm_bindgen::prelude::wasm_bindgen;

/// What a maker offers.
#[wasm_bindgen]
pub struct Offers(Catalogue);

#[wasm_bindgen]
impl Offers {
    /// Reads a catalogue; throws words for the maker.
    ///
    /// # Errors
    /// Why it is none.
    #[wasm_bindgen(constructor)]
    pub fn read(text: &str) -> Result<Offers, String> {
        Catalogue::read(text)
            .map(Offers)
            .map_err(|error| error.to_string())
    }

    /// What is wrong in it, in words for the maker.
    pub fn ignored(&self) -> String {
        self.0.ignored.join(" ")
    }

    /// The newest for a logger: its version, file, day, and what is new in this language; empty when nothing is newer.
    /// Vendor and class of the logger stand one behind the other; `running` is a version as in a header, or empty.
    pub fn newer(&self, ids: &[u8], running: &[u8], language: &str) -> Vec<String> {
        let Some((vendor, class)) = ids.split_first_chunk() else {
            return Vec::new();
        };
        let Ok(class) = class.try_into() else {
            return Vec::new();
        };
        // Only what it is, not what it demands: that is asked when the file is there.
        let target = Target {
            slot_address: 0,
            slot_size: 0,
            ram_address: 0,
            ram_size: 0,
            vendor_id: Uuid(*vendor),
            class_id: Uuid(class),
            security_counter: 0,
        };
        let running = running.first_chunk().map(Version::from_bytes);
        self.0
            .newer(&target, running)
            .map(|release| offer(release, language))
            .unwrap_or_default()
    }

    /// Why a file is not the one that is listed under this name; none when it is.
    pub fn objection(&self, name: &str, bytes: &[u8]) -> Option<String> {
        let listed = |release: &&Release| release.file == name;
        let release = self.0.releases.iter().find(listed)?;
        release.check(bytes).err().map(|error| error.to_string())
    }
}

fn offer(release: &Release, language: &str) -> Vec<String> {
    vec![
        release.version.to_string(),
        release.file.clone(),
        release.date.clone(),
        release.notes_in(language).unwrap_or_default().into(),
    ]
}
