//! What the configuration, the command line and the environment together mean.

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
        let refused = |line| format!("`/work/cutover.toml` line {line}: the environment variable `NONE` is not set");
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
    let hidden = |text: &str| resolve(text, "", "").unwrap().procedure.secrets;
    let webhook = "deploy_path = '/srv'\nwebhook = 'https://chat/${TOKEN}'\nwebhook_secret = 'plain'\n";
    assert_eq!(hidden(webhook), ["s3cret"]);
    assert_eq!(hidden(text), ["k3y-of-app", "p4ssword", "s3cret", "web1"]);
    let procedure = resolve(text, "", "").unwrap().procedure;
    let command = &procedure.hooks[0].command;
    assert_eq!(command.run, "make ${APP} $KEY");
    assert_eq!(command.env["TOKEN"], "x-s3cret");
    assert_eq!(command.env["SHORT"], "abc");
    assert_eq!(command.env["DEFAULT"], "default");
    let unset = |name: &str, expected: &str| {
        let found = resolve(&format!("deploy_path = '/srv'\nsecrets = ['{name}']"), "", "").map(|_| ());
        assert_eq!(found, Err(format!("`/work/cutover.toml` line 2: {expected}")));
    };
    unset("NONE", "the environment variable `NONE` is not set, or is empty / Set `NONE`, or take it out of `secrets`");
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
        Err("`--set`: there is a `user` and no `host` / Set `host`, or remove `user` to deploy to this machine".into())
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
        Err("There is no target: no `--target`, and no `cutover.toml` here or above / Name one with `--target DEST`, \
         such as `--target /srv/site` or `--target deploy@web1:/srv/site`"),
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
        Err("`/work/cutover.toml` names no target / Set `deploy_path` in it, or name a target with `--target DEST`"),
    );
    check(
        "\n[shop]\nhost = 'web1'",
        "",
        "",
        Err("`/work/cutover.toml` line 2: the stage `shop` has no `deploy_path` / Set `deploy_path` to the directory \
         on the server, such as `\"/srv/site\"`"),
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
        let expected =
            format!("`/work/cutover.toml` {expected} / Name the outer one only: all that is in it is shared with it");
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
