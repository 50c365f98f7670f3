//! Man pages and shell completions, made from the arguments themselves.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// Writes the man pages of `command` and of its sub-commands below `prefix`, and its completions for bash, zsh and fish,
/// to the places where shells and `man` look for them.
pub fn install(command: Command, prefix: &Path) -> ExitCode {
    match write(command, prefix) {
        Ok(()) => {
            println!("man pages and completions are in {}", prefix.join("share").display());
            ExitCode::from(super::OK)
        }
        Err(e) => {
            eprintln!("error: {}: man pages and completions could not be written: {e}", prefix.display());
            ExitCode::from(super::FAILED)
        }
    }
}

fn write(mut command: Command, prefix: &Path) -> io::Result<()> {
    // `tiff2flac help verify` prints what the page of `verify` says: it needs none of its own.
    let for_pages = command.clone().disable_help_subcommand(true);
    let name = command.get_name().to_owned();
    let share = prefix.join("share");
    let places = [
        (Shell::Bash, share.join("bash-completion/completions"), name.clone()),
        (Shell::Zsh, share.join("zsh/site-functions"), format!("_{name}")),
        (Shell::Fish, share.join("fish/vendor_completions.d"), format!("{name}.fish")),
    ];
    for (shell, folder, file) in places {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut text);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(file), text)?;
    }
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(for_pages, pages)
}
