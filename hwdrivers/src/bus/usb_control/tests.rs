//! The client against a firmware of a few lines, in virtual time. (Against the simulated board and a real line: `sim`.)

use super::*;
use std::collections::VecDeque;

/// A firmware: what it answers to a request, and when it is silent.
struct Board {
    format: Format,
    asked: Vec<Vec<u8>>,
    to_host: VecDeque<u8>,
    /// What it does with the n-th request from now on.
    whims: VecDeque<Whim>,
    waited: Duration,
}

enum Whim {
    Obey,
    Silent,
    Bytes(Vec<u8>),
    Pulled,
}

impl Board {
    fn new(format: Format) -> Board {
        Board { format, asked: vec![], to_host: VecDeque::new(), whims: VecDeque::new(), waited: Duration::ZERO }
    }

    fn reply(&mut self, id: u8, answer: Result<&[u8], (u8, &str)>) {
        let (code, data) = match answer {
            Ok(data) => (0, data),
            Err((code, text)) => (code, text.as_bytes()),
        };
        let frame = match (self.format, answer.is_ok()) {
            (Format::Old, true) => [&(data.len() as u16).to_le_bytes()[..], &[id], data].concat(),
            _ => [&(4 + data.len() as u16).to_le_bytes()[..], &[id, code], data].concat(),
        };
        self.to_host.extend(frame);
    }
}

impl Uart for Board {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        assert_eq!(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])), bytes.len());
        self.asked.push(bytes[4..].to_vec());
        match self.whims.pop_front().unwrap_or(Whim::Obey) {
            Whim::Obey => {}
            Whim::Silent => return Ok(()),
            Whim::Bytes(bytes) => {
                self.to_host.extend(bytes);
                return Ok(());
            }
            Whim::Pulled => return Err(BusError::Gone),
        }
        match bytes[4..] {
            [5, 0x10, a, b, c, d] => self.reply(bytes[2], Ok(&[a, b, c, d])),
            [5, 0x20, 0x48, ..] => self.reply(bytes[2], Ok(&[(bytes.len() - 7) as u8])),
            [5, 0x30, 0x48, n] => self.reply(bytes[2], Ok(&vec![0x10; usize::from(n)])),
            [5, 0x40, 0x48, .., n] => self.reply(bytes[2], Ok(&vec![0xff; usize::from(n)])),
            [5, _, _, ..] => self.reply(bytes[2], Err((0xff, "I2C Read Error"))),
            [6, 0..=2] => self.reply(bytes[2], Ok(&[1])),
            [6, 0..=2, level] => self.reply(bytes[2], Ok(&[level])),
            [7, 0x51] => self.reply(bytes[2], Ok(&[0x34, 0x02])),
            [8, 0x10, r, g, b] => self.reply(bytes[2], Ok(&[r, g, b])),
            _ => self.reply(frame::NAMELESS, Err((0x11, ""))),
        }
        Ok(())
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let n = self.to_host.len().min(buffer.len());
        self.to_host.drain(..n).zip(buffer).for_each(|(b, to)| *to = b);
        Ok(n)
    }
    fn set_baud(&mut self, _: Baud) -> Result<(), BusError> {
        Ok(())
    }
}

impl Line for Board {
    fn wait(&mut self, up_to: Duration) -> Result<Duration, BusError> {
        self.waited += up_to;
        Ok(up_to)
    }
}

fn open(format: Format) -> UsbControl<Board> {
    UsbControl::new(Board::new(format)).expect("it answers")
}

#[test]
fn it_learns_the_format_and_carries_i2c_lines_inputs_and_light() {
    for format in [Format::Old, Format::New] {
        let mut c = open(format);
        assert_eq!(c.format, format);
        let asked = |c: &UsbControl<Board>| c.line.asked.last().cloned().unwrap_or_default();
        assert_eq!(asked(&c), [5, 0x10, 0xa0, 0x86, 1, 0]);
        c.transfer(0x48, &mut [Message::Write(&[1, 2, 3])]).expect("written");
        assert_eq!(asked(&c), [5, 0x20, 0x48, 1, 2, 3]);
        for n in [1, 2, 4, 255] {
            let mut read = vec![0; n];
            c.transfer(0x48, &mut [Message::Read(&mut read)]).expect("read");
            assert_eq!(read, vec![0x10; n], "{format:?}");
            c.transfer(0x48, &mut [Message::Write(&[7]), Message::Read(&mut read)]).expect("read");
            assert_eq!(read, vec![0xff; n], "{format:?}");
            assert_eq!(asked(&c), [5, 0x40, 0x48, 7, n as u8]);
        }
        for address in [0x10, 0x77] {
            let absent = c.transfer(address, &mut [Message::Write(&[0]), Message::Read(&mut [0; 2])]);
            assert!(matches!(absent, Err(BusError::Nack(a)) if a == address));
        }
        c.set(0, false).expect("a line");
        assert_eq!(asked(&c), [6, 0, 0]);
        assert!(c.get(2).expect("a line"));
        assert_eq!(c.analog(Analog::Vin).expect("an input"), 0x234);
        c.light([1, 2, 3]).expect("a light");
        assert_eq!(asked(&c), [8, 0x10, 1, 2, 3]);
        let unknown = c.get(9).expect_err("no such line");
        assert!(format!("{unknown:?}").contains("Invalid"), "{unknown:?}");
        assert!(c.analog(Analog::Vdd).is_err());
    }
}

#[test]
fn what_cannot_be_one_transfer_is_refused_before_a_byte_is_sent() {
    let mut c = open(Format::New);
    let before = c.line.asked.len();
    let (long, mut buffer) = (vec![0; 256], vec![0; 256]);
    assert!(c.transfer(0x48, &mut []).is_err());
    assert!(c.transfer(0x48, &mut [Message::Write(&[])]).is_err());
    assert!(c.transfer(0x48, &mut [Message::Write(&[0]), Message::Write(&[1])]).is_err());
    assert!(c.transfer(0x48, &mut [Message::Write(&long)]).is_err());
    assert!(c.transfer(0x48, &mut [Message::Read(&mut buffer)]).is_err());
    assert!(c.set(256, true).is_err());
    assert_eq!(c.line.asked.len(), before);
}

#[test]
fn a_missing_answer_costs_its_deadline_and_a_late_one_is_not_taken_for_another() {
    for format in [Format::Old, Format::New] {
        let mut c = open(format);
        c.line.whims.push_back(Whim::Silent);
        let before = c.line.waited;
        let error = c.get(0).expect_err("silence");
        assert!(matches!(&error, BusError::Os { source, .. } if source.kind() == io::ErrorKind::TimedOut), "{error:?}");
        assert_eq!(c.line.waited - before, ANSWER_LIMIT);
        // It comes now, with the next request's on its heels.
        c.line.to_host.extend([1, 0, c.next_id - 1, 0]);
        assert!(c.get(0).expect("in step again"), "{format:?}");
    }
}

#[test]
fn nonsense_is_an_error_and_the_next_request_works() {
    let rows: [&[u8]; 5] = [&[0xff; 300], &[1, 0], &[0; 40], b"login: ", &[1, 0, 0xee, 1]];
    for format in [Format::Old, Format::New] {
        for nonsense in rows {
            let mut c = open(format);
            c.line.whims.push_back(Whim::Bytes(nonsense.to_vec()));
            assert!(c.get(0).is_err(), "{format:?} {nonsense:02x?}");
            assert!(c.get(0).expect("in step again"), "{format:?} {nonsense:02x?}");
        }
    }
}

#[test]
fn a_board_that_is_pulled_is_gone_and_what_is_no_controller_is_refused() {
    let mut c = open(Format::Old);
    c.line.whims.push_back(Whim::Pulled);
    assert!(matches!(c.get(0), Err(BusError::Gone)));
    let mut silent = Board::new(Format::Old);
    silent.whims.extend((0..9).map(|_| Whim::Silent));
    let error = UsbControl::new(silent).err().expect("nobody answers");
    assert!(error.to_string().contains("board's controller"), "{error}");
    let mut shell = Board::new(Format::Old);
    shell.whims.extend((0..9).map(|_| Whim::Bytes(b"sh: command not found\r\n$ ".to_vec())));
    assert!(UsbControl::new(shell).is_err());
}
