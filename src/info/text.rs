//! The account of a TIFF for a person.

use std::fmt::Write;

use serde_json::Value;

/// The lines about a TIFF, from the object that [`super::examine`] gives.
pub fn text(info: &Value) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        // Names and tags come from outside: no control characters on a terminal.
        let text: String = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{text}");
    };
    let origin = match info["origin"].as_str() {
        Some("audio-tiff") => "a chunk of an archive",
        Some("original") => "made by the original programs",
        _ => "not of an archive",
    };
    let kind = if info["tiff"] == "classic" { "classic TIFF" } else { "BigTIFF" };
    line(format!("{}: {kind} of {} bytes, {origin}", words(&info["item"]), words(&info["size_bytes"])));
    if let Some(source) = info["source"].as_object() {
        let get = |key: &str| words(&source[key]);
        line(format!("  source: {} ({} bytes, SHA-256 {})", get("relative_path"), get("size_bytes"), get("sha256")));
        line(if source["channels"] == 0 {
            format!("    {}, not decoded", get("container"))
        } else {
            format!(
                "    {}, {}, {} Hz, {} channels, {} bits, {} samples a channel",
                get("container"),
                get("sample_format"),
                get("sample_rate"),
                get("channels"),
                get("bits_per_sample"),
                get("total_samples")
            )
        });
        for note in source["notes"].as_array().into_iter().flatten() {
            line(format!("    note: {}", words(note)));
        }
    }
    if let Some(chunk) = info["chunk"].as_object() {
        let get = |key: &str| words(&chunk[key]);
        let number = chunk["chunk_index"].as_u64().unwrap_or(0).saturating_add(1);
        line(format!(
            "  chunk: {} ({number} of {}), samples {} and {} more, {} to {} of the recording",
            get("chunk_id"),
            get("chunk_count"),
            get("start_sample"),
            get("num_samples"),
            clock(&chunk["start_seconds"]),
            clock(&chunk["end_seconds"])
        ));
        line(format!("    written by {}, format version {}", get("created_by"), get("format_version")));
    }
    for (key, value) in info["metadata"].as_object().into_iter().flatten() {
        match value.as_array() {
            Some(fields) => line(format!("  {key}: {} as they stand in the source (see --json)", fields.len())),
            None => line(format!("  {key}: {}", words(value))),
        }
    }
    for page in info["pages"].as_array().into_iter().flatten() {
        pages(page, &mut line);
    }
    line(format!("  restores to: {}", words(&info["restores_to"])));
    let state = &info["state"];
    if state.is_object() {
        let whole = if state["whole"] == true { "whole" } else { "NOT WHOLE" };
        line(format!("  state: {whole} (checked: {})", words(&state["checked"])));
        if !state["manifest"].is_null() {
            line(format!("    listed in {}", words(&state["manifest"])));
        }
        for finding in state["findings"].as_array().into_iter().flatten() {
            line(format!("    [{}] {}", words(&finding["code"]), words(&finding["message"])));
            if finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()) {
                line(format!("      what to do: {}", words(&finding["remedy"])));
            }
        }
    }
    out
}

fn pages(page: &Value, line: &mut dyn FnMut(String)) {
    let get = |key: &str| words(&page[key]);
    line(format!(
        "  page {}: {}, {} × {} pixels, {} bytes at byte {}, compression {}",
        get("page"),
        get("role"),
        get("width"),
        get("height"),
        get("stored_bytes"),
        get("offset"),
        get("compression")
    ));
    if !page["unreadable"].is_null() {
        line(format!("    not readable: {}", get("unreadable")));
    }
    for (name, value) in page["tags"].as_object().into_iter().flatten() {
        line(format!("    {name}: {}", words(value)));
    }
    if page["xmp"].is_object() {
        line(format!("    XMP: {} bytes at byte {}", words(&page["xmp"]["bytes"]), words(&page["xmp"]["offset"])));
    }
    let flac = &page["flac"];
    if flac["sample_rate"].is_number() {
        let get = |key: &str| words(&flac[key]);
        line(format!(
            "    FLAC: {} bytes at byte {}, {} Hz, {} channels, {} bits, {} samples ({})",
            get("bytes"),
            get("offset"),
            get("sample_rate"),
            get("channels"),
            get("bits_per_sample"),
            get("total_samples"),
            clock(&flac["seconds"])
        ));
        line(format!(
            "      blocks of {} to {} samples, frames of {} to {} bytes, {} seek points, MD5 {}",
            get("min_block_size"),
            get("max_block_size"),
            get("min_frame_bytes"),
            get("max_frame_bytes"),
            get("seek_points"),
            get("md5")
        ));
        for comment in flac["comments"].as_array().into_iter().flatten() {
            line(format!("      {}", words(comment)));
        }
    }
}

/// A value without its quotes; `-` where there is none.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Seconds as `HH:MM:SS.mmm`.
fn clock(seconds: &Value) -> String {
    let millis = (seconds.as_f64().unwrap_or(0.0) * 1000.0).round() as u64;
    let (s, ms) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}
