//! Reaching a server: a real `sshd`, real login shells, and each way in which it fails.

mod architectures;
mod config;
mod host_keys;
mod logins;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use engine::hash::Hash;

use crate::support::mount::Mount;
use crate::support::program;
use crate::support::relay::Relay;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::{HOST, Sshd, is_root, run, skipped};
use crate::support::tree::set_mode;

/// Starts a server with one user, unless the tests do not run as root.
fn server(shell: &str) -> Option<(Sshd, String)> {
    is_root().then(|| {
        let mut sshd = Sshd::start();
        let user = sshd.add_user(shell);
        (sshd, user)
    })
}

/// Returns the agents in a directory.
fn agents(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Returns every path below a directory.
fn tree(directory: &Path) -> String {
    run(Command::new("find").arg(directory).arg("-print"))
}

#[test]
fn the_agent_is_copied_once() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let path = sshd.home(&user).join("shop");
    let first = sshd.setup(&user, path.to_str().unwrap());
    first.succeeds();
    let bin = path.join(".cutover/bin");
    let [agent] = &agents(&bin)[..] else {
        panic!("one agent in {}", tree(&path));
    };
    let made = fs::metadata(agent).unwrap();
    assert_eq!(fs::read(agent).unwrap(), fs::read(env!("CARGO_BIN_EXE_cutover-agent")).unwrap());
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(path.join(".cutover")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    sshd.setup(&user, path.to_str().unwrap()).succeeds();
    let stands = fs::metadata(&agents(&bin)[0]).unwrap();
    assert_eq!(made.modified().unwrap(), stands.modified().unwrap());
}

#[test]
fn a_program_that_has_no_agent_of_its_build_beside_it_is_the_agent() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let site = Site::over(&sshd, &user);
    let (program, beside) = (site.path("cutover"), site.path("cutover-agent"));
    program::copy(Path::new(env!("CARGO_BIN_EXE_cutover")), &program);
    let right = fs::read(env!("CARGO_BIN_EXE_cutover-agent")).unwrap();
    let build = engine::BUILD.as_bytes();
    let at = right.windows(build.len()).position(|window| window == build).unwrap();
    let mut wrong = right.clone();
    wrong[at + build.len() - 2] ^= 1;
    for (agent, is_copied) in [(None, false), (Some(&wrong), false), (Some(&right), true)] {
        if let Some(agent) = agent {
            fs::write(&beside, agent).unwrap();
        }
        let bin = site.target(".cutover/bin");
        agents(&bin).iter().for_each(|agent| fs::remove_file(agent).unwrap());
        let ran = RunResult::of(&site.command_of(&program, &["setup", "-v"]).output().unwrap());
        assert_eq!(ran.stderr.contains("of another build"), agent == Some(&wrong), "{}", ran.stderr);
        ran.succeeded();
        let copied = fs::read(&agents(&bin)[0]).unwrap();
        assert!(copied == if is_copied { right.clone() } else { fs::read(&program).unwrap() });
    }
}

#[test]
fn what_is_told_of_the_agent_is_what_was_sent() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let relay = Relay::start(sshd.port());
    let mut site = Site::over(&sshd, &user);
    site.reach_by(&sshd.through(relay.port()));
    let ran = site.cutover(&["setup"]);
    let told = ran.stderr.split("Copied the agent to the server (").nth(1).and_then(|rest| rest.split(" MB)").next());
    let told: f64 = told.unwrap_or_else(|| panic!("{}", ran.stderr)).parse().unwrap();
    let passed = relay.passed_bytes() as f64 / 1e6;
    // It is told to a tenth.
    assert!(told <= passed + 0.05 && told > passed * 0.9, "{told} MB told, and {passed} MB sent");
}

#[test]
fn an_altered_agent_is_replaced() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let path = sshd.home(&user).join("shop");
    sshd.setup(&user, path.to_str().unwrap()).succeeds();
    let agent = agents(&path.join(".cutover/bin")).remove(0);
    let right = fs::read(&agent).unwrap();
    let mut longer = right.clone();
    longer.extend_from_slice(b"more");
    let wrong: [&[u8]; 5] = [b"", &right[..100], &right[..right.len() / 2], b"echo not an agent\n", &longer];
    for content in wrong {
        // A program that runs cannot be written to; the agent of the run before may be about to end.
        fs::remove_file(&agent).unwrap();
        fs::write(&agent, content).unwrap();
        set_mode(&agent, 0o755);
        run(Command::new("chown").arg(&user).arg(&agent));
        sshd.setup(&user, path.to_str().unwrap()).succeeds();
        assert!(fs::read(&agent).unwrap() == right, "replaced after {} bytes", content.len());
    }
}

/// One that says to be this very program; any other would be replaced.
#[test]
fn an_agent_that_speaks_another_protocol_is_named() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let path = sshd.home(&user).join("shop");
    sshd.setup(&user, path.to_str().unwrap()).succeeds();
    let agent = agents(&path.join(".cutover/bin")).remove(0);
    let right = fs::read(&agent).unwrap();
    let greet_with = |version: u8, program: &Hash| {
        let magic = [0xc7, 0xf4, 0xff, 0x9e];
        let greeting = [&magic[..], &[version, 0], &program.as_bytes()[..16]].concat();
        let printed: String = greeting.iter().map(|byte| format!("\\{byte:03o}")).collect();
        program::write(&agent, &format!("#!/bin/sh\nprintf '{printed}'\ncat > /dev/null\n"));
        run(Command::new("chown").arg(&user).arg(&agent));
    };
    greet_with(2, &Hash::of(&right));
    let refused = sshd.setup(&user, path.to_str().unwrap());
    refused.fails(1, &["The other side speaks protocol 2, and this side speaks protocol 1", "Use the same version of"]);
    greet_with(2, &Hash::of(b"another program"));
    sshd.setup(&user, path.to_str().unwrap()).succeeds();
    assert!(fs::read(&agent).unwrap() == right);
}

#[test]
fn every_login_shell_and_every_path_will_do() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    for shell in ["/bin/bash", "/bin/dash", "/usr/bin/fish", "/bin/tcsh"] {
        if !Path::new(shell).exists() {
            skipped(&format!("in part: {shell} is not installed"));
            continue;
        }
        let user = sshd.add_user(shell);
        let home = sshd.home(&user);
        for name in ["plain", "with space", "it's \"quoted\" `$HOME` !! \\n %s", "-dash", "~", "café *?[a]{b,c}"] {
            let absolute = home.join("absolute").join(name);
            sshd.setup(&user, absolute.to_str().unwrap()).succeeds();
            assert_eq!(agents(&absolute.join(".cutover/bin")).len(), 1, "{shell} {name:?}\n{}", tree(&home));
            let relative = format!("relative/{name}");
            sshd.setup(&user, &relative).succeeds();
            assert_eq!(agents(&home.join(&relative).join(".cutover/bin")).len(), 1, "{shell} {name:?}");
        }
        sshd.setup(&user, "-dash first").succeeds();
        assert_eq!(agents(&home.join("-dash first/.cutover/bin")).len(), 1, "{shell}");
        sshd.dry_run(&user, "nowhere").succeeds();
    }
}

#[test]
fn paths_in_json_are_absolute_also_where_the_deploy_path_is_not() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let mut site = Site::over(&sshd, &user);
    let path = sshd.home(&user).join("sites/shop");
    site.move_on_server(&user, Path::new("sites/./shop"));
    site.write("a", "1");
    // By the script, and then by the short command.
    for verb in ["setup", "setup", "status"] {
        if verb == "status" {
            site.deploy(&[]);
        }
        let report = site.succeed(&[verb]);
        assert_eq!(report["deploy_path"], path.to_str().unwrap(), "{verb}");
        if verb == "status" {
            assert_eq!(report["current_path"], path.join("current").to_str().unwrap());
        }
    }
}

#[test]
fn what_the_login_prints_is_skipped() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let noise = "echo Welcome; printf 'no newline'; head -c 20000 /dev/urandom; echo words >&2\n";
    fs::write(sshd.home(&user).join(".bashrc"), noise).unwrap();
    sshd.setup(&user, "shop").succeeds();
    sshd.setup(&user, "shop").succeeds();
    sshd.dry_run(&user, "elsewhere").succeeds();
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let home = sshd.home(&user);
    let temporary = home.join("tmp");
    fs::create_dir(&temporary).unwrap();
    set_mode(&temporary, 0o777);
    fs::write(home.join(".bashrc"), format!("export TMPDIR='{}'\n", temporary.display())).unwrap();
    let before = tree(&home);
    sshd.dry_run(&user, "shop").succeeds();
    assert_eq!(tree(&home), before);
}

#[test]
fn a_dry_run_goes_past_a_temporary_directory_without_programs() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let home = sshd.home(&user);
    let Some(_mounted) = Mount::noexec(&home.join("noexec")) else {
        return;
    };
    fs::write(home.join(".bashrc"), format!("export TMPDIR='{}'\n", home.join("noexec").display())).unwrap();
    let before = tree(&home);
    sshd.dry_run(&user, "shop").succeeds();
    assert_eq!(tree(&home), before);
}

#[test]
fn a_noexec_deploy_path_is_named_and_agent_path_helps() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let home = sshd.home(&user);
    let Some(_mounted) = Mount::noexec(&home.join("noexec")) else {
        return;
    };
    run(Command::new("chmod").arg("755").arg(home.join("noexec")));
    run(Command::new("chown").arg(&user).arg(home.join("noexec")));
    let path = home.join("noexec/shop");
    sshd.setup(&user, path.to_str().unwrap()).fails(1, &["/noexec/shop/.cutover/bin`", "mounted noexec", "agent_path"]);
    assert_eq!(agents(&path.join(".cutover/bin")), Vec::<PathBuf>::new());
    let config = sshd.client("cutover.toml");
    let target = format!("{user}@{HOST}:{}", path.display());
    fs::write(&config, format!("agent_path = \"{}/agents here\"\n", home.display())).unwrap();
    let config = config.to_str().unwrap();
    sshd.cutover(&["setup", "--target", &target, "--config", config]).succeeds();
    assert_eq!(agents(&home.join("agents here")).len(), 1);
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let home = sshd.home(&user);
    for (name, inside) in [("files", "index.php"), ("hidden", ".env"), ("late", "zzz")] {
        let path = home.join(name);
        fs::create_dir_all(path.join("shared")).unwrap();
        fs::write(path.join(inside), "").unwrap();
        run(Command::new("chown").arg("-R").arg(&user).arg(&path));
        let before = tree(&path);
        sshd.setup(&user, name).fails(1, &["not made by Cutover", &format!("it holds `{inside}`")]);
        assert_eq!(tree(&path), before);
    }
    let ours = home.join("ours");
    for part in ["shared", "cache", "lost+found"] {
        fs::create_dir_all(ours.join(part)).unwrap();
    }
    run(Command::new("chown").arg("-R").arg(&user).arg(&ours));
    sshd.setup(&user, "ours").succeeds();
}

#[test]
fn what_keeps_the_agent_from_being_copied_is_named() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let ours =
        ["could not be copied to `/usr/shop/.cutover/bin`", "Permission denied", "`sudo install -d -o USER /usr/shop`"];
    sshd.setup(&user, "/usr/shop").fails(1, &ours);
    let small = sshd.home(&user).join("small");
    let Some(_mounted) = Mount::tmpfs(&small, "size=64k,mode=755") else {
        return;
    };
    run(Command::new("chown").arg(&user).arg(&small));
    sshd.setup(&user, "small/shop").fails(1, &["could not be copied to `small/shop/.cutover/bin`", "No space left"]);
    assert_eq!(agents(&small.join("shop/.cutover/bin")), Vec::<PathBuf>::new());
}

#[test]
fn what_another_user_planted_in_his_deploy_path_never_runs() {
    let Some((mut sshd, user)) = server("/bin/bash") else { return };
    let planter = sshd.add_user("/bin/bash");
    let proof = sshd.home(&planter).join("proof");
    fs::create_dir(&proof).unwrap();
    set_mode(&proof, 0o777);
    let mut site = Site::over(&sshd, &user);
    site.write("a", "1");
    // Where agents are, and how they are called.
    site.deploy(&[]);
    let name = agents(&site.target(".cutover/bin")).remove(0).file_name().unwrap().to_owned();
    for (path, is_deployed) in [("first", false), ("later", true)] {
        let path = sshd.home(&planter).join(path);
        fs::create_dir(&path).unwrap();
        run(Command::new("chown").arg(if is_deployed { &user } else { &planter }).arg(&path));
        site.move_on_server(&user, &path);
        if is_deployed {
            run(Command::new("chown").arg(&user).arg(sshd.home(&planter)));
            site.deploy(&[]);
            run(Command::new("chown").arg(&planter).arg(sshd.home(&planter)));
            fs::rename(path.join(".cutover"), path.join("was")).unwrap();
        }
        let bin = path.join(".cutover/bin");
        fs::create_dir_all(&bin).unwrap();
        program::write(&bin.join(&name), &format!("#!/bin/sh\nid -un > {}/$$\n", proof.display()));
        run(Command::new("chmod").args(["-R", "u=rwx,go=rx"]).arg(path.join(".cutover")));
        run(Command::new("chown").args(["-R", &planter]).arg(&path));
        let verbs: [&[&str]; 6] =
            [&["status"], &["releases"], &["rollback"], &["cleanup"], &["deploy", "--dry-run"], &["deploy"]];
        for words in verbs {
            let ran = site.cutover(words);
            let owner = format!("belongs to `{planter}`");
            let hint = format!("Hint: Log in as `{planter}`");
            ran.failed(1, &[&owner, "who could put other files in the place", &hint]);
            assert_eq!(agents(&proof), Vec::<PathBuf>::new(), "{words:?}");
        }
    }
}

#[test]
fn a_group_that_may_write_is_named_and_following_the_hint_helps() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let mut site = Site::over(&sshd, &user);
    site.write("a", "1");
    let path = sshd.home(&user).join("shared by many");
    fs::create_dir(&path).unwrap();
    run(Command::new("chown").arg(format!("{user}:www-data")).arg(&path));
    run(Command::new("chmod").arg("2775").arg(&path));
    site.move_on_server(&user, &path);
    let follow = |site: &Site, before: &str, words: &[&str]| {
        let ran = site.cutover(words);
        let command = format!("chmod {before} '{}'", path.display());
        ran.failed(1, &["may write to `", &format!("{}`", path.display()), &format!("`{command}`")]);
        run(Command::new("sh").args(["-c", &command]));
    };
    follow(&site, "g-w", &["deploy"]);
    site.deploy(&[]);
    // What was safe once need not stay so: with an agent at its place, that one says it.
    for verb in ["deploy", "status", "rollback", "cleanup"] {
        run(Command::new("chmod").arg("777").arg(&path));
        follow(&site, "go-w", &[verb]);
    }
    site.deploy(&[]);
    // A group that has this user alone is nobody else, unless an access list stands behind it.
    run(Command::new("chgrp").arg(&user).arg(&path));
    run(Command::new("chmod").arg("775").arg(&path));
    site.deploy(&["--force"]);
    fs::remove_dir_all(path.join(".cutover/bin")).unwrap();
    site.deploy(&["--force"]);
    run(Command::new("setfacl").args(["-m", "u:www-data:rwx"]).arg(&path));
    follow(&site, "g-w", &["deploy"]);
    run(Command::new("setfacl").args(["-b"]).arg(&path));
    run(Command::new("chmod").arg("775").arg(&path));
    run(Command::new("usermod").args(["-a", "-G", &user, "www-data"]));
    follow(&site, "g-w", &["deploy"]);
    run(Command::new("gpasswd").args(["-d", "www-data", &user]));
    site.deploy(&[]);
}

#[test]
fn a_jail_without_proc_and_dev_will_do() {
    if !is_root() {
        return;
    }
    // Every directory above a jail must be root's alone, and `/tmp` is not.
    let Ok(jail) = tempfile::tempdir_in("/run") else {
        skipped("nothing can be made in /run");
        return;
    };
    set_mode(jail.path(), 0o755);
    let mut mounted = Vec::new();
    for directory in ["bin", "lib", "lib64", "usr"] {
        let from = Path::new("/").join(directory);
        if from.exists() {
            fs::create_dir(jail.path().join(directory)).unwrap();
            let Some(mount) = Mount::bind(&from, &jail.path().join(directory)) else { return };
            mounted.push(mount);
        }
    }
    fs::create_dir_all(jail.path().join("srv/site")).unwrap();
    fs::create_dir(jail.path().join("tmp")).unwrap();
    set_mode(jail.path().join("tmp"), 0o1777);
    let mut sshd = Sshd::start_with(&format!("ChrootDirectory {}", jail.path().display()));
    let user = sshd.add_user("/bin/sh");
    run(Command::new("chown").arg(&user).arg(jail.path().join("srv/site")));
    let site = Site::over_at(&sshd, &user, Path::new("/srv/site"), jail.path().join("srv/site"));
    site.write("a", "1");
    site.deploy(&["--dry-run"]);
    assert_eq!(agents(&jail.path().join("tmp")), Vec::<PathBuf>::new());
    site.deploy_and_compare(&[]);
    site.write("a", "2");
    site.deploy_and_compare(&[]);
    site.succeed(&["rollback"]);
    site.succeed(&["status"]);
    assert_eq!(fs::read_to_string(site.current("a")).unwrap(), "1");
}

#[test]
fn a_user_without_a_shell_is_named() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/false");
    sshd.setup(&user, "shop").fails(1, &["runs no shell commands", "ended with status 1"]);
    let user = sshd.add_user("/usr/sbin/nologin");
    sshd.setup(&user, "shop").fails(1, &["runs no shell commands", "This account is currently not available"]);
    let user = sshd.add_user("/bin/bash");
    fs::write(sshd.home(&user).join(".bashrc"), "PATH=/nowhere\n").unwrap();
    sshd.setup(&user, "shop").fails(1, &["runs no shell commands", "sh: not found"]);
}

#[test]
fn one_session_at_a_time_is_enough() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start_with("MaxSessions 1");
    let user = sshd.add_user("/bin/bash");
    for number in 0..12 {
        sshd.setup(&user, &format!("shop-{number}")).succeeds();
    }
}

#[test]
fn a_port_that_speaks_something_else_is_named() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let check = |says: &'static [u8], waits: bool, words: &[&str]| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        sshd.configure(&format!("Port {}", listener.local_addr().unwrap().port()));
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut socket in listener.incoming().map_while(Result::ok) {
                if waits {
                    let mut greeting = [0; 4];
                    socket.read_exact(&mut greeting).ok();
                }
                socket.write_all(says).ok();
                // One that says nothing hangs up; the others stay.
                if !says.is_empty() {
                    kept.push(socket);
                }
            }
        });
        sshd.setup(&user, "shop").fails(3, words);
    };
    let named = "`shop` (`127.0.0.1` port ";
    let http = b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n";
    check(http, true, &[named, "does not speak SSH: it sent `HTTP/1.1 400 Bad Request`", "Check the port"]);
    check(
        b"220 mail.example.com ESMTP\r\n",
        false,
        &[named, "does not speak SSH: it sent `220 mail.example.com ESMTP`"],
    );
    check(b"\x15\x03\x01\x00\x02\x02\x16", true, &[named, "does not speak SSH: it sent `\\u{15}"]);
    check(b"", false, &[named, "closed the connection before its SSH greeting", "MaxStartups"]);
}

#[test]
fn a_server_that_closes_the_first_connections_is_tried_again() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = sshd.through(listener.local_addr().unwrap().port());
    let port = sshd.port();
    std::thread::spawn(move || {
        for (number, mut client) in listener.incoming().map_while(Result::ok).enumerate() {
            match number {
                0 => {}
                1 => drop(client.write_all(b"Exceeded MaxStartups\r\n")),
                _ => {
                    let server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                    let (mut up, mut down) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    std::thread::spawn(move || std::io::copy(&mut client, &mut up));
                    let mut server = server;
                    std::thread::spawn(move || std::io::copy(&mut server, &mut down));
                }
            }
        }
    });
    fs::copy(config, sshd.client(".ssh/config")).unwrap();
    sshd.setup(&user, "shop").succeeds();
}

#[test]
fn a_silent_server_is_given_up_after_connect_timeout() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    // Bytes that the server still says: nothing, some of its greeting, of the exchange of keys, of the login.
    for answered in [0, 10, 1500, 1700] {
        let relay = Relay::start(sshd.port());
        relay.hold_answers_after(answered);
        let config = fs::read_to_string(sshd.through(relay.port())).unwrap();
        fs::write(sshd.client(".ssh/config"), format!("ConnectTimeout 1\n{config}")).unwrap();
        let began = std::time::Instant::now();
        sshd.setup(&user, "shop").fails(3, &["SSH connection to `shop`", "did not answer within"]);
        assert!(began.elapsed().as_secs() < 30, "{answered}: {:?}", began.elapsed());
        sshd.configure("");
    }
}

#[test]
fn much_that_a_login_prints_is_skipped() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    fs::write(
        sshd.home(&user).join(".bashrc"),
        "head -c 1000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2\n",
    )
    .unwrap();
    for transport in ["ssh2", "openssh"] {
        let target = format!("{user}@{HOST}:shop-{transport}");
        sshd.cutover(&["setup", "--target", &target, "--transport", transport]).succeeds();
        sshd.cutover(&["setup", "--target", &target, "--transport", transport]).succeeds();
    }
}

/// Returns an `ssh_config` with these lines and without a key.
fn reach(sshd: &Sshd, lines: &str) -> String {
    let (port, known) = (sshd.port(), sshd.client(".ssh/known_hosts"));
    format!(
        "{lines}\nHost {HOST}\n HostName 127.0.0.1\n Port {port}\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n",
        known.display()
    )
}

/// Runs a command with the system's `ssh`.
fn ssh(sshd: &Sshd, user: &str, command: &str) -> String {
    let config = sshd.client(".ssh/config");
    run(Command::new("ssh").arg("-F").arg(config).args(["-o", "BatchMode=yes", "-l", user, HOST, command]))
}

#[test]
fn what_the_built_in_transport_cannot_do_goes_through_the_systems_ssh() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let used = sshd.client("proxy-used");
    // A proxy of bash, so that no further program is needed.
    let proxy = format!(
        "ProxyCommand bash -c 'touch {}; exec 3<>/dev/tcp/127.0.0.1/%p; cat <&3 & cat >&3; kill $!'",
        used.display()
    );
    sshd.configure(&proxy);
    sshd.setup(&user, "shop").succeeds();
    sshd.setup(&user, "shop").succeeds();
    assert!(used.exists());
    let target = format!("{user}@{HOST}:shop");
    sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2"])
        .fails(2, &["`ProxyCommand` in", "needs the system's `ssh`"]);
    sshd.configure("ProxyCommand exit 7");
    let words = ["`ssh` could not reach `shop` (`127.0.0.1` port ", "\nCaused by: ", "Connection closed by"];
    sshd.setup(&user, "shop").fails(3, &words);
}

#[test]
fn both_transports_do_the_same() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let target = format!("{user}@{HOST}:shop");
    for transport in ["openssh", "ssh2", "openssh"] {
        sshd.cutover(&["setup", "--target", &target, "--transport", transport]).succeeds();
        fs::remove_dir_all(sshd.home(&user).join("shop")).unwrap();
        let source = sshd.client("source");
        fs::create_dir_all(&source).unwrap();
        let source = source.to_str().unwrap();
        sshd.cutover(&["deploy", "--dry-run", "--source", source, "--target", &target, "--transport", transport])
            .succeeds();
        assert!(!sshd.home(&user).join("shop").exists());
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let free = crate::support::free_port();
    sshd.configure(&format!("Port {free}"));
    sshd.setup(&user, "shop").fails(3, &["Could not connect to `shop` (`127.0.0.1` port ", "Connection refused"]);
    sshd.configure(&format!("HostName name.invalid\nPort {}", sshd.port()));
    sshd.setup(&user, "shop")
        .fails(3, &["Could not resolve the host name of `shop` (`name.invalid` port", "--transport openssh"]);
}

/// An agent of OpenSSH, ended when it is dropped.
struct Agent {
    socket: PathBuf,
    process: Child,
}

impl Agent {
    fn start(socket: &Path) -> Agent {
        let mut command = Command::new("ssh-agent");
        let mut process = command.arg("-D").arg("-a").arg(socket).stdout(Stdio::piped()).spawn().unwrap();
        // It prints where it listens once it does.
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Agent { socket: socket.to_owned(), process }
    }

    fn add(&self, key: &Path) {
        run(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
