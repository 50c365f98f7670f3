//! Signing an archive with the keeper's own SSH key.
//!
//! `manifest.json` has the checksum of every TIFF, so one signature over its exact bytes covers the archive. It is an SSHSIG
//! (OpenSSH's `PROTOCOL.sshsig`) with the namespace [`NAMESPACE`] and SHA-512, in `manifest.json.sig`; `ssh-keygen -Y verify`
//! verifies it, and what `ssh-keygen -Y sign` signs is verified here.
//!
//! A key file in the form of OpenSSH without a passphrase (Ed25519, ECDSA over P-256, P-384 and P-521) is used directly;
//! everything else (RSA, keys with a passphrase, in an agent, on a token, in another form) goes through
//! `ssh-keygen -Y sign`, which asks for what it needs by itself. Nothing is written before the signature has been verified.
//!
//! Who signed is what a file of allowed signers says of the key ([`AllowedSigners`]); the key inside of a signature proves nothing.

mod allowed;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::Utc;
use sha2::{Digest, Sha256, Sha512};
use signature::Verifier;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, SigningKey, SshSig};
use zeroize::Zeroizing;

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{self, ArchiveLock, MANIFEST_NAME, SIGNATURE_NAME, TempFolder};
use crate::positioned;
pub use allowed::{AllowedSigners, Signer};

/// What our signatures are for; one made for anything else is none of ours.
pub const NAMESPACE: &str = "audio-tiff-manifest@v1";

/// The longest signature and the longest key file that are read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A key to sign with.
pub struct Key {
    path: PathBuf,
    /// What can be used directly.
    private: Option<PrivateKey>,
}

/// A signature that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Where it is.
    pub path: PathBuf,
    /// The key's fingerprint, as ssh-keygen shows it.
    pub fingerprint: String,
    /// The key's kind, `ssh-ed25519` or the like.
    pub algorithm: String,
}

impl Key {
    /// Opens a key file: a private key, or the public one of a key that an agent or a token has.
    ///
    /// # Errors
    /// `Io`; `Malformed` where it is no key.
    pub fn open(path: &Path) -> Result<Key> {
        let text = read_small(path)?;
        let path = path.to_path_buf();
        if text.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----") {
            let key = PrivateKey::from_openssh(&*text);
            // Kinds that are not known here may be known to ssh-keygen, as are keys on a token. RSA keys: ssh-key 0.6.7
            // cannot sign with them (it takes one of their primes twice); it verifies their signatures.
            let direct = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. });
            let usable = |key: &PrivateKey| !key.is_encrypted() && direct(&key.algorithm());
            return Ok(Key { path, private: key.ok().filter(usable) });
        }
        let known = text.starts_with(b"-----BEGIN ") || public_key(&text);
        if !known {
            return Err(Error::malformed("this is no SSH key").at_path(path));
        }
        Ok(Key { path, private: None })
    }

    /// Signs the manifest of the archive in `dir`; an earlier signature is replaced.
    ///
    /// # Errors
    /// `Missing` where there is no manifest; `Io`, also where ssh-keygen is needed and not there, and where a run is writing to the archive; `Mismatch` where the
    /// signature does not hold.
    pub fn sign(&self, dir: &Path) -> Result<Signed> {
        let dir = manifest::archive_dir(dir);
        let manifest = dir.join(MANIFEST_NAME);
        if !manifest.is_file() {
            return Err(Error::new(ErrorKind::Missing, "there is no manifest.json to sign").at_path(dir));
        }
        // A run that is at work is about to write another manifest.
        let lock = ArchiveLock::acquire(&dir)?;
        let signed = self.sign_locked(&dir, &manifest);
        lock.release(TempFolder::RemoveIfEmpty).and(signed)
    }

    fn sign_locked(&self, dir: &Path, manifest: &Path) -> Result<Signed> {
        let digest = digest(manifest, HashAlg::Sha512)?;
        let signature = match &self.private {
            Some(key) => self.directly(key, &digest)?,
            None => self.by_ssh_keygen(manifest)?,
        };
        if !holds(&signature, manifest)? || signature.namespace() != NAMESPACE {
            let text = "the signature that was made does not hold; nothing was written";
            return Err(Error::mismatch(text).at_path(&self.path));
        }
        let path = dir.join(SIGNATURE_NAME);
        let pem = signature.to_pem(LineEnding::LF).map_err(|e| self.failed(&e.to_string()))?;
        durable::write(&path, pem.as_bytes())?;
        let key = signature.public_key();
        Ok(Signed {
            path,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            algorithm: key.algorithm().as_str().to_owned(),
        })
    }

    fn failed(&self, why: &str) -> Error {
        Error::unsupported(format!("signing with this key: {why}")).at_path(&self.path)
    }

    fn directly(&self, key: &PrivateKey, digest: &[u8]) -> Result<SshSig> {
        fn sign(key: &impl SigningKey, data: &[u8]) -> ssh_key::Result<SshSig> {
            let signature = key.try_sign(data)?;
            SshSig::new(key.public_key(), NAMESPACE, HashAlg::Sha512, signature)
        }
        sign(key, &signed_data(NAMESPACE, &[], HashAlg::Sha512, digest)).map_err(|e| self.failed(&e.to_string()))
    }

    /// ssh-keygen asks at the terminal for a passphrase or a touch, if it needs one.
    fn by_ssh_keygen(&self, manifest: &Path) -> Result<SshSig> {
        let input = positioned::open(manifest).map_err(Error::while_("opening", manifest))?;
        let output = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
            .arg(&self.path)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| Error::io("running ssh-keygen, which this key needs", e).at_path(&self.path))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            return Err(self.failed(&format!("ssh-keygen says: {said}")));
        }
        SshSig::from_pem(&output.stdout).map_err(|e| self.failed(&format!("what ssh-keygen gave is no signature: {e}")))
    }
}

fn public_key(text: &[u8]) -> bool {
    [&b"ssh-"[..], b"ecdsa-", b"sk-"].iter().any(|start| text.starts_with(start))
}

/// The bytes of a small file, wiped when they are dropped: it may be a private key.
fn read_small(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    read_from(File::open(path), path)
}

fn read_from(file: io::Result<File>, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let file = file.map_err(Error::while_("opening", path))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(Error::while_("reading", path))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::limit("too long for a key or a signature").at_path(path));
    }
    Ok(bytes)
}

/// How a signature turned out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Missing,
    /// There is one that holds for the manifest; who signed was not asked.
    Unchecked {
        /// The key's fingerprint. Anybody may have made this key.
        fingerprint: String,
    },
    /// An allowed signer has signed exactly this manifest.
    Good {
        /// Who.
        signer: Signer,
        /// The key's fingerprint.
        fingerprint: String,
    },
    /// It does not hold for the manifest, which is newer than it.
    Stale,
    /// It is damaged, for another purpose, or does not hold.
    Bad(String),
    /// It holds, but nobody who is allowed made it.
    Untrusted(String),
}

/// Verifies the signature of the archive in `dir`.
///
/// # Errors
/// `Io`.
pub fn check(dir: &Path, allowed: Option<&AllowedSigners>) -> Result<Verdict> {
    let (manifest, path) = (dir.join(MANIFEST_NAME), dir.join(SIGNATURE_NAME));
    let pem = match read_from(positioned::open(&path), &path) {
        Ok(pem) => pem,
        Err(e) if e.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => return Ok(Verdict::Missing),
        Err(e) if e.kind() == ErrorKind::Limit => return Ok(Verdict::Bad(e.message())),
        Err(e) => return Err(e),
    };
    let signature = match SshSig::from_pem(&*pem) {
        Ok(signature) => signature,
        Err(e) => return Ok(Verdict::Bad(format!("it cannot be read as an SSH signature: {e}"))),
    };
    if signature.namespace() != NAMESPACE {
        let text = format!("it was made for {:?}, not for {NAMESPACE:?}", signature.namespace());
        return Ok(Verdict::Bad(text));
    }
    let fingerprint = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
    // Whose it is comes first: what a stranger has signed is of no interest, whether it holds or not.
    let signer = match allowed {
        Some(allowed) => match allowed.who(signature.public_key(), NAMESPACE, Utc::now()) {
            Ok(signer) => Some(signer),
            Err(why) => return Ok(Verdict::Untrusted(format!("signed with {fingerprint}: {why}"))),
        },
        None => None,
    };
    if !holds(&signature, &manifest)? {
        let time = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
        return Ok(match (time(&manifest), time(&path)) {
            (Some(manifest), Some(signature)) if manifest > signature => Verdict::Stale,
            _ => Verdict::Bad("it does not hold for this manifest.json: one of the two was changed".to_owned()),
        });
    }
    Ok(match signer {
        Some(signer) => Verdict::Good { signer, fingerprint },
        None => Verdict::Unchecked { fingerprint },
    })
}

/// Whether a signature holds for the bytes of the manifest, whoever made it.
fn holds(signature: &SshSig, manifest: &Path) -> Result<bool> {
    let digest = digest(manifest, signature.hash_alg())?;
    let data = signed_data(signature.namespace(), signature.reserved(), signature.hash_alg(), &digest);
    Ok(signature.public_key().verify(&data, signature.signature()).is_ok())
}

/// What is signed: `SSHSIG`, and namespace, reserved bytes, name of the hash and hash, each with its length in front.
fn signed_data(namespace: &str, reserved: &[u8], hash: HashAlg, digest: &[u8]) -> Vec<u8> {
    let mut data = b"SSHSIG".to_vec();
    for part in [namespace.as_bytes(), reserved, hash.as_str().as_bytes(), digest] {
        // None of the parts is longer than a signature file.
        data.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

/// The hash of a file, read as a stream.
fn digest(path: &Path, hash: HashAlg) -> Result<Vec<u8>> {
    let mut file = positioned::open(path).map_err(Error::while_("opening", path))?;
    let mut buf = vec![0; 256 << 10];
    let mut pour = |take: &mut dyn FnMut(&[u8])| -> Result<()> {
        loop {
            match file.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) => take(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::while_("reading", path)(e)),
            }
        }
    };
    match hash {
        HashAlg::Sha256 => {
            let mut sha = Sha256::new();
            pour(&mut |bytes| sha.update(bytes))?;
            Ok(sha.finalize().to_vec())
        }
        _ => {
            let mut sha = Sha512::new();
            pour(&mut |bytes| sha.update(bytes))?;
            Ok(sha.finalize().to_vec())
        }
    }
}

/// What to tell after `manifest.json` has changed, if an earlier signature is there.
pub(crate) fn stale_note(dir: &Path) -> Option<&'static str> {
    let there = fs::symlink_metadata(dir.join(SIGNATURE_NAME)).is_ok();
    there.then_some(
        "manifest.json.sig is the signature of an earlier manifest.json now; sign again with `tiff2flac sign`",
    )
}
