//! The catalogue of what can go wrong, and what to do about it: one row a fault. Trouble that a user should see is one of
//! these, never a log line alone.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Mining goes on undiminished.
    Notice,
    /// Mining goes on with less.
    Warning,
    /// A part is off, or nothing is mined.
    Error,
    /// Switched off to protect hardware.
    Critical,
}

macro_rules! catalogue {
    ($($variant:ident $code:literal $severity:ident $title:literal $advice:literal;)*) => {
        /// A fault's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultCode {
            $(#[doc = $title] $variant,)*
        }
        impl FaultCode {
            /// Every row of the catalogue.
            pub const ALL: &'static [FaultCode] = &[$(FaultCode::$variant),*];
            /// The word used in status, metrics and documents.
            #[must_use]
            pub const fn code(self) -> &'static str { match self { $(FaultCode::$variant => $code),* } }
            /// What happened, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(FaultCode::$variant => $title),* } }
            /// What to do now.
            #[must_use]
            pub const fn advice(self) -> &'static str { match self { $(FaultCode::$variant => $advice),* } }
            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity { match self { $(FaultCode::$variant => Severity::$severity),* } }
        }
    };
}

catalogue! {
    NoUpstream "no-upstream" Error "No pool is set" "Add a pool under 'upstreams' in the settings. Hash power stays off until then.";
    UpstreamDown "upstream-down" Warning "A pool cannot be reached" "Check its address, the network cable and the name server. The next pool in the list is used meanwhile.";
    UpstreamProtocol "upstream-protocol" Warning "A pool sends what it must not" "Check that the address is a Stratum port of this algorithm; tell the pool's operator.";
    UpstreamRejects "upstream-rejects" Warning "A pool refuses every share" "Check the worker's name and that the pool mines this algorithm. The next pool is used meanwhile.";
    UpstreamSilent "upstream-silent" Warning "A pool offers no work" "The connection stands but no job comes. The next pool in the list is used meanwhile.";
    NoWork "no-work" Error "No pool offers work" "Hashboards are off to save power and start with the first job. Look at each pool's own fault.";
    NodeDown "node-down" Warning "The coin node does not answer" "Check that the node runs and that its RPC address and password are right. It is tried again.";
    ChainMissing "chain-missing" Error "A hashboard does not answer" "Check its power and data cables with the machine unplugged, then its slot.";
    ChainShort "chain-short" Warning "A hashboard answers with fewer chips than it should" "The chain is cut or a chip is dead. The rest of it works on; have the board repaired.";
    ChainSilent "chain-silent" Error "A hashboard stopped reporting" "It is restarted by itself. If it comes back often, check its cables and supply.";
    FlatLine "flat-line" Error "Nothing is found although chains have work" "Fresh work, the chains, the pool, the program and at last the board are started anew by themselves. If that does not help, check the supply and the data cables.";
    ChainSlow "chain-slow" Warning "A hashboard hashes far less than it should" "It is restarted once an hour at most. If that does not help, chips of it are dead or starved: have the board repaired.";
    ChainNoise "chain-noise" Warning "Damaged data from a hashboard" "Check the data cable and its plug for dirt and bent pins.";
    HardwareErrors "hardware-errors" Warning "A hashboard computes wrong results" "It runs too fast, too hot or at too low a voltage.";
    BusFailed "bus-failed" Critical "A control bus does not answer" "Sensors, fans and regulators hang on it: hashing is off. Check the ribbon cable; restart the machine.";
    SensorLost "sensor-lost" Critical "A temperature is unknown" "Without it the board is off and fans are full. Check the board's cable; replace the sensor.";
    SensorAbsurd "sensor-absurd" Critical "A temperature sensor reads nonsense" "The board is off and fans are full. Replace the sensor.";
    TooHot "too-hot" Warning "A hashboard is hot" "Fans are full and the clock is lowered. Check the air flow, filters and the room.";
    Danger "danger" Critical "A hashboard was switched off: too hot" "It starts again by itself when cool. Check fans, dust and the room.";
    Latched "latched" Critical "A hashboard was too hot too often" "It stays off until a person starts mining by hand. Find the cause first: fans, dust, heat sinks.";
    FanFailed "fan-failed" Warning "A fan does not turn as told" "The others turn faster. Replace it soon: with too few of them hashing stops.";
    TooFewFans "too-few-fans" Critical "Too few fans turn" "Hashing slows down, then stops. Replace the fans that show no speed.";
    SupplyFailed "supply-failed" Critical "The power supply does not obey" "Switch off at the wall for a minute; check its control cable.";
    Overload "overload" Warning "More power is drawn than the supply gives" "The clock is lowered. Check that the supply fits the machine.";
    BrownOut "brown-out" Error "The input voltage is too low" "The clock is lowered, then the boards go off before the supply shuts down. Check the mains, its cables and what else hangs on them.";
    BoardUnknown "board-unknown" Error "A hashboard is not what it should be" "It is left off and nothing is written to it. Check that the board belongs to this machine; have its controller repaired.";
    RailFailed "rail-failed" Error "A hashboard's voltage controller does not obey" "The board is off. Check its cable; its controller may need repair.";
    PowerLowered "power-lowered" Notice "Power is held down" "The machine was hot or its supply sagged for a minute or more. Power is raised again by steps once that is over: check air flow, the room and the supply's cables.";
    ProfileRefused "profile-refused" Notice "A tuned profile was refused" "It is damaged or of another machine. The machine is tuned anew.";
    QueueFull "queue-full" Warning "An inner queue overflowed" "The machine is too busy or a part hangs; please report it with the log.";
    SettingsRefused "settings-refused" Warning "The settings file was refused" "The last good one stays in force. 'otedama check --config FILE' names the line.";
    SelfTest "self-test" Error "A hash kernel failed its self-test" "A slower one is used. The processor or its memory may be damaged.";
}

/// One fault that is there now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// Which row of the catalogue.
    pub code: FaultCode,
    /// Which part: `chain 1`, `upstream 0`, `fan 2`.
    pub place: String,
    /// What was attempted and what came of it; may be empty.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_named_once_and_advises() {
        let mut codes: Vec<_> = FaultCode::ALL.iter().map(|c| c.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FaultCode::ALL.len());
        for c in FaultCode::ALL {
            assert!(c.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", c.code());
            assert!(c.advice().ends_with('.'), "{}", c.code());
        }
    }
}
