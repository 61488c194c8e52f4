//! Lists the languages of the page: that of the sources, and each that has a file. It must never read anything but those
//! files.

use std::path::Path;
use std::{env, fs};

const TEXTS: &str = "../assets/text";
/// Of the sources: as it is called, and what stands in each file beside what its own language is called.
const ENGLISH: &str = "English";

fn main() {
    println!("cargo::rerun-if-changed={TEXTS}");
    let files = fs::read_dir(TEXTS).expect("the texts are beside the page's sources");
    let mut languages: Vec<(String, String)> = files
        .map(|file| read(&file.expect("the folder can be read").path()))
        .collect();
    languages.sort();
    languages.insert(0, ("en".into(), ENGLISH.into()));
    let source = format!(
        "/// The languages, by their code and their own name. The first is that of the sources.\n\
         pub const LANGUAGES: [(&str, &str); {}] = {languages:?};\n",
        languages.len()
    );
    let folder = env::var_os("OUT_DIR").expect("cargo says where");
    fs::write(Path::new(&folder).join("languages.rs"), source).expect("cargo's folder takes files");
}

/// A language's code and its own name.
fn read(file: &Path) -> (String, String) {
    let text = fs::read_to_string(file).expect("a text can be read");
    let mut lines = text.lines().skip_while(|line| *line != ENGLISH);
    let name = lines.nth(1);
    let code = file.file_stem().and_then(|stem| stem.to_str());
    match (code, name) {
        (Some(code), Some(name)) => (code.into(), name.into()),
        _ => panic!(
            "{} does not say how it is called: {ENGLISH}",
            file.display()
        ),
    }
}
