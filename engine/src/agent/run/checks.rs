//! The checks of the server, after the switch.

use crate::check::{Check, CheckFrom};
use crate::command::Invocation;
use crate::error::Error;
use crate::event::{CheckEvent, HookEvent};
use crate::hook::Command;
use crate::http::HttpClient;
use crate::news::News;
use crate::probe::{FailedTry, Prober};

use super::hooks::Hooks;
use super::scene::{Scene, variable};
use super::stops::Stops;
use crate::agent::site::Site;

impl Hooks<'_> {
    /// Runs the checks of the server, in order. The first one that fails ends it.
    pub(super) fn check(&self, scene: &Scene, site: &Site, stops: Stops) -> Result<(), Error> {
        let own = self.hello.procedure.checks.iter().filter(|check| check.from == CheckFrom::Server);
        for check in own {
            self.check_one(check, scene, site, stops)?;
            self.reporter.tell(News::Check(CheckEvent::Passed { name: check.name.clone() }));
        }
        Ok(())
    }

    fn check_one(&self, check: &Check, scene: &Scene, site: &Site, stops: Stops) -> Result<(), Error> {
        stops.check(self.attendance)?;
        let mut variables = scene.variables(self.hello, &site.layout)?;
        variables.push((variable("CHECK"), check.name.clone().into()));
        let directory = scene.directory(&site.layout);
        let name = || check.name.clone();
        let on_failed_try = |failed: &FailedTry<'_>| {
            let reason = self.mask.mask(failed.fault.to_string());
            self.reporter.tell(News::Check(CheckEvent::Failed { name: name(), attempt: failed.number, reason }));
        };
        let on_line = |text| self.tell(HookEvent::Line { name: name(), text });
        let run_command = |command: &Command| {
            let invocation = Invocation { command, directory: &directory, variables: &variables, mask: &self.mask };
            invocation.prove(on_line, || stops.must_end(self.attendance))
        };
        let cancel = stops.cancel(self.attendance);
        let http = HttpClient::plain();
        let prober = Prober {
            http: &http,
            cancel: &cancel,
            run_command: &run_command,
            mask: &self.mask,
            on_failed_try: &on_failed_try,
        };
        match prober.run(check) {
            Err(Error::Interrupted) => Err(stops.reason(self.attendance)),
            checked => checked,
        }
    }
}
