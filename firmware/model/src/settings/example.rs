//! The example file, written from the table of keys.
//!
//! Not a writer of settings: nothing writes a person's file but the person.

use super::field::{Field, Kind, ROOT};

/// The text of `config.example.yaml`: every key that has a meaning, its purpose, and a value that works.
#[must_use]
pub fn example() -> String {
    let mut out = String::from(
        "# Otedama's settings. `otedama check --config FILE` checks a copy of this file, `otedama serve --config FILE` runs it.\n\
         # Every section may be left out; the values here are the defaults, but for the device and the pool with its coin.\n",
    );
    section(&mut out, ROOT, "", "");
    out
}

fn section(out: &mut String, fields: &[Field], indent: &str, first: &str) {
    let mut lead = first;
    for Field { name, doc, kind } in fields {
        let start = format!("{indent}{lead}");
        let deeper = format!("{indent}{}  ", " ".repeat(first.len()));
        // An entry of a list keeps its remark at the end of the line, so that the dash stays in front of a key.
        let in_entry = !first.is_empty();
        let line = |text: String| if in_entry { format!("{text} # {doc}\n") } else { format!("{indent}# {doc}\n{text}\n") };
        if matches!(kind, Kind::Waits(_)) {
            continue;
        }
        if indent.is_empty() {
            out.push('\n');
        }
        match kind {
            Kind::Waits(_) => {}
            Kind::Value { shown, .. } => out.push_str(&line(format!("{start}{name}: {shown}"))),
            Kind::Optional { shown } => {
                let within = if in_entry { "  " } else { "" };
                out.push_str(&format!("{indent}{within}# {doc}\n{indent}{within}#{name}: {shown}\n"));
            }
            Kind::Section(fields) => {
                out.push_str(&line(format!("{start}{name}:")));
                section(out, fields, &deeper, if in_entry { "" } else { first });
            }
            Kind::Entries { fields, live, .. } => {
                out.push_str(&line(format!("{start}{name}: {live}").trim_end().to_owned()));
                let mut entry = String::new();
                section(&mut entry, fields, &deeper, "- ");
                if live.is_empty() {
                    out.push_str(&entry);
                } else {
                    for l in entry.lines() {
                        out.push_str(&format!("{deeper}# {}\n", l.strip_prefix(deeper.as_str()).unwrap_or(l)));
                    }
                }
            }
        }
        if in_entry {
            lead = "  ";
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Coin, example, read};

    #[test]
    fn the_file_in_the_tree_is_the_one_that_the_table_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.example.yaml");
        let said = std::fs::read_to_string(path).expect("config.example.yaml is in the tree");
        assert!(said == example(), "config.example.yaml differs from model's table, which gives:\n{}", example());
    }

    #[test]
    fn the_example_passes_without_a_warning() {
        let (settings, warnings) = read(&example()).expect("the example is good");
        assert_eq!(warnings, []);
        assert_eq!(settings.pool.coins, [Coin::Practice]);
        assert!(settings.mining.asic.devices[0].simulated);
    }

    #[test]
    fn the_entries_that_are_shown_as_comments_pass_too() {
        let mut text = example().replace("upstreams: []", "upstreams:").replace("coins: [practice]", "coins:");
        text = text.replace("schedule: []", "schedule:");
        text = text
            .lines()
            .map(|l| match l.trim_start().strip_prefix("# ") {
                Some(rest) if rest.starts_with("- ") || rest.starts_with("  ") => {
                    format!("{}{rest}\n", " ".repeat(l.len() - l.trim_start().len()))
                }
                _ => format!("{l}\n"),
            })
            .collect();
        let (settings, warnings) = read(&text).unwrap_or_else(|p| panic!("{p:?}\n{text}"));
        assert_eq!((settings.upstreams.len(), settings.pool.coins.len(), warnings.len()), (1, 1, 0));
        assert_eq!(settings.power.hours.len(), 1);
    }
}
