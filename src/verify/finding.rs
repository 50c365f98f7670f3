//! What a check can find: stable codes, and what to do about each.

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind};
use crate::events::{Event, Observer};
use crate::manifest::Severity;
use crate::verify::stretch::{Stretch, Timeline};

/// One kind of finding.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The stable word; words are only ever added.
    pub code: &'static str,
    /// Errors count in the exit status, the others do not.
    pub severity: Severity,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! kinds {
    ($($severity:ident $code:literal: $meaning:literal => $remedy:literal;)*) => {
        /// Every kind of finding, as `docs/VERIFY.md` lists them.
        pub const KINDS: &[Kind] = &[
            $(Kind { code: $code, severity: Severity::$severity, meaning: $meaning, remedy: $remedy },)*
        ];
    };
}

kinds! {
    Error "tiff-missing": "a TIFF that the manifest names is not there"
        => "put it back from a copy of the archive, or archive the source again with `audio2tiff --resume`";
    Error "tiff-unreadable": "the system cannot read the TIFF, or a part of it"
        => "copy the archive off this disk while the rest can be read; put the TIFF back from another copy";
    Error "tiff-changed": "the TIFF's SHA-256 is not the one in the manifest"
        => "put it back from a copy, or try `tiff2flac repair`";
    Error "tiff-truncated": "the TIFF is shorter or longer than the manifest says"
        => "put it back from a copy, or try `tiff2flac repair`";
    Error "tiff-malformed": "the TIFF's header or page directories are damaged"
        => "put it back from a copy, or try `tiff2flac repair`";
    Error "tiff-unsupported": "the TIFF was written by a later version"
        => "use a later version of this program";
    Error "tiff-foreign": "the TIFF is a chunk of something else under this name"
        => "put the right one back from a copy of the archive";
    Error "tiff-contradicts": "the TIFF says otherwise about its source or place than the manifest or the other chunks"
        => "put TIFF and manifest.json of one and the same copy of the archive together";
    Error "no-flac": "there is no FLAC in the TIFF"
        => "put it back from a copy";
    Error "flac-damaged": "frames of the FLAC cannot be decoded; the time ranges are given"
        => "put the TIFF back from a copy, or try `tiff2flac repair`; what is outside the ranges can still be heard";
    Error "flac-changed": "the FLAC's SHA-256 is not the one in the manifest; all its samples are whole"
        => "put the TIFF back from a copy, or try `tiff2flac repair`";
    Error "flac-md5": "every frame is whole by its own checksum, but the MD5 over all samples is missing or wrong"
        => "put the TIFF back from a copy, or try `tiff2flac repair`";
    Error "flac-length": "the FLAC does not hold as many samples as the manifest says"
        => "put the TIFF back from a copy, or try `tiff2flac repair`";
    Error "page-damaged": "a page beside the FLAC (picture, source bytes, remainder) cannot be read"
        => "put the TIFF back from a copy, or try `tiff2flac repair`";
    Error "parity-damaged": "the recovery data beside a TIFF is damaged or of another file"
        => "run `tiff2flac repair`, or `tiff2flac protect` to make it anew";
    Error "chunks-missing": "the chunks that are listed are not all of the source"
        => "take manifest.json and TIFFs from a copy, or archive the source again";
    Error "chunks-overlap": "two chunks of a source hold the same samples"
        => "take manifest.json from a copy, or write it again with `tiff2flac rebuild-manifest --overwrite`";
    Error "source-not-restored": "what the archive restores is not the source (only with --deep)"
        => "put the TIFFs of this source back from a copy, or archive it again";
    Error "manifest-changed": "manifest.json is not the file that SHA256SUMS has a checksum for"
        => "take both from a copy; if a run of audio2tiff was interrupted, `audio2tiff --resume` completes it";
    Error "sums-missing": "there is no SHA256SUMS"
        => "write it again with `tiff2flac rebuild-manifest --overwrite`";
    Error "sums-unreadable": "a line of SHA256SUMS is none that sha256sum writes"
        => "take it from a copy, or write it again with `tiff2flac rebuild-manifest --overwrite`";
    Error "sums-differ": "SHA256SUMS has another checksum for a TIFF than the manifest"
        => "see which of the two the file has; take the other from a copy";
    Error "sums-lack": "SHA256SUMS has no line for a TIFF"
        => "write it again with `tiff2flac rebuild-manifest --overwrite`";
    Error "sums-extra": "SHA256SUMS has a line for a file that the manifest does not name"
        => "write it again with `tiff2flac rebuild-manifest --overwrite`";
    Error "bag-differs": "the bag around the archive is not up to date, or its manifest is damaged"
        => "if audio2tiff has added to the archive since, run `tiff2flac bag` again; else take it from a copy";
    Error "extra-tiff": "a TIFF that no manifest names; nothing in it was checked"
        => "keep it until you know what it is; if it is a chunk whose manifest entry is lost, \
            `tiff2flac rebuild-manifest --overwrite` takes it in";
    Error "extra-file": "a file that no manifest names"
        => "move it elsewhere, or say with --ignore that it is meant to be there";
    Error "folder-unreadable": "a folder or file of the archive cannot be listed"
        => "look at its permissions and at the disk";
    Error "archive-unreadable": "one of several archives cannot be opened"
        => "look at the path and at its manifest.json";
    Error "state-not-written": "what was verified could not be recorded"
        => "free some space, or give another --state";
    Error "unsafe-path": "a path leads out of the archive or cannot be a file name here; it is not used"
        => "take manifest.json from a copy";
    Error "source-twice": "two sources have one relative path; only the first is used"
        => "write the manifest again with `tiff2flac rebuild-manifest --overwrite`";
    Error "source-unnamed": "a source without a relative path"
        => "write the manifest again with `tiff2flac rebuild-manifest --overwrite`";
    Error "chunk-failed": "the original script could not archive this chunk; its source is incomplete"
        => "archive the source again, if it is still there";
    Error "tiff-named-twice": "two chunks name one TIFF"
        => "one may have overwritten the other: archive both sources again, if they are still there";
    Error "journal-damaged": "a line of an unfinished run's journal cannot be read"
        => "archive the source again with `audio2tiff --resume`";
    Warning "unfinished-run": "a run of audio2tiff has not ended, or is at work"
        => "`audio2tiff --resume` completes it";
    Warning "manifest-missing": "there is no manifest.json; the TIFFs themselves were asked"
        => "`tiff2flac rebuild-manifest` writes it again";
    Warning "later-format": "the archive was written by a later version"
        => "use a later version of this program";
    Warning "no-chunks": "nothing was archived of a source of the original scripts"
        => "archive it again, if it is still there";
    Warning "no-checksum": "a FLAC of the original scripts has no checksum; its frames and MD5 were checked"
        => "nothing needs to be done; archive the source again, if it is still there, for checksums of everything";
    Warning "names-collide": "two sources of the original scripts would be restored under one name"
        => "extract the FLACs, which keep their own names; archive both sources again, if they are still there";
    Warning "tiff-not-ours": "a TIFF in the folder is no chunk of an archive"
        => "move it elsewhere, if it does not belong here";
    Warning "chunk-twice": "a chunk is there twice; one of the two is left out"
        => "compare the two, and move the one that is left out elsewhere";
    Note "chunks-out-of-order": "the chunks of a source were put in the order of time" => "nothing";
    Note "paths-relocated": "TIFFs were found by the end of their path, as the archive has been moved" => "nothing";
    Error "signature-missing": "there is no manifest.json.sig (only with --require-signature)"
        => "sign it with `tiff2flac sign`, or take the signature from a copy";
    Error "signature-stale": "manifest.json was changed after it was signed"
        => "if audio2tiff has added to the archive since, sign it again with `tiff2flac sign`; else take it from a copy";
    Error "signature-bad": "the signature is damaged, made for another purpose, or not valid for this manifest"
        => "take manifest.json and manifest.json.sig from a copy, or sign it again";
    Error "signature-untrusted": "the signature is none of the allowed signers', or was not valid at that time"
        => "if the signer is one you trust, add the key to the file of allowed signers";
    Warning "signature-unchecked": "there is a signature, and no --allowed-signers to check it with" => "check it with --allowed-signers FILE";
}

/// What is known about a code; codes of later versions of the manifest module count as errors.
pub fn kind(code: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.code == code)
}

/// Something that was found.
#[derive(Debug)]
pub struct Finding {
    /// One of [`KINDS`].
    pub code: &'static str,
    /// Whether it counts.
    pub severity: Severity,
    /// The source, TIFF or file, relative to the archive, with `/`.
    pub item: String,
    /// What is wrong, with file and byte.
    pub error: Error,
    /// The lost parts of the audio.
    pub damage: Vec<Stretch>,
    /// Where the chunk lies in the recording, if `damage` has anything in it.
    pub timeline: Option<Timeline>,
    /// Whether `tiff2flac repair` can mend it.
    pub mendable: bool,
}

impl Finding {
    /// A finding of the severity that its kind has.
    pub fn new(code: &'static str, item: impl Into<String>, error: Error) -> Finding {
        let severity = kind(code).map_or(Severity::Error, |kind| kind.severity);
        Finding { code, severity, item: item.into(), error, damage: Vec::new(), timeline: None, mendable: false }
    }

    /// As [`Finding::new`] with a sentence instead of an error.
    pub fn said(code: &'static str, item: impl Into<String>, kind: ErrorKind, text: impl Into<String>) -> Finding {
        Finding::new(code, item, Error::new(kind, text))
    }

    /// Whether it counts in the exit status.
    pub fn counts(&self) -> bool {
        self.severity == Severity::Error
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match kind(self.code) {
            _ if self.mendable => "`tiff2flac repair` can mend it",
            Some(kind) => kind.remedy,
            None => "",
        }
    }

    /// As an object for reports.
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code, "item": self.item, "counts": self.counts(), "message": self.error.message(),
            "offset": self.error.offset(), "remedy": self.remedy(), "damage": self.ranges(),
        })
    }

    fn ranges(&self) -> Vec<Value> {
        let timeline = self.timeline.iter();
        timeline.flat_map(|line| self.damage.iter().map(|stretch| line.json(stretch))).collect()
    }

    /// Tells an observer.
    pub fn tell(&self, observer: &dyn Observer) {
        let mut details = Map::new();
        if self.timeline.is_some() {
            details.insert("damage".to_owned(), self.ranges().into());
        }
        if self.mendable {
            details.insert("mendable".to_owned(), json!(true));
        }
        let (item, code, counts, error) = (&*self.item, self.code, self.counts(), &self.error);
        observer.on(&Event::Found { item, code, counts, error, remedy: self.remedy(), details });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_each_says_what_to_do() {
        for (n, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..n].iter().all(|other| other.code != kind.code), "{}", kind.code);
            assert!(!kind.remedy.is_empty(), "{}", kind.code);
        }
    }
}
