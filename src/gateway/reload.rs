//! Wishes for a reload in, a restart in place or a refusal out.
//!
//! What is on the disk is checked first, aside of the loop: a wrong configuration changes nothing but the status. Whatever
//! passes takes the place of the whole process, for the way from disk to service that every start goes is the one that is tested.

use super::{Envelope, Gateway, notice};
use std::{fmt, future::Future, pin::Pin};
use tokio::sync::mpsc;
use tracing::{error, info};

/// How the daemon ended, where nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody asked for it.
    Stopped,
    /// To begin anew in the same process, with what is on the disk. The data folder stays locked until then.
    Again,
}

/// What may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Consumers will find it where they find this one.
    SamePlace,
    /// Under another topic or at another broker: here nobody would say any more that it is gone.
    OtherPlace,
}

/// What a check will have said: [`Fit`], or faults in words.
pub type Checking = Pin<Box<dyn Future<Output = Result<Fit, String>>>>;

/// How a reload is asked for, and who looks whether it can be.
pub struct Reload {
    /// Each word is a wish.
    pub asked: mpsc::Receiver<()>,
    /// Begins a check; given up, it leaves nothing behind.
    pub check: Box<dyn Fn() -> Checking>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// Where a reload stands.
pub(super) struct Reloading {
    way: Option<Reload>,
    checking: Option<Checking>,
    /// Asked for while a check ran, which may have read what has changed since.
    is_asked_again: bool,
    /// It would pass, but what waits for the disk would be lost.
    waits: bool,
    /// A notice has told of the refusal.
    is_told: bool,
    fit: Option<Fit>,
}

/// What happened.
pub(super) enum Step {
    Asked,
    Checked(Result<Fit, String>),
}

impl Reloading {
    pub(super) fn new(way: Option<Reload>) -> Reloading {
        Reloading { way, checking: None, is_asked_again: false, waits: false, is_told: false, fit: None }
    }

    /// For ever where nobody asks.
    pub(super) async fn step(&mut self) -> Step {
        let Some(way) = &mut self.way else { return std::future::pending().await };
        let checked = async {
            match &mut self.checking {
                Some(checking) => checking.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = way.asked.recv() => Step::Asked,
            checked = checked => Step::Checked(checked),
        }
    }

    /// To be done now.
    pub(super) fn fit(&self) -> Option<Fit> {
        self.fit
    }

    fn check(&mut self) {
        self.is_asked_again = false;
        self.checking = self.way.as_ref().map(|way| (way.check)());
    }
}

impl Gateway {
    pub(super) fn reload(&mut self, step: Step) {
        match step {
            Step::Asked if self.reloading.checking.is_some() => self.reloading.is_asked_again = true,
            Step::Asked => {
                info!("asked to reload: what is on the disk is checked");
                self.reloading.waits = false;
                self.reloading.check();
            }
            Step::Checked(_) if self.reloading.is_asked_again => self.reloading.check(),
            Step::Checked(result) => {
                self.reloading.checking = None;
                match result {
                    Ok(_) if !self.is_disk_well() => {
                        info!("the check passed; the reload waits until the journal can be written");
                        self.reloading.waits = true;
                    }
                    Ok(fit) => self.reloading.fit = Some(fit),
                    Err(text) => self.refuse_reload(text),
                }
            }
        }
    }

    /// What was on the disk when the reload had to wait may be something else by now.
    pub(super) fn reload_if_it_waits(&mut self) {
        if self.reloading.waits && self.is_disk_well() {
            self.reloading.waits = false;
            self.reloading.check();
        }
    }

    /// Nothing waits for it: a restart loses nothing.
    fn is_disk_well(&self) -> bool {
        self.held.is_none() && self.status.trouble.is_none()
    }

    fn refuse_reload(&mut self, text: String) {
        error!("the reload was refused, the old configuration goes on:\n{text}");
        let now = self.clock.now();
        if self.held.is_none() && !std::mem::replace(&mut self.reloading.is_told, true) {
            let mut envelope = Envelope::default();
            let words = format!("the configuration in force goes on, the one on the disk was refused: {text}");
            self.notice(None, "reload_refused", notice::Severity::Warning, words, now, &mut envelope);
            self.send(envelope);
        }
        self.status.reload_refused = Some((now, text));
        self.tell_status();
    }
}
