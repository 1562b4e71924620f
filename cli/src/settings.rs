//! Resolves arguments, config and surroundings once: nothing is optional after that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::ask::Answers;
use engine::cancel::Cancel;
use engine::check::{Check, CheckFrom, Probe};
use engine::procedure::Procedure;
use engine::release::Provenance;
use engine::shared_path::SharedPath;
use engine::target::{Destination, Policy, Reach, Target, Transport};
use engine::webhook::Webhook;
use engine::writable::Writable;
use engine::{LockRequest, SourceRequest};

use crate::args::GlobalArgs;
use crate::choice::Choice;
use crate::config::{Config, Section};
use crate::destination;
use crate::environment::{Environment, absolute_from};
use crate::exposure::{check_exposure, check_not_of_source};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::mistake::{Line, Located, Mistake};
use crate::overrides;
use crate::place::Place;
use crate::secrets::Secrets;
use crate::uses::Uses;

/// The resolved settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The server and path, and the way to reach them.
    pub(crate) target: Target,
    /// The rules for the server.
    pub(crate) policy: Policy,
    /// The hooks and checks.
    pub(crate) procedure: Procedure,
    /// The source.
    pub(crate) source: SourceRequest,
    /// The zstd level of content, if one is set.
    pub(crate) zstd_level: Option<i32>,
    /// The directory of the manifest database.
    pub(crate) state_dir: PathBuf,
    /// The user and machine of the deploy.
    pub(crate) provenance: Provenance,
    /// The job of a continuous integration that deploys.
    pub(crate) job: Option<String>,
    /// The address that is told of runs.
    pub(crate) webhook: Option<Webhook>,
    /// The way to the lock.
    pub(crate) lock: LockRequest,
    /// The texts that no output may show. A verb without hooks has them too, as far as the environment has them.
    secrets: Secrets,
}

impl Settings {
    /// Reads the config, if there is one, and resolves the settings.
    pub(crate) fn read(
        place: &Place,
        uses: Uses,
        everywhere: &GlobalArgs,
        environment: &Environment,
    ) -> Result<Settings, Failure> {
        let config = Config::open(everywhere.config.as_deref(), environment)?;
        let set = overrides::read(&everywhere.set, &environment.variables)
            .map_err(|mistake| mistake.failure(Path::new("")))?;
        let raw = Raw { config: config.as_ref(), set: &set, uses, everywhere, environment };
        let settings = Settings::resolve(place, &raw)?;
        settings.check_identity()?;
        Ok(settings)
    }

    /// Refuses a missing key file. If an SSH agent has the key, the public half is enough.
    fn check_identity(&self) -> Result<(), Failure> {
        let (Destination::Ssh(_), Some(identity)) = (&self.target.destination, &self.target.reach.identity) else {
            return Ok(());
        };
        let mut public = identity.clone().into_os_string();
        public.push(".pub");
        // If the file cannot be checked, the login reports the error.
        if identity.try_exists().unwrap_or(true) || Path::new(&public).exists() {
            return Ok(());
        }
        Err(Failure::usage(format!("There is no key `{}`", identity.display()))
            .hint("Name a private key with `--identity FILE` or `identity_file`, or leave both out"))
    }

    fn resolve(place: &Place, raw: &Raw<'_>) -> Result<Settings, Failure> {
        let choice = Choice::make(place, raw.uses, raw.config, raw.set)?;
        if let Err(mistake) = choice.keys.check_shared() {
            return Err(mistake.failure(raw.file()));
        }
        let destination = choice.destination(raw.environment)?;
        if let (Destination::Local(_), Some(_)) = (&destination, &choice.keys.run_as) {
            return Err(Failure::usage("`run_as` needs a server: on this machine, the user that runs Cutover deploys")
                .hint("Leave `run_as` out for this target, or run Cutover as that user"));
        }
        let (stage, keys, secrets) = (choice.stage.map(str::to_owned), choice.keys, choice.secrets);
        let webhook = raw.webhook(&keys)?;
        let of_webhook = webhook.iter().map(|webhook| webhook.secret.clone());
        let masked: Vec<String> = secrets.iter().cloned().chain(of_webhook).collect();
        Ok(Settings {
            target: Target { destination, reach: raw.reach(&keys)? },
            source: raw.source(&keys)?,
            zstd_level: value(keys.zstd_level.as_ref()),
            state_dir: raw.state_dir()?,
            lock: LockRequest::default(),
            provenance: provenance(raw.environment),
            job: raw.environment.job.address.clone(),
            webhook,
            secrets: Secrets::new(&masked),
            procedure: raw.procedure(stage, &keys, secrets),
            policy: policy(keys),
        })
    }

    /// Sets the grace time of a flag, if it is given.
    pub(crate) fn with_grace(mut self, given: Option<Duration>) -> Settings {
        self.policy.grace = given.unwrap_or(self.policy.grace);
        self
    }

    /// Leaves the hooks out, if a flag says so.
    pub(crate) fn without_hooks_if(mut self, skip: bool) -> Settings {
        if skip {
            self.procedure.hooks.clear();
        }
        self
    }

    /// Sets the way to the lock.
    pub(crate) fn with_lock(self, lock: LockRequest) -> Settings {
        Settings { lock, ..self }
    }

    /// Returns the texts that no output may show.
    pub(crate) fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// Makes the context for the engine's verbs.
    pub(crate) fn context(
        &self,
        observer: std::sync::Arc<dyn engine::event::Observer>,
        cancel: Cancel,
    ) -> engine::Context {
        engine::Context {
            target: self.target.clone(),
            policy: self.policy.clone(),
            procedure: self.procedure.clone(),
            lock: self.lock,
            provenance: self.provenance.clone(),
            state_dir: self.state_dir.clone(),
            observer,
            cancel,
        }
    }
}

/// The raw parts of settings, beside the keys of the place.
struct Raw<'a> {
    config: Option<&'a Config>,
    /// The keys of the command line.
    set: &'a Section,
    uses: Uses,
    everywhere: &'a GlobalArgs,
    environment: &'a Environment,
}

impl<'a> Raw<'a> {
    /// Returns the directory where relative paths of the config begin.
    fn directory(&self) -> &'a Path {
        self.config.map_or(&self.environment.directory, |config| &config.directory)
    }

    /// Makes a path absolute: from the config's directory, from the working directory with `--set`, or from the home
    /// directory with `~`.
    fn path(&self, found: Option<&Located<String>>) -> Result<Option<PathBuf>, Failure> {
        let Some(Located { value, line }) = found else {
            return Ok(None);
        };
        let path = Path::new(value);
        if !path.starts_with("~") {
            let directory = if *line == Line::Flag { &self.environment.directory } else { self.directory() };
            return Ok(Some(absolute_from(directory, path)));
        }
        let local = destination::local(path, self.environment);
        local.map(Some).map_err(|reason| Failure::usage(format!("`{}` {reason}", path.display())))
    }

    fn source(&self, keys: &Keys) -> Result<SourceRequest, Failure> {
        let directory = self.path(keys.source.as_ref())?;
        Ok(SourceRequest {
            directory: directory.unwrap_or_else(|| absolute_from(self.directory(), Path::new("."))),
            exclude: value(keys.exclude.as_ref()).unwrap_or_default(),
            config: self.config.map(|config| config.file.clone()),
            gitignore: value(keys.gitignore.as_ref()).unwrap_or_default(),
            git_ref: value(keys.git_ref.as_ref()),
            no_revision: value(keys.revision_file.as_ref()) == Some(false),
            branch: self.environment.job.branch.clone(),
            build_keep: value(keys.build_keep.as_ref()).unwrap_or_default(),
        })
    }

    fn reach(&self, keys: &Keys) -> Result<Reach, Failure> {
        let Raw { everywhere, environment, .. } = self;
        let identity = self.path(keys.identity_file.as_ref())?;
        let transport = everywhere.transport.map(Transport::from);
        Ok(Reach {
            transport: transport.or(value(keys.transport.as_ref())).unwrap_or_default(),
            ssh_config: self.ssh_config(keys)?,
            identity: everywhere.identity.as_ref().map(|path| environment.absolute(path)).or(identity),
            host_keys: value(keys.host_key.as_ref()).unwrap_or_default(),
            home: environment.ssh_home.clone().unwrap_or_else(|| PathBuf::from("/")),
            user: environment.user.clone(),
            auth_sock: environment.auth_sock.clone(),
            answers: Answers::default(),
            agent_path: value(keys.agent_path.as_ref()).map(PathBuf::from),
            run_as: value(keys.run_as.as_ref()),
            program: environment.program.clone(),
        })
    }

    /// Returns the named `ssh_config`, if there is one. If only the config names the file, and the config itself was
    /// found and not named, the file must belong to the user.
    fn ssh_config(&self, keys: &Keys) -> Result<Option<PathBuf>, Failure> {
        if let Some(given) = &self.everywhere.ssh_config {
            return Ok(Some(self.environment.absolute(given)));
        }
        let file = self.path(keys.ssh_config.as_ref())?;
        if let (Some(file), Some(Config { is_named: false, .. })) = (&file, self.config)
            && keys.ssh_config.as_ref().is_some_and(|path| path.line != Line::Flag)
            // A missing file is reported by its reader.
            && file.exists()
        {
            check_exposure(file, "--ssh-config")?;
            check_not_of_source(file, self.directory(), self.environment)?;
        }
        Ok(file)
    }

    /// Returns the config file, for messages.
    fn file(&self) -> &Path {
        self.config.map_or(Path::new(""), |config| &config.file)
    }

    /// Returns the hooks and checks, if the verb uses them.
    fn procedure(&self, stage: Option<String>, keys: &Keys, secrets: BTreeSet<String>) -> Procedure {
        match self.uses {
            Uses::Everything => procedure(stage, keys, secrets, self.directory()),
            Uses::Server | Uses::Source => Procedure { stage, ..Procedure::default() },
        }
    }

    /// Returns the webhook, if the verb uses it. It needs both keys: without a signature, its receiver could not know who
    /// tells.
    fn webhook(&self, keys: &Keys) -> Result<Option<Webhook>, Failure> {
        if self.uses < Uses::Everything {
            return Ok(None);
        }
        let missing =
            |line: Line, reason: &str, hint: &str| Err(Mistake::new(line, reason).hint(hint).failure(self.file()));
        match (&keys.webhook, &keys.webhook_secret) {
            (None, None) => Ok(None),
            (Some(url), Some(secret)) => Ok(Some(Webhook { url: url.value.clone(), secret: secret.value.clone() })),
            (Some(url), None) => missing(
                url.line,
                "there is a `webhook` and no `webhook_secret`",
                "Set the secret that signs its notices, such as `webhook_secret = \"${WEBHOOK_SECRET}\"`",
            ),
            (None, Some(secret)) => missing(
                secret.line,
                "there is a `webhook_secret` and no `webhook`",
                "Set `webhook` to the address that is told of deploys, or remove the secret",
            ),
        }
    }

    fn state_dir(&self) -> Result<PathBuf, Failure> {
        let Raw { everywhere, environment, .. } = self;
        if let Some(given) = &everywhere.state_dir {
            return Ok(environment.absolute(given));
        }
        let cache = environment.cache_home.clone();
        let cache = cache.or_else(|| environment.home.as_ref().map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("cutover")).ok_or_else(|| {
            Failure::usage("There is no place for the manifest database: neither `HOME` nor `XDG_CACHE_HOME` is set")
                .hint("Name a directory with `--state-dir DIR`")
        })
    }
}

fn policy(keys: Keys) -> Policy {
    let default = Policy::default();
    let paths = |found: Option<Located<Vec<Located<SharedPath>>>>| -> Vec<SharedPath> {
        let list = found.map(|list| list.value).unwrap_or_default();
        list.into_iter().map(|path| path.value).collect()
    };
    let writable = Writable {
        directories: keys.writable_dirs.map(|paths| paths.value).unwrap_or_default(),
        mode: keys.writable_mode.map(|mode| mode.value),
        group: keys.writable_group.map(|group| group.value),
    };
    Policy {
        current_path: keys.current_path.map(|path| PathBuf::from(path.value)),
        keep_releases: keys.keep_releases.map_or(default.keep_releases, |keep| keep.value),
        keep_manifests: keys.keep_manifests.map_or(default.keep_manifests, |keep| keep.value),
        grace: keys.grace.map_or(default.grace, |grace| grace.value),
        spare: keys.spare.map_or(default.spare, |spare| spare.value),
        shared_dirs: paths(keys.shared_dirs),
        shared_files: paths(keys.shared_files),
        auto_shared: keys.auto_shared.map_or(default.auto_shared, |auto| auto.value),
        copy_paths: keys.copy_paths.map(|paths| paths.value).unwrap_or_default(),
        link: keys.link.map_or(default.link, |link| link.value),
        hook_edits: keys.hook_edits.map_or(default.hook_edits, |edits| edits.value),
        carry_over: keys.carry_over.map(|globs| globs.value).unwrap_or_default(),
        writable,
        min_free: keys.min_free.map_or(default.min_free, |min_free| min_free.value),
    }
}

fn procedure(stage: Option<String>, keys: &Keys, secrets: BTreeSet<String>, directory: &Path) -> Procedure {
    fn values<T: Clone>(found: Option<&Located<Vec<Located<T>>>>) -> Vec<T> {
        found.into_iter().flat_map(|list| &list.value).map(|item| item.value.clone()).collect()
    }
    Procedure {
        stage,
        hooks: values(keys.hooks.as_ref()),
        checks: values(keys.checks.as_ref()).into_iter().map(|check| placed(check, directory)).collect(),
        confirm: value(keys.confirm.as_ref()),
        logs: value(keys.logs.as_ref()).unwrap_or_default(),
        secrets: secrets.into_iter().collect(),
    }
}

/// Returns a check whose command runs, on this machine, in the directory of the config.
fn placed(mut check: Check, directory: &Path) -> Check {
    if let (Probe::Command(command), CheckFrom::Client) = (&mut check.probe, check.from) {
        let cwd = absolute_from(directory, Path::new(command.cwd.as_deref().unwrap_or(".")));
        command.cwd = Some(cwd.to_string_lossy().into_owned());
    }
    check
}

fn provenance(environment: &Environment) -> Provenance {
    Provenance {
        who: environment.job.actor.clone().unwrap_or_else(|| environment.user.clone()),
        from: environment.host.clone(),
        commit: None,
        branch: None,
        dirty: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        job: environment.job.address.clone(),
    }
}

fn value<T: Clone>(found: Option<&Located<T>>) -> Option<T> {
    found.map(|found| found.value.clone())
}
#[cfg(test)]
mod tests;
