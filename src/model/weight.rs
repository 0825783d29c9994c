//! What a JSON text takes in memory when it is parsed. Some texts take a hundred
//! times their length (`[{},{},…]`), so that a bound on bytes is none.

/// A map of `serde_json` with one entry, and serde's copy of it.
const OBJECT_BYTES: u64 = 1024;
/// Any other value in it.
const VALUE_BYTES: u64 = 96;

/// What a JSON text takes in memory when it is parsed, roughly. A text that is
/// no JSON fails to parse before it takes more.
pub fn json_weight_bytes(json: &[u8]) -> u64 {
    let mut weight = json.len() as u64;
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in json {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' => weight += OBJECT_BYTES,
            b'[' | b',' | b':' => weight += VALUE_BYTES,
            _ => {}
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_weighs_what_it_is_long_and_structure_more() {
        let text = br#""{[,:\"{[,:""#;
        assert_eq!(json_weight_bytes(text), text.len() as u64);
        let objects = format!("[{}]", vec!["{}"; 1_000].join(","));
        assert!(json_weight_bytes(objects.as_bytes()) > 1_000_000);
    }
}
