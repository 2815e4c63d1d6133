//! Bitmain APW9 and APW12 supplies, in each dialect that is reported of them. One gives its set voltage while its enable line is
//! asserted, sags with its mains, and cuts the output when an armed watchdog is not fed. Not here: calibration, which hosts must
//! never write; that one tried is kept for tests to see.

use super::{Target, Turned};
use model::{Time, Volt};
use std::time::Duration;

/// An armed watchdog cuts the output after this (hosts feed every 20 s).
pub const WATCHDOG: Duration = Duration::from_secs(60);
/// When an answer is ready; hosts wait 50 to 400 ms.
const READY: Duration = Duration::from_millis(30);
/// Mains below this lower the output in proportion, and below half of it nothing comes out: our choice.
const MAINS_LEAST: Volt = Volt(190.0);
/// Longest frame behind its preamble.
const FRAME_LIMIT: u8 = 16;
/// What reads as nothing.
const IDLE: u8 = 0xff;
/// What each byte of an answer that nobody understands is changed by: never an answer of a known dialect, nor an empty bus.
const BABBLE: u8 = 0x5a;
/// Commands that only ask, in every dialect.
const QUESTIONS: [u8; 3] = [0x01, 0x02, 0x03];

/// How it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// 16-bit sum, all bytes by register 0x11.
    #[default]
    Packets,
    /// The same by register 0.
    Register0,
    /// 8-bit sum, length 3 + data, no register.
    ByteSums,
    /// 8-bit sum, length 2 + data, no register; what changes something is echoed byte by byte and not answered.
    Echoes,
    /// Answers in bytes that mean nothing.
    Unknown,
}

/// How it can be broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Broken {
    /// It is not.
    #[default]
    Not,
    /// The sums of its answers are wrong.
    Sum,
    /// It echoes other bytes than it was sent.
    Echo,
    /// It answers nothing.
    Mute,
}

/// The simulated supply.
#[derive(Debug)]
pub struct Apw {
    /// Whether its enable line is asserted.
    pub enabled: bool,
    /// How it speaks.
    pub dialect: Dialect,
    /// What it says it is: 0x71 is an APW121215a.
    pub kind: u8,
    /// Its mains.
    pub mains: Volt,
    /// What is wrong with it.
    pub broken: Broken,
    /// How often somebody sent a command that writes calibration.
    pub calibrations: u32,
    /// How often somebody sent any command but a question, in any dialect, although it answers in words that nobody knows.
    pub trespasses: u32,
    babbling: Option<Turned>,
    /// The bytes that came last, in whatever dialect.
    overheard: [u8; 4],
    pointer: u8,
    pending: Vec<u8>,
    set_point: u8,
    /// When the watchdog was fed last, where it is armed.
    fed: Option<Time>,
    echo: u8,
    reply: Vec<u8>,
    reply_at: Time,
}

impl Default for Apw {
    fn default() -> Self {
        Apw::new(0x71)
    }
}

impl Apw {
    /// A supply of this kind, that speaks packets.
    #[must_use]
    pub fn new(kind: u8) -> Apw {
        Apw {
            enabled: false,
            dialect: Dialect::Packets,
            kind,
            mains: Volt(230.0),
            broken: Broken::Not,
            calibrations: 0,
            trespasses: 0,
            babbling: None,
            overheard: [0; 4],
            pointer: 0,
            pending: Vec::new(),
            // The lowest output is what it starts with.
            set_point: limits(kind).1,
            fed: None,
            echo: IDLE,
            reply: Vec::new(),
            reply_at: Time::ZERO,
        }
    }

    /// Lets it answer in words that nobody knows from now on, or speak as before. It works as before meanwhile.
    pub fn babble(&mut self, now: Time, on: bool) {
        self.babbling = on.then(|| Turned::at(now));
    }

    /// Looks for a command in what hosts say, in whatever dialect: each byte comes alone, or behind a register.
    fn overhear(&mut self, byte: u8) {
        self.overheard.rotate_left(1);
        self.overheard[3] = byte;
        // Contact is rare: a host knows nothing before it reads.
        let known = self.babbling.is_some_and(|t| t.is_known(Time::ZERO, Duration::MAX));
        if let ([0x55, 0xaa, _, command], true) = (self.overheard, known) {
            self.trespasses += u32::from(!QUESTIONS.contains(&command));
        }
    }

    /// What it gives now.
    #[must_use]
    pub fn output(&self, now: Time) -> Volt {
        let sag = self.mains.0 / MAINS_LEAST.0;
        if !self.enabled || sag < 0.5 || self.fed.is_some_and(|f| now.since(f) > WATCHDOG) {
            return Volt(0.0);
        }
        self.setting() * sag.min(1.0)
    }

    /// What it is set to.
    #[must_use]
    pub fn setting(&self) -> Volt {
        let step = f64::from(self.set_point);
        Volt(match self.kind {
            0x41 | 0x42 => 21.360 - 7.060 * step / 253.0,
            0x43 => (933.240_365 - step) / 59.806_034,
            0x73 | 0x78 => (1_280.577_821 - step) / 73.979_365,
            0x74 | 0x76 => (1_156.107_585 - step) / 76.090_494,
            _ => (1_190_935_338.0 - step * 1e6) / 78_743.0 / 1000.0,
        })
    }

    /// The register that its bytes go through, where they do.
    fn register(&self) -> Option<u8> {
        match self.dialect {
            Dialect::Packets => Some(0x11),
            Dialect::Register0 => Some(0),
            _ => None,
        }
    }

    /// What a frame's length counts beside its data, how many bytes stand behind its preamble beside what it counts, and how wide
    /// sum and data are.
    fn shape(&self) -> (u8, usize, usize) {
        match self.dialect {
            Dialect::Packets | Dialect::Register0 | Dialect::Unknown => (4, 0, 2),
            Dialect::ByteSums => (3, 0, 1),
            Dialect::Echoes => (2, 1, 1),
        }
    }

    /// Takes one byte; gives command and data of a frame that it completes.
    fn frame(&mut self, byte: u8) -> Option<(u8, Vec<u8>)> {
        let (overhead, more, wide) = self.shape();
        let p = &mut self.pending;
        p.push(byte);
        while !(matches!(p.as_slice(), [] | [0x55] | [0x55, 0xaa])
            || matches!(p.as_slice(), [0x55, 0xaa, len, ..] if (overhead..=FRAME_LIMIT).contains(len)))
        {
            p.remove(0);
        }
        let size = 2 + usize::from(*p.get(2)?) + more;
        if p.len() < size {
            return None;
        }
        let frame = std::mem::take(p);
        let (counted, given) = frame[2..].split_at(size - 2 - wide);
        let sum = counted.iter().fold(0u16, |s, b| s + u16::from(*b)).to_le_bytes();
        (sum[..wide] == *given).then(|| (frame[3], counted[2..].to_vec()))
    }

    fn obey(&mut self, now: Time, command: u8, data: &[u8]) {
        let value = match (command, data) {
            (0x01, []) => 6,
            (0x02, []) => self.kind,
            (0x03, []) => self.set_point,
            (0x04 | 0x05, _) => {
                self.calibrations += 1;
                return;
            }
            (0x83, [value, ..]) => {
                let (first, last) = limits(self.kind);
                self.set_point = (*value).clamp(first, last);
                *value
            }
            // The description for S17 supplies knows no watchdog.
            (0x81, [arm, ..]) if !matches!(self.kind, 0x41 | 0x42) => {
                self.fed = (*arm == 1).then_some(now);
                *arm
            }
            _ => return,
        };
        if self.broken == Broken::Mute || (self.dialect == Dialect::Echoes && command >= 0x80) {
            return;
        }
        // Byte sums: what was obeyed comes back without its top bit.
        let command = if self.dialect == Dialect::ByteSums { command & 0x7f } else { command };
        let (overhead, _, wide) = self.shape();
        let counted = [&[overhead + wide as u8, command][..], &[value, 0][..wide]].concat();
        let sum = counted.iter().fold(u16::from(self.broken == Broken::Sum), |s, b| s + u16::from(*b)).to_le_bytes();
        self.reply = [&[0x55, 0xaa][..], &counted, &sum[..wide]].concat();
        self.reply_at = now + READY;
    }
}

/// The steps that a kind takes.
fn limits(kind: u8) -> (u8, u8) {
    if matches!(kind, 0x71 | 0x72 | 0x75 | 0x77) { (9, 246) } else { (0, 255) }
}

impl Target for Apw {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        bytes.last().into_iter().for_each(|b| self.overhear(*b));
        let bytes = match (self.register(), bytes) {
            (Some(register), [pointer, rest @ ..]) => {
                self.pointer = *pointer;
                if *pointer == register { rest } else { &[] }
            }
            (_, bytes) => bytes,
        };
        for b in bytes {
            self.echo = if self.broken == Broken::Echo { !*b } else { *b };
            // A new frame drops an answer that nobody fetched.
            if *b == 0x55 {
                self.reply.clear();
            }
            if let Some((command, data)) = self.frame(*b) {
                self.obey(now, command, &data);
            }
        }
    }

    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        let ready = now >= self.reply_at && !self.reply.is_empty();
        self.babbling.iter_mut().for_each(Turned::read);
        let changed = if self.babbling.is_some() { BABBLE } else { 0 };
        for b in buffer {
            *b = changed
                ^ match (self.dialect, self.register()) {
                    (Dialect::Unknown, _) => 0x42,
                    // The protocol register of a supply that speaks packets.
                    (Dialect::Packets, _) if self.pointer == 0 => 0xf5,
                    (_, Some(register)) if self.pointer != register => 0,
                    (Dialect::ByteSums, _) if self.reply.is_empty() => IDLE,
                    _ if ready && !self.reply.is_empty() => self.reply.remove(0),
                    _ => self.echo,
                };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(a: &mut Apw, now: Time, bytes: &[u8]) {
        bytes.iter().for_each(|b| a.write(now, &[0x11, *b]));
    }

    #[test]
    fn the_documented_bytes_are_answered() {
        let mut a = Apw::default();
        let mut b = [0];
        tell(&mut a, Time::ZERO, &[0xf5]);
        a.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xf5], "packet protocol");
        a.write(Time::ZERO, &[0]);
        a.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xf5], "and by the register for it");
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 4, 2, 6, 0]);
        let mut b = [0; 8];
        a.read(Time::from_millis(400), &mut b);
        assert_eq!(b, [0x55, 0xaa, 6, 2, 0x71, 0, 0x79, 0]);
        let mut s17 = Apw::new(0x41);
        tell(&mut s17, Time::ZERO, &[0x55, 0xaa, 6, 0x83, 0x0d, 0, 0x96, 0]);
        assert!((s17.setting().0 - 21.0).abs() < 0.01);
        tell(&mut s17, Time::ZERO, &[0x55, 0xaa, 4, 3, 7, 0]);
        s17.read(Time::from_millis(400), &mut b);
        assert_eq!(b, [0x55, 0xaa, 6, 3, 0x0d, 0, 0x16, 0]);
    }

    #[test]
    fn it_gives_the_set_voltage_while_enabled_and_sags_with_its_mains() {
        let mut a = Apw { enabled: true, ..Apw::default() };
        let near = |a: &Apw, v: f64| (a.output(Time::ZERO).0 - v).abs() < 0.01;
        assert!(near(&a, 12.0));
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 6, 0x83, 152, 0, 0x21, 1]);
        assert!(near(&a, 13.194), "{}", a.output(Time::ZERO));
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 6, 0x83, 0x0d, 0, 0x97, 0]);
        assert!(near(&a, 13.194), "a wrong sum is nothing");
        a.mains = Volt(171.0);
        assert!(near(&a, 11.875), "{}", a.output(Time::ZERO));
        a.mains = Volt(80.0);
        assert_eq!(a.output(Time::ZERO), Volt(0.0));
        a.mains = Volt(230.0);
        a.enabled = false;
        assert_eq!(a.output(Time::ZERO), Volt(0.0));
    }

    #[test]
    fn who_has_read_nonsense_of_it_may_ask_and_nothing_more() {
        let set = [0x55, 0xaa, 6, 0x83, 152, 0, 0x21, 1];
        for dialect in [Dialect::Packets, Dialect::ByteSums, Dialect::Echoes] {
            let mut a = Apw { dialect, ..Apw::default() };
            let say = |a: &mut Apw, bytes: &[u8]| {
                bytes.iter().for_each(|b| a.write(Time::ZERO, &[0x11, *b][1 - usize::from(dialect == Dialect::Packets)..]))
            };
            a.babble(Time::ZERO, true);
            say(&mut a, &set);
            assert_eq!(a.trespasses, 0, "nothing was read yet");
            let mut b = [0; 8];
            a.read(Time::from_secs(1), &mut b);
            assert_ne!(b[..2], [0x55, 0xaa]);
            say(&mut a, &[0x55, 0xaa, 4, 2, 6, 0]);
            assert_eq!(a.trespasses, 0, "a question");
            say(&mut a, &[0x55, 0xaa, 3, 0x81, 1, 0x85]);
            assert_eq!(a.trespasses, 1, "{dialect:?}: in another dialect");
            a.babble(Time::ZERO, false);
            say(&mut a, &set);
            assert_eq!(a.trespasses, 1);
        }
    }

    #[test]
    fn an_armed_watchdog_bites() {
        let mut a = Apw { enabled: true, ..Apw::default() };
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 6, 0x81, 1, 0, 0x88, 0]);
        assert!(a.output(Time::from_secs(59)) > Volt(11.0));
        assert_eq!(a.output(Time::from_secs(61)), Volt(0.0));
    }
}
