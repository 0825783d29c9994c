use super::*;

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

fn rendered(metrics: &Metrics) -> String {
    metrics.render(std::iter::empty()).unwrap()
}

#[test]
fn what_is_recorded_is_rendered_and_ends_as_the_format_wants() {
    let metrics = Metrics::default();
    metrics.request_done("/api/servers/{id}", "GET", 404, Duration::from_millis(3));
    metrics.gate_took(GateOutcome::Allowed, false, Duration::from_micros(200));
    metrics.step_done("create", false, Duration::from_secs(1));
    metrics.start_ended(StartOutcome::Ready, Duration::from_secs(4));
    metrics.commits().took(false, Duration::ZERO);
    metrics.certificate_ends(Timestamp::from_second(77).ok());
    let text = rendered(&metrics);
    for (series, expected) in [
        (
            r#"emcp_http_request_duration_seconds_count{route="/api/servers/{id}",method="GET",status="4xx"}"#,
            1.0,
        ),
        (
            r#"emcp_http_request_duration_seconds_bucket{le="0.001",route="/api/servers/{id}",method="GET",status="4xx"}"#,
            0.0,
        ),
        (
            r#"emcp_gate_duration_seconds_bucket{le="0.00025",outcome="allowed",held="false"}"#,
            1.0,
        ),
        (
            r#"emcp_reconcile_step_duration_seconds_sum{step="create",outcome="failed"}"#,
            1.0,
        ),
        (
            r#"emcp_server_start_duration_seconds_bucket{le="5.0",outcome="ready"}"#,
            1.0,
        ),
        (
            r#"emcp_store_commit_duration_seconds_count{outcome="failed"}"#,
            1.0,
        ),
        ("emcp_certificate_end_timestamp_seconds", 77.0),
        ("emcp_last_backup_timestamp_seconds", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[test]
fn words_of_strangers_make_no_series_of_their_own() {
    let metrics = Metrics::default();
    for number in 0..500_u16 {
        let method = format!("M{number}");
        metrics.request_done("unmatched", &method, 100 + number, Duration::ZERO);
        metrics.run_failed(&format!("code_{number}"));
    }
    metrics.run_failed("crashed");
    let text = rendered(&metrics);
    let series = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(series("emcp_http_request_duration_seconds_count"), 5);
    assert!(!text.contains("M1"), "{text}");
    let failures = "emcp_server_failures_total";
    assert_eq!(series(failures), 2);
    let reported = format!("{failures}{{cause=\"reported\"}}");
    assert_eq!(value(&text, &reported), Some(500.0));
}

#[test]
fn servers_are_named_for_who_may_know_and_only_so_many() {
    let metrics = Metrics::default();
    let names: Vec<String> = (0..NAMED_MAX + 7).map(|n| format!("s{n}")).collect();
    let servers = names.iter().map(|name| (name.as_str(), Status::Running));
    let text = metrics.render_with_names(servers).unwrap();
    let named = text.matches("\nemcp_server_status{").count();
    assert_eq!(named, NAMED_MAX);
    assert_eq!(value(&text, "emcp_servers_unnamed"), Some(7.0));
    let all = "emcp_servers{status=\"running\"}";
    assert_eq!(value(&text, all), Some((NAMED_MAX + 7) as f64));
    assert!(text.len() < 200_000, "{} bytes", text.len());
    // Without names, none is left of the scrape before.
    assert!(!rendered(&metrics).contains("emcp_server_status"));
}

#[test]
fn a_name_that_two_servers_have_for_a_moment_is_one_series() {
    let twice = [("demo", Status::Stopped), ("demo", Status::Running)];
    let text = Metrics::default()
        .render_with_names(twice.into_iter())
        .unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("emcp_server_status"))
        .collect();
    assert_eq!(
        lines,
        [r#"emcp_server_status{server="demo",status="running"} 1"#]
    );
}

#[test]
fn a_name_cannot_break_out_of_its_label_and_is_cut() {
    let long = "ü".repeat(5_000);
    let servers = [
        ("a\"} 1\nemcp_evil 1\\", Status::Error),
        (&long, Status::Error),
    ];
    let text = Metrics::default()
        .render_with_names(servers.into_iter())
        .unwrap();
    assert!(
        text.contains(r#"emcp_server_status{server="a\"} 1\nemcp_evil 1\\",status="error"} 1"#),
        "{text}"
    );
    assert!(!text.lines().any(|line| line.starts_with("emcp_evil")));
    assert!(text.lines().all(|line| line.len() < 400));
}

/// Not timed: it shows what recording costs, under `cargo test -- --nocapture`.
#[test]
fn recording_from_several_threads_loses_nothing() {
    let metrics = Metrics::default();
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    metrics.gate_took(GateOutcome::Allowed, false, Duration::from_micros(90));
                }
            });
        }
    });
    println!("{} ns each", begin.elapsed().as_nanos() / 40_000);
    let count = r#"emcp_gate_duration_seconds_count{outcome="allowed",held="false"}"#;
    assert_eq!(value(&rendered(&metrics), count), Some(40_000.0));
}

#[test]
fn every_fault_of_emcps_own_is_a_cause_of_its_own() {
    use crate::model::{Fault, KnownFault};
    let detail = || String::from("x");
    let faults = [
        KnownFault::OutOfMemory { limit_bytes: 1 },
        KnownFault::crashed(1),
        KnownFault::StartTimeout { timeout_secs: 1 },
        KnownFault::Unresponsive { silent_secs: 1 },
        KnownFault::WantsCredential { status: 401 },
        KnownFault::image_missing("x"),
        KnownFault::ContainerFailed { detail: detail() },
        KnownFault::StorageFailed { detail: detail() },
        KnownFault::ContentsUnreadable,
    ];
    let metrics = Metrics::default();
    let count = faults.len();
    let described = serde_json::to_value(<KnownFault as utoipa::PartialSchema>::schema());
    let described = described.unwrap();
    assert_eq!(described["oneOf"].as_array().unwrap().len(), count);
    for fault in faults {
        metrics.run_failed(&Fault::from(fault).code);
    }
    let text = rendered(&metrics);
    assert_eq!(text.matches("emcp_server_failures_total{").count(), count);
    assert!(!text.contains("reported"));
}

/// Words that read as a metric's name, of one of these kinds.
fn names_in<'a>(text: &'a str, prefixes: &[&str]) -> std::collections::BTreeSet<&'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .collect()
}

const DASHBOARD: &str = include_str!("../../docs/monitoring/dashboard.json");
const ALERTS: &str = include_str!("../../docs/monitoring/alerts.yml");
const DOCUMENT: &str = include_str!("../../docs/metrics.md");
/// What Traefik shows, as tests/e2e/test_metrics.py sees it.
const OF_TRAEFIK: &str = include_str!("../../tests/monitoring/traefik-series.txt");

#[test]
fn dashboard_and_alerts_name_only_what_is_exposed() {
    let own = Metrics::default().series();
    let of_traefik: Vec<&str> = OF_TRAEFIK.lines().collect();
    for (file, text) in [("dashboard.json", DASHBOARD), ("alerts.yml", ALERTS)] {
        let named = names_in(text, &["emcp_", "traefik_", "process_", "go_"]);
        assert!(named.len() > 10, "{file} names too few: {named:?}");
        for name in named {
            let is_exposed = own.iter().any(|known| known == name) || of_traefik.contains(&name);
            assert!(is_exposed, "{file} names {name}, which nobody exposes");
        }
    }
}

#[test]
fn every_metric_is_on_the_dashboard_and_described_and_no_other_is() {
    let own = Metrics::default().series();
    let base = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        let end = ends.into_iter().find(|end| name.ends_with(end));
        name[..name.len() - end.map_or(0, str::len)].to_owned()
    };
    let own: std::collections::BTreeSet<String> = own.iter().map(|name| base(name)).collect();
    let described = names_in(DOCUMENT, &["emcp_"]);
    let described = described.into_iter().map(base).collect();
    assert_eq!(own, described, "docs/metrics.md and src/metrics differ");
    let shown: Vec<String> = names_in(DASHBOARD, &["emcp_"])
        .into_iter()
        .map(base)
        .collect();
    for name in own {
        assert!(shown.contains(&name), "{name} is not on the dashboard");
    }
}
