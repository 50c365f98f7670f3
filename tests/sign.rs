//! Signatures of the manifest: what we sign ssh-keygen verifies, what it signs we verify, and what is wrong is told apart.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Run, Scratch, archive, audio2tiff, sound, tiff2flac, verify, wav, witness};

const NAMESPACE: &str = "audio-tiff-manifest@v1";

fn archived() -> Scratch {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    s
}

/// Makes a key; `None` where there is no ssh-keygen.
fn key(s: &Scratch, name: &str, kind: &[&str], passphrase: &str) -> Option<PathBuf> {
    let path = s.path(name);
    let made = ["-q", "-N", passphrase, "-C", "keeper@example.org", "-f", path.to_str().unwrap()];
    witness("ssh-keygen", &[kind, &made].concat())?.exits(0);
    Some(path)
}

/// A line of allowed signers for a key.
fn allow(s: &Scratch, key: &Path, options: &str) -> PathBuf {
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    s.put("allowed", format!("# signers\nkeeper@example.org {options}{public}").as_bytes())
}

fn sign(s: &Scratch, key: &Path) -> Run {
    Run::of(tiff2flac().arg("sign").arg(s.path("archive")).arg("--key").arg(key).output().unwrap())
}

/// Checks the signature as ours does.
fn check(s: &Scratch, allowed: &Path) -> Run {
    verify(&s.path("archive"), &["--allowed-signers", allowed.to_str().unwrap(), "--require-signature"])
}

/// What ssh-keygen says of the signature.
fn ssh_keygen_verifies(s: &Scratch, allowed: &Path) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-n", NAMESPACE, "-I", "keeper@example.org", "-f"]).arg(allowed);
    command.arg("-s").arg(s.path("archive/manifest.json.sig"));
    command.stdin(fs::File::open(s.path("archive/manifest.json")).unwrap());
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// Signs as a keeper would without our program.
fn ssh_keygen_signs(s: &Scratch, key: &Path, namespace: &str) {
    fs::remove_file(s.path("archive/manifest.json.sig")).ok();
    let (key, manifest) = (key.to_str().unwrap(), s.path("archive/manifest.json"));
    let args = ["-q", "-Y", "sign", "-n", namespace, "-f", key, manifest.to_str().unwrap()];
    witness("ssh-keygen", &args).unwrap().exits(0);
}

const KINDS: [&[&str]; 5] = [
    &["-t", "ed25519"],
    &["-t", "ecdsa", "-b", "256"],
    &["-t", "ecdsa", "-b", "384"],
    &["-t", "ecdsa", "-b", "521"],
    &["-t", "rsa", "-b", "2048"],
];

#[test]
fn every_kind_of_key_signs_and_verifies_both_ways() {
    let s = archived();
    for (n, kind) in KINDS.iter().enumerate() {
        let Some(key) = key(&s, &format!("key{n}"), kind, "") else { return };
        let allowed = allow(&s, &key, "");
        // Many signatures of ECDSA keys, whose numbers vary in length.
        for _ in 0..if n == 0 || n == 4 { 1 } else { 6 } {
            sign(&s, &key).exits(0).says("signed with");
            assert!(ssh_keygen_verifies(&s, &allowed), "{kind:?}");
            check(&s, &allowed).exits(0).says("signed by keeper@example.org");
        }
        for _ in 0..if n == 0 || n == 4 { 1 } else { 6 } {
            ssh_keygen_signs(&s, &key, NAMESPACE);
            check(&s, &allowed).exits(0).says("signed by keeper@example.org");
        }
    }
    let pem = fs::read_to_string(s.path("archive/manifest.json.sig")).unwrap();
    assert!(pem.starts_with("-----BEGIN SSH SIGNATURE-----\n"));
}

#[test]
fn what_is_wrong_with_a_signature_is_told_apart() {
    let s = archived();
    let (Some(ours), Some(other)) = (key(&s, "ours", KINDS[0], ""), key(&s, "other", KINDS[0], "")) else { return };
    let allowed = allow(&s, &ours, "");
    check(&s, &allowed).exits(5).says("[signature-missing]");
    verify(&s.path("archive"), &["--allowed-signers", allowed.to_str().unwrap()]).exits(0);
    // Somebody else's key, which the signature itself holds: it proves nothing.
    sign(&s, &other).exits(0);
    check(&s, &allowed).exits(5).says("[signature-untrusted]");
    verify(&s.path("archive"), &[]).exits(0).says("[signature-unchecked]");
    // Made for something else.
    ssh_keygen_signs(&s, &ours, "file");
    check(&s, &allowed).exits(5).says("[signature-bad]").says("\"file\"");
    // Times and namespaces of the line.
    sign(&s, &ours).exits(0);
    for (options, code, what) in [
        ("valid-before=\"20200101\" ", 5, "[signature-untrusted]"),
        ("valid-after=\"29990101Z\" ", 5, "[signature-untrusted]"),
        ("namespaces=\"file,git\" ", 5, "[signature-untrusted]"),
        ("cert-authority ", 5, "not supported"),
        ("valid-after=\"20200101\",valid-before=\"29990101Z\",namespaces=\"audio-tiff-*\" ", 0, "signed by"),
    ] {
        let allowed = allow(&s, &ours, options);
        check(&s, &allowed).exits(code).says(what);
        assert_eq!(ssh_keygen_verifies(&s, &allowed), code == 0, "{options}");
    }
    let allowed = allow(&s, &ours, "");
    check(&s, &allowed).exits(0);
    // Every bit of the signature counts.
    let good = fs::read_to_string(s.path("archive/manifest.json.sig")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    for line in 1..lines.len() - 1 {
        let mut damaged: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        let swapped = if damaged[line].as_bytes()[5] == b'A' { "B" } else { "A" };
        damaged[line].replace_range(5..6, swapped);
        fs::write(s.path("archive/manifest.json.sig"), damaged.join("\n") + "\n").unwrap();
        check(&s, &allowed).exits(5).says("[signature-");
    }
    fs::write(s.path("archive/manifest.json.sig"), "no signature").unwrap();
    check(&s, &allowed).exits(5).says("[signature-bad]");
    fs::write(s.path("archive/manifest.json.sig"), &good).unwrap();
    check(&s, &allowed).exits(0);
    // A manifest that was changed afterwards.
    let manifest = fs::read_to_string(s.path("archive/manifest.json")).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    fs::write(s.path("archive/manifest.json"), manifest.replace("a.wav", "b.wav")).unwrap();
    fs::File::options().write(true).open(s.path("archive/manifest.json")).unwrap().set_modified(later).unwrap();
    check(&s, &allowed).exits(5).says("[signature-stale]");
    assert!(!ssh_keygen_verifies(&s, &allowed));
    verify(&s.path("archive"), &["--require-signature"]).exits(2);
    verify(&s.path("archive"), &["--allowed-signers", s.path("none").to_str().unwrap()]).exits(1).says("none");
}

#[test]
fn a_run_signs_at_its_end_or_says_that_the_signature_is_of_an_earlier_manifest() {
    let s = archived();
    let Some(key) = key(&s, "key", KINDS[0], "") else { return };
    let allowed = allow(&s, &key, "");
    s.put("more/b.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 2)));
    let run = |input: &str, more: &[&str]| {
        let mut command = audio2tiff();
        command.arg("-i").arg(s.path(input)).arg("-o").arg(s.path("archive")).args(more);
        Run::of(command.output().unwrap())
    };
    run("more", &["--sign-manifest", key.to_str().unwrap()]).exits(0).says("signed with ssh-ed25519");
    check(&s, &allowed).exits(0);
    assert!(ssh_keygen_verifies(&s, &allowed));
    // Nothing new, nothing stale.
    let quiet = run("more", &["--resume"]).exits(0);
    assert!(!quiet.stderr.contains("earlier manifest"), "{}", quiet.stderr);
    check(&s, &allowed).exits(0);
    std::thread::sleep(std::time::Duration::from_millis(20));
    s.put("third/c.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 3)));
    run("third", &[]).exits(0).says("manifest.json.sig is the signature of an earlier manifest.json");
    check(&s, &allowed).exits(5).says("[signature-stale]");
    sign(&s, &key).exits(0);
    check(&s, &allowed).exits(0);
    // A key that is none is found before the work.
    s.put("fourth/d.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 4)));
    let none = s.put("none", b"This is no key");
    run("fourth", &["--sign-manifest", none.to_str().unwrap()]).exits(1).says("no SSH key");
    assert!(!s.path("archive/d_chunk_000000.tiff").exists());
}

#[test]
fn keys_in_an_agent_and_in_other_forms_sign_through_ssh_keygen() {
    let s = archived();
    let Some(plain) = key(&s, "pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"], "") else { return };
    assert!(fs::read_to_string(&plain).unwrap().starts_with("-----BEGIN RSA"));
    sign(&s, &plain).exits(0);
    check(&s, &allow(&s, &plain, "")).exits(0);
    // An agent of our own, whose key has a passphrase that it has been given already.
    let agent_key = key(&s, "held", KINDS[0], "").unwrap();
    let socket = s.path("agent.sock");
    let agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn();
    let Ok(mut agent) = agent else { return };
    while !socket.exists() {
        assert!(agent.try_wait().unwrap().is_none(), "the agent has ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let added = Command::new("ssh-add").arg("-q").arg(&agent_key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    fs::remove_file(&agent_key).unwrap();
    let public = agent_key.with_extension("pub");
    let mut command = tiff2flac();
    command.arg("sign").arg(s.path("archive")).arg("--key").arg(&public).env("SSH_AUTH_SOCK", &socket);
    let run = Run::of(command.output().unwrap());
    agent.kill().unwrap();
    agent.wait().unwrap();
    run.exits(0).says("ssh-ed25519");
    check(&s, &allow(&s, &agent_key, "")).exits(0);
    // A key with a passphrase, which ssh-keygen asks for through the program that is named for that.
    let locked = key(&s, "locked", KINDS[0], "secret words").unwrap();
    let ask = s.put("ask", b"#!/bin/sh\necho 'secret words'\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let signing = |ask: &Path| {
        let mut command = tiff2flac();
        command.arg("sign").arg(s.path("archive")).arg("--key").arg(&locked);
        command.env("SSH_ASKPASS", ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
        Run::of(command.output().unwrap())
    };
    signing(&ask).exits(0);
    check(&s, &allow(&s, &locked, "")).exits(0);
    let before = fs::read(s.path("archive/manifest.json.sig")).unwrap();
    fs::write(&ask, "#!/bin/sh\necho wrong\n").unwrap();
    signing(&ask).exits(1).says("ssh-keygen says");
    assert_eq!(before, fs::read(s.path("archive/manifest.json.sig")).unwrap(), "the earlier signature stays");
}
