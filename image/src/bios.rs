//! Starting from a BIOS: GRUB's two images patched with each other's place on the disk, as `grub-install` does it to a device
//! that this host does not have (it needs root and a loop device).
//!
//! `boot.img` is the first sector and loads the first sector of `core.img`, which has a list of where the rest of it is.

use anyhow::{Result, ensure};

/// Bytes of the first sector that are code; behind them is the table of partitions.
pub const CODE: usize = 440;
/// Bytes of a sector.
const SECTOR: usize = 512;
/// `boot.img`: the sector that it loads, 64 bits.
const LOADS: usize = 0x5c;
/// `boot.img`: a jump over the check for a BIOS that forgets the drive's number; two NOPs turn the check on for hard disks.
const DRIVE_CHECK: usize = 0x66;
/// First sector of `core.img`: start (64 bits), sectors (16) and segment (16) of the rest.
const REST: usize = 0x1f4;
/// Where the rest is loaded; both images are linked for it.
const SEGMENT: u16 = 0x820;

/// The code of the first sector, which loads what is at this sector.
///
/// # Errors
/// It is not GRUB's boot.img.
pub fn boot_sector(boot: &[u8], core_at: u64) -> Result<[u8; CODE]> {
    ensure!(boot.len() == SECTOR && boot[SECTOR - 2..] == [0x55, 0xaa], "patch boot.img: it is not a boot sector");
    ensure!(boot[DRIVE_CHECK] == 0xeb, "patch boot.img: there is no jump at {DRIVE_CHECK:#x}; is it another GRUB?");
    let mut code = [0; CODE];
    code.copy_from_slice(&boot[..CODE]);
    code[LOADS..LOADS + 8].copy_from_slice(&core_at.to_le_bytes());
    code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    Ok(code)
}

/// `core.img` for this sector, filled up to whole sectors.
///
/// # Errors
/// It is not GRUB's core.img.
pub fn core(core: &[u8], at: u64) -> Result<Vec<u8>> {
    ensure!(core.len() > SECTOR, "patch core.img: {} bytes are no core.img", core.len());
    let linked = u16::from_le_bytes([core[REST + 10], core[REST + 11]]);
    ensure!(linked == SEGMENT, "patch core.img: it is linked for {linked:#x}, not {SEGMENT:#x}; is it another GRUB?");
    let mut patched = core.to_vec();
    patched.resize(core.len().next_multiple_of(SECTOR), 0);
    let rest = u16::try_from(patched.len() / SECTOR - 1).map_err(|_| anyhow::anyhow!("patch core.img: it is too long"))?;
    patched[REST..REST + 8].copy_from_slice(&(at + 1).to_le_bytes());
    patched[REST + 8..REST + 10].copy_from_slice(&rest.to_le_bytes());
    patched[REST + 10..REST + 12].copy_from_slice(&SEGMENT.to_le_bytes());
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot_img() -> Vec<u8> {
        let mut b = vec![0x11; SECTOR];
        b[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0xeb, 0x05]);
        b[SECTOR - 2..].copy_from_slice(&[0x55, 0xaa]);
        b
    }

    fn core_img(length: usize) -> Vec<u8> {
        let mut c = vec![0x22; length];
        c[REST..REST + 12].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x08]);
        c
    }

    #[test]
    fn each_image_is_told_where_the_other_is() {
        let code = boot_sector(&boot_img(), 0x0102_0304).expect("patched");
        assert_eq!(code[0x5c..0x64], [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(code[0x66..0x68], [0x90, 0x90]);
        assert!(code[..0x5c].iter().chain(&code[0x68..]).all(|b| *b == 0x11), "nothing else is touched");
        let core = core(&core_img(1025), 2048).expect("patched");
        assert_eq!(core.len(), 3 * 512, "whole sectors");
        assert_eq!(core[0x1f4..0x200], [1, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0x20, 0x08]);
        assert_eq!((core[0x1f3], core[0x200], core[1024], core[1025]), (0x22, 0x22, 0x22, 0));
    }

    #[test]
    fn what_is_not_grub_is_refused() {
        assert!(boot_sector(&boot_img()[..511], 1).is_err());
        let mut other = boot_img();
        other[DRIVE_CHECK] = 0x90;
        assert!(boot_sector(&other, 1).is_err(), "no jump where GRUB has one");
        assert!(core(&core_img(512), 1).is_err(), "only its first sector");
        let mut other = core_img(2000);
        other[REST + 11] = 0x90;
        assert!(core(&other, 1).is_err(), "linked for elsewhere");
    }
}
