use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::advance;

use super::*;
use crate::model::{Principal, RunState, Server, Status};

const MINUTE: Duration = Duration::from_secs(60);

/// One server in a directory of its own, and a clock that stands still but where
/// a test moves it.
struct Setting {
    directory: Arc<Directory>,
    waiting: Waiting,
    ending: CancellationToken,
    id: ServerId,
}

impl Setting {
    fn new() -> Self {
        let (id, now) = (ServerId::new(), Timestamp::UNIX_EPOCH);
        let server = Server::new(id, "demo".parse().unwrap(), Principal::by_name("ada"), now);
        let directory = Arc::new(Directory::new(vec![Entry::of_test(
            server,
            RunState::never_ran(now),
            [198, 18, 1, 1],
        )]));
        Self {
            waiting: Waiting::new(Arc::clone(&directory)),
            directory,
            ending: CancellationToken::new(),
            id,
        }
    }

    fn becomes(&self, status: Status) {
        let state = RunState {
            status,
            ..RunState::never_ran(Timestamp::UNIX_EPOCH)
        };
        self.directory.put_state(self.id, state);
    }

    fn patience(&self) -> Patience<'_> {
        Patience {
            deadline: Instant::now() + MINUTE,
            ending: &self.ending,
            place_as: Some(Purpose::HeldRequest),
        }
    }

    /// Waits until the server runs, or is gone.
    async fn running(&self) -> Waited<Option<Status>, Status> {
        let running = self.waiting.until(Some(self.id), self.patience(), |entry| {
            match entry.map(|entry| entry.state.status) {
                None => Look::Done(None),
                Some(Status::Running) => Look::Pass(Some(Status::Running)),
                Some(other) => Look::Wait(other),
            }
        });
        running.await
    }

    /// How many more the gate could hold for the server.
    fn free(&self) -> usize {
        let admission = self.waiting.admission();
        let held = || admission.admit(Purpose::HeldRequest, self.id, None).ok();
        std::iter::from_fn(held).collect::<Vec<_>>().len()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_so_already_is_answered_at_once_and_takes_no_place() {
    let setting = Setting::new();
    let (all, begin) = (setting.free(), Instant::now());
    setting.becomes(Status::Running);
    let mut waiting = pin!(setting.running());
    let answer = waiting.as_mut().now_or_never().unwrap();
    assert_eq!(answer, Waited::Done(Some(Status::Running)));
    assert_eq!((setting.free(), begin.elapsed()), (all, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn each_change_is_looked_at_and_the_place_is_given_back() {
    let setting = Setting::new();
    let all = setting.free();
    {
        let mut waiting = pin!(setting.running());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(setting.free(), all - 1);
        setting.becomes(Status::Starting);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(setting.free(), all - 1, "a place for each look");
        setting.becomes(Status::Running);
        let answer = waiting.as_mut().now_or_never().unwrap();
        assert_eq!(answer, Waited::Done(Some(Status::Running)));
    }
    assert_eq!(setting.free(), all);
    // Whoever hangs up leaves a place, too.
    setting.becomes(Status::Starting);
    let mut hung_up = Box::pin(setting.running());
    assert!(hung_up.as_mut().now_or_never().is_none());
    drop(hung_up);
    assert_eq!(setting.free(), all);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_it_is_over_and_not_before() {
    let setting = Setting::new();
    let mut waiting = pin!(setting.running());
    assert!(waiting.as_mut().now_or_never().is_none());
    advance(MINUTE - Duration::from_millis(1)).await;
    setting.becomes(Status::Starting);
    assert!(waiting.as_mut().now_or_never().is_none());
    advance(Duration::from_millis(1)).await;
    let answer = waiting.as_mut().now_or_never().unwrap();
    assert_eq!(answer, Waited::Over(Status::Starting));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_patience_is_told_what_is_so_now() {
    let setting = Setting::new();
    let patience = Patience {
        deadline: Instant::now(),
        ..setting.patience()
    };
    let looks = Cell::new(0);
    let waited = setting.waiting.until(Some(setting.id), patience, |_| {
        looks.set(looks.get() + 1);
        Look::<(), _>::Wait("not yet")
    });
    assert_eq!(waited.await, Waited::Over("not yet"));
    assert_eq!(looks.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_emcp_that_ends_answers_who_waits() {
    let setting = Setting::new();
    let begin = Instant::now();
    let mut waiting = pin!(setting.running());
    assert!(waiting.as_mut().now_or_never().is_none());
    setting.ending.cancel();
    let answer = waiting.as_mut().now_or_never().unwrap();
    assert_eq!(answer, Waited::Over(Status::Stopped));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_change_right_after_a_look_is_not_missed() {
    let setting = Setting::new();
    let waited = setting
        .waiting
        .until(Some(setting.id), setting.patience(), |entry| {
            match entry.unwrap().state.status {
                Status::Running => Look::Done("seen"),
                _ => {
                    setting.becomes(Status::Running);
                    Look::Wait("before it")
                }
            }
        });
    assert_eq!(waited.now_or_never().unwrap(), Waited::Done("seen"));
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_noted_and_turns_back_where_the_server_was_put_to_sleep_meanwhile() {
    let setting = Setting::new();
    setting.becomes(Status::Running);
    let activity = setting.directory.get(setting.id).unwrap().activity;
    let looks = Cell::new(0);
    let waited = setting
        .waiting
        .until(Some(setting.id), setting.patience(), |entry| {
            looks.set(looks.get() + 1);
            match entry.unwrap().state.status {
                Status::Running if looks.get() == 1 => {
                    // The reconciler judges between the look and the note.
                    activity.judge();
                    setting.becomes(Status::Sleeping);
                    Look::Pass("too early")
                }
                Status::Running => Look::Pass("awake"),
                status => Look::Wait(status),
            }
        });
    let mut waited = pin!(waited);
    assert!(waited.as_mut().now_or_never().is_none());
    assert!(activity.is_asked_for(), "nobody would wake it");
    assert_eq!(looks.get(), 2);
    setting.becomes(Status::Running);
    let answer = waited.as_mut().now_or_never().unwrap();
    assert_eq!(answer, Waited::Done("awake"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_deleted_meanwhile_is_told_of() {
    let setting = Setting::new();
    let mut waiting = pin!(setting.running());
    assert!(waiting.as_mut().now_or_never().is_none());
    setting.directory.remove(setting.id);
    let answer = waiting.as_mut().now_or_never().unwrap();
    assert_eq!(answer, Waited::Done(None));
    let patience = setting.patience();
    let unknown = setting.waiting.until(None, patience, |entry| {
        assert!(entry.is_none());
        Look::<_, ()>::Done("no such server")
    });
    assert_eq!(unknown.await, Waited::Done("no such server"));
}

#[tokio::test(start_paused = true)]
async fn where_enough_wait_one_more_is_turned_away_at_once_and_one_with_a_place_is_not() {
    let setting = Setting::new();
    let bound = Purpose::HeldRequest.bounds().each_server;
    let mut held: Vec<_> = (0..bound).map(|_| Box::pin(setting.running())).collect();
    for waiting in &mut held {
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    let one_more = setting.running().now_or_never().unwrap();
    assert_eq!(one_more, Waited::Crowded(Status::Stopped));
    let patience = Patience {
        place_as: None,
        ..setting.patience()
    };
    let has_one = setting.waiting.until(Some(setting.id), patience, |entry| {
        match entry.unwrap().state.status {
            Status::Running => Look::Done(()),
            status => Look::Wait(status),
        }
    });
    let mut has_one = pin!(has_one);
    assert!(has_one.as_mut().now_or_never().is_none());
    setting.becomes(Status::Running);
    assert_eq!(has_one.await, Waited::Done(()));
    for waiting in held {
        assert_eq!(waiting.await, Waited::Done(Some(Status::Running)));
    }
}
