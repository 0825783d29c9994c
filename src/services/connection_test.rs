//! Connects to a server as a client would: through Traefik, by its public
//! name, with TLS verified and a token of its own. Each step is told, so that
//! whoever cannot connect sees where it ends. Whether the name leads to Traefik
//! from where clients are, only they can find out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, StatusCode};
use jiff::{SignedDuration, Timestamp};
use url::Url;
use uuid::Uuid;

use super::parts::Parts;
use super::trials::Trials;
use crate::access::{Caller, CanConnect, Proxies, TokenTable};
use crate::api::{ConnectionTest, Step};
use crate::directory::{Directory, Entry};
use crate::gate::{self, GateRequest, Presented, Recognised, Verdict};
use crate::mcp::{Bounds, McpError, Session};
use crate::model::{Finding, Grant, Principal, Result, Role, Serves, Token, TokenId, TokenSecret};
use crate::runtime::ServerClient;
use crate::vault::random_bytes;

/// For one step. A server that has to be woken or started is waited for at the
/// gate, at most 25 s.
const STEP_MAX: Duration = Duration::from_secs(30);
/// Of a name that a server gives itself.
const NAME_MAX_CHARS: usize = 200;
/// How long the token of one test may work.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_secs(120);

impl Step {
    fn new(code: &'static str, ok: Option<bool>, finding: &Finding) -> Self {
        let (detail_code, detail_args) = finding.code_and_args();
        Self {
            code: code.into(),
            ok,
            duration_ms: None,
            detail: finding.to_string(),
            detail_code,
            detail_args,
        }
    }
}

const STEPS: [&str; 5] = ["resolve", "tls", "gate", "initialize", "list_tools"];

/// What a step brings and found, or found wrong.
type StepResult<T> = std::result::Result<(T, Finding), Finding>;

/// Tests connections.
pub struct ConnectionTests {
    directory: Arc<Directory>,
    trials: Trials,
    /// A test's token is among them as long as it goes on.
    tokens: Arc<TokenTable>,
    proxies: Arc<Proxies>,
    base_of_servers: Url,
    /// Where Traefik listens.
    https_address: String,
    ca_cert_pem: Option<String>,
}

impl ConnectionTests {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            trials: Trials::of(parts),
            tokens: Arc::clone(&parts.tokens),
            proxies: Arc::clone(&parts.proxies),
            base_of_servers: parts.settings.base_of_servers().clone(),
            https_address: parts.settings.https_address.clone(),
            ca_cert_pem: parts.ca_cert_pem.clone(),
        }
    }

    /// Tests the connection to a server.
    ///
    /// # Errors
    /// `server_not_found`.
    pub async fn run(&self, permit: &CanConnect) -> Result<ConnectionTest> {
        let _place = self.trials.begin(permit)?;
        let entry = self.directory.require(&permit.server().to_string())?;
        let token = TestToken::issue(&self.tokens, &entry)?;
        let mut steps = Vec::with_capacity(STEPS.len());
        self.walk(&entry, &token, &mut steps).await;
        let has_gone_there = steps.len() > 1 && self.is_public_host_an_address();
        for code in STEPS.into_iter().skip(steps.len()) {
            steps.push(Step::new(code, None, &Finding::NotReached));
        }
        Ok(ConnectionTest {
            ok: steps.iter().all(|step| step.ok == Some(true)),
            public_address_tried: has_gone_there,
            steps,
        })
    }

    /// Goes as far as it gets.
    async fn walk(
        &self,
        entry: &Entry,
        token: &TestToken<'_>,
        steps: &mut Vec<Step>,
    ) -> Option<()> {
        let traefik = told(steps, async { self.find_traefik() }).await?;
        let (client, base) = told(steps, self.reach(traefik)).await?;
        let usual = Serves::default();
        let serves = entry.state.serves.as_ref().unwrap_or(&usual);
        let path = serves.mcp.first().or(usual.mcp.first())?;
        let url = format!("{base}{}{path}", entry.server.path_prefix());
        told(steps, knock(&client, &url)).await?;
        let bearer = format!("Bearer {}", token.secret.expose());
        let session = told(steps, async {
            if !serves.has_mcp() {
                return Err(Finding::NoMcpEndpoint);
            }
            let headers = [(HeaderName::from_static("authorization"), bearer.as_str())];
            let client = ServerClient::over(client);
            let session =
                match Session::open(&client, &url, &headers, STEP_MAX, Bounds::TRIAL).await {
                    Ok(session) => session,
                    Err(error) => {
                        let refused = self.why_refused(entry, token);
                        return Err(refused.unwrap_or_else(|| mcp_failed(error)));
                    }
                };
            let about = session.server();
            let name = about["serverInfo"]["name"].as_str();
            let version = about["protocolVersion"].as_str();
            let finding = Finding::Initialized {
                server_name: beginning_of(name.unwrap_or("a server")),
                protocol_version: beginning_of(version.unwrap_or("unknown")),
            };
            Ok((session, finding))
        })
        .await?;
        let listed = told(steps, async {
            let tools = session.tools(STEP_MAX).await.map_err(mcp_failed)?;
            let count = tools.items.len();
            let finding = match tools.cut {
                None => Finding::ToolsListed { tools: count },
                Some(_) => Finding::ToolsListedInPart { tools: count },
            };
            Ok(((), finding))
        })
        .await;
        session.close().await;
        listed
    }

    /// What the gate says to the test's requests, unless it lets them pass. The
    /// client got the same answer, but its error is about its own types.
    fn why_refused(&self, entry: &Entry, token: &TestToken<'_>) -> Option<Finding> {
        let entry = self.directory.get(entry.server.id);
        let caller = token.caller();
        let by = Presented::Authorization;
        let caller = caller
            .map(|caller| Recognised { caller, by })
            .ok_or_else(gate::no_credential);
        let refusal = match gate::decide(&GateRequest::default(), || caller, entry.as_ref(), &[]) {
            Verdict::Allow { .. } | Verdict::Redirect { .. } => return None,
            Verdict::Hold { reason } => gate::waited_too_long(&reason),
            Verdict::Refuse(refusal) => refusal,
        };
        Some(Finding::Refused {
            refusal: refusal.code.to_owned(),
            message: refusal.message,
        })
    }

    /// Where Traefik is: it fetches its routes from there.
    fn find_traefik(&self) -> StepResult<SocketAddr> {
        let address = self.proxies.latest(Instant::now());
        let address = address.ok_or(Finding::TraefikSilent)?;
        let port = self.https_address.rsplit(':').next();
        let port = port
            .and_then(|port| port.parse().ok())
            .ok_or_else(|| Finding::NoPort {
                https_address: self.https_address.clone(),
            })?;
        let traefik = SocketAddr::new(address, port);
        let finding = Finding::TraefikFound {
            address: traefik.to_string(),
        };
        Ok((traefik, finding))
    }

    fn is_public_host_an_address(&self) -> bool {
        let public = &self.base_of_servers;
        let host = public.host_str().unwrap_or_default();
        host.parse::<IpAddr>().is_ok()
    }

    /// A client that takes Traefik for the public name, and the URL to use.
    async fn reach(&self, traefik: SocketAddr) -> StepResult<(reqwest::Client, String)> {
        let public = &self.base_of_servers;
        let host = public.host_str().unwrap_or_default();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        // A name leads to Traefik whatever its real address is: that one may
        // lie in front of a load balancer. An address is used as it is.
        let port = if self.is_public_host_an_address() {
            public.port_or_known_default().unwrap_or(443)
        } else {
            builder = builder.resolve(host, traefik);
            traefik.port()
        };
        if let Some(pem) = &self.ca_cert_pem {
            let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).map_err(|error| {
                Finding::CaUnreadable {
                    detail: error.to_string(),
                }
            })?;
            builder = builder.add_root_certificate(certificate);
        }
        let client = builder.build().map_err(|error| no_connection(&error))?;
        let base = format!("https://{host}:{port}");
        client
            .get(format!("{base}/healthz"))
            .timeout(STEP_MAX)
            .send()
            .await
            .map_err(|error| no_connection(&error))?;
        let finding = Finding::CertificateValid {
            host: host.to_owned(),
        };
        Ok(((client, base), finding))
    }
}

/// Whether the gate is in front: without a token nobody comes in.
async fn knock(client: &reqwest::Client, url: &str) -> StepResult<()> {
    let answer = client
        .get(url)
        .timeout(STEP_MAX)
        .send()
        .await
        .map_err(|error| no_connection(&error))?;
    match answer.status() {
        StatusCode::UNAUTHORIZED => Ok(((), Finding::GateShut)),
        other => Err(Finding::GateOpen {
            status: other.as_u16(),
        }),
    }
}

/// Does one step and writes down what came of it.
async fn told<T>(steps: &mut Vec<Step>, work: impl Future<Output = StepResult<T>>) -> Option<T> {
    let begin = Instant::now();
    let outcome = work.await;
    let duration_ms = begin.elapsed().as_secs_f64() * 1_000.0;
    let (value, finding) = match outcome {
        Ok((value, finding)) => (Some(value), finding),
        Err(finding) => (None, finding),
    };
    let code = STEPS.get(steps.len()).copied().unwrap_or("?");
    let step = Step::new(code, Some(value.is_some()), &finding);
    steps.push(Step {
        duration_ms: Some(duration_ms),
        ..step
    });
    value
}

fn no_connection(error: &reqwest::Error) -> Finding {
    Finding::NoConnection {
        detail: chain(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn mcp_failed(error: McpError) -> Finding {
    Finding::McpFailed {
        detail: error.to_string(),
    }
}

/// Enough of what a server calls itself to recognise it by.
fn beginning_of(text: &str) -> String {
    text.chars().take(NAME_MAX_CHARS).collect()
}

/// An error with its causes: reqwest's own words hide the one that matters.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A token for one server and one test; it is nowhere but in memory, and goes
/// with the test.
struct TestToken<'a> {
    table: &'a TokenTable,
    id: TokenId,
    secret: TokenSecret,
}

impl<'a> TestToken<'a> {
    fn issue(table: &'a TokenTable, entry: &Entry) -> Result<Self> {
        let now = Timestamp::now();
        let secret = TokenSecret::from_random(random_bytes()?);
        let id = TokenId(Uuid::now_v7());
        table.insert(Token {
            id,
            principal: Principal::connection_test(),
            grant: Grant {
                servers: Some(vec![entry.server.id]),
                ..Grant::of_role(Role::Connect)
            },
            hash: hex::encode(TokenSecret::hash_of(secret.expose())),
            created_at: now,
            created_by: Principal::platform(),
            expires_at: now.checked_add(TOKEN_LIFETIME).ok(),
            last_used_at: None,
            quota: Default::default(),
        });
        Ok(Self { table, id, secret })
    }

    fn caller(&self) -> Option<Caller> {
        let source = self.table.source(Some(self.id))?;
        self.table.caller_by_source(&source, Timestamp::now())
    }
}

impl Drop for TestToken<'_> {
    fn drop(&mut self) {
        self.table.remove(self.id);
    }
}
