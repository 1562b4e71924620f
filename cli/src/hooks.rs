//! `cutover hooks`: shows the hooks and checks of a stage in the order of a deploy, or runs one of them.

use std::time::Duration;

use engine::check::{Check, CheckFrom, Probe};
use engine::hook::{Command, Hook, HookPhase, OnError, Shell, When};
use engine::procedure::Procedure;
use engine::report::HookRunReport;
use serde::Serialize;

use crate::args::{HooksArgs, HooksVerb, PlaceArgs, RunHookArgs};
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::mistake::{self, nearest};
use crate::report::Report;
use crate::run_verb::RunVerb;
use crate::secrets::Secrets;
use crate::session::Session;
use crate::table::Table;
use crate::tally::Verbosity;
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &HooksArgs) -> Result<(), Failure> {
    match &args.verb {
        HooksVerb::List(place) => list(session, place),
        HooksVerb::Run(args) => run_one(session, args),
    }
}

fn run_one(session: &Session<'_>, args: &RunHookArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Everything)?.with_lock(args.lock.request());
    let hooks = &settings.procedure.hooks;
    let hook = hooks.iter().find(|hook| hook.name == args.name).ok_or_else(|| unknown(&args.name, hooks))?;
    if hook.phase.is_local() {
        let reason = format!("The hook `{}` runs on this machine, before a deploy", hook.name);
        return Err(Failure::usage(reason).hint("Run its command yourself; only hooks of the server can be run so"));
    }
    session.run_logged(&settings, Verbosity::Brief, Some(RunVerb::HooksRun), |context| {
        engine::run_hook(context, &args.name)
    })
}

impl Report for HookRunReport {
    const ANSWERS: bool = false;

    /// Nothing: the last line of the hook has told it.
    fn text(&self, _: Palette, _: bool) -> String {
        String::new()
    }
}

fn unknown(name: &str, hooks: &[Hook]) -> Failure {
    let names = || hooks.iter().map(|hook| hook.name.as_str());
    let hint = match (nearest(name, names()), hooks) {
        (Some(nearest), _) => format!("Did you mean `{nearest}`?"),
        (None, []) => "The config has no hooks".to_owned(),
        (None, _) => format!("The hooks are {}", mistake::list(names())),
    };
    Failure::usage(format!("There is no hook `{}`", one_line(name))).hint(hint)
}

fn list(session: &Session<'_>, args: &PlaceArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place()?, Uses::Everything)?;
    session.print(&HooksReport::new(&settings.procedure, &settings.secrets()), &Secrets::default())
}

/// The hooks and checks of a stage.
#[derive(Debug, Serialize)]
struct HooksReport {
    hooks: Vec<HookReport>,
    checks: Vec<CheckReport>,
}

/// A hook.
#[derive(Debug, Serialize)]
struct HookReport {
    name: String,
    phase: HookPhase,
    /// None: it resets OPcache.
    run: Option<String>,
    opcache_reset: Option<String>,
    when: When,
    timeout: Option<u64>,
    halt_on_error: bool,
    on_error: OnError,
    cwd: Option<String>,
    /// The names alone: a value may be a secret.
    env: Vec<String>,
    shell: String,
    on_rollback: bool,
    if_changed: Vec<String>,
    migration: bool,
    once: bool,
}

/// A check.
#[derive(Debug, Serialize)]
struct CheckReport {
    name: String,
    from: CheckFrom,
    url: Option<String>,
    run: Option<String>,
    retries: u32,
    interval: u64,
    timeout: Option<u64>,
}

impl HooksReport {
    fn new(procedure: &Procedure, secrets: &Secrets) -> HooksReport {
        let mut hooks: Vec<&Hook> = procedure.hooks.iter().collect();
        hooks.sort_by_key(|hook| hook.phase);
        let masked = |text: &str| secrets.mask_text(text.to_owned());
        HooksReport {
            hooks: hooks.into_iter().map(|hook| HookReport::new(hook, masked)).collect(),
            checks: procedure.checks.iter().map(|check| CheckReport::new(check, masked)).collect(),
        }
    }
}

impl HookReport {
    fn new(hook: &Hook, masked: impl Fn(&str) -> String) -> HookReport {
        let Command { run, shell, cwd, env, timeout } = &hook.command;
        HookReport {
            name: hook.name.clone(),
            phase: hook.phase,
            run: hook.opcache_reset.is_none().then(|| masked(run)),
            opcache_reset: hook.opcache_reset.as_ref().map(ToString::to_string),
            when: hook.when,
            timeout: timeout.as_ref().map(Duration::as_secs),
            halt_on_error: hook.halt_on_error,
            on_error: hook.on_error,
            cwd: cwd.as_deref().map(&masked),
            env: env.keys().cloned().collect(),
            shell: match shell {
                Shell::Plain => "plain".to_owned(),
                Shell::Login => "login".to_owned(),
                Shell::Path(path) => path.clone(),
            },
            on_rollback: hook.on_rollback,
            if_changed: hook.if_changed.clone(),
            migration: hook.migration,
            once: hook.once,
        }
    }

    /// Returns what it runs.
    fn work(&self) -> String {
        let reset = self.opcache_reset.as_ref().map(|address| format!("opcache_reset() in {address}"));
        reset.or_else(|| self.run.clone()).unwrap_or_default()
    }

    /// Returns the conditions and consequences that are not the usual ones.
    fn notes(&self) -> String {
        let mut notes: Vec<String> = Vec::new();
        let mut note = |is_so: bool, text: &str| notes.extend(is_so.then(|| text.to_owned()));
        note(self.when == When::First, "on the first deploy");
        note(self.when == When::AfterFirst, "not on the first deploy");
        note(self.migration, "migration");
        note(self.on_rollback, "also on a rollback");
        note(self.once, "on one server");
        note(!self.halt_on_error, "may fail");
        note(self.on_error == OnError::Keep, "a failure keeps the release");
        if !self.if_changed.is_empty() {
            notes.push(format!("if {} changed", self.if_changed.join(", ")));
        }
        notes.join("; ")
    }
}

impl CheckReport {
    fn new(check: &Check, masked: impl Fn(&str) -> String) -> CheckReport {
        let (url, run, timeout) = match &check.probe {
            Probe::Http(page) => (Some(masked(&page.url)), None, Some(page.timeout)),
            Probe::Command(command) => (None, Some(masked(&command.run)), command.timeout),
        };
        CheckReport {
            name: check.name.clone(),
            from: check.from,
            url,
            run,
            retries: check.retries,
            interval: check.interval.as_secs(),
            timeout: timeout.as_ref().map(Duration::as_secs),
        }
    }

    fn notes(&self) -> String {
        let from = match self.from {
            CheckFrom::Client => "from here",
            CheckFrom::Server => "from the server",
        };
        match self.retries {
            0 => from.to_owned(),
            1 => format!("{from}; 2 tries"),
            retries => format!("{from}; {} tries", u64::from(retries) + 1),
        }
    }
}

impl Report for HooksReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        if self.hooks.is_empty() && self.checks.is_empty() {
            return "There are no hooks and no checks\n".to_owned();
        }
        let hooks =
            self.hooks.iter().map(|hook| [hook.phase.name(), &hook.name, &hook.work(), &hook.notes()].map(cell));
        let check = |check: &CheckReport| {
            let asks = check.url.as_deref().or(check.run.as_deref()).unwrap_or_default();
            ["check", &check.name, asks, &check.notes()].map(cell)
        };
        let (mut before, after): (Vec<_>, Vec<_>) =
            hooks.zip(&self.hooks).partition(|(_, hook)| hook.phase <= HookPhase::AfterSwitch);
        // The checks come between a switch and the hooks that follow a success.
        let rows = before.drain(..).map(|(row, _)| row);
        let rows = rows.chain(self.checks.iter().map(check)).chain(after.into_iter().map(|(row, _)| row));
        Table::new(["PHASE", "NAME", "RUNS", "NOTES"]).rows(rows).text(palette)
    }
}

/// Returns the first line of a text, without anything that could move the cursor.
fn cell(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first = one_line(lines.next().unwrap_or_default());
    if lines.next().is_some() { format!("{first} …") } else { first }
}
