//! Tells Cargo that the dashboard is part of the binary.

fn main() {
    println!("cargo:rerun-if-changed=ui");
}
