//! The settings that an image comes with: the example, but nothing in it is pretended and the state is on the data partition.
//!
//! Without a device named it looks for hardware, and without an upstream it waits with its hash power off until a person
//! names one. Not here: what a key means (`model`).

use anyhow::{Result, ensure};

/// Lines of the example, and what an image says instead.
const INSTEAD: &[(&str, &str)] = &[
    (
        "# Otedama's settings. `otedama check --config FILE` checks a copy of this file, `otedama serve --config FILE` runs it.\n",
        "# Otedama's settings: change them here with any editor, then start the machine with this card or stick again.\n",
    ),
    (
        "# Every section may be left out; the values here are the defaults, but for the device and the pool with its coin.\n",
        "# Name a pool below `upstreams`; until then nothing is mined. Every section may be left out.\n",
    ),
    ("  coins: [practice]\n", "  coins: []\n"),
    ("  # Let other miners in.\n  enable: true\n", "  # Let other miners in.\n  enable: false\n"),
    ("#state: /data/otedama\n", "state: /data\n"),
];

/// The text of the `config.yaml` of an image.
///
/// # Errors
/// The example has changed so that a line to be replaced is not there.
pub fn of_image() -> Result<String> {
    let mut text = model::settings::example();
    for (from, to) in INSTEAD {
        ensure!(text.matches(from).count() == 1, "make the image's settings: the example does not have this once: {from}");
        text = text.replace(from, to);
    }
    without_device(&text)
}

/// The example's device becomes a comment, which shows what one looks like.
fn without_device(text: &str) -> Result<String> {
    const INDENT: &str = "      ";
    let (mut out, mut inside, mut found) = (String::new(), false, 0);
    for line in text.lines() {
        inside &= line.starts_with(INDENT);
        let entry = line.strip_prefix(INDENT).unwrap_or(line);
        match line.strip_suffix("devices:") {
            Some(_) => out += &format!("{line} []\n"),
            None if inside => out += &format!("{INDENT}# {entry}\n"),
            None => out += &format!("{line}\n"),
        }
        if line.ends_with(" devices:") {
            (inside, found) = (true, found + 1);
        }
    }
    ensure!(found == 1, "make the image's settings: the example has {found} lists of devices, not one");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::settings::read;

    #[test]
    fn an_image_pretends_nothing_and_keeps_its_state() {
        let text = of_image().expect("a text");
        let (settings, warnings) = read(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(settings.state.as_deref(), Some(std::path::Path::new("/data")));
        assert!(settings.mining.asic.devices.is_empty() && settings.upstreams.is_empty() && settings.pool.coins.is_empty());
        assert!(!settings.pool.enable);
        assert!(text.contains("# - product: antminer-s19jpro"), "how a device is written is still shown:\n{text}");
    }
}
