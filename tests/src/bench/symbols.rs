//! Where the functions of a linked program are.

use std::ops::Range;

use object::{Object, ObjectSymbol, SymbolKind};

/// Functions by address.
pub struct Symbols(Vec<(Range<u32>, String)>);

impl Symbols {
    /// From an ELF file.
    ///
    /// # Panics
    /// When it is none.
    pub fn read(elf: &[u8]) -> Self {
        let file = object::File::parse(elf).expect("an ELF file");
        let mut functions: Vec<(Range<u32>, String)> = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| {
                let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
                let start = u32::try_from(symbol.address()).ok()? & !1;
                Some((start..start + u32::try_from(symbol.size()).ok()?, name))
            })
            .collect();
        functions.sort_by_key(|(place, _)| (place.start, place.end));
        Symbols(functions)
    }

    /// Where a function begins.
    ///
    /// # Panics
    /// When the program has none of that name.
    pub fn address(&self, name: &str) -> u32 {
        self.0
            .iter()
            .find(|(_, function)| function == name)
            .unwrap_or_else(|| panic!("no function is called {name}"))
            .0
            .start
    }

    /// The function around an address.
    pub fn name(&self, address: u32) -> Option<&str> {
        let behind = self.0.partition_point(|(place, _)| place.start <= address);
        self.0[..behind]
            .iter()
            .rfind(|(place, _)| place.contains(&address))
            .map(|(_, name)| &name[..])
    }
}
