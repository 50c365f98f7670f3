//! Man pages, completions, and the README, against what the programs say themselves.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Run, Scratch, audio2tiff, tiff2flac, witness};

/// The long flags that `--help` lists, and the sub-commands.
fn listed(mut program: Command, sub_command: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let help = Run::of(program.args(sub_command.split_whitespace()).arg("--help").output().unwrap()).exits(0).stdout;
    let (mut flags, mut commands, mut in_commands) = (BTreeSet::new(), BTreeSet::new(), false);
    for line in help.lines() {
        if !line.starts_with(' ') {
            in_commands = line.starts_with("Commands:");
        }
        let entry = line.trim_start();
        let indent = line.len() - entry.len();
        if in_commands && indent == 2 {
            commands.extend(entry.split_whitespace().next().filter(|word| *word != "help").map(str::to_owned));
        } else if entry.starts_with('-') && (2..=6).contains(&indent) {
            let flag = entry.split([' ', ',', '=', '[']).find(|word| word.starts_with("--"));
            flags.extend(flag.filter(|f| !["--help", "--version"].contains(f)).map(str::to_owned));
        }
    }
    (flags, commands)
}

#[test]
fn the_readme_names_every_flag_and_sub_command() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (archive_flags, _) = listed(audio2tiff(), "");
    let (mut extract_flags, commands) = listed(tiff2flac(), "");
    assert!(archive_flags.len() > 15 && commands.contains("verify"), "{archive_flags:?} {commands:?}");
    for command in &commands {
        assert!(readme.contains(&format!("tiff2flac {command}")), "README.md says nothing of `tiff2flac {command}`");
        extract_flags.extend(listed(tiff2flac(), command).0);
    }
    for flag in archive_flags.union(&extract_flags) {
        assert!(
            readme.contains(&format!("`{flag}")) || readme.contains(&format!(" {flag}")),
            "README.md says nothing of {flag}"
        );
    }
}

#[test]
fn man_pages_and_completions_are_written_where_they_are_looked_for() {
    let s = Scratch::new();
    let prefix = s.path("prefix");
    for (program, name) in [(audio2tiff as fn() -> Command, "audio2tiff"), (tiff2flac, "tiff2flac")] {
        let run = Run::of(program().arg("--install-docs").arg(&prefix).output().unwrap());
        run.exits(0).says("prefix/share");
        let read = |path: String| fs::read_to_string(prefix.join("share").join(path)).unwrap();
        let page = read(format!("man/man1/{name}.1"));
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains("EXIT STATUS") | page.contains("Exit status"));
        assert!(read(format!("zsh/site-functions/_{name}")).starts_with(&format!("#compdef {name}")));
        assert!(read(format!("fish/vendor_completions.d/{name}.fish")).contains("complete -c"));
        let bash = prefix.join("share/bash-completion/completions").join(name);
        if let Some(run) = witness("bash", &["-n", bash.to_str().unwrap()]) {
            run.exits(0);
        }
    }
    assert!(prefix.join("share/man/man1/tiff2flac-verify.1").exists());
    // A second time, and where nothing can be written.
    Run::of(audio2tiff().arg("--install-docs").arg(&prefix).output().unwrap()).exits(0);
    let file = s.put("file", b"");
    Run::of(audio2tiff().arg("--install-docs").arg(file).output().unwrap()).exits(1).says("could not be written");
    // It goes with nothing else.
    let both = ["--install-docs", "x", "--input", "y"];
    Run::of(audio2tiff().args(both).output().unwrap()).exits(2);
    Run::of(audio2tiff().output().unwrap()).exits(2).says("--input");
}

#[test]
fn every_sub_command_has_one_page_and_nothing_else_has() {
    let s = Scratch::new();
    Run::of(tiff2flac().arg("--install-docs").arg(s.path("prefix")).output().unwrap()).exits(0);
    let names = common::tree(&s.path("prefix/share/man/man1")).into_keys().collect::<BTreeSet<_>>();
    let (_, commands) = listed(tiff2flac(), "");
    let mut expected: BTreeSet<String> = commands.iter().map(|name| format!("tiff2flac-{name}.1")).collect();
    expected.insert("tiff2flac.1".to_owned());
    assert_eq!(names, expected);
}
