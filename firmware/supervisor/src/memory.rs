//! What the kernel says of memory: how much may still be had, how much this process had, and in pages of which size it came.
//!
//! A machine that begins to swap, or whose kernel looks for somebody to kill, is worse than one that says no; so large memory is
//! asked for by [`lines`], which looks first. Not here: huge pages asked for by name; whether the kernel gave some is told.

use algorithm::Line;
use anyhow::Context;
use std::path::Path;

/// What is left to the rest of the machine: the kernel, this program and a shell have room in it.
const RESERVE: u64 = 64 << 20;
const MEBIBYTE: u64 = 1 << 20;

/// So many bytes in lines of zeros, for what `what` names.
///
/// # Errors
/// The machine has less to spare, or does not say.
pub fn lines(bytes: u64, what: &str) -> anyhow::Result<Vec<Line>> {
    enough(bytes, what)?;
    let count = usize::try_from(bytes / Line::BYTES).with_context(|| format!("count the lines of {what}"))?;
    let mut lines = Vec::new();
    lines.try_reserve_exact(count).with_context(|| format!("get {} MiB of memory for {what}", bytes.div_ceil(MEBIBYTE)))?;
    lines.resize(count, Line::ZERO);
    Ok(lines)
}

/// Whether the machine has so many bytes to spare.
///
/// # Errors
/// It has less, or does not say.
pub fn enough(bytes: u64, what: &str) -> anyhow::Result<()> {
    fits(bytes, available()?, what).map_err(anyhow::Error::msg)
}

fn fits(bytes: u64, available: u64, what: &str) -> Result<(), String> {
    let spare = available.saturating_sub(RESERVE);
    if bytes <= spare {
        return Ok(());
    }
    let [needed, spare] = [bytes.div_ceil(MEBIBYTE), spare / MEBIBYTE];
    Err(format!(
        "hold {what}: {needed} MiB of memory are needed and this machine has {spare} MiB to spare; \
         close other programs or use a larger machine"
    ))
}

/// What the kernel would give without swapping, and the limits of this process's control groups.
fn available() -> anyhow::Result<u64> {
    let said = read("/proc/meminfo")?;
    let machine = field(&said, "MemAvailable:").context("find MemAvailable in /proc/meminfo")?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let limits = Path::new(group).ancestors().filter_map(|group| {
        // "max" where there is no limit; no file where the controller is not on.
        let number = |name| std::fs::read_to_string(root.join(group).join(name)).ok()?.trim().parse::<u64>().ok();
        Some(number("memory.max")?.saturating_sub(number("memory.current")?))
    });
    Ok(limits.chain([machine]).min().unwrap_or(machine))
}

/// The most memory this process ever had.
///
/// # Errors
/// The kernel does not say.
pub fn peak() -> anyhow::Result<u64> {
    field(&read("/proc/self/status")?, "VmHWM:").context("find VmHWM in /proc/self/status")
}

/// Where the first of the lines is, for [`page_size`].
pub fn place(lines: &[Line]) -> usize {
    lines.as_ptr().addr()
}

/// The size of the pages that the memory at `place` came in; where they differ, of most of them.
///
/// # Errors
/// The kernel does not say.
pub fn page_size(place: usize) -> anyhow::Result<u64> {
    // Where the kernel has no transparent huge pages, no memory came in them.
    let huge = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").unwrap_or_default();
    page_size_in(&read("/proc/self/smaps")?, place, huge.trim().parse().unwrap_or(0))
        .context("find the memory's pages in /proc/self/smaps")
}

fn page_size_in(smaps: &str, place: usize, huge: u64) -> Option<u64> {
    // A mapping begins with its range in hex, and facts about it follow.
    let range = |line: &str| {
        let (first, end) = line.split_whitespace().next()?.split_once('-')?;
        Some(usize::from_str_radix(first, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    };
    let from = smaps.lines().position(|line| range(line).is_some_and(|range| range.contains(&place)))?;
    let facts: Vec<&str> = smaps.lines().skip(from + 1).take_while(|line| range(line).is_none()).collect();
    let size = |key| facts.iter().find_map(|line| field(line, key));
    let mostly_huge = size("AnonHugePages:")? * 2 > size("Rss:")?;
    if mostly_huge { Some(huge) } else { size("KernelPageSize:") }
}

/// The bytes of the line that begins with `key`; the kernel counts in "kB", which are 1,024.
fn field(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("read {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0c4a00000-55d0c4a80000 rw-p 00000000 00:00 0                  [heap]
Size:                512 kB
KernelPageSize:        4 kB
Rss:                 100 kB
AnonHugePages:         0 kB
7f0000000000-7f0004000000 rw-p 00000000 00:00 0
Size:              65536 kB
KernelPageSize:        4 kB
Rss:               65536 kB
AnonHugePages:     63488 kB
7f0008000000-7f000c000000 rw-p 00000000 00:00 0
KernelPageSize:     2048 kB
Rss:                   0 kB
AnonHugePages:         0 kB
";

    #[test]
    fn pages_are_those_of_the_mapping_that_holds_the_place() {
        let at = |place| page_size_in(SMAPS, place, 2 << 20);
        assert_eq!(at(0x55d0_c4a0_0040), Some(4096));
        assert_eq!(at(0x7f00_0000_0040), Some(2 << 20), "most of it is in huge pages");
        assert_eq!(at(0x7f00_0800_0000), Some(2 << 20), "huge pages by name");
        assert_eq!(at(0x7f00_0400_0000), None, "between two mappings");
        let lines = lines(1 << 20, "a test").expect("a mebibyte");
        let size = page_size(place(&lines)).expect("Linux says");
        assert!(size.is_power_of_two() && size >= 4096, "{size}");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_sizes() {
        assert_eq!(fits(1 << 30, (1 << 30) + RESERVE, "a cache"), Ok(()));
        let told = fits((1 << 30) + 1, (1 << 30) + RESERVE, "a cache").expect_err("a byte too many");
        assert!(
            told.starts_with("hold a cache: 1025 MiB of memory are needed and this machine has 1024 MiB to spare; "),
            "{told}"
        );
        assert!(fits(1, 0, "a cache").is_err());
        assert!(lines(1 << 60, "a test").expect_err("an exbibyte").to_string().contains("hold a test: "));
    }

    #[test]
    fn the_kernels_numbers_are_kibibytes() {
        assert_eq!(field("MemFree:  1 kB\nMemAvailable:   23789364 kB\n", "MemAvailable:"), Some(23_789_364 * 1024));
        assert_eq!(field("MemAvailable: much kB\n", "MemAvailable:"), None);
        assert_eq!(field("", "MemAvailable:"), None);
        assert!(peak().expect("Linux says") > 1 << 20);
        assert!(available().expect("Linux says") > 1 << 20);
    }
}
