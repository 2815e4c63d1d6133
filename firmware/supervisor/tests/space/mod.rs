//! A mount namespace of a test's own, by `unshare`; included by path where a test mounts something.

/// What `unshare` is told for it. Where no mount is shared nothing can leak out, and `unshare` need not change how mounts spread,
/// which fails where the root is no mount of its own (in a chroot); everywhere else it makes them private, as it does by itself.
pub fn own_mounts() -> &'static [&'static str] {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    if mounts.contains(" shared:") { &["--mount"] } else { &["--mount", "--propagation", "unchanged"] }
}
