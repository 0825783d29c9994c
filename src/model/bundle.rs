//! The files of a release, known by their content alone.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What a digest is written with in front.
const ALGORITHM: &str = "sha256:";
/// Begins every manifest, so that its digest is of nothing else.
const MANIFEST: &str = "emcp bundle 1\n";
/// What Linux takes for one name, in bytes.
const NAME_MAX_BYTES: usize = 255;
/// Folders below each other, and the file in the last of them.
const DEPTH_MAX: usize = 8;

/// Why a text is no digest, or no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotABundle(&'static str);

/// The name of a bundle: the SHA-256 of its manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleDigest([u8; 32]);

impl BundleDigest {
    /// The bundle of one file that came alone, of which this is known.
    pub fn of_file(sha256: [u8; 32], size_bytes: u64) -> Self {
        let mut manifest = Manifest::default();
        manifest.add(BundlePath::only_file(), sha256, size_bytes);
        manifest.digest()
    }

    /// Its 64 hexadecimal digits, by which a bundle is found on disk.
    pub fn hex(self) -> String {
        hex::encode(self.0)
    }

    /// The bundle that has these digits.
    ///
    /// # Errors
    /// If they are not 64 in lower case: each bundle has one name.
    pub fn from_hex(digits: &str) -> Result<Self, NotABundle> {
        const WRONG: NotABundle = NotABundle("a digest has 64 hexadecimal digits in lower case");
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| WRONG)?;
        let digest = Self(digest);
        if digest.hex() == digits {
            Ok(digest)
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for BundleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", self.hex())
    }
}

impl fmt::Debug for BundleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BundleDigest {
    type Err = NotABundle;

    fn from_str(text: &str) -> Result<Self, NotABundle> {
        let digits = text.strip_prefix(ALGORITHM);
        Self::from_hex(digits.ok_or(NotABundle("a digest begins with sha256:"))?)
    }
}

impl Serialize for BundleDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BundleDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a file is in its bundle: names joined by `/`, none of which leads out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BundlePath(String);

impl BundlePath {
    /// What a file is called that came alone.
    pub fn only_file() -> Self {
        Self("server.py".to_owned())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BundlePath {
    type Err = NotABundle;

    fn from_str(text: &str) -> Result<Self, NotABundle> {
        let is_name = |name: &str| {
            !matches!(name, "" | "." | "..")
                && name.len() <= NAME_MAX_BYTES
                && !name.chars().any(char::is_control)
        };
        if text.split('/').count() > DEPTH_MAX || !text.split('/').all(is_name) {
            return Err(NotABundle(
                "a path in a bundle has one to eight names that lead no way out",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for BundlePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What files a bundle has, and what is in each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<BundlePath, FileFacts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileFacts {
    sha256: [u8; 32],
    size_bytes: u64,
}

impl Manifest {
    /// Takes a file up.
    pub fn add(&mut self, path: BundlePath, sha256: [u8; 32], size_bytes: u64) {
        self.0.insert(path, FileFacts { sha256, size_bytes });
    }

    /// The name of the bundle that has these files and no others. Two manifests
    /// never read alike: the length of a path goes before it.
    pub fn digest(&self) -> BundleDigest {
        let mut text = MANIFEST.to_owned();
        for (path, FileFacts { sha256, size_bytes }) in &self.0 {
            let (sha256, path) = (hex::encode(sha256), path.as_str());
            let _ = writeln!(text, "{sha256} {size_bytes} {} {path}", path.len());
        }
        BundleDigest(Sha256::digest(text).into())
    }
}

/// The files themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle(BTreeMap<BundlePath, Vec<u8>>);

impl Bundle {
    /// One file that came alone.
    pub fn of_one_file(content: Vec<u8>) -> Self {
        Self(BTreeMap::from([(BundlePath::only_file(), content)]))
    }

    /// Puts a file in.
    pub fn insert(&mut self, path: BundlePath, content: Vec<u8>) {
        self.0.insert(path, content);
    }

    /// A file of it.
    pub fn file(&self, path: &BundlePath) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }

    /// All files, by their paths.
    pub fn files(&self) -> impl Iterator<Item = (&BundlePath, &[u8])> {
        self.0
            .iter()
            .map(|(path, content)| (path, content.as_slice()))
    }

    /// Its name.
    pub fn digest(&self) -> BundleDigest {
        let mut manifest = Manifest::default();
        for (path, content) in &self.0 {
            let sha256 = Sha256::digest(content).into();
            manifest.add(path.clone(), sha256, content.len() as u64);
        }
        manifest.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> BundlePath {
        text.parse().unwrap()
    }

    #[test]
    fn a_bundle_is_known_by_its_content_alone() {
        let one = Bundle::of_one_file(b"mcp = None\n".to_vec());
        // As anybody can work it out: `sha256sum` of the file, then of the manifest.
        let manifest = format!(
            "emcp bundle 1\n{} 11 9 server.py\n",
            hex::encode(Sha256::digest(b"mcp = None\n"))
        );
        let digest = hex::encode(Sha256::digest(manifest));
        assert_eq!(one.digest().to_string(), format!("sha256:{digest}"));
        let sha256 = Sha256::digest(b"mcp = None\n").into();
        assert_eq!(BundleDigest::of_file(sha256, 11), one.digest());

        let mut several = Bundle::default();
        several.insert(path("b.py"), b"1".to_vec());
        several.insert(path("a/c.py"), b"2".to_vec());
        let mut same = Bundle::default();
        same.insert(path("a/c.py"), b"2".to_vec());
        same.insert(path("b.py"), b"1".to_vec());
        assert_eq!(several.digest(), same.digest());
        for (name, content) in [("b.py", "2"), ("a/d.py", "2"), ("empty", "")] {
            let mut other = several.clone();
            other.insert(path(name), content.as_bytes().to_vec());
            assert_ne!(other.digest(), several.digest(), "{name}");
        }
        assert_ne!(Bundle::default().digest(), several.digest());
    }

    #[test]
    fn a_digest_is_written_in_one_way() {
        let digest = Bundle::default().digest();
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(BundleDigest::from_hex(&digest.hex()), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<BundleDigest>(&json).unwrap(), digest);
        for wrong in [
            String::new(),
            "sha256:".to_owned(),
            digest.hex(),
            text.to_uppercase(),
            format!("sha256:{}", digest.hex().to_uppercase()),
            format!("{text}0"),
            format!("sha256:../{}", &digest.hex()[3..]),
        ] {
            assert!(wrong.parse::<BundleDigest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_path_leads_out_of_a_bundle() {
        for good in ["server.py", "a/b/c.py", "a b", ".hidden", "…"] {
            assert_eq!(path(good).as_str(), good);
        }
        let long = "x".repeat(256);
        for wrong in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\0b",
            "a\nb",
            "a/b/c/d/e/f/g/h/i",
            long.as_str(),
        ] {
            assert!(wrong.parse::<BundlePath>().is_err(), "{wrong:?}");
        }
    }
}
