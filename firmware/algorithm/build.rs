//! Lets a static program have RandomX's library, which is C++.
//!
//! `randomx-rs` asks for the shared libstdc++ whatever is being built, and the linker then makes a program that is half static,
//! half shared, and ends before it begins. So where the program is to be static the linker is shown a folder that holds the
//! static one alone. Not here: the library itself, which `randomx-rs` compiles.

#[cfg(feature = "randomx")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let said = |name| std::env::var(name).unwrap_or_default();
    let is_static = said("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if !is_static || said("CARGO_CFG_TARGET_OS") != "linux" || said("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    let compiler = cc::Build::new().cpp(true).get_compiler();
    let answer = compiler.to_command().arg("-print-file-name=libstdc++.a").output();
    let library = answer.ok().and_then(|answer| String::from_utf8(answer.stdout).ok()).unwrap_or_default();
    // A compiler that has none repeats the name.
    let library = std::path::Path::new(library.trim());
    assert!(
        library.is_absolute(),
        "{compiler:?} has no static libstdc++.a, which a static program with RandomX takes: install it"
    );
    let folder = said("OUT_DIR");
    std::fs::copy(library, std::path::Path::new(&folder).join("libstdc++.a")).expect("copy libstdc++.a into the output folder");
    println!("cargo::rustc-link-search=native={folder}");
}

#[cfg(not(feature = "randomx"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
