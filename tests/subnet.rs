//! The scripts divide a subnet as EMCP does: networks and firewall are made by
//! what runs before EMCP, and a server's address must be where both look for it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::Ipv4Addr;
use std::process::Command;

use emcp::model::AddressPool;

/// What the scripts say: whether it is a subnet, its twin and Docker's range.
fn told_by_scripts(subnets: &[String]) -> Vec<String> {
    const ASK: &str = r#"
        set -euo pipefail
        source scripts/subnet.sh
        for subnet in "$@"; do
            if is_subnet "$subnet"; then
                echo "$(twin_subnet "$subnet") $(docker_range "$subnet")"
            else
                echo none
            fi
        done"#;
    let asked = Command::new("bash")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-c", ASK, "subnet"])
        .args(subnets)
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    let text = String::from_utf8(asked.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn told_by_emcp(subnet: &str) -> String {
    let Ok(pool) = AddressPool::parse(subnet) else {
        return "none".to_owned();
    };
    let twin = pool.twin().map(|twin| twin.subnet()).unwrap_or_default();
    format!("{twin} {}", pool.docker_range())
}

#[test]
fn the_scripts_divide_a_subnet_as_emcp_does() {
    let mut subnets: Vec<String> = [
        "",
        "banana",
        "10.0.0.0",
        "10.0.0.0/",
        "10.300.0.0/20",
        "10.0.0/20",
        "10.0.0.0/+20",
        " 10.0.0.0/20",
        "10.0.0.0/20 ",
        "::1/64",
        "10.0.0.0/20/20",
        "010.0.0.0/20",
    ]
    .map(str::to_owned)
    .into();
    for length in 0..=33_u32 {
        let mask = u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0);
        for address in [[10, 213, 255, 255], [172, 31, 127, 255], [198, 19, 128, 64]] {
            let base = Ipv4Addr::from_bits(u32::from_be_bytes(address) & mask);
            subnets.push(format!("{base}/{length}"));
        }
    }
    let scripts = told_by_scripts(&subnets);
    assert_eq!(scripts.len(), subnets.len());
    for (subnet, told) in subnets.iter().zip(scripts) {
        assert_eq!(told, told_by_emcp(subnet), "{subnet:?}");
    }
}
