//! The shim is linked at fixed addresses: what needs no relocation stays one copy for all of them, and most machines run many.

fn main() {
    println!("cargo::rustc-link-arg-bin=roadstead-shim=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
