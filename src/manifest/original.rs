//! `manifest.json` of the original Python scripts, in all the spellings that their extractor takes.
//!
//! Lists stand under `files`, `chunks` or `entries`, or are the whole document; a source has its chunks in such a list,
//! or chunks stand alone, each with its source or without; failing all that, any text that ends in `.tif` or `.tiff`
//! names a chunk. What comes out is a flat form with the texts as they were; `index` makes paths of them.
//!
//! Values are held as the text they were read from until they are needed, and the chunks are counted, so a hostile
//! document takes no more memory than a small multiple of its length and of that count.

use std::collections::HashMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::model::{ChunkRecord, SourceRecord};
use super::values::{Extra, JsonText, Real, Sha256Sum};
use crate::error::{Error, Result};

const LIST_KEYS: [&str; 3] = ["files", "chunks", "entries"];
const CHUNK_LIST_KEYS: [&str; 3] = ["chunks", "entries", "files"];
const TIFF_KEYS: [&str; 5] = ["tiff_path", "tiff", "tiffPath", "tiffFile", "tiff_file"];
const SUM_KEYS: [&str; 4] = ["flac_sha256", "flac_sha", "sha256", "sha"];
const SOURCE_KEYS: [&str; 4] = ["source_file", "sourceFile", "source", "input_file"];

/// A manifest of the originals, flattened.
#[derive(Debug, Default)]
pub(super) struct OriginalManifest {
    pub input_dir: String,
    pub chunk_seconds: Option<Real>,
    pub sources: Vec<OriginalSource>,
}

/// One source, its chunks in the order they stand.
#[derive(Debug, Default)]
pub(super) struct OriginalSource {
    /// Without chunks; those are below.
    pub record: SourceRecord,
    pub chunks: Vec<OriginalChunk>,
}

/// One chunk, or the note that it failed.
#[derive(Debug, Default)]
pub(super) struct OriginalChunk {
    /// `tiff_path` is the text as it stands, not a path to be used.
    pub record: ChunkRecord,
    /// Why the original script could not write the chunk.
    pub error: Option<String>,
    /// A checksum that is none.
    pub bad_sum: Option<String>,
}

impl From<SourceRecord> for OriginalSource {
    /// From a manifest in which sources of the originals stand beside ours.
    fn from(mut record: SourceRecord) -> Self {
        let chunks = std::mem::take(&mut record.chunks.0).into_iter().map(|record| {
            let error = record.extra.get("error").and_then(error_text);
            OriginalChunk { record, error, bad_sum: None }
        });
        OriginalSource { chunks: chunks.collect(), record }
    }
}

/// Takes the document apart; of sources and chunks it takes `limit` together.
///
/// # Errors
/// `Malformed` where it is no JSON or names no TIFF in any way; `Limit`.
pub(super) fn read_original(document: &JsonText, limit: u64) -> Result<OriginalManifest> {
    let mut reader = Reader { manifest: OriginalManifest::default(), by_name: HashMap::new(), left: limit };
    if is_list(document) {
        reader.list(document, None)?;
    } else if let Some(root) = object(document) {
        reader.manifest.input_dir = text(&root, &["input_dir"]).unwrap_or_default();
        reader.manifest.chunk_seconds = parse(&root, "chunk_seconds");
        match LIST_KEYS.iter().find_map(|key| root.get(key).filter(|value| is_list(value))) {
            Some(list) => reader.list(list, None)?,
            None => {
                reader.anything(document)?;
                if reader.manifest.sources.is_empty() {
                    return Err(Error::malformed("the manifest names no TIFF file"));
                }
            }
        }
    } else {
        return Err(Error::malformed("the manifest is neither a JSON object nor a list"));
    }
    Ok(reader.manifest)
}

struct Reader {
    manifest: OriginalManifest,
    /// Chunks that stand alone are gathered by their source.
    by_name: HashMap<String, usize>,
    /// Sources and chunks that may still come.
    left: u64,
}

impl Reader {
    fn list(&mut self, list: &JsonText, source: Option<usize>) -> Result<()> {
        each_item(list, &mut |item| {
            if let Some(name) = tiff_text(item) {
                return self.named(source, name);
            }
            let Some(keys) = object(item) else { return self.anything(item) };
            let chunks = CHUNK_LIST_KEYS.iter().find_map(|key| keys.get(key).filter(|value| is_list(value)));
            match chunks {
                Some(chunks) if source.is_none() => {
                    let at = self.source(source_record(&keys))?;
                    self.list(chunks, Some(at))
                }
                _ => match chunk(&keys) {
                    Some(chunk) => self.chunk(source, text(&keys, &SOURCE_KEYS), chunk),
                    None => self.anything(item),
                },
            }
        })
    }

    fn source(&mut self, record: SourceRecord) -> Result<usize> {
        self.count()?;
        self.manifest.sources.push(OriginalSource { record, chunks: Vec::new() });
        Ok(self.manifest.sources.len() - 1)
    }

    /// A chunk of which nothing but its TIFF is said.
    fn named(&mut self, source: Option<usize>, tiff_path: String) -> Result<()> {
        let record = ChunkRecord { tiff_path, ..ChunkRecord::default() };
        self.chunk(source, None, OriginalChunk { record, ..OriginalChunk::default() })
    }

    /// Puts a chunk to its source; to one named after its TIFF where nothing says which.
    fn chunk(&mut self, source: Option<usize>, source_name: Option<String>, chunk: OriginalChunk) -> Result<()> {
        self.count()?;
        let at = match source {
            Some(at) => at,
            None => {
                let stem = stem(&chunk.record.tiff_path);
                let by_chunk = || if stem.is_empty() { &chunk.record.chunk_id } else { stem }.to_string();
                let name = source_name.unwrap_or_else(by_chunk);
                match self.by_name.get(&name) {
                    Some(&at) => at,
                    None => {
                        let at = self.source(SourceRecord { source_file: name.clone(), ..SourceRecord::default() })?;
                        self.by_name.insert(name, at);
                        at
                    }
                }
            }
        };
        self.manifest.sources[at].chunks.push(chunk);
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Error::limit("the manifest names too many chunks"))?;
        Ok(())
    }

    /// Every text that names a TIFF, wherever it stands.
    fn anything(&mut self, value: &JsonText) -> Result<()> {
        // Deeper than 127 levels nothing is looked for.
        let names = serde_json::from_str::<TiffTexts>(value.text()).unwrap_or_default();
        names.0.into_iter().try_for_each(|name| self.named(None, name))
    }
}

fn source_record(keys: &Extra) -> SourceRecord {
    let mut record =
        SourceRecord { source_file: text(keys, &SOURCE_KEYS).unwrap_or_default(), ..SourceRecord::default() };
    let known = |key: &str| SOURCE_KEYS.contains(&key) || CHUNK_LIST_KEYS.contains(&key);
    for (key, value) in keys.iter().filter(|(key, _)| !known(key)) {
        record.extra.put(key, value.clone());
    }
    record
}

/// A chunk or the error that stands for it; `None` where the object is neither.
fn chunk(keys: &Extra) -> Option<OriginalChunk> {
    let tiff = text(keys, &TIFF_KEYS);
    let error = keys.get("error").and_then(error_text);
    if tiff.is_none() && error.is_none() {
        return None;
    }
    let sum_text = text(keys, &SUM_KEYS);
    let flac_sha256 = sum_text.as_deref().and_then(|sum| sum.trim().parse::<Sha256Sum>().ok());
    let mut record = ChunkRecord {
        chunk_id: text(keys, &["chunk_id"]).unwrap_or_default(),
        tiff_path: tiff.unwrap_or_default(),
        flac_sha256,
        start_time_seconds: parse(keys, "start_time_seconds"),
        size_bytes: parse(keys, "size_bytes"),
        ..ChunkRecord::default()
    };
    let known = |key: &str| {
        TIFF_KEYS.contains(&key)
            || SUM_KEYS.contains(&key)
            || SOURCE_KEYS.contains(&key)
            || matches!(key, "chunk_id" | "start_time_seconds" | "size_bytes" | "error")
    };
    for (key, value) in keys.iter().filter(|(key, _)| !known(key)) {
        record.extra.put(key, value.clone());
    }
    Some(OriginalChunk { record, error, bad_sum: sum_text.filter(|_| flac_sha256.is_none()) })
}

/// Why a chunk failed: mostly a text; anything else is shown as the JSON it is.
fn error_text(value: &JsonText) -> Option<String> {
    let shown = || serde_json::from_str(value.text()).unwrap_or_else(|_| value.text().to_string());
    (value.text() != "null").then(shown)
}

/// The base name without its extension, of a path of any system.
fn stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Whether a text names a TIFF.
fn names_tiff(text: &str) -> bool {
    let ends = |end: &str| {
        text.len() > end.len() && text.as_bytes()[text.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
    };
    ends(".tif") || ends(".tiff")
}

fn tiff_text(value: &JsonText) -> Option<String> {
    serde_json::from_str::<String>(value.text()).ok().filter(|text| names_tiff(text))
}

/// The first of the keys that holds a text with something in it.
fn text(keys: &Extra, names: &[&str]) -> Option<String> {
    let texts = names.iter().filter_map(|name| serde_json::from_str::<String>(keys.get(name)?.text()).ok());
    texts.into_iter().find(|text| !text.is_empty())
}

fn parse<T: de::DeserializeOwned>(keys: &Extra, name: &str) -> Option<T> {
    serde_json::from_str(keys.get(name)?.text()).ok()
}

fn is_list(value: &JsonText) -> bool {
    value.text().starts_with('[')
}

/// Goes through a list without holding it.
fn each_item(list: &JsonText, take: &mut dyn FnMut(&JsonText) -> Result<()>) -> Result<()> {
    struct Items<'a>(&'a mut dyn FnMut(&JsonText) -> Result<()>, &'a mut Result<()>);
    impl<'de> Visitor<'de> for Items<'_> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
            while let Some(item) = list.next_element::<JsonText>()? {
                *self.1 = (self.0)(&item);
                if self.1.is_err() {
                    return Err(de::Error::custom("stopped"));
                }
            }
            Ok(())
        }
    }
    let mut outcome = Ok(());
    let read = serde_json::Deserializer::from_str(list.text()).deserialize_seq(Items(take, &mut outcome));
    outcome?;
    read.map_err(|e| Error::malformed(format!("not a readable manifest: {e}")))
}

fn object(value: &JsonText) -> Option<Extra> {
    value.text().starts_with('{').then(|| serde_json::from_str::<Object>(value.text()).ok()).flatten().map(|o| o.0)
}

/// The keys of an object, values as text.
struct Object(Extra);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut keys = Extra::default();
                while let Some((key, value)) = map.next_entry::<String, JsonText>()? {
                    keys.push(key, value);
                }
                Ok(Object(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// All texts in a document that name a TIFF; nothing else of it is kept.
#[derive(Default)]
struct TiffTexts(Vec<String>);

impl<'de> Deserialize<'de> for TiffTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Vec::new();
        deserializer.deserialize_any(Collect(&mut found))?;
        Ok(TiffTexts(found))
    }
}

struct Collect<'a>(&'a mut Vec<String>);

impl<'de> de::DeserializeSeed<'de> for Collect<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if names_tiff(text) {
            self.0.push(text.into());
        }
        Ok(())
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Collect(&mut *self.0))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<de::IgnoredAny>()?.is_some() {
            map.next_value_seed(Collect(&mut *self.0))?;
        }
        Ok(())
    }
}
