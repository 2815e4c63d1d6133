//! The catalogue of faults that are injected: one row a kind. To add a kind, add a row; a new way to do harm is a variant of [`Harm`].
//!
//! A row says what is done, how long, what the firmware must call it meanwhile and how soon it must be back. Which part is hit is
//! the seed's choice (`aim`), how it is hit is `harm`'s. Not here: the order of events (`scenario`).

use super::feigned::Felt;
use super::harm::Harm;
use super::line::Damage;
use model::{Celsius, ChainLine, FaultCode};
use std::time::Duration;

/// When a fault is ended.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// After this, whatever the firmware thinks of it.
    For(Duration),
    /// So long after the firmware named it, which it must do within a limit.
    Named {
        /// The limit.
        within: Duration,
        /// What follows.
        lasts: Duration,
    },
    /// When what is done has run its course by itself, within this.
    Course(Duration),
}

/// How soon all chains must hash again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// After the end of a wire's or a pool's fault.
    Wire,
    /// Where power was cut: after the end and when every chip is below the resume limit.
    Power,
}

impl Recovery {
    /// In time.
    #[must_use]
    pub const fn limit(self) -> Duration {
        match self {
            Recovery::Wire => Duration::from_secs(60),
            Recovery::Power => Duration::from_secs(150),
        }
    }
}

/// One kind of fault.
#[derive(Debug)]
pub struct Kind {
    /// The word used on the command line and in reports.
    pub name: &'static str,
    /// What is done.
    pub harm: Harm,
    /// When it is ended.
    pub length: Length,
    /// How soon all chains must hash again.
    pub recovery: Recovery,
    /// Whether a person has to ask for a start.
    pub latches: bool,
    /// What the firmware must call it: one of these. Empty where it must not notice.
    pub shows: &'static [FaultCode],
    /// What may still be shown while all chains hash again, as the firmware judges it over minutes. It must end all the same.
    pub fades: &'static [FaultCode],
    /// Whether the chains that it hits must be off once it was named.
    pub off: bool,
    /// Whether the chain that it hits must hash on while it lasts.
    pub hashes: bool,
    /// Whether the others, where they have to stop for it, must hash again while it lasts.
    pub others: bool,
}

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

const fn named(within: u64, lasts: u64) -> Length {
    Length::Named { within: seconds(within), lasts: seconds(lasts) }
}

/// What any row is unless it says otherwise.
const ROW: Kind = Kind {
    name: "",
    harm: Harm::ClockJump(0),
    length: named(60, 20),
    recovery: Recovery::Wire,
    latches: false,
    shows: &[],
    fades: &[],
    off: false,
    hashes: false,
    others: false,
};

/// A part of the control bus that fails cuts the power of a board or of all.
const BUS_PARTS: &[FaultCode] =
    &[FaultCode::SensorLost, FaultCode::FanFailed, FaultCode::RailFailed, FaultCode::SupplyFailed, FaultCode::BusFailed];
/// Noise is shown for a minute after it was last heard. Chips that it hid while they were counted show themselves one by one, and of its
/// damaged replies one in thirty-two passes a checksum of five bits, as a wrong nonce: those are judged over minutes.
const NOISE_FADES: &[FaultCode] =
    &[FaultCode::ChainNoise, FaultCode::ChainShort, FaultCode::ChainSlow, FaultCode::HardwareErrors];
const LINE: &[FaultCode] =
    &[FaultCode::ChainSilent, FaultCode::ChainMissing, FaultCode::ChainShort, FaultCode::ChainSlow, FaultCode::ChainNoise];

/// Every kind, in no particular order: a seed makes its own.
pub const KINDS: &[Kind] = &[
    Kind { name: "i2c-nack", harm: Harm::Nack { parts: 1 }, recovery: Recovery::Power, shows: BUS_PARTS, ..ROW },
    Kind { name: "i2c-nack-several", harm: Harm::Nack { parts: 3 }, recovery: Recovery::Power, shows: BUS_PARTS, ..ROW },
    // An open line reads 127.9 or -64, a dead one 0.
    Kind {
        name: "sensor-absurd",
        harm: Harm::Sensor(&[Felt::Fixed(Celsius(-64.0)), Felt::Fixed(Celsius(0.0)), Felt::Fixed(Celsius(127.0))]),
        recovery: Recovery::Power,
        shows: &[FaultCode::SensorAbsurd, FaultCode::SensorLost],
        off: true,
        ..ROW
    },
    Kind {
        name: "sensor-jump",
        harm: Harm::Sensor(&[Felt::Off(Celsius(40.0)), Felt::Off(Celsius(-40.0))]),
        recovery: Recovery::Power,
        shows: &[FaultCode::SensorAbsurd],
        off: true,
        ..ROW
    },
    // A board comes back with a sensor that goes on saying what it said when the board was pulled. While the board hashes evenly that
    // cannot be told from the truth; its start is what must show. A control board's sensor is left out, which follows no board, and so are
    // chips that measure themselves, of which the warmest counts. Repaired on the table.
    Kind {
        name: "sensor-stuck",
        harm: Harm::SensorStuck,
        length: named(600, 20),
        recovery: Recovery::Power,
        shows: &[FaultCode::SensorAbsurd],
        off: true,
        ..ROW
    },
    // The diode's line is cut: the part says so by a bit or a code of its own, and never by a temperature. A sensor that measures itself
    // is gone with its line.
    Kind {
        name: "sensor-open-circuit",
        harm: Harm::SensorOpen,
        recovery: Recovery::Power,
        shows: &[FaultCode::SensorAbsurd, FaultCode::SensorLost],
        off: true,
        ..ROW
    },
    // Longer than power may last without it.
    Kind {
        name: "fan-stall",
        harm: Harm::FanStall { all: false },
        length: named(60, 75),
        recovery: Recovery::Power,
        shows: &[FaultCode::FanFailed],
        ..ROW
    },
    Kind {
        name: "fan-stall-all",
        harm: Harm::FanStall { all: true },
        length: named(60, 75),
        recovery: Recovery::Power,
        shows: &[FaultCode::FanFailed],
        ..ROW
    },
    Kind { name: "tach-noise", harm: Harm::TachNoise, recovery: Recovery::Power, shows: &[FaultCode::FanFailed], ..ROW },
    // Half of a chain is told from chance within minutes. Behind its first chips nothing is left, and an S9's sensor speaks through one of
    // them. The technician repairs the board on the table.
    Kind {
        name: "chain-cut",
        harm: Harm::ChainCut,
        length: named(400, 20),
        shows: &[
            FaultCode::ChainShort,
            FaultCode::ChainSlow,
            FaultCode::ChainSilent,
            FaultCode::ChainMissing,
            FaultCode::SensorLost,
        ],
        // A board without a plug line may be repaired and nobody hears of it: its count is good again after two minutes.
        fades: &[FaultCode::ChainSlow],
        ..ROW
    },
    // One voltage domain of a board has failed: its chips and those behind it are out of reach. Where that is the first one the chain is
    // silent. Repaired on the table, as a cut is.
    Kind {
        name: "dead-domain",
        harm: Harm::DeadDomain,
        length: named(400, 20),
        shows: &[
            FaultCode::ChainShort,
            FaultCode::ChainSlow,
            FaultCode::ChainSilent,
            FaultCode::ChainMissing,
            FaultCode::SensorLost,
        ],
        fades: &[FaultCode::ChainSlow],
        ..ROW
    },
    Kind { name: "silent-chain", harm: Harm::Line(Damage::Silent), shows: LINE, ..ROW },
    Kind {
        name: "garbage-frames",
        harm: Harm::Line(Damage::Garbage),
        length: named(120, 20),
        shows: LINE,
        fades: NOISE_FADES,
        ..ROW
    },
    // What is damaged fails its checksum, and is asked or told again: the chain hashes on.
    Kind {
        name: "uart-noise",
        harm: Harm::Noise { line: ChainLine::Uart, permille: 10 },
        length: named(120, 20),
        shows: &[FaultCode::ChainNoise],
        fades: NOISE_FADES,
        hashes: true,
        ..ROW
    },
    // In a ring on SPI one wrong bit makes of a job's header that of a reset, which every chip obeys: the chain may have to begin anew.
    Kind {
        name: "spi-noise",
        harm: Harm::Noise { line: ChainLine::Spi, permille: 10 },
        length: named(120, 20),
        shows: LINE,
        fades: NOISE_FADES,
        ..ROW
    },
    Kind { name: "lost-bytes-at-baud-change", harm: Harm::Line(Damage::LostAtBaud(16)), shows: LINE, fades: NOISE_FADES, ..ROW },
    Kind {
        name: "wrong-nonces",
        harm: Harm::WrongNonces,
        length: named(300, 20),
        shows: &[FaultCode::HardwareErrors],
        fades: &[FaultCode::HardwareErrors],
        ..ROW
    },
    // Its rail cannot be shown to be off but by the supply, which the others hang on as well: they stop, and must come back without it.
    Kind {
        name: "pic-silent",
        harm: Harm::RegulatorSilent,
        recovery: Recovery::Power,
        shows: &[FaultCode::RailFailed],
        off: true,
        others: true,
        ..ROW
    },
    // The controller resets while its board hashes and comes back in its boot loader, which takes what starts or feeds a rail for what it
    // likes. A host cannot know before it asks, or hears no answer to its heartbeat; from then on any word but a question is a violation
    // (`watch`). The others go on. Repaired on the table.
    Kind {
        name: "pic-bootloader",
        harm: Harm::BootLoader,
        recovery: Recovery::Power,
        shows: &[FaultCode::BoardUnknown, FaultCode::RailFailed],
        off: true,
        ..ROW
    },
    // A board of another product is put in. Its data tell it, where the maker's name of the right board is known; neither they nor its
    // controller may be written to (`watch`).
    Kind {
        name: "foreign-eeprom",
        harm: Harm::ForeignEeprom,
        recovery: Recovery::Power,
        shows: &[FaultCode::BoardUnknown],
        off: true,
        ..ROW
    },
    // Once its answers are no words that anybody knows, it may be asked, in whatever dialect, and told nothing (`watch`).
    Kind {
        name: "supply-dialect",
        harm: Harm::SupplyBabble,
        recovery: Recovery::Power,
        shows: &[FaultCode::SupplyFailed],
        ..ROW
    },
    // The mains sag for a moment: rails fall, chips forget everything.
    Kind {
        name: "brown-out",
        harm: Harm::BrownOut,
        length: Length::For(seconds(3)),
        recovery: Recovery::Power,
        // Sensors on chips fall silent with them; a ring on SPI is looked at all the time, and is found missing at once.
        shows: &[
            FaultCode::BrownOut,
            FaultCode::ChainSilent,
            FaultCode::ChainMissing,
            FaultCode::RailFailed,
            FaultCode::SupplyFailed,
            FaultCode::ChainSlow,
            FaultCode::SensorLost,
        ],
        ..ROW
    },
    // A supply that has aged gives four fifths of what the machine takes, and sags. Who measures its input lets the clock down until it
    // bears the load, hashes on with that, and says that power is held down.
    // Heat before it may hold the clock down for some minutes more: until that is over there is nothing to name.
    Kind {
        name: "supply-weak",
        harm: Harm::Aged(0.8),
        length: named(900, 240),
        shows: &[FaultCode::BrownOut, FaultCode::Overload, FaultCode::PowerLowered],
        hashes: true,
        ..ROW
    },
    // Without a plug line, what does not answer is named.
    Kind {
        name: "hot-unplug",
        harm: Harm::HotUnplug,
        shows: &[
            FaultCode::ChainMissing,
            FaultCode::ChainSilent,
            FaultCode::SensorLost,
            FaultCode::RailFailed,
            FaultCode::FanFailed,
            FaultCode::BusFailed,
        ],
        ..ROW
    },
    // Bus, lines and chain vanish at once and come back, as the supervisor's lines do that are opened anew (`supervisor::reopen`, with
    // its own tests on ptys). All must hash within a minute, by itself. In QEMU a guest's kernel sees it (`usb_redir`).
    Kind {
        name: "usb-unplug",
        harm: Harm::UsbUnplug,
        length: named(30, 20),
        shows: &[
            FaultCode::ChainMissing,
            FaultCode::ChainSilent,
            FaultCode::SensorLost,
            FaultCode::RailFailed,
            FaultCode::FanFailed,
            FaultCode::BusFailed,
        ],
        ..ROW
    },
    Kind { name: "two-boards-one-address", harm: Harm::Twins, recovery: Recovery::Power, shows: BUS_PARTS, ..ROW },
    Kind {
        name: "pool-drop",
        harm: Harm::PoolDrop,
        length: named(30, 40),
        shows: &[FaultCode::UpstreamDown, FaultCode::NoWork],
        ..ROW
    },
    Kind {
        name: "pool-silence",
        harm: Harm::PoolSilence,
        length: named(300, 30),
        shows: &[FaultCode::UpstreamSilent, FaultCode::UpstreamDown, FaultCode::NoWork],
        ..ROW
    },
    // A year and half an hour ahead, and back: nothing that protects or hashes may look at the wall clock, and a schedule at the hour alone.
    Kind { name: "clock-jump", harm: Harm::ClockJump(365 * 86_400 + 1_800), length: Length::For(seconds(60)), ..ROW },
    Kind {
        name: "over-heat",
        harm: Harm::Ambient(Celsius(70.0)),
        length: named(900, 60),
        recovery: Recovery::Power,
        shows: &[FaultCode::TooHot, FaultCode::Danger],
        ..ROW
    },
    Kind {
        name: "three-trips",
        harm: Harm::Trips,
        length: Length::Course(seconds(3000)),
        recovery: Recovery::Power,
        latches: true,
        shows: &[FaultCode::Danger, FaultCode::Latched],
        ..ROW
    },
];

/// Kinds that were picked, by their place in [`KINDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picked(u64);

/// No kind has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fault is called '{0}'; there are: {known}", known = names().join(", "))]
pub struct UnknownKind(pub String);

/// The names of all kinds.
#[must_use]
pub fn names() -> Vec<&'static str> {
    KINDS.iter().map(|k| k.name).collect()
}

impl Picked {
    /// No fault at all.
    pub const NONE: Picked = Picked(0);
    /// All of them.
    pub const ALL: Picked = Picked((1 << KINDS.len()) - 1);

    /// What `all`, `none` and names of kinds mean together.
    ///
    /// # Errors
    /// A word that is none of these.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Picked, UnknownKind> {
        let mut picked = Picked::NONE;
        for word in words {
            picked.0 |= match word {
                "all" => Picked::ALL.0,
                "none" => 0,
                _ => 1 << KINDS.iter().position(|k| k.name == word).ok_or_else(|| UnknownKind(word.to_owned()))?,
            };
        }
        Ok(picked)
    }

    /// The kinds.
    pub fn kinds(self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().enumerate().filter(move |(i, _)| self.0 >> i & 1 == 1).map(|(_, k)| k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        assert_eq!(names().iter().collect::<BTreeSet<_>>().len(), KINDS.len());
        for k in KINDS {
            assert!(!k.name.is_empty() && k.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'2'), "{}", k.name);
            assert_eq!(k.latches, k.name == "three-trips", "the only one that needs a person");
        }
    }

    #[test]
    fn words_are_understood_and_unknown_ones_refused_by_name() {
        assert_eq!(Picked::parse([]), Ok(Picked::NONE));
        assert_eq!(Picked::parse(["none"]).map(|p| p.kinds().count()), Ok(0));
        assert_eq!(Picked::parse(["all"]), Ok(Picked::ALL));
        assert_eq!(Picked::ALL.kinds().count(), KINDS.len());
        let two = Picked::parse(["pool-drop", "brown-out"]).expect("two names");
        assert_eq!(two.kinds().map(|k| k.name).collect::<Vec<_>>(), ["brown-out", "pool-drop"]);
        let error = Picked::parse(["flood"]).expect_err("no such kind").to_string();
        assert!(error.contains("'flood'") && error.contains("pool-drop"), "{error}");
    }
}
