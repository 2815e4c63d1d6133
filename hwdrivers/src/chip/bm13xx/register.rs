//! Registers that the driver names, of BM1397 and later; a BM1387's differ and stand with its constants. Not here: their values.

/// Model, and the address once it is set.
pub const CHIP_ID: u8 = 0x00;
/// The hash clock.
pub const PLL0: u8 = 0x08;
/// Where a chip's sweep starts.
pub const NONCE_OFFSET: u8 = 0x0c;
/// How long a core sweeps, in ticks of the crystal; 0 stops hashing.
pub const HASH_COUNTING: u8 = 0x10;
/// What a nonce must have for a report.
pub const TICKET_MASK: u8 = 0x14;
/// Nonce reports on or off; BM1397: the line rate too.
pub const MISC_CONTROL: u8 = 0x18;
/// The line rate.
pub const UART_BAUD: u8 = 0x28;
/// Serial lines across the gap between two voltage domains.
pub const UART_RELAY: u8 = 0x2c;
/// Mailbox to the cores' own registers.
pub const CORE_CONTROL: u8 = 0x3c;
/// Wrong nonces that a chip found itself.
pub const NONCE_ERRORS: u8 = 0x4c;
/// What the analog pin shows.
pub const ANALOG_MUX: u8 = 0x54;
/// Strength of the output pins.
pub const IO_DRIVER: u8 = 0x58;
/// Pads of the ring oscillators.
pub const RING_OSCILLATOR: u8 = 0x68;
/// Hashes of the whole chip; those of its four quarters are the four registers before 8C.
pub const HASHES: u8 = 0x8c;
/// Version rolling: which bits.
pub const VERSION_ROLLING: u8 = 0xa4;
/// Resets of inner blocks.
pub const SOFT_RESET: u8 = 0xa8;
/// The thermometer's switch and its reading.
pub const THERMOMETER: u8 = 0xb0;
/// The thermometer's reading.
pub const TEMPERATURE: u8 = 0xb4;
/// The converter of inner voltages: its input and start.
pub const CONVERTER: u8 = 0xb8;
/// The converter's analog part.
pub const CONVERTER_CONTROL: u8 = 0xb9;
/// The converter's reading.
pub const CONVERTED: u8 = 0xbd;
