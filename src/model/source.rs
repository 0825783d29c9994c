//! Python source as bytes and as text. A file may declare another encoding than
//! UTF-8 in its first two lines (PEP 263); what it then says is what Python
//! reads, so it is kept byte for byte, shown as text, and a text is kept in the
//! encoding that it declares. The one module that names `encoding_rs`. Pure.

use std::borrow::Cow;

use encoding_rs::{
    BIG5, DecoderResult, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, KOI8_R, KOI8_U, SHIFT_JIS,
};

use super::Error;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// Of a name that a file gives its encoding.
const NAME_MAX_CHARS: usize = 40;

/// How the text of a file is written down.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    Utf8,
    Ascii,
    /// Each byte is the character of its number; WHATWG's is another one.
    Latin1,
    Other(&'static Encoding),
}

/// An encoding, by the name that the file gives it.
struct Declared<'a> {
    name: Cow<'a, str>,
    scheme: Scheme,
    is_utf8_by_default: bool,
}

/// The text of a file, as Python reads it.
///
/// # Errors
/// `code_not_text`, with the encoding and the line.
pub fn decode_source(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    let declared = declared(bytes)?;
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let bad_at = |at: usize| declared.bad(line_at(bytes, at));
    match declared.scheme {
        Scheme::Utf8 => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|error| bad_at(error.valid_up_to())),
        Scheme::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
            Some(at) => Err(bad_at(at)),
            None => Ok(String::from_utf8_lossy(bytes)),
        },
        Scheme::Latin1 => Ok(Cow::Owned(bytes.iter().copied().map(char::from).collect())),
        Scheme::Other(encoding) => decode(encoding, bytes).map(Cow::Owned).map_err(bad_at),
    }
}

/// The bytes of a text, in the encoding that it declares.
///
/// # Errors
/// `code_not_text`, if that is none, or cannot hold a character of it.
pub fn encode_source(text: &str) -> Result<Vec<u8>, Error> {
    let declared = declared(text.as_bytes())?;
    let unfit = |line: usize| {
        Error::invalid(
            "code_not_text",
            "file",
            format!(
                "line {line} has a character that {}, which the file declares as its encoding, does not have; declare utf-8 instead",
                declared.name
            ),
        )
    };
    let line_of = |at: usize| line_at(text.as_bytes(), at);
    match declared.scheme {
        Scheme::Utf8 => Ok(text.as_bytes().to_vec()),
        Scheme::Ascii => match text.bytes().position(|byte| !byte.is_ascii()) {
            Some(at) => Err(unfit(line_of(at))),
            None => Ok(text.as_bytes().to_vec()),
        },
        Scheme::Latin1 => text
            .char_indices()
            .map(|(at, c)| u8::try_from(u32::from(c)).map_err(|_| unfit(line_of(at))))
            .collect(),
        Scheme::Other(encoding) => {
            let mut bytes = Vec::with_capacity(text.len());
            for (number, line) in text.split_inclusive('\n').enumerate() {
                let (encoded, _, has_unfit) = encoding.encode(line);
                // WHATWG has a euro in GBK, Python has none.
                if has_unfit || (encoding == GBK && line.contains('€')) {
                    return Err(unfit(number + 1));
                }
                bytes.extend_from_slice(&encoded);
            }
            Ok(bytes)
        }
    }
}

impl Declared<'_> {
    fn bad(&self, line: usize) -> Error {
        let message = if self.is_utf8_by_default {
            format!(
                "line {line} is not text in UTF-8, and the file declares no other encoding; save it as UTF-8, or declare the encoding in its first line (# -*- coding: gbk -*-)"
            )
        } else {
            format!(
                "line {line} is not text in {}, which the file declares as its encoding; save it as UTF-8 and declare that",
                self.name
            )
        };
        Error::invalid("code_not_text", "file", message)
    }
}

/// The encoding of a file, as Python finds it (`tokenize.detect_encoding`): a
/// byte order mark, a comment in the first line, or in the second if the first
/// has nothing but a comment.
fn declared(bytes: &[u8]) -> Result<Declared<'static>, Error> {
    let rest = bytes.strip_prefix(BOM);
    let mut lines = rest.unwrap_or(bytes).split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let name = cookie(first).or_else(|| {
        let second = is_blank(first).then(|| lines.next()).flatten()?;
        cookie(second)
    });
    let Some(name) = name else {
        return Ok(Declared {
            name: Cow::Borrowed("UTF-8"),
            scheme: Scheme::Utf8,
            is_utf8_by_default: true,
        });
    };
    let shown: String = name.chars().take(NAME_MAX_CHARS).collect();
    let unknown = |why: &str| {
        let message = format!(
            "the file declares \"{shown}\" as its encoding, {why}; save it as UTF-8 and declare that"
        );
        Error::invalid("code_not_text", "file", message)
    };
    let scheme = scheme(name).ok_or_else(|| unknown("which is none that EMCP knows"))?;
    if rest.is_some() && !matches!(scheme, Scheme::Utf8) {
        return Err(unknown("and begins with the mark of UTF-8"));
    }
    Ok(Declared {
        name: Cow::Owned(shown),
        scheme,
        is_utf8_by_default: false,
    })
}

/// The name in a line like `# -*- coding: gbk -*-`.
fn cookie(line: &[u8]) -> Option<&str> {
    // What follows the name may be in any encoding.
    let from = line.iter().position(|byte| !b" \t\x0c".contains(byte))?;
    let comment = line[from..].strip_prefix(b"#")?;
    let marker = b"coding";
    let mut at = 0;
    while let Some(found) = find(&comment[at..], marker) {
        at += found + marker.len();
        let rest = &comment[at..];
        if let [b':' | b'=', rest @ ..] = rest {
            let begin = rest.iter().position(|byte| !b" \t".contains(byte))?;
            let name = &rest[begin..];
            let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            let length = name.iter().position(|byte| !is_of_name(byte));
            let name = &name[..length.unwrap_or(name.len())];
            if !name.is_empty() {
                return std::str::from_utf8(name).ok();
            }
        }
    }
    None
}

/// Whether a line is empty or a comment.
fn is_blank(line: &[u8]) -> bool {
    let first = line.iter().find(|byte| !b" \t\x0c".contains(byte));
    matches!(first, None | Some(b'#' | b'\r'))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// What Python calls so (`encodings.aliases`), of what a source file can be
/// written in.
fn scheme(name: &str) -> Option<Scheme> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let is_or_begins = |known: &[&str]| {
        known
            .iter()
            .any(|known| name == *known || name.starts_with(&format!("{known}-")))
    };
    // As `tokenize` does, before it asks for a codec.
    if is_or_begins(&["utf-8"]) || ["utf8", "u8", "utf", "cp65001"].contains(&name.as_str()) {
        return Some(Scheme::Utf8);
    }
    if is_or_begins(&["latin-1", "iso-8859-1", "iso-latin-1"])
        || [
            "latin1",
            "latin",
            "l1",
            "iso8859-1",
            "iso8859",
            "8859",
            "cp819",
        ]
        .contains(&name.as_str())
    {
        return Some(Scheme::Latin1);
    }
    let encoding = match name.as_str() {
        "ascii" | "us-ascii" | "646" => return Some(Scheme::Ascii),
        "gbk" | "936" | "cp936" | "ms936" | "gb2312" | "euc-cn" | "euccn" | "chinese"
        | "gb2312-80" | "gb2312-1980" => GBK,
        "gb18030" | "gb18030-2000" => GB18030,
        "big5" | "big5-tw" | "big5hkscs" | "big5-hkscs" | "hkscs" | "950" | "cp950" | "ms950" => {
            BIG5
        }
        "shift-jis" | "shiftjis" | "sjis" | "s-jis" | "932" | "cp932" | "ms932" | "mskanji"
        | "ms-kanji" | "windows-31j" => SHIFT_JIS,
        "euc-jp" | "eucjp" | "ujis" | "u-jis" => EUC_JP,
        "euc-kr" | "euckr" | "korean" | "949" | "cp949" | "ms949" | "uhc" => EUC_KR,
        "koi8-r" => KOI8_R,
        "koi8-u" => KOI8_U,
        "866" | "cp866" | "ibm866" => IBM866,
        other => return single_byte(other).map(Scheme::Other),
    };
    Some(Scheme::Other(encoding))
}

/// Windows' code pages and the parts of ISO 8859, by their numbers.
fn single_byte(name: &str) -> Option<&'static Encoding> {
    let page = ["windows-", "cp", ""]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .filter(|number| {
            ([
                "1250", "1251", "1252", "1253", "1254", "1255", "1256", "1257", "1258",
            ])
            .contains(number)
        });
    if let Some(number) = page {
        return Encoding::for_label(format!("windows-{number}").as_bytes());
    }
    let part = name
        .strip_prefix("iso-8859-")
        .or_else(|| name.strip_prefix("iso8859-"))?;
    [
        "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "13", "14", "15", "16",
    ]
    .contains(&part)
    .then(|| Encoding::for_label(format!("iso-8859-{part}").as_bytes()))
    .flatten()
}

/// The text, or where the first byte is that is none.
fn decode(encoding: &'static Encoding, bytes: &[u8]) -> Result<String, usize> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
    let mut text = String::with_capacity(room.unwrap_or_default());
    match decoder.decode_to_string_without_replacement(bytes, &mut text, true) {
        (DecoderResult::InputEmpty, _) => Ok(text),
        (DecoderResult::Malformed(bad, after), read) => {
            Err(read.saturating_sub(usize::from(bad) + usize::from(after)))
        }
        // The room is for the whole.
        (DecoderResult::OutputFull, read) => Err(read),
    }
}

/// The line of a byte, from 1.
fn line_at(bytes: &[u8], at: usize) -> usize {
    let before = &bytes[..at.min(bytes.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "你好" in GBK.
    const HELLO_GBK: &[u8] = b"\xc4\xe3\xba\xc3";

    fn file(declaration: &str, bytes: &[u8]) -> Vec<u8> {
        [declaration.as_bytes(), b"\nx = '", bytes, b"'\n"].concat()
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = decode_source(bytes).unwrap_err();
        assert_eq!(error.code(), "code_not_text");
        error.to_string()
    }

    #[test]
    fn a_declared_encoding_is_read_and_written_as_it_was() {
        for (name, bytes, text) in [
            ("gbk", HELLO_GBK, "你好"),
            ("cp936", HELLO_GBK, "你好"),
            ("GB2312", HELLO_GBK, "你好"),
            ("gb18030", HELLO_GBK, "你好"),
            ("big5", b"\xa7\x41\xa6\x6e", "你好"),
            ("shift_jis", b"\x82\xb1", "こ"),
            ("euc-kr", b"\xb0\xa1", "가"),
            ("latin-1", b"\xe9\x80", "é\u{80}"),
            ("iso-8859-15", b"\xa4", "€"),
            ("cp1251", b"\xef", "п"),
            ("utf-8", "你".as_bytes(), "你"),
            ("utf8", "你".as_bytes(), "你"),
            ("ascii", b"a", "a"),
        ] {
            let bytes = file(&format!("# -*- coding: {name} -*-"), bytes);
            let read = decode_source(&bytes).unwrap();
            assert!(read.contains(&format!("x = '{text}'")), "{name}: {read}");
            assert_eq!(encode_source(&read).unwrap(), bytes, "{name}");
        }
    }

    #[test]
    fn the_declaration_stands_where_python_looks_for_it() {
        let declares = [
            "#coding:gbk",
            "# coding=gbk",
            "# vim: set fileencoding=gbk :",
            "#!/usr/bin/python\n# -*- coding: gbk -*-",
            "\n# coding: gbk",
            "  \t# coding: gbk",
            "# coding is fun; coding: gbk",
        ];
        for declaration in declares {
            let bytes = file(declaration, HELLO_GBK);
            assert!(
                decode_source(&bytes).unwrap().contains("你好"),
                "{declaration}"
            );
        }
        let does_not = [
            "# coding gbk",
            "x = 1 # coding: gbk",
            "import os\n# coding: gbk",
            "\n\n# coding: gbk",
            "# encoding:",
        ];
        for declaration in does_not {
            let message = refusal(&file(declaration, HELLO_GBK));
            assert!(message.contains("declares no other encoding"), "{message}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line_and_encoding() {
        let undeclared = refusal(b"a = 1\nb = '\xc4\xe3'\n");
        assert!(
            undeclared.starts_with("line 2 is not text in UTF-8"),
            "{undeclared}"
        );
        let cut = refusal(&file("# coding: gbk", b"\xff\xff"));
        assert!(cut.starts_with("line 2 is not text in gbk"), "{cut}");
        let unknown = refusal(&file("# coding: klingon", b""));
        assert!(unknown.contains("\"klingon\""), "{unknown}");
        for name in ["utf-16", "rot13", "idna", "unicode_escape", "hex"] {
            refusal(&file(&format!("# coding: {name}"), b""));
        }
        let ascii = refusal(&file("# coding: ascii", b"\xe9"));
        assert!(ascii.starts_with("line 2 is not text in ascii"), "{ascii}");
    }

    #[test]
    fn a_byte_order_mark_is_utf8_and_no_part_of_the_text() {
        let marked = [BOM, "x = '你'\n".as_bytes()].concat();
        assert_eq!(decode_source(&marked).unwrap(), "x = '你'\n");
        let contrary = [BOM, &file("# coding: gbk", HELLO_GBK)].concat();
        assert!(refusal(&contrary).contains("the mark of UTF-8"));
    }

    #[test]
    fn a_text_that_its_encoding_cannot_hold_is_refused_with_the_line() {
        let error = encode_source("# coding: latin-1\na = 1\nx = '你'\n").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("line 3 has a character that latin-1")
        );
        let error = encode_source("# coding: gbk\nx = '😀'\n").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("line 2 has a character that gbk")
        );
    }
}
