//! A hashboard's EEPROM as the board's hand sees it: read while the board is off, and told as what the board is. One that does not
//! answer says nothing: boards of other makers have none. Not here: what follows from a board of another product (`control`).

use control::{BoardPart, Fact};
use hwdrivers::bus::I2c;
use hwdrivers::eeprom::at24c02::At24c02;
use hwdrivers::eeprom::identity::{Identity, Match};
use model::{ChainId, Hashboard};

/// One board's EEPROM.
pub(crate) struct Eeprom {
    part: At24c02,
    /// The maker's name of the board that belongs here, and of those that may stand in its place.
    board: &'static str,
    also: &'static [&'static str],
}

impl Eeprom {
    /// The EEPROM of a hashboard; `None` where it has none.
    pub(crate) fn of(board: &Hashboard) -> Option<Eeprom> {
        board.eeprom.map(|address| Eeprom { part: At24c02::new(address), board: board.name, also: board.also })
    }

    /// Reads it, all of it in one go.
    pub(crate) fn read(&self, chain: ChainId, i2c: &mut dyn I2c) -> Option<Fact> {
        let identity = Identity::of(&self.part.read(i2c).ok()?);
        let value = match identity.fits(self.board, self.also) {
            Match::Fits => Ok(identity.to_string()),
            Match::Unsaid => Ok(format!("{identity}, which does not say whether it is a {}", self.board)),
            Match::Other => Err(format!("it says {identity}, where a {} belongs", self.board)),
        };
        Some(Fact::Identity { chain, part: BoardPart::Eeprom, value })
    }
}
