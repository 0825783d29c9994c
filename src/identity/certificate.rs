//! The certificate Traefik serves: from a local CA made at first start, or the
//! operator's own files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use url::Host;

use super::files::write_atomically;

/// The CA lives for ten years: replacing it means every client must trust a
/// new file.
const CA_LIFETIME_DAYS: i32 = 3652;
const CA_NAME: &str = "EMCP local CA";
/// Leaves are made at every start; Apple's platforms refuse more than 825 days
/// even from a private CA.
const LEAF_LIFETIME_DAYS: i32 = 820;

/// A certificate chain and its key, in PEM. Holds a private key: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServedCertificate {
    /// Certificate chain.
    pub cert_pem: String,
    /// Private key.
    pub key_pem: String,
}

impl ServedCertificate {
    /// When it ends; `None` for one that cannot be read.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let leaf = CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).ok()?;
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).ok()?;
        Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()
    }

    /// Whether others vouch for it than EMCP's own CA and the certificate
    /// itself, as for those that browsers take unasked.
    #[must_use]
    pub fn is_public(&self) -> bool {
        let Ok(leaf) = CertificateDer::from_pem_slice(self.cert_pem.as_bytes()) else {
            return false;
        };
        webpki::EndEntityCert::try_from(&leaf).is_ok_and(|leaf| {
            let issuer = leaf.issuer();
            let is_own_ca = issuer
                .windows(CA_NAME.len())
                .any(|part| part == CA_NAME.as_bytes());
            !is_own_ca && issuer != leaf.subject()
        })
    }
}

/// Loads or makes the local CA and makes a fresh leaf for these hosts, the first
/// of which is the dashboard's.
/// Returns the CA's certificate and the leaf.
pub(super) fn from_local_ca(
    key_path: &Path,
    cert_path: &Path,
    hosts: &[Host<&str>],
) -> anyhow::Result<(String, ServedCertificate)> {
    match (key_path.exists(), cert_path.exists()) {
        (true, true) => {}
        (false, false) => make_ca(key_path, cert_path)?,
        _ => bail!(
            "only one of {} and {} exists; put the other back, or remove both for a new CA that clients must trust anew",
            key_path.display(),
            cert_path.display()
        ),
    }
    let key_pem = read(key_path)?;
    let cert_pem = read(cert_path)?;
    let key = KeyPair::from_pem(&key_pem)
        .with_context(|| format!("{} is not a private key in PEM", key_path.display()))?;
    let issuer = Issuer::from_ca_cert_pem(&cert_pem, key)
        .with_context(|| format!("{} is not a CA certificate in PEM", cert_path.display()))?;
    let leaf = make_leaf(&issuer, hosts)?;
    Ok((cert_pem, leaf))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn make_ca(key_path: &Path, cert_path: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = base_params(CA_NAME, CA_LIFETIME_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key)?;
    write_atomically(key_path, key.serialize_pem().as_bytes(), 0o600)
        .with_context(|| format!("cannot write {}", key_path.display()))?;
    write_atomically(cert_path, cert.pem().as_bytes(), 0o644)
        .with_context(|| format!("cannot write {}", cert_path.display()))
}

fn make_leaf(
    issuer: &Issuer<'_, KeyPair>,
    hosts: &[Host<&str>],
) -> anyhow::Result<ServedCertificate> {
    let first = hosts.first().context("the public URL has no host")?;
    let mut params = base_params(&first.to_string(), LEAF_LIFETIME_DAYS);
    params.subject_alt_names = subject_alt_names(hosts)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, issuer)?;
    Ok(ServedCertificate {
        cert_pem: cert.pem(),
        key_pem: key.serialize_pem(),
    })
}

/// These hosts, and this machine's own names for trying things out.
fn subject_alt_names(hosts: &[Host<&str>]) -> anyhow::Result<Vec<SanType>> {
    let mut names = Vec::new();
    let local = [
        Host::Domain("localhost"),
        Host::Ipv4(Ipv4Addr::LOCALHOST),
        Host::Ipv6(Ipv6Addr::LOCALHOST),
    ];
    for host in hosts.iter().chain(&local) {
        let name = match host {
            Host::Domain(name) => SanType::DnsName((*name).try_into()?),
            Host::Ipv4(address) => SanType::IpAddress(IpAddr::from(*address)),
            Host::Ipv6(address) => SanType::IpAddress(IpAddr::from(*address)),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn base_params(common_name: &str, lifetime_days: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "EMCP");
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    let today = jiff::Timestamp::now()
        .to_zoned_datetime(jiff::tz::TimeZone::UTC)
        .date();
    // A day back, for clients whose clock is behind.
    let start = today - jiff::Span::new().days(1);
    let end = start + jiff::Span::new().days(lifetime_days);
    let to_rcgen = |date: jiff::civil::Date| {
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = to_rcgen(start);
    params.not_after = to_rcgen(end);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of the CA of this name, or of its own.
    fn certificate(ca_name: Option<&str>, hosts: &[&str]) -> ServedCertificate {
        let hosts: Vec<Host<&str>> = hosts.iter().map(|host| Host::Domain(*host)).collect();
        match ca_name {
            Some(name) => {
                let key = KeyPair::generate().unwrap();
                let mut params = base_params(name, CA_LIFETIME_DAYS);
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                make_leaf(&Issuer::new(params, key), &hosts).unwrap()
            }
            None => {
                let key = KeyPair::generate().unwrap();
                let mut params = base_params("self", LEAF_LIFETIME_DAYS);
                params.subject_alt_names = subject_alt_names(&hosts).unwrap();
                ServedCertificate {
                    cert_pem: params.self_signed(&key).unwrap().pem(),
                    key_pem: key.serialize_pem(),
                }
            }
        }
    }

    #[test]
    fn a_certificate_tells_when_it_ends() {
        let ends = certificate(None, &["mcp.example.com"]).ends_at().unwrap();
        let days = ends.duration_since(Timestamp::now()).as_hours() / 24;
        assert!(
            (LEAF_LIFETIME_DAYS - 2..=LEAF_LIFETIME_DAYS).contains(&(days as i32)),
            "{days}"
        );
        let broken = ServedCertificate {
            cert_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            key_pem: String::new(),
        };
        assert_eq!(broken.ends_at(), None);
    }

    #[test]
    fn a_certificate_is_public_if_others_vouch_for_it() {
        for (ca_name, is_public) in [
            (Some("Some CA"), true),
            (Some(CA_NAME), false),
            (None, false),
        ] {
            let made = certificate(ca_name, &["mcp.example.com"]);
            assert_eq!(made.is_public(), is_public, "{ca_name:?}");
        }
    }
}
