//! Which of a request's headers hold EMCP's own token, and which are for the
//! server behind. A client may bring both: EMCP's token in one of `Authorization`
//! and `X-API-Key`, a credential of the server's own in the other.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{GateRequest, key_in_url};
use crate::access::Caller;
use crate::model::{Error, PassHeaders};

/// What every token that EMCP makes begins with, and how many hexadecimal digits
/// follow (`model::TokenSecret`).
const TOKEN_PREFIX: &str = "emcp_";
const TOKEN_DIGITS: usize = 64;
/// Pieces of a header's value that are looked at. A value of more is no
/// credential of anybody's, and does not pass.
const PIECES_MAX: usize = 16;

/// Where in a request a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// `Authorization: Bearer TOKEN`.
    Authorization,
    /// `X-API-Key: TOKEN`.
    ApiKey,
    /// `?key=TOKEN`.
    Url,
    /// A ticket that EMCP made of such a key.
    Ticket,
}

/// Who asks, and by what.
#[derive(Debug)]
pub struct Recognised {
    /// The token's holder.
    pub caller: Caller,
    /// Where the token stood.
    pub by: Presented,
}

/// What of a client's request reaches the server although EMCP takes such
/// headers away otherwise.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed<'a> {
    /// The `Authorization` header, where the server asks for it.
    pub authorization: Option<&'a str>,
    /// The `X-API-Key` header.
    pub api_key: Option<&'a str>,
}

/// The tokens a request presents, in the order in which they are tried. The first
/// that is EMCP's counts, whatever the others are meant for.
pub fn credentials<'a>(request: &GateRequest<'a>) -> Vec<(Presented, Cow<'a, str>)> {
    let bearer = request.authorization.and_then(bearer);
    let api_key = request.api_key.filter(|key| !key.is_empty());
    let by_header = [
        (Presented::Authorization, bearer),
        (Presented::ApiKey, api_key),
    ];
    let by_header = by_header
        .into_iter()
        .filter_map(|(at, token)| Some((at, Cow::Borrowed(token?))));
    let by_url = key_in_url(request.uri).map(|key| (Presented::Url, Cow::Owned(key)));
    by_header.chain(by_url).collect()
}

/// The answer to a request that presents no token.
pub fn no_credential() -> Error {
    Error::Unauthenticated {
        is_wrong: false,
        message:
            "a token is needed: send it as \"Authorization: Bearer TOKEN\" or \"X-API-Key: TOKEN\"; the server's owner makes one in the dashboard, on its Connection page"
                .to_owned(),
    }
}

/// The token of a `Bearer` credential; the scheme's name is case-insensitive
/// (RFC 9110 §11.1).
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once([' ', '\t'])?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// What of an admitted request's credentials is the server's own. Where a header
/// came twice, nobody knows which of the two was meant: neither passes.
///
/// `is_emcps` knows the tokens that are good here. What has a token's form does
/// not pass either: one that was revoked is EMCP's all the same.
pub fn passed_on<'a>(
    request: &GateRequest<'a>,
    pass: &PassHeaders,
    is_emcps: impl Fn(&str) -> bool,
) -> Passed<'a> {
    let own = |value: Option<&'a str>, is_repeated: bool| {
        value.filter(|value| !is_repeated && !value.is_empty() && !holds_a_token(value, &is_emcps))
    };
    Passed {
        authorization: own(request.authorization, request.repeats_authorization)
            .filter(|_| pass.contains("authorization")),
        api_key: own(request.api_key, request.repeats_api_key),
    }
}

fn holds_a_token(value: &str, is_emcps: &impl Fn(&str) -> bool) -> bool {
    let is_one = |text: &str| has_the_form(text) || is_emcps(text);
    if is_one(value) {
        return true;
    }
    let ends_a_piece = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '=');
    let pieces = || value.split(ends_a_piece).filter(|piece| !piece.is_empty());
    if pieces().nth(PIECES_MAX).is_some() {
        return true;
    }
    // `Basic` hides a name and a password (RFC 7617).
    let in_basic = |piece: &str| {
        let padded = piece.len().next_multiple_of(4);
        let decoded = STANDARD.decode(format!("{piece:=<padded$}")).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        Some(has_the_form(&text) || is_emcps(name) || is_emcps(password))
    };
    pieces().any(|piece| is_one(piece) || in_basic(piece) == Some(true))
}

/// Whether a token of EMCP's making stands anywhere in it.
fn has_the_form(text: &str) -> bool {
    text.match_indices(TOKEN_PREFIX).any(|(at, _)| {
        let digits = text.as_bytes()[at + TOKEN_PREFIX.len()..].iter();
        digits.take_while(|byte| byte.is_ascii_hexdigit()).count() >= TOKEN_DIGITS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "emcp_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const ADMINS: &str = "a password of the operator's";

    fn request<'a>(authorization: Option<&'a str>, api_key: Option<&'a str>) -> GateRequest<'a> {
        GateRequest {
            authorization,
            api_key,
            ..GateRequest::default()
        }
    }

    fn passed<'a>(request: &GateRequest<'a>, pass: &[&str]) -> Passed<'a> {
        let pass = PassHeaders::parse(pass.iter().map(|name| (*name).to_owned())).unwrap();
        passed_on(request, &pass, |text| text == ADMINS)
    }

    #[test]
    fn a_servers_own_key_passes_and_its_bearer_where_it_asks_for_it() {
        let both = request(Some("Bearer meant-for-the-server"), Some("own-key"));
        assert_eq!(passed(&both, &[]).api_key, Some("own-key"));
        assert_eq!(passed(&both, &[]).authorization, None);
        let asked = passed(&both, &["AUTHORIZATION"]);
        assert_eq!(asked.authorization, Some("Bearer meant-for-the-server"));
        let basic = request(Some("Basic bmFtZTpwYXNzd29yZA=="), None);
        assert!(passed(&basic, &["authorization"]).authorization.is_some());
    }

    #[test]
    fn a_token_of_emcps_never_passes_however_it_is_dressed() {
        let upper = TOKEN.replace("aabb", "AABB");
        let basic = format!("Basic {}", STANDARD.encode(format!("x:{TOKEN}")));
        let admins = format!("Basic {}", STANDARD.encode(format!("admin:{ADMINS}")));
        let bare = admins.trim_end_matches('=').to_owned();
        for value in [
            TOKEN.to_owned(),
            upper,
            format!("Bearer {TOKEN}"),
            format!("Bearer  {TOKEN}"),
            format!("own, {TOKEN}"),
            format!("own,{TOKEN}"),
            format!("Bearer \"{TOKEN}\""),
            format!("Digest username=\"x\", response=\"{TOKEN}\""),
            format!("x{TOKEN}x"),
            basic,
            admins,
            bare,
            ADMINS.to_owned(),
            "a,".repeat(40),
        ] {
            let asked = passed(&request(Some(&value), Some(&value)), &["authorization"]);
            assert_eq!(asked, Passed::default(), "{value}");
        }
        // Not a whole one.
        let short = format!("Bearer {}", &TOKEN[..40]);
        assert!(
            passed(&request(Some(&short), None), &["authorization"])
                .authorization
                .is_some()
        );
    }

    #[test]
    fn of_a_header_that_came_twice_nothing_passes() {
        let twice = GateRequest {
            repeats_authorization: true,
            repeats_api_key: true,
            ..request(Some("Bearer own"), Some("own"))
        };
        assert_eq!(passed(&twice, &["authorization"]), Passed::default());
    }

    #[test]
    fn spaces_around_a_token_are_not_part_of_it() {
        for header in ["Bearer t", " bearer  t ", "BEARER\tt\t", "Bearer \t t"] {
            assert_eq!(bearer(header), Some("t"), "{header:?}");
        }
        for header in ["Bearer", "Bearer ", "Basic t", "t", ""] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }

    #[test]
    fn each_place_of_a_token_is_tried_in_turn() {
        let all = GateRequest {
            uri: "/api/demo/mcp?key=c",
            ..request(Some("Bearer a"), Some("b"))
        };
        let found: Vec<_> = credentials(&all)
            .into_iter()
            .map(|(at, token)| (at, token.into_owned()))
            .collect();
        assert_eq!(
            found,
            [
                (Presented::Authorization, "a".to_owned()),
                (Presented::ApiKey, "b".to_owned()),
                (Presented::Url, "c".to_owned()),
            ]
        );
        assert!(credentials(&request(Some("Basic eA=="), Some(""))).is_empty());
    }
}
