//! The two checksums of the family. Five bits guard a frame poorly (one damaged frame in 32 passes), which is why nothing above
//! believes a nonce before it has hashed it.

/// CRC-5, x⁵+x²+1, start 0x1F, most significant bit first. Over a command without its preamble; over a reply without its
/// preamble but with its last byte it is 0.
#[must_use]
pub fn crc5(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0x1f, |crc: u8, byte| CRC5[usize::from(crc << 3 ^ byte)])
}

/// The CRC-5 bits that complete a reply: over its payload and the three type bits that share the last byte with them.
#[must_use]
pub fn crc5_reply(payload: &[u8], kind: u8) -> u8 {
    let mut crc = crc5(payload);
    for bit in (0..3).rev() {
        let flip = (kind >> bit ^ crc >> 4) & 1;
        crc = (crc << 1 & 0x1f) ^ (flip * 0x05);
    }
    crc
}

/// CRC-16/CCITT-FALSE, of job frames.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc: u16, byte| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}

/// What a byte makes of the bits that it meets: an S21's chain says and is asked two hundred things a second, which bit by bit is most
/// of what its driver does.
const CRC5: [u8; 256] = {
    let (mut table, mut at) = ([0; 256], 0);
    while at < 256 {
        // Five bits stand on the left of a byte.
        let (mut crc, mut bit) = (at as u8, 0);
        while bit < 8 {
            crc = if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x05 << 3 };
            bit += 1;
        }
        table[at] = crc >> 3;
        at += 1;
    }
    table
};

const CRC16: [u16; 256] = {
    let (mut table, mut at) = ([0; 256], 0);
    while at < 256 {
        let (mut crc, mut bit) = ((at as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_gives_the_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
        assert_eq!(crc16(b""), 0xffff);
    }

    #[test]
    fn crc5_of_published_replies_is_zero() {
        for reply in [
            &[0x13, 0x97, 0x18, 0, 0, 0, 0x06][..],
            &[0x13, 0x62, 0x03, 0, 0, 0, 0x0d],
            &[0x13, 0x70, 0, 0, 0, 0, 0, 0, 0x10],
            &[0, 0, 0xc1, 0, 0, 0x18, 0x02],
            &[0x18, 0, 0xa6, 0x40, 0x02, 0x99, 0x22, 0xf9, 0x91],
            &[0x6d, 0xb8, 0x8e, 0xe1, 0x01, 0x04, 0x03, 0x54, 0x94],
            &[0x4c, 0x03, 0x52, 0x75, 0x0c, 0xd2, 0x05, 0xa2, 0x9c],
            &[0x72, 0x03, 0xea, 0x83, 0, 0x03, 0x98],
        ] {
            assert_eq!(crc5(reply), 0, "{reply:02x?}");
            let (last, payload) = reply.split_last().expect("not empty");
            assert_eq!(crc5_reply(payload, last >> 5), last & 0x1f, "{reply:02x?}");
        }
    }
}
