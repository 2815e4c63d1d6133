//! Orders to a slow part, one at a time: send, wait, read, rest; a few tries. It never sleeps: it says when its next turn is due.
//! What the bytes mean is for a [`Protocol`] to say, one for each kind of part.
//!
//! Nothing that changes a part is sent before the part said what it is, and nothing at all to one that is not what it should be:
//! a boot loader or a part of another maker at the same address takes the same bytes for something else. One that can become such a
//! thing and answers otherwise than it should says anew what it is before it is told anything more.

use super::{Event, Order, Power};
use crate::bus::{BusError, Gpio, I2c, Message};
use model::{Time, Volt};
use std::collections::VecDeque;
use std::time::Duration;

/// Times that a request is sent before it counts as failed, where a part's data says nothing else.
pub const TRIES: u8 = 3;

/// Why a part did not obey.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The bus failed.
    #[error("the bus failed")]
    Bus(#[from] BusError),
    /// It said something else than expected.
    #[error("it answered {0:02x?}")]
    Answer(Vec<u8>),
    /// It speaks no dialect that is known; what it answered to each, in words.
    #[error("it speaks no known dialect: {0}")]
    Foreign(String),
    /// It is not a part that may be told anything; why, in words.
    #[error("{0}: nothing is written to it")]
    Unfit(String),
    /// Its boot loader runs, which holds no rail; what it answered, in words.
    #[error("its boot loader runs ({0}): nothing is written to it")]
    BootLoader(String),
    /// What it is could not be read, so that nothing may be written.
    #[error("what it is could not be read")]
    Unidentified,
    /// It cannot give such a voltage.
    #[error("it gives {lowest:.3} to {highest:.3}, not {asked}")]
    Range {
        /// Asked for.
        asked: Volt,
        /// What it gives least.
        lowest: Volt,
        /// And most.
        highest: Volt,
    },
    /// It protected itself; from what, in words.
    #[error("it reports {0}")]
    Fault(String),
    /// The program was too late for the part's timing.
    #[error("a pulse came {} µs late", .0.as_micros())]
    Late(Duration),
}

/// How bytes travel to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Each byte alone; the answer is read in one go.
    Stream,
    /// Each byte alone, there and back.
    Single,
    /// Each byte alone, and each must come back before the next is sent; the answer is read in one go.
    Echo,
    /// Each byte, there and back, by way of this register.
    Register(u8),
    /// All bytes in one write, and the answer behind a repeated start.
    Whole,
}

/// A part's pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Behind an answer, before the next request.
    pub(crate) rest: Duration,
    /// Behind a failure, before the next try.
    pub(crate) retry: Duration,
    /// Tries before an order counts as failed.
    pub(crate) tries: u8,
}

/// One thing to send.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) wire: Wire,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
    /// Between two bytes.
    pub(crate) gap: Duration,
    /// Bytes of the answer.
    pub(crate) answer: usize,
    /// From the last byte sent to the first one read.
    pub(crate) wait: Duration,
}

/// What an order needs next.
pub(crate) enum Ask {
    Send(Request),
    End(Event),
}

/// What an answer leads to.
pub(crate) enum Heard {
    /// To this step of the order.
    Step(u8),
    End(Event),
}

/// How a kind of part is spoken to. An order is a row of steps, counted from 0; a failed one starts again at 0.
pub(crate) trait Protocol: Send {
    /// How patient it is.
    fn pace(&self) -> Pace;
    /// Whether it may become something else while it has power: a boot loader, a dialect that nobody knows.
    fn may_turn(&self) -> bool {
        false
    }
    /// Whether an order means anything to it; if not, it is done at once.
    fn knows(&self, order: Order) -> bool;
    /// What a step needs.
    fn ask(&mut self, order: Order, step: u8) -> Ask;
    /// What the answer to a step means.
    fn hear(&mut self, order: Order, step: u8, answer: &[u8]) -> Result<Heard, PowerError>;
    /// As for [`Power::feed_period`].
    fn feed_period(&self) -> Option<Duration>;
}

/// What is known of the part.
#[derive(Debug)]
enum Fit {
    Unknown,
    Yes,
    No(Unfit),
}

/// Why nothing may be written to a part.
#[derive(Clone, Debug)]
struct Unfit {
    why: String,
    loader: bool,
}

impl Unfit {
    fn of(error: &PowerError) -> Option<Unfit> {
        match error {
            PowerError::Unfit(why) => Some(Unfit { why: why.clone(), loader: false }),
            PowerError::BootLoader(why) => Some(Unfit { why: why.clone(), loader: true }),
            _ => None,
        }
    }

    fn error(&self) -> PowerError {
        if self.loader { PowerError::BootLoader(self.why.clone()) } else { PowerError::Unfit(self.why.clone()) }
    }
}

/// The order under way.
#[derive(Debug)]
struct Run {
    order: Order,
    step: u8,
    tries: u8,
    request: Option<Request>,
    sent: usize,
    /// Whether the byte sent last still has to come back.
    echo: bool,
}

/// The line of orders to one part.
#[derive(Debug)]
pub(crate) struct Exchange<P> {
    pub(crate) protocol: P,
    address: u8,
    queue: VecDeque<Order>,
    run: Option<Run>,
    fit: Fit,
    /// It was told to give its rail, and not yet to take it away.
    on: bool,
    /// An order that failed and is tried again once the part has said what it is, and its tries so far.
    again: Option<(Order, u8)>,
    due: Time,
    events: VecDeque<Event>,
}

impl<P: Protocol> Exchange<P> {
    pub(crate) const fn new(address: u8, protocol: P) -> Exchange<P> {
        Exchange {
            protocol,
            address,
            queue: VecDeque::new(),
            run: None,
            fit: Fit::Unknown,
            on: false,
            again: None,
            due: Time::ZERO,
            events: VecDeque::new(),
        }
    }

    /// The next order that may be sent.
    fn start(&mut self) -> bool {
        while let Some(order) = self.queue.pop_front() {
            let order = match &self.fit {
                _ if order == Order::Identify => order,
                Fit::Yes => order,
                Fit::Unknown => {
                    self.queue.push_front(order);
                    Order::Identify
                }
                // Nothing ever switched it on, or what did runs no more.
                Fit::No(unfit) if order == Order::Disable && (unfit.loader || !self.on) => {
                    self.events.push_back(Event::Done(order));
                    continue;
                }
                Fit::No(unfit) => {
                    self.events.push_back(Event::Failed { order, error: unfit.error() });
                    continue;
                }
            };
            let same = |(o, _): &mut (Order, u8)| std::mem::discriminant(o) == std::mem::discriminant(&order);
            let tries = self.again.take_if(same).map_or(0, |(_, tries)| tries);
            if order == Order::Identify {
                self.fit = Fit::Unknown;
            }
            self.run = Some(Run { order, step: 0, tries, request: None, sent: 0, echo: false });
            return true;
        }
        false
    }

    fn end(&mut self, now: Time, event: Event) {
        self.run = None;
        self.due = now + self.protocol.pace().rest;
        match &event {
            Event::Identified(_) => self.fit = Fit::Yes,
            Event::Failed { order: Order::Identify, error } => {
                if let Some(unfit) = Unfit::of(error) {
                    self.fit = Fit::No(unfit);
                }
            }
            Event::Done(Order::Enable) => self.on = true,
            Event::Done(Order::Disable) => self.on = false,
            Event::Failed { error: PowerError::Range { .. } | PowerError::Fault(_), .. } => {}
            Event::Failed { .. } if self.protocol.may_turn() => self.fit = Fit::Unknown,
            _ => {}
        }
        let lost = matches!(event, Event::Failed { order: Order::Identify, .. }) && matches!(self.fit, Fit::Unknown);
        self.events.push_back(event);
        if lost {
            let waiting = self.queue.drain(..);
            self.events.extend(waiting.map(|order| Event::Failed { order, error: PowerError::Unidentified }));
        }
    }

    /// Sends or reads what is due of the order under way; `None` where it has to wait.
    fn advance(&mut self, now: Time, bus: &mut dyn I2c) -> Result<Option<Heard>, PowerError> {
        let Some(run) = &mut self.run else { return Ok(None) };
        if run.request.is_none() {
            match self.protocol.ask(run.order, run.step) {
                Ask::End(event) => return Ok(Some(Heard::End(event))),
                Ask::Send(request) => (run.request, run.sent, run.echo) = (Some(request), 0, false),
            }
        }
        let Some(request) = &run.request else { return Ok(None) };
        let (address, count) = (self.address, request.bytes.len());
        if request.wire == Wire::Whole {
            let mut answer = vec![0; request.answer];
            let (write, read) = (Message::Write(&request.bytes), Message::Read(&mut answer));
            if request.answer == 0 {
                bus.transfer(address, &mut [write])?
            } else {
                bus.transfer(address, &mut [write, read])?
            }
            return self.protocol.hear(run.order, run.step, &answer).map(Some);
        }
        while run.sent < count || run.echo {
            if run.echo {
                let mut back = [0];
                bus.transfer(address, &mut [Message::Read(&mut back)])?;
                if back[0] != request.bytes[run.sent - 1] {
                    return Err(PowerError::Answer(back.to_vec()));
                }
                run.echo = false;
                continue;
            }
            let byte = request.bytes[run.sent];
            match request.wire {
                Wire::Register(r) => bus.transfer(address, &mut [Message::Write(&[r, byte])])?,
                _ => bus.transfer(address, &mut [Message::Write(&[byte])])?,
            }
            run.sent += 1;
            run.echo = request.wire == Wire::Echo;
            if (run.sent < count || run.echo) && request.gap > Duration::ZERO {
                self.due = now + request.gap;
                return Ok(None);
            }
        }
        if run.sent == count {
            // All is sent, and now it is waited for.
            run.sent += 1;
            if request.wait > Duration::ZERO {
                self.due = now + request.wait;
                return Ok(None);
            }
        }
        let mut answer = vec![0; request.answer];
        match request.wire {
            _ if answer.is_empty() => {}
            Wire::Stream | Wire::Echo | Wire::Whole => bus.transfer(address, &mut [Message::Read(&mut answer)])?,
            Wire::Single => {
                for byte in answer.chunks_mut(1) {
                    bus.transfer(address, &mut [Message::Read(byte)])?;
                }
            }
            Wire::Register(r) => {
                for byte in answer.chunks_mut(1) {
                    bus.transfer(address, &mut [Message::Write(&[r]), Message::Read(byte)])?;
                }
            }
        }
        self.protocol.hear(run.order, run.step, &answer).map(Some)
    }
}

impl<P: Protocol> Power for Exchange<P> {
    /// A waiting order of the same kind gives way to a new one, so that there are never more orders than kinds.
    fn order(&mut self, order: Order) {
        if order == Order::Disable {
            self.queue.clear();
            (self.run, self.again, self.due) = (None, None, Time::ZERO);
        }
        if self.protocol.knows(order) {
            let kind = std::mem::discriminant(&order);
            self.queue.retain(|o| std::mem::discriminant(o) != kind);
            self.queue.push_back(order);
        } else {
            self.events.push_back(Event::Done(order));
        }
    }

    fn turn(&mut self, now: Time, i2c: &mut dyn I2c, _gpio: &mut dyn Gpio) {
        while self.due <= now && (self.run.is_some() || self.start()) {
            let pace = self.protocol.pace();
            match self.advance(now, i2c) {
                Ok(None) => {}
                Ok(Some(Heard::End(event))) => self.end(now, event),
                Ok(Some(Heard::Step(step))) => {
                    self.due = now + pace.rest;
                    self.run.iter_mut().for_each(|run| (run.step, run.request) = (step, None));
                }
                Err(error) => {
                    let Some(run) = &mut self.run else { return };
                    run.tries += 1;
                    let (order, tries) = (run.order, run.tries);
                    // A part that gives its rail is not given up for one answer.
                    let sure = matches!(order, Order::Identify) && (!self.on || tries > 1);
                    let hopeless = match Unfit::of(&error) {
                        Some(_) => sure,
                        None => matches!(error, PowerError::Range { .. } | PowerError::Fault(_)),
                    };
                    if hopeless || tries >= pace.tries {
                        self.end(now, Event::Failed { order, error });
                        continue;
                    }
                    self.due = now + pace.retry;
                    if order == Order::Identify || !self.protocol.may_turn() {
                        (run.step, run.request) = (0, None);
                    } else {
                        (self.run, self.fit, self.again) = (None, Fit::Unknown, Some((order, tries)));
                        let kind = std::mem::discriminant(&order);
                        // A newer one takes its place.
                        if !self.queue.iter().any(|o| std::mem::discriminant(o) == kind) {
                            self.queue.push_front(order);
                        }
                    }
                }
            }
        }
    }

    fn wake_at(&self) -> Time {
        match (self.events.is_empty(), self.run.is_none() && self.queue.is_empty()) {
            (false, _) => Time::ZERO,
            (true, true) => Time::NEVER,
            (true, false) => self.due,
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn feed_period(&self) -> Option<Duration> {
        self.protocol.feed_period()
    }
}

/// Hands a part's `Power` on to the exchange inside it.
macro_rules! power_by_exchange {
    ($part:ty) => {
        impl $crate::power::Power for $part {
            fn order(&mut self, order: $crate::power::Order) {
                self.0.order(order);
            }
            fn turn(&mut self, now: model::Time, i2c: &mut dyn $crate::bus::I2c, gpio: &mut dyn $crate::bus::Gpio) {
                self.0.turn(now, i2c, gpio);
            }
            fn wake_at(&self) -> model::Time {
                self.0.wake_at()
            }
            fn next_event(&mut self) -> Option<$crate::power::Event> {
                self.0.next_event()
            }
            fn feed_period(&self) -> Option<std::time::Duration> {
                self.0.feed_period()
            }
        }
    };
}
pub(crate) use power_by_exchange;
