//! Everything that EMCP says with a code has words in both languages of the
//! dashboard. What it can say comes from the types that say it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use emcp::model::{Deed, Finding, KnownFault, KnownNotice, Reason};

use utoipa::PartialSchema;

const LANGUAGES: [&str; 2] = ["en", "zh"];
/// What an EMCP without codes wrote has nothing but its own words.
const WITHOUT_WORDS: &str = "older";

type Arguments = BTreeSet<String>;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The codes of a type, each with the names of its arguments.
fn codes_of<T: PartialSchema>() -> BTreeMap<String, Arguments> {
    let schema = serde_json::to_value(T::schema()).unwrap();
    let variants = schema["oneOf"].as_array().unwrap().iter();
    variants
        .map(|variant| {
            let code = &variant["properties"]["code"];
            let code = code["enum"][0].as_str().unwrap();
            let args = variant["properties"]["args"]["properties"].as_object();
            let args = args.map(|args| args.keys().cloned().collect());
            (code.to_owned(), args.unwrap_or_default())
        })
        .filter(|(code, _)| code != WITHOUT_WORDS)
        .collect()
}

/// The failures that the bootstrap reports, from its own list.
fn codes_of_the_bootstrap() -> BTreeSet<String> {
    let source = read("base-image/emcp_bootstrap/contract.py");
    let (_, list) = source.split_once("EXIT_CODES: dict[str, int] = {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The words in a file.
fn words(file: &str) -> BTreeMap<String, String> {
    words_of(&read(file))
}

/// A list of words: lines of `"key": "words",`.
fn words_of(list: &str) -> BTreeMap<String, String> {
    list.lines()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|line| line.starts_with('"'))
        .flat_map(|line| {
            let pair: BTreeMap<String, String> =
                serde_json::from_str(&format!("{{{line}}}")).unwrap();
            pair
        })
        .collect()
}

fn placeholders(words: &str) -> Arguments {
    let parts = words.split('{').skip(1);
    parts
        .map(|part| part.split_once('}').unwrap().0.to_owned())
        .collect()
}

/// Key and arguments of everything that can be said.
fn sayable() -> BTreeMap<String, Arguments> {
    let keyed = |kind: &str, codes: BTreeMap<String, Arguments>| {
        let kind = kind.to_owned();
        codes
            .into_iter()
            .map(move |(code, args)| (format!("{kind}.{code}"), args))
    };
    let reported = codes_of_the_bootstrap()
        .into_iter()
        .map(|code| (code, Arguments::from(["message".to_owned()])));
    let mut all: BTreeMap<_, _> = keyed("reason", codes_of::<Reason>())
        .chain(keyed("event", codes_of::<Deed>()))
        .chain(keyed("fault", codes_of::<KnownFault>()))
        .chain(keyed("fault", reported.collect()))
        .collect();
    // One code that is told in four ways (`ui/lib/coded_words.js`).
    let crashed = all["fault.crashed"].clone();
    for way in ["zero", "signal", "killed"] {
        all.insert(format!("fault.crashed_{way}"), crashed.clone());
    }
    all
}

/// What a step of the connection test can find.
fn found_in_steps() -> BTreeMap<String, Arguments> {
    let codes = codes_of::<Finding>().into_iter();
    codes
        .map(|(code, args)| (format!("step.{code}"), args))
        .collect()
}

/// What the operator is told of the platform. That of the firewall has codes
/// beside it, which say no more than the state.
fn notices() -> BTreeMap<String, Arguments> {
    let codes = codes_of::<KnownNotice>().into_iter();
    codes
        .map(|(code, args)| (format!("notice.{code}"), args))
        .chain(
            [
                "audit_syslog_failing",
                "clients_unknown",
                "firewall_open",
                "firewall_unknown",
            ]
            .map(|code| (format!("notice.{code}"), Arguments::new())),
        )
        .collect()
}

/// What the bootstrap finds in code beyond Python's own errors, from its list.
fn problems_in_code() -> BTreeMap<String, Arguments> {
    let source = read("base-image/emcp_bootstrap/check.py");
    let (_, list) = source.split_once("_MESSAGES = {\n").unwrap();
    let (list, _) = list.split_once("\n}").unwrap();
    words_of(list)
        .into_iter()
        .map(|(code, words)| (format!("problem.{code}"), placeholders(&words)))
        .collect()
}

#[test]
fn every_code_has_words_in_both_languages_and_no_words_have_lost_their_code() {
    let sayable = sayable();
    assert!(sayable.len() > 40, "the codes were not found: {sayable:?}");
    let said: BTreeSet<&String> = sayable.keys().collect();
    for language in LANGUAGES {
        let words = words(&format!("ui/locales/{language}/codes.js"));
        let is_of_a_code = |key: &&String| {
            let kind = key.split('.').next();
            matches!(kind, Some("reason" | "event" | "fault"))
        };
        let worded: BTreeSet<&String> = words.keys().filter(is_of_a_code).collect();
        assert_eq!(worded, said, "{language}");
        for (key, args) in &sayable {
            let unknown: Vec<_> = placeholders(&words[key])
                .difference(args)
                .cloned()
                .collect();
            assert_eq!(unknown, Vec::<String>::new(), "{language}: {key}");
        }
    }
}

/// What English shows in EMCP's own sentences, with their arguments.
#[test]
fn steps_of_a_connection_test_notices_and_problems_in_code_have_chinese_words() {
    let mut expected = found_in_steps();
    expected.extend(problems_in_code());
    expected.extend(notices());
    assert!(
        expected.len() > 12,
        "the codes were not found: {expected:?}"
    );

    let mut words = words("ui/locales/zh/codes.js");
    words.extend(self::words("ui/locales/zh/checks.js"));
    let words = words.into_iter();
    let kinds = ["step.", "problem.", "notice."];
    let is_of_these = |key: &str| kinds.iter().any(|kind| key.starts_with(kind));
    let worded: BTreeMap<String, Arguments> = words
        .filter(|(key, _)| is_of_these(key))
        .map(|(key, words)| (key, placeholders(&words)))
        .collect();
    assert_eq!(worded, expected);
}

#[test]
fn every_failure_has_a_heading_in_both_languages() {
    let known = codes_of::<KnownFault>().into_keys();
    let codes: Vec<String> = known.chain(codes_of_the_bootstrap()).collect();
    for language in LANGUAGES {
        let words = words(&format!("ui/locales/{language}/server.js"));
        for code in &codes {
            let key = format!("failure.{code}");
            assert!(words.contains_key(&key), "{language}: {key}");
        }
    }
}

#[test]
fn no_code_is_both_a_reason_and_a_deed() {
    let reasons: BTreeSet<String> = codes_of::<Reason>().into_keys().collect();
    let deeds: BTreeSet<String> = codes_of::<Deed>().into_keys().collect();
    assert_eq!(reasons.intersection(&deeds).count(), 0);
}

#[test]
fn the_codes_are_in_the_apis_description() {
    let page = read("docs/api.md");
    let mut all = sayable();
    all.extend(found_in_steps());
    all.extend(problems_in_code());
    all.extend(notices());
    for (key, args) in all {
        let code = key.split_once('.').unwrap().1;
        if code.starts_with("crashed_") {
            continue;
        }
        assert!(page.contains(&format!("`{code}`")), "{key}");
        for arg in args {
            assert!(page.contains(&format!("`{arg}`")), "{key}: {arg}");
        }
    }
}
