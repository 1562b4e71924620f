//! Reaches an agent over SSH: settings, transport, login, agent.
//!
//! The built-in transport is used unless the configuration asks for what it does not know; then the system's `ssh` is.
//! Some ways to log in are only known to that one (Kerberos, tokens, connections that are shared). They say nothing
//! about whether a plain key works too, so the system's `ssh` comes in only once the built-in login was refused.
//!
//! Lanes are opened by the built-in transport alone: it knows how far away the server is, and asks nobody to touch a token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::{Event, Observer, Silent};
use crate::target::{Reach, SshDestination, Transport};
use crate::wire::authenticate::Refused;
use crate::wire::bootstrap::{self, Places};
use crate::wire::connection::Connection;
use crate::wire::host_settings::{HostSettings, Need};
use crate::wire::lane::Lanes;
use crate::wire::login::Login;
use crate::wire::openssh::{OpensshLogin, Spoken};
use crate::wire::packing::Packing;
use crate::wire::program::Program;
use crate::wire::ssh::{Setback, SshLogin};

/// What to do where no agent is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Put it there, to stay.
    Keep,
    /// Start it from a temporary place that is gone at once: for what must leave nothing behind.
    Vanish,
}

/// Connects to a server, which has no agent as far as the caller knows, or may have. The agent of the returned connection
/// has greeted, and is the very program that was to be copied.
pub(crate) fn connect(
    destination: &SshDestination,
    reach: &Reach,
    install: Install,
    is_new: bool,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Connection, Error> {
    let connector = Connector { destination, reach, observer, cancel };
    let program = Program::to_copy(&reach.program, observer)?;
    let places = Places::new(&destination.path, reach.agent_path.as_deref());
    let packing = if is_new { Packing::ahead(&program) } else { Packing::on_demand() };
    let (mut login, refused) = connector.log_in()?;
    let started = bootstrap::start_agent(&mut *login, &program, packing, &places, install, observer, cancel);
    let started = started.map(|mut connection| {
        if let (Install::Keep, Some(round_trip)) = (install, login.round_trip()) {
            let (destination, reach) = (destination.clone(), reach.clone());
            let door = Mutex::new(());
            connection.lanes = Some(Arc::new(SshLanes { destination, reach, program, places, round_trip, door }));
        }
        connection
    });
    match (started, refused) {
        // The second refusal is the smaller news: it knows nothing of the keys that were tried.
        (Err(Error::OpensshFailed { output, .. }), Some(mut refused)) => {
            refused.1.tried.push(format!("the system's `ssh`: {output}"));
            Err(login_refused(&refused.0, refused.1))
        }
        (Err(Error::NeedsOpenssh { .. }), Some(refused)) => Err(login_refused(&refused.0, refused.1)),
        (started, _) => started,
    }
}

/// Opens lanes with the built-in transport.
struct SshLanes {
    destination: SshDestination,
    reach: Reach,
    program: Program,
    places: Places,
    round_trip: Duration,
    /// Servers take only so many connections that have not logged in (`MaxStartups`): one at a time.
    door: Mutex<()>,
}

impl Lanes for SshLanes {
    fn round_trip(&self) -> Duration {
        self.round_trip
    }

    fn open(&self, cancel: &Cancel) -> Result<Connection, Error> {
        let settings = HostSettings::resolve(&self.destination, &self.reach)?;
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        cancel.check()?;
        // What there is to say of the server was said by the first connection.
        let login = SshLogin::open(&settings, &self.destination, &self.reach, &Silent, cancel);
        drop(door);
        let mut login = login.map_err(|setback| match setback {
            Setback::NeedsOpenssh(need) => need.into_error(),
            Setback::Refused(refused) => login_refused(&settings, refused),
            Setback::Failed(error) => error,
        })?;
        bootstrap::start_lane(&mut login, &self.program, &self.places, cancel)
    }
}

struct Connector<'a> {
    destination: &'a SshDestination,
    reach: &'a Reach,
    observer: &'a dyn Observer,
    cancel: &'a Cancel,
}

/// A login, and what the built-in transport was refused with before.
type LoggedIn = (Box<dyn Login>, Option<(HostSettings, Refused)>);

impl Connector<'_> {
    fn log_in(&self) -> Result<LoggedIn, Error> {
        if self.reach.transport == Transport::Openssh {
            // What this program cannot read there, `ssh` will either understand or name.
            let spoken = HostSettings::resolve(self.destination, self.reach)
                .map_or_else(|_| Spoken::default(), |settings| spoken(&settings));
            return Ok((self.openssh(spoken, None), None));
        }
        let settings = HostSettings::resolve(self.destination, self.reach)?;
        let may_fall_back = self.reach.transport == Transport::Auto;
        let setback = match &settings.needs_openssh {
            Some(need) => Setback::NeedsOpenssh(need.clone()),
            None => match SshLogin::open(&settings, self.destination, self.reach, self.observer, self.cancel) {
                Ok(login) => return Ok((Box::new(login), None)),
                Err(setback) => setback,
            },
        };
        match setback {
            Setback::NeedsOpenssh(need) if may_fall_back => Ok((self.openssh(spoken(&settings), Some(need)), None)),
            Setback::Refused(refused) if may_fall_back && (settings.login_aid.is_some() || refused.openssh_may) => {
                let need = settings
                    .login_aid
                    .clone()
                    .unwrap_or_else(|| Need { keyword: "IdentityFile".into(), file: self.reach.home.join(".ssh") });
                Ok((self.openssh(spoken(&settings), Some(need)), Some((settings, refused))))
            }
            Setback::NeedsOpenssh(need) => Err(need.into_error()),
            Setback::Refused(refused) => Err(login_refused(&settings, refused)),
            Setback::Failed(error) => Err(error),
        }
    }

    fn openssh(&self, spoken: Spoken, need: Option<Need>) -> Box<dyn Login> {
        let why = match &need {
            Some(need) => format!("for `{}` in `{}`", need.keyword, need.file.display()),
            None => "as asked".into(),
        };
        self.observer.observe(Event::Detail(format!("Using the system's `ssh`, {why}")));
        Box::new(OpensshLogin::new(self.destination, self.reach, spoken, need))
    }
}

fn spoken(settings: &HostSettings) -> Spoken {
    Spoken { may_ask: settings.batch_mode == Some(false), keeps_alive: settings.alive_interval.is_some() }
}

fn login_refused(settings: &HostSettings, refused: Refused) -> Error {
    Error::LoginRefused { user: settings.user.clone(), host: settings.host_name.clone(), tried: refused.tried }
}
