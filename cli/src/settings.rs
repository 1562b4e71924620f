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
mod tests {
    use engine::path::RelativePath;

    use super::*;

    const VARIABLES: [(&str, &str); 7] = [
        ("APP", "shop"),
        ("WEB", "web1"),
        ("PORT", "2222"),
        ("KEY", "k3y-of-app"),
        ("TOKEN", "s3cret"),
        ("PASSWORD", "p4ssword"),
        ("SHORT", "abc"),
    ];

    fn environment() -> Environment {
        Environment {
            directory: "/work/sub".into(),
            home: Some("/home/me".into()),
            user: "me".into(),
            host: "laptop".into(),
            variables: VARIABLES.map(|(name, value)| (name.into(), value.into())).into_iter().collect(),
            ..Environment::default()
        }
    }

    /// Resolves the words of a command line with a config at `/work/cutover.toml`, or without a config if the text is
    /// empty.
    fn resolve(text: &str, stage: &str, target: &str) -> Result<Settings, String> {
        resolve_with(text, (stage, target), &[])
    }

    /// Resolves them with keys of the command line too.
    fn resolve_with(text: &str, (stage, target): (&str, &str), set: &[&str]) -> Result<Settings, String> {
        resolve_for(Uses::Everything, text, (stage, target), set)
    }

    /// Resolves them for a verb.
    fn resolve_for(uses: Uses, text: &str, (stage, target): (&str, &str), set: &[&str]) -> Result<Settings, String> {
        let environment = environment();
        let file = Path::new("/work/cutover.toml");
        let config = (!text.is_empty()).then(|| Config::parse(file, text, &environment.variables).unwrap());
        let place = Place {
            stage: Some(stage.to_owned()).filter(|stage| !stage.is_empty()),
            target: Some(target.into()).filter(|_| !target.is_empty()),
        };
        let set: Vec<String> = set.iter().map(|&word| word.to_owned()).collect();
        let set = overrides::read(&set, &environment.variables).unwrap();
        let everywhere = GlobalArgs::default();
        let raw = Raw { config: config.as_ref(), set: &set, uses, everywhere: &everywhere, environment: &environment };
        Settings::resolve(&place, &raw)
            .map_err(|failure| format!("{} / {}", failure.message, failure.hint.unwrap_or_default()))
    }

    #[test]
    fn variables_of_the_used_tables_must_be_set() {
        let check = |text: &str, stage: &str, set: &[&str], expected: Result<&str, &str>| {
            let found = resolve_with(text, (stage, ""), set).map(|settings| settings.target.destination.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text:?} {stage:?}");
        };
        const TEXT: &str = "deploy_path = '/srv/${APP}'\n[a]\nhost = '${WEB}'\nport = '${PORT}'\n[b]\nhost = '${NONE}'";
        const UNSET: &str = "`/work/cutover.toml` line 6: the environment variable `NONE` is not set, or is empty / Set \
                             it, or give a default: `${NONE:-default}`";
        check(TEXT, "a", &[], Ok("web1:2222:/srv/shop"));
        check(TEXT, "b", &[], Err(UNSET));
        check(TEXT, "b", &["host=web2"], Ok("web2:/srv/shop"));
        const TOP: &str = "deploy_path = '${NONE}'\n[a]\ndeploy_path = '/srv'\n[b]\nhost = 'web2'\n\n";
        check(TOP, "a", &[], Ok("/srv"));
        check(TOP, "b", &[], Err(&UNSET.replace("line 6", "line 1")));
        check("deploy_path = '${NONE}'", "", &[], Err(&UNSET.replace("line 6", "line 1")));
        check(
            "deploy_path = '/srv'\nport = '${WEB}'",
            "",
            &["host=a"],
            Err("`/work/cutover.toml` line 2: `port` must be a port from 1 to 65535 / "),
        );
        let hook =
            |phase: &str| format!("[a]\ndeploy_path = '/srv'\n[[a.hooks]]\nname = 'x'\nrun = 'y'\nphase = '{phase}'");
        check(&hook("${PHASE:-build}"), "", &[], Ok("/srv"));
        check(&hook("${NONE}"), "", &[], Err(UNSET));
    }

    #[test]
    fn a_verb_needs_only_the_variables_of_keys_that_it_uses() {
        const TEXT: &str = "
            deploy_path = '/srv'
            writable_group = '${NONE}'
            webhook = 'https://hooks.example.com'
            webhook_secret = '${NONE}'
            secrets = ['NONE']
            hooks = [{ name = 'x', phase = 'build', run = 'y', env = { A = '${NONE}' } }]
            checks = [{ name = 'x', url = 'https://${NONE}' }]
            [a]
            source = '${NONE}'
            [b]
            host = '${NONE}'
            [c]
        ";
        let check = |uses: Uses, stage: &str, line: Option<usize>| {
            let found = resolve_for(uses, TEXT, (stage, ""), &[]).map(|settings| settings.procedure);
            let refused =
                |line| format!("`/work/cutover.toml` line {line}: the environment variable `NONE` is not set");
            match line {
                None => assert_eq!(found.unwrap(), Procedure { stage: Some(stage.into()), ..Procedure::default() }),
                Some(line) => assert!(found.unwrap_err().starts_with(&refused(line)), "{uses:?} {stage}"),
            }
        };
        check(Uses::Server, "a", None);
        check(Uses::Source, "a", Some(10));
        check(Uses::Server, "b", Some(12));
        check(Uses::Source, "c", None);
        check(Uses::Everything, "c", Some(3));
    }

    #[test]
    fn values_of_the_environment_are_secrets_unless_they_are_places() {
        let text = "
            deploy_path = '/srv/${APP}'
            host = '${WEB}'
            secrets = ['KEY']
            [[hooks]]
            name = 'build'
            phase = 'build'
            run = 'make ${APP} $KEY'
            env = { TOKEN = 'x-${TOKEN}', PLAIN = 'plain', SHORT = '${SHORT}', DEFAULT = '${NONE:-default}' }
            [[checks]]
            name = 'page'
            url = 'https://${WEB}/?key=${PASSWORD}'
        ";
        let procedure = resolve(text, "", "").unwrap().procedure;
        assert_eq!(procedure.secrets, ["k3y-of-app", "p4ssword", "s3cret", "web1"]);
        let command = &procedure.hooks[0].command;
        assert_eq!(command.run, "make ${APP} $KEY");
        assert_eq!(command.env["TOKEN"], "x-s3cret");
        assert_eq!(command.env["SHORT"], "abc");
        assert_eq!(command.env["DEFAULT"], "default");
        let unset = |name: &str, expected: &str| {
            let found = resolve(&format!("deploy_path = '/srv'\nsecrets = ['{name}']"), "", "").map(|_| ());
            assert_eq!(found, Err(format!("`/work/cutover.toml` line 2: {expected}")));
        };
        unset(
            "NONE",
            "the environment variable `NONE` is not set, or is empty / Set `NONE`, or take it out of `secrets`",
        );
        unset(
            "SHORT",
            "the value of `SHORT` has fewer than 4 characters, and cannot be masked / Choose a longer secret, or take \
             `SHORT` out of `secrets`",
        );
    }

    #[test]
    fn keys_of_the_command_line_replace_those_of_the_config() {
        let text = "keep_releases = 3\nexclude = ['a']\n[shop]\ndeploy_path = '/srv/shop'\nkeep_releases = 4";
        let settings = resolve_with(text, ("shop", ""), &["keep_releases=5", "exclude=['b', 'c']"]).unwrap();
        assert_eq!(settings.policy.keep_releases, 5);
        assert_eq!(settings.source.exclude, ["b", "c"]);
        let there = |text: &str, target: &str, set: &[&str]| {
            resolve_with(text, ("", target), set).map(|settings| settings.target.destination.to_string())
        };
        let ok = |text: &str| Ok(text.to_owned());
        // Without a config, and from the working directory.
        assert_eq!(there("", "", &["deploy_path=site"]), ok("/work/sub/site"));
        assert_eq!(there("", "", &["deploy_path=/srv", "host=web1", "user=me"]), ok("me@web1:/srv"));
        assert_eq!(there("keep_releases = 3", "", &["deploy_path=site"]), ok("/work/sub/site"));
        assert_eq!(there("deploy_path = 'site'", "", &["host=web1"]), ok("web1:site"));
        assert_eq!(there("", "/tmp/x", &["deploy_path=site"]), ok("/tmp/x"));
        assert_eq!(
            there("deploy_path = '/srv'", "", &["user=me"]),
            Err("`--set`: there is a `user` and no `host` / Set `host`, or remove `user` to deploy to this machine"
                .into())
        );
        let settings = resolve_with(text, ("shop", ""), &["source=build", "ssh_config=x"]).unwrap();
        assert_eq!(settings.source.directory.as_os_str(), "/work/sub/build");
        assert_eq!(settings.target.reach.ssh_config, Some("/work/sub/x".into()));
        let shared = resolve_with(text, ("shop", ""), &["shared_dirs=['a']", "shared_files=['a/b']"]).map(|_| ());
        assert_eq!(
            shared,
            Err("`--set`: the shared path `a/b` lies within `a` (`--set`) / Name the outer one only: all that is in it \
                 is shared with it"
                .into())
        );
    }

    #[test]
    fn a_destination_is_the_target_or_the_stage_or_the_top() {
        let check = |text: &str, stage: &str, target: &str, expected: Result<&str, &str>| {
            let found = resolve(text, stage, target).map(|settings| settings.target.destination.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text:?} {stage:?} {target:?}");
        };
        const ONE: &str = "user = 'deploy'\n[shop]\nhost = 'web1'\ndeploy_path = '/srv/shop'";
        const TWO: &str = "deploy_path = '/srv/a'\n[shop]\nhost = 'web1'\nport = 2222\n[blog]\nuser = 'x'\n";
        check("", "", "./site", Ok("/work/sub/site"));
        check(
            "",
            "",
            "",
            Err(
                "There is no target: no `--target`, and no `cutover.toml` here or above / Name one with `--target DEST`, \
             such as `--target /srv/site` or `--target deploy@web1:/srv/site`",
            ),
        );
        check(
            "",
            "shop",
            "",
            Err("There is no stage `shop`: there is no `cutover.toml` here or above / Name the config with \
             `--config FILE`, or the target alone with `--target DEST`"),
        );
        check(ONE, "", "", Ok("deploy@web1:/srv/shop"));
        check(ONE, "shop", "/elsewhere", Ok("/elsewhere"));
        check(ONE, "", "web2:/srv", Ok("web2:/srv"));
        check(ONE, "shpo", "", Err("There is no stage `shpo` in `/work/cutover.toml` / Its stage is `shop`"));
        check(
            TWO,
            "",
            "",
            Err("No stage is named, and `/work/cutover.toml` has several / Its stages are `blog` and `shop`"),
        );
        check(TWO, "shop", "", Ok("web1:2222:/srv/a"));
        check(
            TWO,
            "blog",
            "",
            Err(
                "`/work/cutover.toml` line 6: there is a `user` and no `host` / Set `host`, or remove `user` to deploy to \
             this machine",
            ),
        );
        check("deploy_path = 'site'", "", "", Ok("/work/site"));
        check("deploy_path = '~/site'", "", "", Ok("/home/me/site"));
        check("deploy_path = '~/site'\nhost = 'web1'", "", "", Ok("web1:site"));
        check(
            "keep_releases = 5",
            "",
            "",
            Err(
                "`/work/cutover.toml` names no target / Set `deploy_path` in it, or name a target with `--target DEST`",
            ),
        );
        check(
            "\n[shop]\nhost = 'web1'",
            "",
            "",
            Err(
                "`/work/cutover.toml` line 2: the stage `shop` has no `deploy_path` / Set `deploy_path` to the directory \
             on the server, such as `\"/srv/site\"`",
            ),
        );
    }

    #[test]
    fn a_stage_replaces_defaults_and_their_lists() {
        let text = "
            keep_releases = 5
            grace = '10m'
            spare = false
            exclude = ['a', 'b']
            shared_dirs = ['storage']
            [shop]
            deploy_path = '/srv/shop'
            current_path = '/var/www/shop'
            exclude = ['c']
            shared_files = ['.env']
        ";
        let settings = resolve(text, "shop", "").unwrap();
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        assert_eq!(settings.source.exclude, ["c"]);
        assert_eq!(
            settings.policy,
            Policy {
                current_path: Some("/var/www/shop".into()),
                keep_releases: 5,
                grace: Duration::from_secs(600),
                spare: false,
                shared_dirs: vec![SharedPath::directory(path("storage"))],
                shared_files: vec![SharedPath::file(path(".env"))],
                ..Policy::default()
            }
        );
    }

    #[test]
    fn hooks_and_checks_of_a_stage_come_behind_those_at_the_top() {
        let text = "
            [[hooks]]
            name = 'build'
            phase = 'build'
            run = 'make'
            [[checks]]
            name = 'health'
            run = 'true'
            [shop]
            deploy_path = '/srv/shop'
            [[shop.hooks]]
            name = 'restart'
            phase = 'after_switch'
            run = 'sudo systemctl restart shop'
            [[shop.checks]]
            name = 'page'
            url = 'https://shop.example.com'
        ";
        let names = |procedure: &Procedure| -> Vec<String> {
            let checks = procedure.checks.iter().map(|check| &check.name);
            procedure.hooks.iter().map(|hook| &hook.name).chain(checks).cloned().collect()
        };
        let procedure = resolve(text, "", "").unwrap().procedure;
        assert_eq!(names(&procedure), ["build", "restart", "health", "page"]);
        assert_eq!(procedure.stage.as_deref(), Some("shop"));
        let procedure = resolve(text, "", "/srv/elsewhere").unwrap().procedure;
        assert_eq!(names(&procedure), ["build", "health"]);
        assert_eq!(procedure.stage, None);
    }

    #[test]
    fn a_target_takes_the_policy_and_never_the_link_of_another() {
        let text = "keep_releases = 5\ndeploy_path = '/srv/shop'\ncurrent_path = '/var/www/shop'";
        let policy = resolve(text, "", "/tmp/try").unwrap().policy;
        assert_eq!(policy.keep_releases, 5);
        assert_eq!(policy.current_path, None);
    }

    #[test]
    fn paths_of_the_config_begin_at_its_directory() {
        let check = |text: &str, expected: &str| {
            let settings = resolve(text, "", "/srv").unwrap();
            assert_eq!(settings.source.directory.as_os_str(), expected, "{text:?}");
        };
        check("", "/work/sub");
        check("keep_releases = 3", "/work");
        check("source = 'build'", "/work/build");
        check("source = '~/build'", "/home/me/build");
        check("source = '/build'", "/build");
        let settings = resolve("identity_file = 'keys/a'\nssh_config = '/etc/x'", "", "/srv").unwrap();
        assert_eq!(settings.target.reach.identity, Some("/work/keys/a".into()));
        assert_eq!(settings.target.reach.ssh_config, Some("/etc/x".into()));
    }

    #[test]
    fn shared_paths_are_apart_across_both_lists() {
        let check = |dirs: &str, files: &str, expected: &str| {
            let text = format!("shared_dirs = {dirs}\n[shop]\ndeploy_path = '/srv'\nshared_files = {files}");
            let found = resolve(&text, "", "").map(|_| ()).unwrap_err();
            let expected = format!(
                "`/work/cutover.toml` {expected} / Name the outer one only: all that is in it is shared with it"
            );
            assert_eq!(found, expected);
        };
        check("['a']", "['a/b']", "line 4: the shared path `a/b` lies within `a` (line 1)");
        check("['a/b']", "['a']", "line 4: the shared path `a` holds `a/b` (line 1)");
        check("['a']", "['b', 'a']", "line 4: the shared path `a` is named twice (line 1)");
        check("['a/', 'a']", "[]", "line 1: the shared path `a` is named twice (line 1)");
        assert!(resolve("deploy_path = '/srv'\nshared_dirs = ['a', 'ab', 'b/a']", "", "").is_ok());
    }

    #[test]
    fn the_state_is_in_the_cache_of_the_user() {
        let check = |everywhere: &GlobalArgs, environment: &Environment, expected: Option<&str>| {
            let set = overrides::read(&[], &environment.variables).unwrap();
            let found = Raw { config: None, set: &set, uses: Uses::Server, everywhere, environment }.state_dir().ok();
            assert_eq!(found, expected.map(PathBuf::from));
        };
        let none = GlobalArgs::default();
        let given = GlobalArgs { state_dir: Some("state".into()), ..GlobalArgs::default() };
        let with_cache = Environment { cache_home: Some("/cache".into()), ..environment() };
        check(&given, &environment(), Some("/work/sub/state"));
        check(&none, &with_cache, Some("/cache/cutover"));
        check(&none, &environment(), Some("/home/me/.cache/cutover"));
        check(&none, &Environment::default(), None);
    }
}
