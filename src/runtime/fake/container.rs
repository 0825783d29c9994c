//! A container of the fake engine.

use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::LISTED_RUNNING;
use super::program::{Line, Program};
use crate::clock;
use crate::model::{ContainerId, Egress, InstanceId, Limits, ServerId};
use crate::runtime::{Container, Endpoint, Inspected, OutputLine, OutputStream, Phase, Run};

/// What a container was made with, but for its environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    pub(crate) limits: Limits,
    pub(crate) disk_bytes: Option<u64>,
    pub(crate) egress: Egress,
}

pub(super) struct Kept {
    pub(super) server: ServerId,
    pub(super) instance: Option<InstanceId>,
    pub(super) name: String,
    pub(super) generation: u64,
    pub(super) revision: u64,
    pub(super) endpoint: Endpoint,
    pub(super) env: Vec<(String, SecretString)>,
    pub(super) secret_keys: Vec<String>,
    pub(super) given: Given,
    pub(super) code_dir: PathBuf,
    /// Whether it is another instance's.
    pub(super) is_foreign: bool,
    pub(super) program: Program,
    pub(super) phase: Phase,
    pub(super) run: Option<Run>,
    /// Tells one start from the next.
    pub(super) starts: u64,
    pub(super) ended: Option<Instant>,
    pub(super) is_attached: bool,
    pub(super) is_ready: bool,
    pub(super) hangs: bool,
    pub(super) is_in_call: bool,
    pub(super) open_requests: u64,
    pub(super) used_at: Instant,
    pub(super) output: Vec<OutputLine>,
}

impl Kept {
    /// One that was never started, of a file that says nothing.
    pub(super) fn new(
        server: ServerId,
        endpoint: Endpoint,
        env: Vec<(String, SecretString)>,
    ) -> Self {
        Self {
            server,
            instance: None,
            name: String::new(),
            generation: 0,
            revision: 0,
            endpoint,
            env,
            secret_keys: Vec::new(),
            given: Given {
                limits: Limits::default(),
                disk_bytes: None,
                egress: Egress::default(),
            },
            code_dir: PathBuf::new(),
            is_foreign: false,
            program: Program::default(),
            phase: Phase::Created,
            run: None,
            starts: 0,
            ended: None,
            is_attached: false,
            is_ready: false,
            hangs: false,
            is_in_call: false,
            open_requests: 0,
            used_at: clock::instant(),
            output: Vec::new(),
        }
    }

    pub(super) fn listed(&self, id: &ContainerId, phase: Phase) -> Container {
        Container {
            id: id.clone(),
            server: self.server,
            instance: self.instance,
            generation: self.generation,
            revision: self.revision,
            phase,
            endpoints: self.endpoints(),
        }
    }

    /// As Docker Engine lists it: at the moment of its end it still runs.
    pub(super) fn listed_phase(&self) -> Phase {
        let has_just_ended = self
            .ended
            .is_some_and(|at| clock::instant().duration_since(at) < LISTED_RUNNING);
        match self.phase {
            Phase::Exited if has_just_ended => Phase::Running,
            phase => phase,
        }
    }

    pub(super) fn inspected(&self) -> Inspected {
        Inspected {
            phase: self.phase,
            run: self.run.clone(),
            endpoints: self.endpoints(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    pub(super) fn begin(&mut self, id: &ContainerId, now: Timestamp) {
        self.starts += 1;
        self.phase = Phase::Running;
        self.is_attached = true;
        (self.is_ready, self.hangs, self.is_in_call) = (false, false, false);
        (self.open_requests, self.used_at) = (0, clock::instant());
        self.ended = None;
        self.run = Some(Run {
            key: format!("{id} {now}"),
            started_at: Some(now),
            finished_at: None,
            exit_code: 0,
            oom_killed: false,
            engine_error: None,
        });
    }

    pub(super) fn end(&mut self, now: Timestamp, exit_code: i64, oom_killed: bool) {
        if !self.is_up() {
            return;
        }
        self.phase = Phase::Exited;
        self.is_ready = false;
        self.ended = Some(clock::instant());
        if let Some(run) = &mut self.run {
            run.finished_at = Some(now);
            run.exit_code = exit_code;
            run.oom_killed = oom_killed;
        }
    }

    /// What the program says at its start.
    pub(super) fn greet(&mut self, at: Timestamp) {
        for line in self.program.lines.clone() {
            let (stream, text) = match line {
                Line::Words(stream, words) => (stream, words),
                Line::Variable(key) => (OutputStream::Stdout, self.variable(&key)),
            };
            self.output.push(OutputLine {
                at,
                stream,
                text,
                goes_on: false,
            });
        }
    }

    pub(super) fn variable(&self, wanted: &str) -> String {
        let found = self.env.iter().find(|(key, _)| key == wanted);
        found.map_or_else(String::new, |(_, value)| value.expose_secret().to_owned())
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let is_found = self.is_up() && self.is_attached;
        is_found
            .then(|| self.endpoint.clone())
            .into_iter()
            .collect()
    }
}
