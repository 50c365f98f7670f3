//! Text for the full-text tables, and queries of them.
//!
//! SQLite's tokenizer `unicode61` takes runs of letters and digits as words and folds case and accents. Scripts that are
//! written without spaces (Chinese, Japanese) would become words of whole sentences; their characters are set apart
//! here, on both sides, so that any run of them is found. What a person types is never taken for FTS5's query language.

/// The text as it goes into a full-text table.
pub(super) fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if unspaced(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(if c == '\0' { ' ' } else { c });
        }
    }
    out
}

/// Whether words of this character's script are not set apart by spaces.
fn unspaced(c: char) -> bool {
    matches!(c,
        '\u{2E80}'..='\u{2FDF}' | '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// What a person typed, as a query of FTS5: every word must be there, in any order, as the beginning of a word; what
/// stands in double quotes must be there word for word. `None` where there is not one letter or digit in it.
pub(super) fn query(typed: &str) -> Option<String> {
    let mut terms = Vec::new();
    for (number, part) in typed.split('"').enumerate() {
        if number % 2 == 1 {
            terms.extend(term(part, false));
        } else {
            terms.extend(part.split_whitespace().filter_map(|word| term(word, true)));
        }
    }
    (!terms.is_empty()).then(|| terms.join(" "))
}

fn term(text: &str, prefix: bool) -> Option<String> {
    if !text.contains(char::is_alphanumeric) {
        return None;
    }
    let quoted = spaced(text).replace('"', "\"\"");
    let star = if prefix && text.chars().next_back().is_some_and(char::is_alphanumeric) { "*" } else { "" };
    Some(format!("\"{}\"{star}", quoted.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_no_query_language() {
        assert_eq!(query("anna NOT \"the harbour\" col:x*"), Some(r#""anna"* "NOT"* "the harbour" "col:x*""#.into()));
        assert_eq!(query(" --- \" ^ ( "), None);
        assert_eq!(query("a\"b"), Some(r#""a"* "b""#.into()));
        assert_eq!(query("鳥の声"), Some("\"鳥  の  声\"*".into()));
    }
}
