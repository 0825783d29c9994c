//! Tells Cargo that the dashboard is part of the binary, but for the packages
//! its modules are made of.

use std::fs;
use std::io;

fn main() -> io::Result<()> {
    for entry in fs::read_dir("ui")? {
        let entry = entry?;
        if entry.file_name() != "node_modules" {
            println!("cargo:rerun-if-changed={}", entry.path().display());
        }
    }
    Ok(())
}
