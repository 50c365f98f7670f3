//! An archive as a bag (BagIt 1.0, RFC 8493), without copying a byte of its recordings.
//!
//! A bag has its payload in `data/`. [`run`] makes an archive's folder a bag in place: `data/` gets a hard link to every file;
//! then the tag files are written, `bagit.txt` last; then the names outside of `data/` are removed. From the moment that
//! `bagit.txt` is there, the archive is the one in `data/` ([`crate::manifest::archive_dir`], which all commands
//! use), before it is the one in the folder itself: wherever a crash comes, a whole archive is found, and running
//! again completes the bag. On a file system without hard links the folder is renamed to `data` inside of a new one, which
//! then takes its name. Or a second folder is made a bag of hard links ([`Options::into`]); since TIFFs are never changed
//! but replaced, it stays as it is whatever becomes of the archive.
//!
//! The checksums are those of the archive's manifest, so that nothing has to be read again, unless
//! [`Options::verify`] asks for it; `bag-info.txt` says which.

mod tags;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use serde_json::Map;

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::format;
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{self, ArchiveLock, Manifest, PAYLOAD_DIR, ReadLimits, Sha256Sum, TEMP_DIR, TempFolder};
use crate::positioned::{self, ReadAt};
use crate::threads;
use crate::timestamp;
pub use tags::parse_info;
pub(crate) use tags::{PAYLOAD as PAYLOAD_MANIFEST, read_manifest};

/// What to make a bag of, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The archive's folder, or the bag that is to be brought up to date.
    pub dir: PathBuf,
    /// A new folder for the bag, of hard links; the archive stays as it is. Else the archive's folder becomes the bag.
    pub into: Option<PathBuf>,
    /// Labels and values for `bag-info.txt`.
    pub info: Vec<(String, String)>,
    /// Read every file and compare it with its checksum, instead of taking the manifest's word for it.
    pub verify: bool,
    /// Threads in all; 0 for as many as the machine can run at once.
    pub workers: usize,
}

/// A file of the payload.
struct Item {
    /// Below the archive's folder.
    relative: PathBuf,
    /// The same as text, with `/`.
    name: String,
    len: u64,
    sum: Sha256Sum,
}

/// Makes a bag, or brings one up to date.
///
/// # Errors
/// `Missing` where there is no archive; `Usage` where the target is there, or names cannot stand in a bag; `Io`, among
/// them `WouldBlock` where a run is writing to the archive; `Interrupted`. What is wrong with single files is reported, and
/// no bag is made then.
pub fn run(options: &Options, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let dir = &options.dir;
    complete_rename(dir)?;
    let root = manifest::archive_dir(dir);
    if fs::symlink_metadata(root.join(manifest::MANIFEST_NAME)).is_err() {
        return Err(Error::new(ErrorKind::Missing, "there is no manifest.json in this folder").at_path(root));
    }
    let lock = ArchiveLock::acquire(&root)?;
    let result = locked(options, &root, interrupt, observer);
    // Outside of its own payload a bag has room for the state of verifications.
    let released = lock.release(TempFolder::Remove);
    let summary = result?;
    match released {
        // The folder with the lock was moved, or its names are gone with those of the archive.
        Err(e) if e.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => Ok(summary),
        other => other.map(|()| summary),
    }
}

fn locked(options: &Options, root: &Path, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    if !manifest::replay(root)?.is_empty() {
        let text =
            "a run of audio2tiff on this archive has not ended; `audio2tiff --resume` completes it, then make the bag";
        return Err(Error::new(ErrorKind::Usage, text).at_path(root));
    }
    let is_bag = root != options.dir;
    let (items, errors) = payload(options, root, interrupt, observer)?;
    let mut summary = Summary { errors, ..Summary::default() };
    if errors > 0 {
        return Ok(summary);
    }
    if items.iter().any(|item| item.name.contains('%')) {
        let message = "there are names with % in them, written %25 as RFC 8493 wants it; bagit-python up to 1.9 does not read that";
        observer.on(&Event::Note { item: "bag", message });
    }
    summary.ok = items.len() as u64;
    summary.archive_bytes = items.iter().map(|item| item.len).sum();
    match &options.into {
        Some(into) => link_into(options, root, into, &items)?,
        None if is_bag => {
            remove_leftovers(&options.dir, &items)?;
            if options.dir.join(TEMP_DIR).join(manifest::LOCK_NAME).exists() {
                // That of an attempt that was interrupted.
                ArchiveLock::acquire(&options.dir)?.release(TempFolder::Remove)?;
            }
            remove_index(root)?;
            write_tags(&options.dir, options, &items)?;
        }
        None => in_place(options, &items)?,
    }
    let bag = options.into.as_ref().unwrap_or(&options.dir).to_string_lossy().into_owned();
    let message = format!("a bag of {} files", items.len());
    observer.on(&Event::File { item: &bag, status: Status::Archived, message: &message, details: Map::new() });
    Ok(summary)
}

/// Every file of the payload with its checksum, and how many of them are not as they should be.
fn payload(options: &Options, root: &Path, interrupt: &Interrupt, observer: &dyn Observer) -> Result<(Vec<Item>, u64)> {
    let archived = Manifest::read(root, &ReadLimits::default())?.unwrap_or_default();
    let mut known: BTreeMap<String, (Option<Sha256Sum>, Option<u64>)> = BTreeMap::new();
    for source in archived.files.iter() {
        for chunk in source?.chunks.iter() {
            known.insert(chunk.tiff_path.clone(), (chunk.tiff_sha256, chunk.size_bytes));
        }
    }
    let files = list(root)?;
    let mut errors = 0;
    let mut failed = |item: &str, error: Error| {
        observer.on(&Event::Failed { item, error: &error });
        errors += 1;
    };
    let mut named = Vec::with_capacity(files.len());
    let mut unnamed = std::collections::HashSet::new();
    for relative in files {
        match relative.to_str() {
            Some(text) => named.push((text.replace(std::path::MAIN_SEPARATOR, "/"), relative)),
            None => {
                let text = "its name is no Unicode text, which a bag's manifest must be; archive it under another name";
                unnamed.extend(manifest::path_to_text(&relative));
                failed(&relative.to_string_lossy(), Error::unsupported(text).at_path(root.join(&relative)));
            }
        }
    }
    let there: std::collections::HashSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    if archived.is_ours() {
        for tiff in known.keys().filter(|tiff| !there.contains(tiff.as_str()) && !unnamed.contains(*tiff)) {
            failed(tiff, Error::new(ErrorKind::Missing, "the TIFF is not there").at_path(root.join(tiff)));
        }
    }
    let results: Vec<(String, Result<Item>)> = threads::pool(options.workers)?.install(|| {
        let summed = |(name, relative): (String, PathBuf)| {
            let known = known.get(name.as_str()).copied().unwrap_or_default();
            let item = self::item(root, name.clone(), relative, known, options.verify, interrupt);
            (name, item)
        };
        named.into_par_iter().map(summed).collect()
    });
    interrupt.check()?;
    let mut items = Vec::with_capacity(results.len());
    for (name, result) in results {
        match result {
            Ok(item) => items.push(item),
            Err(e) => failed(&name, e),
        }
    }
    Ok((items, errors))
}

fn item(
    root: &Path,
    name: String,
    relative: PathBuf,
    (expected, size): (Option<Sha256Sum>, Option<u64>),
    verify: bool,
    interrupt: &Interrupt,
) -> Result<Item> {
    let path = root.join(&relative);
    let len = fs::metadata(&path).map_err(Error::while_("looking at", &path))?.len();
    if expected.is_some() && size.is_some_and(|size| size != len) {
        let text = format!("it has {len} bytes, the manifest says {}", size.unwrap_or(0));
        return Err(Error::mismatch(text).at_path(path));
    }
    let sum = match expected.filter(|_| !verify) {
        Some(sum) => sum,
        None => {
            let file = positioned::open(&path).map_err(Error::while_("opening", &path))?;
            let len = ReadAt::len(&file).map_err(Error::while_("looking at", &path))?;
            hash::sha256_range(&file, 0, len, interrupt, |_| ()).map_err(|e| e.at_path(&path))?
        }
    };
    match expected {
        Some(expected) if expected != sum => {
            Err(Error::mismatch(format!("its SHA-256 is {sum}, the manifest says {expected}")).at_path(path))
        }
        _ => Ok(Item { relative, name, len, sum }),
    }
}

/// All files of an archive but those of work in progress, and the search index, which is a cache and changes.
fn list(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    list_all(root, Path::new(""), &mut files)?;
    // What an interrupted attempt has linked is made anew.
    let leftover = is_ours(root);
    files.retain(|path| {
        let outside = |name: &str| tags::is_tag_file(name) || manifest::is_index_file(name);
        let tag = path.parent() == Some(Path::new("")) && path.to_str().is_some_and(outside);
        !(path.starts_with(TEMP_DIR) || tag || leftover && path.starts_with(PAYLOAD_DIR))
    });
    files.sort();
    Ok(files)
}

/// All files below `root/relative`, relative to `root`.
fn list_all(root: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let here = root.join(relative);
    for entry in fs::read_dir(&here).map_err(Error::while_("listing", &here))? {
        let entry = entry.map_err(Error::while_("listing", &here))?;
        let below = relative.join(entry.file_name());
        let kind = entry.file_type().map_err(Error::while_("looking at", &entry.path()))?;
        match kind.is_dir() {
            true => list_all(root, &below, files)?,
            false => files.push(below),
        }
    }
    Ok(())
}

/// Removes a search index from what is, or becomes, a payload: it is in no list, and is made again beside it at will.
fn remove_index(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root).map_err(Error::while_("listing", root))? {
        let entry = entry.map_err(Error::while_("listing", root))?;
        if entry.file_name().to_str().is_some_and(manifest::is_index_file) {
            fs::remove_file(entry.path()).map_err(Error::while_("removing the search index", &entry.path()))?;
        }
    }
    Ok(())
}

/// Whether `data/` in an archive was made by an interrupted attempt at a bag, and is no folder of recordings: whether every
/// file in it is a link to the one of the same name in the archive.
fn is_ours(root: &Path) -> bool {
    let data = root.join(PAYLOAD_DIR);
    let mut files = Vec::new();
    list_all(&data, Path::new(""), &mut files).is_ok()
        && files.iter().all(|relative| same_file(&data.join(relative), &root.join(relative)))
}

/// Makes the archive's own folder a bag.
fn in_place(options: &Options, items: &[Item]) -> Result<()> {
    let dir = &options.dir;
    let data = dir.join(PAYLOAD_DIR);
    let recordings = data.exists() && !is_ours(dir);
    if recordings || !can_link(dir) {
        // There are recordings in a folder of that name, or there are no hard links here.
        return by_renaming(options, items);
    }
    if data.exists() {
        fs::remove_dir_all(&data).map_err(Error::while_("removing what an interrupted attempt left", &data))?;
    }
    link_all(dir, &data, items)?;
    write_tags(dir, options, items)?;
    // From here on the archive is the one in `data/`.
    remove_leftovers(dir, items)
}

/// Makes `into` a bag of hard links.
fn link_into(options: &Options, root: &Path, into: &Path, items: &[Item]) -> Result<()> {
    if into.exists() {
        return Err(Error::new(ErrorKind::Usage, "the folder for the bag is there already").at_path(into));
    }
    let part = durable::with_suffix(into, ".part");
    if part.exists() {
        fs::remove_dir_all(&part).map_err(Error::while_("removing what an interrupted attempt left", &part))?;
    }
    durable::create_dir_all(&part)?;
    link_all(root, &part.join(PAYLOAD_DIR), items)?;
    write_tags(&part, options, items)?;
    durable::rename(&part, into)?;
    durable::sync_dir(parent(into))
}

fn link_all(from: &Path, to: &Path, items: &[Item]) -> Result<()> {
    let mut folders = std::collections::BTreeSet::from([to.to_path_buf()]);
    for item in items {
        let target = to.join(&item.relative);
        let folder = parent(&target);
        if !folder.is_dir() {
            durable::create_dir_all(folder)?;
        }
        folders.extend(folder.ancestors().take_while(|above| above.starts_with(to)).map(Path::to_path_buf));
        fs::hard_link(from.join(&item.relative), &target).map_err(|e| {
            let text = match e.kind() {
                io::ErrorKind::CrossesDevices => "a bag of hard links must be on the file system of the archive",
                _ => "linking",
            };
            Error::io(text, e).at_path(&target)
        })?;
    }
    folders.iter().try_for_each(|folder| durable::sync_dir(folder))?;
    durable::sync_dir(parent(to))
}

/// Whether the file system has hard links, and they can be recognised.
fn can_link(dir: &Path) -> bool {
    let (a, b) = (dir.join(TEMP_DIR).join("link-1"), dir.join(TEMP_DIR).join("link-2"));
    let linked = fs::write(&a, "").and_then(|()| fs::hard_link(&a, &b)).is_ok() && same_file(&a, &b);
    durable::remove_quietly(&a);
    durable::remove_quietly(&b);
    linked
}

#[cfg(unix)]
fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| fs::symlink_metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn same_file(_a: &Path, _b: &Path) -> bool {
    false
}

/// Removes the names outside of `data/` of files that are in it, and folders that this leaves empty.
fn remove_leftovers(dir: &Path, items: &[Item]) -> Result<()> {
    let mut folders = std::collections::BTreeSet::new();
    for item in items {
        let (old, new) = (dir.join(&item.relative), dir.join(PAYLOAD_DIR).join(&item.relative));
        if same_file(&old, &new) {
            fs::remove_file(&old).map_err(Error::while_("removing", &old))?;
            folders.extend(
                parent(&old).ancestors().take_while(|up| up.starts_with(dir) && *up != dir).map(Path::to_path_buf),
            );
        }
    }
    for folder in folders.iter().rev() {
        // One that somebody else has put something into stays.
        let _ = fs::remove_dir(folder);
    }
    durable::sync_dir(dir)
}

/// Makes a bag by renaming: the archive becomes `data` in a new folder, and that takes its name.
fn by_renaming(options: &Options, items: &[Item]) -> Result<()> {
    let dir = &options.dir;
    let new = renaming_name(dir)?;
    durable::create_dir_all(&new)?;
    write_tags(&new, options, items)?;
    let advice = |e: Error| {
        let text = format!("{}; make the bag elsewhere with --into", e.message());
        Error::new(e.kind(), text).at_path(dir)
    };
    remove_index(dir)?;
    if let Err(e) = durable::rename(dir, &new.join(PAYLOAD_DIR)) {
        let _ = fs::remove_dir_all(&new);
        return Err(advice(e));
    }
    durable::sync_dir(parent(&new))?;
    durable::rename(&new, dir)?;
    durable::sync_dir(parent(dir))?;
    let temp = dir.join(PAYLOAD_DIR).join(TEMP_DIR);
    fs::remove_dir_all(&temp).map_err(Error::while_("removing", &temp))
}

/// Completes a renaming that was interrupted between its two steps.
fn complete_rename(dir: &Path) -> Result<()> {
    match renaming_name(dir) {
        Ok(new) if !dir.exists() && new.join(PAYLOAD_DIR).join(manifest::MANIFEST_NAME).exists() => {
            durable::rename(&new, dir)?;
            durable::sync_dir(parent(dir))?;
            let temp = dir.join(PAYLOAD_DIR).join(TEMP_DIR);
            // What stands in there is of the attempt that was interrupted.
            let _ = fs::remove_dir_all(temp);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn renaming_name(dir: &Path) -> Result<PathBuf> {
    let name = dir.file_name().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "give the folder by its name, or make the bag elsewhere with --into").at_path(dir)
    })?;
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(".bagging");
    Ok(dir.with_file_name(new))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the tag files of the bag in `dir`, the declaration last.
fn write_tags(dir: &Path, options: &Options, items: &[Item]) -> Result<()> {
    let in_payload = |item: &Item| (format!("{PAYLOAD_DIR}/{}", item.name), item.sum);
    let sums: BTreeMap<String, Sha256Sum> = items.iter().map(in_payload).collect();
    let octets: u64 = items.iter().map(|item| item.len).sum();
    let path = dir.join(tags::INFO);
    let mut info = match fs::read_to_string(&path) {
        Ok(text) => tags::Info::parse(&text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => tags::Info::default(),
        Err(e) => return Err(Error::while_("reading", &path)(e)),
    };
    let now = timestamp::to_text(SystemTime::now()).unwrap_or_default();
    info.set("Bag-Software-Agent", format::CREATED_BY.replace("audio2tiff", "tiff2flac"));
    info.set("Bagging-Date", now.get(..10).unwrap_or_default());
    info.set("Payload-Oxum", format!("{octets}.{}", items.len()));
    let how = if options.verify {
        "every file was read and compared with its checksum when the bag was made"
    } else {
        "checksums of TIFFs are those of the archive's manifest.json; the TIFFs were not read when the bag was made"
    };
    info.set("Audio-TIFF-Checksums", how);
    options.info.iter().for_each(|(label, value)| info.add(label, value));
    let files = [
        (tags::PAYLOAD, tags::manifest_text(&sums)),
        (tags::INFO, info.text()),
        (tags::DECLARATION, tags::DECLARATION_TEXT.to_owned()),
    ];
    let of_tags = files.iter().map(|(name, text)| ((*name).to_owned(), Sha256Sum::of(text.as_bytes()))).collect();
    let [payload, info, declaration] = files;
    let tag_manifest = (tags::TAGS, tags::manifest_text(&of_tags));
    for (name, text) in [payload, info, tag_manifest, declaration] {
        durable::write(&dir.join(name), text.as_bytes())?;
    }
    Ok(())
}
