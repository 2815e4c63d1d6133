//! The support table of `board/README.md`, from the same constants that everything else is built from. A test holds the file against
//! it. Not here: what a tier demands (the README says it).

use crate::{CONTROL_BOARDS, PRODUCTS};
use model::{Attachment, ChainLine, Product};
use std::fmt::Write;

/// Products and control boards, as two tables in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut t =
        String::from("| Product | What it is | Chips | Reached by | Control boards | Tier |\n|---|---|---|---|---|---|\n");
    for p in PRODUCTS {
        let boards = p.control_boards.join(", ");
        let chips = p.hashboards.first().map_or_else(String::new, |b| {
            let chip = format!("{:?}", b.chain.chip).replace("Bm", "BM");
            if p.hashboards.len() == 1 {
                format!("{} {chip}", b.chain.chips)
            } else {
                format!("{} × {} {chip}", p.hashboards.len(), b.chain.chips)
            }
        });
        let row = format!("| `{}` | {} | {chips} | {} | {boards} | {} |\n", p.name, p.title, reached_by(p), p.tier.word());
        t.push_str(&row);
    }
    t.push_str("\n| Control board | Processor | Tier |\n|---|---|---|\n");
    for c in CONTROL_BOARDS {
        // Writing to a string cannot fail.
        let _written = writeln!(t, "| `{}` | {} | {} |", c.name, c.architecture, c.tier.word());
    }
    t
}

/// The buses that a product needs.
fn reached_by(p: &Product) -> &'static str {
    let spi = p.hashboards.iter().any(|b| b.line == ChainLine::Spi);
    match p.attachment {
        Attachment::Usb(_) => "USB",
        Attachment::Buses if spi => "SPI, I²C, GPIO",
        Attachment::Buses => "UART, I²C, GPIO",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Between these the README holds the tables.
    const MARKS: (&str, &str) = ("<!-- tables: written from the constants, see src/table.rs -->\n", "<!-- end of tables -->\n");

    #[test]
    fn the_readme_shows_what_the_constants_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = fs::read_to_string(&path).expect("board/README.md");
        let (head, rest) = readme.split_once(MARKS.0).expect("the mark before the tables");
        let (shown, tail) = rest.split_once(MARKS.1).expect("the mark behind the tables");
        if std::env::var_os("OTEDAMA_WRITE").is_some() {
            fs::write(&path, [head, MARKS.0, &markdown(), MARKS.1, tail].concat()).expect("writes");
            return;
        }
        assert!(shown == markdown(), "run the test once more with OTEDAMA_WRITE=1 to renew board/README.md");
    }

    #[test]
    fn every_folder_is_in_a_list_and_every_entry_has_a_readme() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed: Vec<String> =
            PRODUCTS.iter().map(|p| p.name).chain(CONTROL_BOARDS.iter().map(|c| c.name)).map(|n| n.replace('-', "_")).collect();
        for folder in fs::read_dir(root).expect("reads").flatten().filter(|e| e.path().join("mod.rs").exists()) {
            let name = folder.file_name().to_string_lossy().into_owned();
            assert!(listed.contains(&name), "{name} is in no list");
        }
        for name in listed {
            let readme = fs::read_to_string(root.join(&name).join("README.md")).unwrap_or_default();
            assert!(readme.contains("Evidence") || name == "pc", "{name} has no README with its facts");
        }
    }
}
