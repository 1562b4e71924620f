//! Connects to an agent over SSH: settings, transport, login, agent.
//!
//! The built-in transport is used unless the configuration asks for something that it cannot do; then the system's
//! `ssh` is used. Some login methods exist only in the system's `ssh` (Kerberos, tokens, shared connections). A
//! configuration with one of them may still work with a plain key, so the system's `ssh` is tried only after the
//! built-in login was refused.
//!
//! Only the built-in transport opens lanes: it measures the round trip, and nobody has to touch a token for each
//! lane. Where the server asks questions of its own, there are no lanes: an answer may be a code that works once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::{Error, LoginError, ReachError};
use crate::event::{Event, Observer, Silent};
use crate::target::{Reach, SshDestination, Transport};
use crate::wire::agents::Agents;
use crate::wire::authenticate::{self, LoginRefusal};
use crate::wire::bootstrap::{Bootstrap, Install, Places, RunAs};
use crate::wire::connection::{Connection, Lanes};
use crate::wire::host_settings::{HostSettings, Need};
use crate::wire::login::Login;
use crate::wire::openssh::OpensshLogin;
use crate::wire::packing::Packing;
use crate::wire::resolution::Resolution;
use crate::wire::ssh::{Setback, SshLogin};

/// Connects to a server that may have no agent yet. The agent of the returned connection has greeted, and is the very
/// program that this client copies.
pub(crate) fn connect(
    resolution: Resolution<'_>,
    install: Install,
    is_new: bool,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Connection, Error> {
    let Resolution { destination, reach, .. } = resolution;
    let connector = Connector { destination, reach, observer, cancel };
    // Meanwhile `ssh` evaluates `ssh_config`.
    let agents = Agents::find(&reach.program, observer)?;
    let settings = connector.resolve(resolution)?;
    let login_user = settings.as_ref().map(|settings| settings.user.as_str());
    let run_as = reach.run_as.as_deref().map(|user| RunAs::new(user, login_user)).transpose()?;
    let places = Places::new(&destination.path, reach.agent_path.as_deref()).run_as(run_as);
    let packing = if is_new { Packing::ahead(agents.own()) } else { Packing::on_demand() };
    let LoginOutcome { mut login, refused } = connector.log_in(settings.as_ref())?;
    let mut bootstrap = Bootstrap { login: &mut *login, agents: &agents, packing, places: &places, observer, cancel };
    let started = bootstrap.start_agent(install);
    drop(bootstrap);
    let started = started.map(|mut connection| {
        let round_trip = login.round_trip().filter(|_| login.is_repeatable());
        if let (Install::Keep, Some(round_trip), Some(settings)) = (install, round_trip, settings.clone()) {
            // A lane logs in with what the first connection was told, and asks nobody.
            let reach = Reach { answers: reach.answers.without_asker(), ..reach.clone() };
            let destination = destination.clone();
            let login_lock = Mutex::new(());
            let lanes = SshLanes { destination, reach, settings, agents, places, round_trip, login_lock };
            connection.lanes = Some(Arc::new(lanes));
        }
        connection
    });
    let Some(settings) = settings else { return started };
    started.map_err(|error| match (error, refused) {
        // Report the first refusal: the second one does not name the keys that were tried.
        (Error::Reach(ReachError::OpensshFailed { output, .. }), Some(mut refused)) => {
            refused.tried.push(format!("the system's `ssh`: {output}"));
            login_refused(&settings, refused)
        }
        (Error::Login(LoginError::NeedsOpenssh(_)), Some(refused)) => login_refused(&settings, refused),
        (Error::Reach(ReachError::OpensshFailed { output, .. }), None) if output.contains(DENIED) => {
            login_refused_by_openssh(&settings, reach, &output)
        }
        (error, _) => error,
    })
}

/// The message of `ssh` for a refused login, up to the methods that the server accepts.
const DENIED: &str = "Permission denied (";

fn login_refused_by_openssh(settings: &HostSettings, reach: &Reach, output: &str) -> Error {
    let methods = output.rsplit_once(DENIED).and_then(|(_, rest)| rest.split_once(')')).map(|(methods, _)| methods);
    let (notes, remedy) = authenticate::explain(settings, reach, methods);
    let said = output.lines().map(|line| format!("the system's `ssh`: {line}"));
    let tried = notes.into_iter().chain(said).collect();
    login_refused(settings, LoginRefusal { tried, can_use_openssh: false, remedy })
}

/// Opens lanes with the built-in transport.
struct SshLanes {
    destination: SshDestination,
    reach: Reach,
    settings: HostSettings,
    agents: Agents,
    places: Places,
    round_trip: Duration,
    /// Held during a login. Servers limit the connections that have not logged in yet (`MaxStartups`).
    login_lock: Mutex<()>,
}

impl Lanes for SshLanes {
    fn round_trip(&self) -> Duration {
        self.round_trip
    }

    fn open(&self, cancel: &Cancel) -> Result<Connection, Error> {
        let settings = &self.settings;
        let login_lock = self.login_lock.lock().unwrap_or_else(PoisonError::into_inner);
        cancel.check()?;
        // The first connection has already reported everything about the server.
        let login = SshLogin::open(settings, &self.destination, &self.reach, &Silent, cancel);
        drop(login_lock);
        let mut login = login.map_err(|setback| match setback {
            Setback::NeedsOpenssh(need) => need.into_error(),
            Setback::Refused(refused) => login_refused(settings, refused),
            Setback::Failed(error) => error,
        })?;
        let (agents, places) = (&self.agents, &self.places);
        let packing = Packing::on_demand();
        Bootstrap { login: &mut login, agents, packing, places, observer: &Silent, cancel }.start_lane()
    }
}

struct Connector<'a> {
    destination: &'a SshDestination,
    reach: &'a Reach,
    observer: &'a dyn Observer,
    cancel: &'a Cancel,
}

/// A login, and the refusal of the built-in transport if that was tried first.
struct LoginOutcome {
    login: Box<dyn Login>,
    refused: Option<LoginRefusal>,
}

impl Connector<'_> {
    /// Returns the settings. Returns nothing if they cannot be read and the user chose the system's `ssh`, which
    /// reports the error itself.
    fn resolve(&self, resolution: Resolution<'_>) -> Result<Option<HostSettings>, Error> {
        match resolution.finish(self.cancel) {
            Ok(settings) => Ok(Some(settings)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(_) if self.reach.transport == Transport::Openssh => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn log_in(&self, settings: Option<&HostSettings>) -> Result<LoginOutcome, Error> {
        let Some(settings) = settings.filter(|_| self.reach.transport != Transport::Openssh) else {
            return Ok(LoginOutcome { login: self.openssh(settings, None, true), refused: None });
        };
        let may_fall_back = self.reach.transport == Transport::Auto;
        let setback = match &settings.openssh.need {
            Some(need) => Setback::NeedsOpenssh(need.clone()),
            None => match SshLogin::open(settings, self.destination, self.reach, self.observer, self.cancel) {
                Ok(login) => return Ok(LoginOutcome { login: Box::new(login), refused: None }),
                Err(setback) => setback,
            },
        };
        match setback {
            Setback::NeedsOpenssh(need) if may_fall_back => {
                Ok(LoginOutcome { login: self.openssh(Some(settings), Some(need), true), refused: None })
            }
            Setback::Refused(refused)
                if may_fall_back && (settings.openssh.login_aid.is_some() || refused.can_use_openssh) =>
            {
                let need = settings.openssh.login_aid.clone().unwrap_or_else(|| Need::other("One of the keys"));
                // A person was asked already.
                Ok(LoginOutcome { login: self.openssh(Some(settings), Some(need), false), refused: Some(refused) })
            }
            Setback::NeedsOpenssh(need) => Err(need.into_error()),
            Setback::Refused(refused) => Err(login_refused(settings, refused)),
            Setback::Failed(error) => Err(error),
        }
    }

    fn openssh(&self, settings: Option<&HostSettings>, need: Option<Need>, may_ask: bool) -> Box<dyn Login> {
        let why = need.as_ref().map_or_else(|| "It was asked for".to_owned(), |need| format!("{need} needs it"));
        self.observer.observe(Event::Detail(format!("Using the system's `ssh`: {why}")));
        let may_ask = may_ask && settings.is_none_or(|settings| settings.login.may_ask) && self.reach.answers.can_ask();
        let asks = may_ask.then(|| (self.reach.answers.clone(), self.cancel.clone()));
        Box::new(OpensshLogin::new(self.destination, self.reach, settings, need, asks))
    }
}

fn login_refused(settings: &HostSettings, refused: LoginRefusal) -> Error {
    let (user, server) = (settings.user.clone(), settings.server.clone());
    Error::from(LoginError::Refused { user, server, tried: refused.tried, remedy: refused.remedy })
}
