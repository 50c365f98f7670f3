//! Flags of the original Python scripts, and flags that say nothing about what is made.

mod common;

use common::{Run, Scratch, archive, audio2tiff, sound, tree, wav};

fn one_source() -> Scratch {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(20_000, 1, 16, 1)));
    s
}

#[track_caller]
fn quiet(run: &Run) {
    assert!(!run.stderr.contains("no effect"), "{}", run.stderr);
}

#[test]
fn temp_is_kept_where_that_is_asked_for() {
    let s = one_source();
    archive(&s.path("in"), &s.path("without"), &[]).exits(0);
    assert!(!s.path("without/temp").exists());
    archive(&s.path("in"), &s.path("with"), &["--keep-temp"]).exits(0);
    assert!(s.path("with/temp").is_dir());
    // Nothing in it belongs to the archive, and the next run takes it away.
    assert!(tree(&s.path("without")) == tree(&s.path("with")));
    archive(&s.path("in"), &s.path("with"), &["--resume"]).exits(0).says("skipped: 1");
    assert!(!s.path("with/temp").exists());
}

#[test]
fn pictures_are_not_minified_in_a_loop_and_the_flag_says_so() {
    let s = one_source();
    quiet(&archive(&s.path("in"), &s.path("without"), &[]).exits(0));
    archive(&s.path("in"), &s.path("with"), &["--minify-loop"]).exits(0).says("--minify-loop").says("no effect");
    assert!(tree(&s.path("without")) == tree(&s.path("with")));
}

#[test]
fn an_archive_without_its_audio_is_refused() {
    let s = one_source();
    archive(&s.path("in"), &s.path("a"), &["--no-flac"]).exits(2).says("--no-flac").says("leave this flag out");
    assert!(!s.path("a").exists());
    // Neither is in the help.
    let help = Run::of(audio2tiff().arg("--help").output().unwrap()).exits(0);
    assert!(!help.stdout.contains("--no-flac") && !help.stdout.contains("--minify-loop"));
}

#[test]
fn flags_without_effect_on_false_color_say_so() {
    let s = one_source();
    let run = |name: &str, more: &[&str]| archive(&s.path("in"), &s.path(name), more).exits(0);
    quiet(&run("a", &["--preview", "false-color"]));
    quiet(&run("b", &["--cmap", "viridis", "--db-range=-80,0"]));
    run("c", &["--preview", "false-color", "--cmap", "viridis"]).says("--cmap: has no effect");
    run("d", &["--preview", "false-color", "--db-range=-80,0"]).says("--db-range: has no effect");
    assert!(tree(&s.path("a")) == tree(&s.path("c")) && tree(&s.path("a")) == tree(&s.path("d")));
}
