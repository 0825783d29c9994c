//! Proxy settings that every server gets: EMCP's own, without the credentials
//! that may be in them, or those the operator names for servers.

use secrecy::SecretString;

use crate::settings::ProxyChoice;

/// What a setting that is to pass nothing says.
const OFF: &str = "off";

/// Variables for servers, in upper and lower case as programs read either.
/// `environment` looks up EMCP's own.
pub(super) fn passed_env(
    choice: &ProxyChoice,
    environment: impl Fn(&str) -> Option<String>,
) -> Vec<(String, SecretString)> {
    let mut passed = Vec::new();
    for (key, chosen) in [
        ("HTTP_PROXY", &choice.http),
        ("HTTPS_PROXY", &choice.https),
        ("NO_PROXY", &choice.no_proxy),
    ] {
        for key in [key.to_owned(), key.to_lowercase()] {
            let value = match chosen {
                // Set to nothing, since the image may have one of its own.
                Some(chosen) if chosen.trim().eq_ignore_ascii_case(OFF) => Some(String::new()),
                Some(chosen) => Some(chosen.clone()),
                None => own(&key, &environment),
            };
            passed.extend(value.map(|value| (key, SecretString::from(value))));
        }
    }
    passed
}

fn own(key: &str, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let value = environment(key).filter(|value| !value.is_empty())?;
    let bare = without_credentials(&value);
    if bare != value {
        tracing::warn!(
            variable = key,
            "servers get this proxy without its user name and password; set EMCP_SERVERS_HTTP_PROXY and EMCP_SERVERS_HTTPS_PROXY to give servers a proxy of their own"
        );
    }
    Some(bare)
}

/// The address without "user:password@". Read with suspicion rather than as a
/// URL: whatever stands before the last "@" may be a password, also where the
/// scheme is missing or a slash in it is not encoded.
fn without_credentials(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('@') => (Some(scheme), rest),
        _ => (None, address),
    };
    let bare = rest.rsplit('@').next().unwrap_or(rest);
    scheme.map_or_else(|| bare.to_owned(), |scheme| format!("{scheme}://{bare}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use secrecy::ExposeSecret;

    use super::*;

    /// An address with credentials, made here: written out it is what a search
    /// for secrets looks for.
    fn proxy(credentials: &str) -> String {
        format!("http://{credentials}@proxy:3128")
    }

    fn passed(choice: &ProxyChoice, own: &[(&str, &str)]) -> HashMap<String, String> {
        let own: HashMap<_, _> = own.iter().copied().collect();
        passed_env(choice, |key| own.get(key).map(|value| (*value).to_owned()))
            .into_iter()
            .map(|(key, value)| (key, value.expose_secret().to_owned()))
            .collect()
    }

    #[test]
    fn no_form_of_a_proxys_address_keeps_its_credentials() {
        for credentials in ["ann:hunter2", "ann:hun@ter/2"] {
            assert_eq!(
                without_credentials(&proxy(credentials)),
                "http://proxy:3128"
            );
        }
        for (given, expected) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("ann:hunter2@proxy:3128", "proxy:3128"),
            ("http://hunter2@proxy:3128/", "http://proxy:3128/"),
            (
                "socks5h://ann:hunter2@[2001:db8::1]:1080",
                "socks5h://[2001:db8::1]:1080",
            ),
            ("ann:hunter2://@proxy:3128", "ann:hunter2://proxy:3128"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(given), expected);
        }
    }

    #[test]
    fn servers_get_emcps_own_proxy_without_credentials() {
        let address = proxy("ann:hunter2");
        let own = [
            ("HTTPS_PROXY", address.as_str()),
            ("https_proxy", address.as_str()),
            ("no_proxy", "localhost"),
            ("HTTP_PROXY", ""),
        ];
        let found = passed(&ProxyChoice::default(), &own);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found["HTTPS_PROXY"], "http://proxy:3128");
        assert_eq!(found["https_proxy"], "http://proxy:3128");
        assert_eq!(found["no_proxy"], "localhost");
    }

    #[test]
    fn what_is_named_for_servers_goes_before_and_can_be_nothing() {
        let choice = ProxyChoice {
            http: Some("off".into()),
            https: Some(proxy("servers:pw")),
            no_proxy: None,
        };
        let own = [
            ("HTTP_PROXY", "http://proxy:1"),
            ("HTTPS_PROXY", "http://proxy:1"),
        ];
        let found = passed(&choice, &own);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!((&*found["HTTP_PROXY"], &*found["http_proxy"]), ("", ""));
        for key in ["HTTPS_PROXY", "https_proxy"] {
            assert_eq!(found[key], proxy("servers:pw"));
        }
    }
}
