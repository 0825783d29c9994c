//! The operator's own certificate and key: whether they can be served, and what
//! is served while they cannot.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::{Deserialize, Serialize};
use url::Host;

use super::ServedCertificate;
use super::files::write_atomically;
use crate::model::KnownNotice;

/// What is served at the start.
pub(super) struct Chosen {
    pub(super) certificate: ServedCertificate,
    /// What is wrong with the operator's files, if anything.
    pub(super) problem: Option<KnownNotice>,
}

impl Chosen {
    /// Keeps the operator's pair for a start that meets a bad one. That it cannot
    /// be kept (a full disk) must not keep from starting.
    pub(super) fn keep_if_good(&self, path: &Path) {
        if self.problem.is_none()
            && let Err(error) = keep(path, &self.certificate)
        {
            tracing::warn!(%error, "the certificate is served, and not kept for the next start");
        }
    }
}

/// As it is kept: in one file, so that the two always belong together.
#[derive(Serialize, Deserialize)]
struct Kept {
    cert_pem: String,
    key_pem: String,
}

/// Reads the operator's own certificate and key, and makes sure that Traefik
/// can serve them to every one of the hosts now.
///
/// # Errors
/// What is wrong with them.
pub fn from_files(
    cert: &Path,
    key: &Path,
    hosts: &[Host<String>],
    now: Timestamp,
) -> Result<ServedCertificate, KnownNotice> {
    let pair = read_pair(cert, key)?;
    check(&pair, hosts, now)?;
    Ok(pair)
}

/// Keeps a pair that was good, for a start that meets a bad one.
///
/// # Errors
/// Any I/O error.
pub fn keep(path: &Path, pair: &ServedCertificate) -> anyhow::Result<()> {
    let kept = serde_json::to_vec(&Kept {
        cert_pem: pair.cert_pem.clone(),
        key_pem: pair.key_pem.clone(),
    })?;
    if std::fs::read(path).is_ok_and(|present| present == kept) {
        return Ok(());
    }
    write_atomically(path, &kept, 0o600).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes what was kept, where the operator's own files are no longer used: a
/// private key does not lie about for nothing.
///
/// # Errors
/// Any I/O error.
pub(super) fn forget(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The operator's pair if it is good (to be kept then); else the last good one; else, rather than
/// nothing, one that clients may refuse.
///
/// # Errors
/// If nothing can be served.
pub(super) fn choose(
    cert: &Path,
    key: &Path,
    kept: &Path,
    hosts: &[Host<String>],
    now: Timestamp,
) -> anyhow::Result<Chosen> {
    let chosen = |certificate, problem| {
        Ok(Chosen {
            certificate,
            problem,
        })
    };
    let (own, problem) = match read_pair(cert, key) {
        Ok(pair) => match check(&pair, hosts, now) {
            Ok(()) => return chosen(pair, None),
            Err(problem) => (Some(pair).filter(|_| problem.is_servable()), problem),
        },
        Err(problem) => (None, problem),
    };
    let last = read_kept(kept);
    let last_fault = last.as_ref().map(|pair| check(pair, hosts, now).err());
    match (own, last, last_fault) {
        (_, Some(last), Some(None)) => chosen(last, Some(problem)),
        (Some(own), ..) => chosen(own, Some(problem)),
        (None, Some(last), Some(Some(fault))) if fault.is_servable() => chosen(last, Some(problem)),
        _ => bail!(
            "{problem}; there is none yet, so put it right first (EMCP_TLS_CERT_FILE {}, EMCP_TLS_KEY_FILE {})",
            cert.display(),
            key.display()
        ),
    }
}

fn read_kept(path: &Path) -> Option<ServedCertificate> {
    let Kept { cert_pem, key_pem } = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    Some(ServedCertificate { cert_pem, key_pem })
}

fn read_pair(cert: &Path, key: &Path) -> Result<ServedCertificate, KnownNotice> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|error| unreadable(format!("{} cannot be read ({error})", path.display())))
    };
    Ok(ServedCertificate {
        cert_pem: read(cert)?,
        key_pem: read(key)?,
    })
}

/// Whether the pair is one, in time, and for every host.
fn check(
    pair: &ServedCertificate,
    hosts: &[Host<String>],
    now: Timestamp,
) -> Result<(), KnownNotice> {
    let chain = CertificateDer::pem_slice_iter(pair.cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(format!("EMCP_TLS_CERT_FILE is not PEM ({error})")))?;
    let Some(leaf) = chain.first().cloned() else {
        return Err(unreadable(
            "EMCP_TLS_CERT_FILE holds no certificate in PEM".to_owned(),
        ));
    };
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).map_err(|_| {
        unreadable(
            "EMCP_TLS_KEY_FILE holds no private key in PEM (one with a passphrase cannot be used)"
                .to_owned(),
        )
    })?;
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(_) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(KnownNotice::CertificateKeyMismatch),
        Err(error) => {
            return Err(unreadable(format!(
                "EMCP_TLS_CERT_FILE or EMCP_TLS_KEY_FILE is of no known kind ({error})"
            )));
        }
    }
    in_time(&leaf, now)?;
    let parsed = ParsedCertificate::try_from(&leaf).map_err(|error| {
        unreadable(format!(
            "the first certificate in EMCP_TLS_CERT_FILE cannot be read ({error})"
        ))
    })?;
    for host in hosts {
        let is_covered =
            server_name(host).is_some_and(|name| verify_server_name(&parsed, &name).is_ok());
        if !is_covered {
            return Err(KnownNotice::CertificateWrongHost {
                host: host.to_string(),
            });
        }
    }
    Ok(())
}

fn in_time(leaf: &CertificateDer<'_>, now: Timestamp) -> Result<(), KnownNotice> {
    let odd = || unreadable("EMCP_TLS_CERT_FILE has a certificate that cannot be read".to_owned());
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| odd())?;
    let at = |time: &x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp()).map_err(|_| odd())
    };
    let (valid_from, expired_at) = (
        at(&parsed.validity().not_before)?,
        at(&parsed.validity().not_after)?,
    );
    if now < valid_from {
        return Err(KnownNotice::CertificateNotYetValid { valid_from });
    }
    if now > expired_at {
        return Err(KnownNotice::CertificateExpired { expired_at });
    }
    Ok(())
}

fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress(
            std::net::IpAddr::from(*address).into(),
        )),
        Host::Ipv6(address) => Some(ServerName::IpAddress(
            std::net::IpAddr::from(*address).into(),
        )),
    }
}

fn unreadable(detail: String) -> KnownNotice {
    KnownNotice::CertificateUnreadable { detail }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const HOST: &str = "mcp.example.com";

    struct Files {
        _dir: tempfile::TempDir,
        cert: PathBuf,
        key: PathBuf,
        kept: PathBuf,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            Self {
                cert: path("chain.pem"),
                key: path("key.pem"),
                kept: path("kept.json"),
                _dir: dir,
            }
        }

        fn put(&self, (cert, key): (&str, &str)) {
            fs::write(&self.cert, cert).unwrap();
            fs::write(&self.key, key).unwrap();
        }

        fn check(&self) -> Result<ServedCertificate, KnownNotice> {
            from_files(&self.cert, &self.key, &[host(HOST)], Timestamp::now())
        }

        fn choose(&self) -> anyhow::Result<Chosen> {
            let now = Timestamp::now();
            let chosen = choose(&self.cert, &self.key, &self.kept, &[host(HOST)], now)?;
            chosen.keep_if_good(&self.kept);
            Ok(chosen)
        }
    }

    fn host(text: &str) -> Host<String> {
        Host::parse(text).unwrap()
    }

    /// A certificate for these names in these years, and its key.
    fn pair(names: &[&str], years: (i32, i32)) -> (String, String) {
        pair_of(&KeyPair::generate().unwrap(), names, years)
    }

    fn pair_of(key: &KeyPair, names: &[&str], years: (i32, i32)) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let cert = params.self_signed(key).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    fn good() -> (String, String) {
        pair(&[HOST], (2000, 2200))
    }

    #[test]
    fn a_key_of_every_kind_that_traefik_serves_is_taken() {
        let files = Files::new();
        for kind in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ECDSA_P521_SHA512,
            &rcgen::PKCS_ED25519,
            &rcgen::PKCS_RSA_SHA256,
        ] {
            let key = KeyPair::generate_for(kind).unwrap();
            let (cert, key) = pair_of(&key, &[HOST], (2000, 2200));
            files.put((&cert, &key));
            assert_eq!(code(files.check()), "good", "{kind:?}");
        }
    }

    fn code(result: Result<ServedCertificate, KnownNotice>) -> String {
        result
            .err()
            .map_or("good".to_owned(), |p| p.code_and_args().0)
    }

    #[test]
    fn a_pair_is_taken_only_if_it_is_one_in_time_and_for_the_host() {
        let files = Files::new();
        let (one, other) = (good(), good());
        let cases = [
            (one.clone(), "good"),
            (pair(&["*.example.com"], (2000, 2200)), "good"),
            ((one.0.clone(), other.1.clone()), "certificate_key_mismatch"),
            (pair(&[HOST], (2000, 2001)), "certificate_expired"),
            (pair(&[HOST], (2199, 2200)), "certificate_not_yet_valid"),
            (pair(&["*.com"], (2000, 2200)), "certificate_wrong_host"),
            (
                pair(&["other.example.com"], (2000, 2200)),
                "certificate_wrong_host",
            ),
            ((String::new(), one.1.clone()), "certificate_unreadable"),
            (
                (one.0.clone(), "nothing".to_owned()),
                "certificate_unreadable",
            ),
            ((one.1.clone(), one.0.clone()), "certificate_unreadable"),
            (
                (one.0[..one.0.len() / 2].to_owned(), one.1.clone()),
                "certificate_unreadable",
            ),
        ];
        for ((cert, key), expected) in &cases {
            files.put((cert, key));
            assert_eq!(code(files.check()), *expected, "{cert}");
        }
        fs::remove_file(&files.key).unwrap();
        assert_eq!(code(files.check()), "certificate_unreadable");
    }

    #[test]
    fn every_host_must_be_covered_and_addresses_count_too() {
        let files = Files::new();
        let (cert, key) = pair(&[HOST, "192.0.2.7"], (2000, 2200));
        files.put((&cert, &key));
        let of = |hosts: &[Host<String>]| {
            code(from_files(&files.cert, &files.key, hosts, Timestamp::now()))
        };
        assert_eq!(of(&[host(HOST), host("192.0.2.7")]), "good");
        assert_eq!(
            of(&[host(HOST), host("192.0.2.8")]),
            "certificate_wrong_host"
        );
        assert_eq!(
            of(&[host(HOST), host("servers.example.com")]),
            "certificate_wrong_host"
        );
    }

    #[test]
    fn a_start_in_the_middle_of_a_renewal_serves_the_last_good_pair() {
        let files = Files::new();
        let (old, new) = (good(), good());
        files.put((&old.0, &old.1));
        assert_eq!(files.choose().unwrap().problem, None);
        // The new key is there and the new chain is not.
        files.put((&old.0, &new.1));
        let chosen = files.choose().unwrap();
        assert_eq!(chosen.problem, Some(KnownNotice::CertificateKeyMismatch));
        assert_eq!(chosen.certificate.key_pem, old.1);
        files.put((&new.0, &new.1));
        let chosen = files.choose().unwrap();
        assert_eq!(chosen.problem, None);
        assert_eq!(chosen.certificate.key_pem, new.1);
    }

    #[test]
    fn without_a_last_good_pair_only_what_cannot_be_served_keeps_from_starting() {
        let files = Files::new();
        let (old, new) = (good(), good());
        files.put((&old.0, &new.1));
        let refused = files.choose().err().unwrap().to_string();
        assert!(refused.contains("EMCP_TLS_KEY_FILE"), "{refused}");
        let expired = pair(&[HOST], (2000, 2001));
        files.put((&expired.0, &expired.1));
        let chosen = files.choose().unwrap();
        assert!(matches!(
            chosen.problem,
            Some(KnownNotice::CertificateExpired { .. })
        ));
        assert_eq!(chosen.certificate.key_pem, expired.1);
        // It was not good, so it is not kept.
        assert!(!files.kept.exists());
    }
}
