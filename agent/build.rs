//! How the agent is linked: static, at a fixed address, without libc and start files.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=link.ld");
    // With a linker driver (gcc) the arguments need its spelling; cross builds call the linker itself.
    let direct =
        env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("linker-flavor=ld.lld"));
    let driver: &[&str] = if direct { &[] } else { &["-nostartfiles", "-nostdlib", "-no-pie"] };
    let linker = [
        "--entry=_start",
        "--build-id=none",
        "-znoseparate-code",
        "--no-eh-frame-hdr",
        "-znorelro",
        "-znognustack",
    ];
    for argument in driver {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-static");
    // Found from wherever the linker runs.
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bins=-T{folder}/link.ld");
    for argument in linker {
        let prefix = if direct { "" } else { "-Wl," };
        println!("cargo::rustc-link-arg-bins={prefix}{argument}");
    }
}
