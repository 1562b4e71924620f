//! The jobs of `docs/ci.md`: their YAML is read, and their shell steps run as the user of a runner, against a real `sshd`.
//!
//! The archive that they install has the programs under test. What only the CI can do (the checkout, the cache) is done here:
//! the runner of each job has a new home, and gets the directory back that the job says is to be kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::sshd::{Sshd, is_root, run};
use crate::support::yaml;

/// Returns the text of a block of the page: the first in that language behind this text.
fn block(behind: &str, language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/ci.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(behind).unwrap_or_else(|| panic!("docs/ci.md has no {behind:?}"));
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// A project with a server, and a runner with its secrets.
struct Project {
    sshd: Sshd,
    server: String,
    runner: String,
}

impl Project {
    fn new() -> Option<Project> {
        if !is_root() {
            return None;
        }
        let mut sshd = Sshd::start();
        let (server, runner) = (sshd.add_user("/bin/bash"), sshd.add_user("/bin/bash"));
        let project = Project { sshd, server, runner };
        let agent = format!("lib/cutover/cutover-agent-{}", std::env::consts::ARCH);
        for (to, built) in
            [("bin/cutover", env!("CARGO_BIN_EXE_cutover")), (&agent, env!("CARGO_BIN_EXE_cutover-agent"))]
        {
            let to = project.sshd.client("archive").join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(built, to).unwrap();
        }
        run(Command::new("tar")
            .arg("-C")
            .arg(project.sshd.client(""))
            .args(["-I", "gzip -1", "-cf"])
            .arg(project.archive())
            .arg("archive"));
        fs::create_dir_all(project.source().join("src")).unwrap();
        let config = block("Both use this config", "toml")
            .replace("host =", &format!("port = {}\nhost =", project.sshd.port()))
            .replace("\"deploy\"", &format!("\"{}\"", project.server))
            .replace("/srv/shop", project.site().to_str().unwrap());
        fs::write(project.source().join("cutover.toml"), config).unwrap();
        fs::write(project.source().join("index.html"), "one").unwrap();
        fs::write(project.source().join("src/app.js"), "two").unwrap();
        Some(project)
    }

    fn archive(&self) -> PathBuf {
        self.sshd.client("cutover.tar.gz")
    }

    fn home(&self) -> PathBuf {
        self.sshd.home(&self.runner)
    }

    /// The directory of the checkout.
    fn source(&self) -> PathBuf {
        self.home().join("project")
    }

    fn site(&self) -> PathBuf {
        self.sshd.home(&self.server).join("site")
    }

    /// Returns the value of a variable in the settings of the project.
    fn setting(&self, name: &str) -> String {
        match name {
            "WEB_HOST" => "127.0.0.1".to_owned(),
            "CUTOVER_ARCHIVE" => format!("file://{}", self.archive().display()),
            "DEPLOY_KEY" => fs::read_to_string(self.sshd.client(".ssh/id_ed25519")).unwrap().trim_end().to_owned(),
            "KNOWN_HOSTS" => format!("[127.0.0.1]:{} {}", self.sshd.port(), self.sshd.host_key().trim_end()),
            name => panic!("docs/ci.md does not say what `{name}` is"),
        }
    }

    /// Runs a script as the runner, in the checkout. Returns what it printed.
    fn run(&self, options: &[&str], script: &str, variables: &[(String, String)]) -> String {
        for path in [self.home(), self.archive()] {
            run(Command::new("chown").args(["-R", &self.runner]).arg(path));
        }
        let mut command = Command::new("/usr/sbin/runuser");
        command.args(["-u", &self.runner, "--", "bash"]).args(options).args(["-c", &format!("exec 2>&1\n{script}")]);
        command.env_clear().env("HOME", self.home()).env("USER", &self.runner).env("PATH", "/usr/bin:/bin");
        let output = command.envs(variables.iter().cloned()).current_dir(self.source()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}\n{printed}");
        printed
    }

    /// Gives the next job a new machine: what is in the home is gone but the checkout and this directory.
    fn renew(&self, kept: &Path) {
        let aside = self.sshd.client("kept");
        fs::rename(kept, &aside).unwrap();
        for entry in fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().path()) {
            if entry != self.source() {
                if entry.is_dir() { fs::remove_dir_all(entry).unwrap() } else { fs::remove_file(entry).unwrap() }
            }
        }
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::rename(aside, kept).unwrap();
    }

    /// Asserts that the release has the files of the project, and that the directory to be kept has the state.
    fn check(&self, kept: &Path) {
        let current = self.site().join("current");
        let mut names: Vec<String> =
            fs::read_dir(&current).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["index.html", "src"]);
        for name in ["index.html", "src/app.js"] {
            assert_eq!(fs::read(current.join(name)).unwrap(), fs::read(self.source().join(name)).unwrap());
        }
        assert!(kept.join("manifests.db").exists() && kept.join("content").exists(), "{}", kept.display());
        let databases = run(Command::new("find").arg(self.home()).args(["-name", "manifests.db"]));
        assert_eq!(databases.lines().count(), 1, "{databases}");
    }

    /// Runs a job twice, each on a new machine: the second one knows what the server has.
    fn run_twice(&self, kept: &Path, job: impl Fn() -> String) {
        let first = job();
        assert!(first.contains("Copied the agent") && first.contains("is live"), "{first}");
        self.check(kept);
        self.renew(kept);
        fs::write(self.source().join("index.html"), "changed").unwrap();
        let second = job();
        assert!(second.contains("0 new, 1 changed, 0 removed"), "{second}");
        assert!(!second.contains("Copied the agent"), "{second}");
        self.check(kept);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn the_job_for_github_deploys_and_keeps_the_state() {
    let Some(project) = Project::new() else { return };
    let workflow = yaml::read(&block("`.github/workflows/deploy.yml`", "yaml"));
    assert_eq!(workflow["on"]["push"]["branches"][0], "main");
    let steps = workflow["jobs"]["deploy"]["steps"].as_array().unwrap();
    let uses: Vec<&str> = steps.iter().filter_map(|step| step["uses"].as_str()).collect();
    assert_eq!(uses, ["actions/checkout@v4", "actions/cache@v4"]);
    let cache = steps.iter().find(|step| step["uses"] == "actions/cache@v4").unwrap();
    let kept = project.home().join(text(&cache["with"]["path"]).strip_prefix("~/").unwrap());
    assert!(text(&cache["with"]["key"]).starts_with(text(&cache["with"]["restore-keys"])));
    let job = || {
        let mut printed = String::new();
        let path_file = project.home().join("github_path");
        fs::write(&path_file, "").unwrap();
        for step in steps.iter().filter(|step| step.get("run").is_some()) {
            let mut variables = vec![("GITHUB_PATH".to_owned(), path_file.display().to_string())];
            let added = fs::read_to_string(&path_file).unwrap().replace('\n', ":");
            variables.push(("PATH".to_owned(), format!("{added}/usr/bin:/bin")));
            for (name, value) in step["env"].as_object().unwrap() {
                let from = text(value).strip_prefix("${{ ").and_then(|value| value.strip_suffix(" }}")).unwrap();
                assert_eq!(from.split_once('.').unwrap().1, name);
                variables.push((name.clone(), project.setting(name)));
            }
            // GitHub runs steps so.
            printed += &project.run(&["-e"], text(&step["run"]), &variables);
        }
        printed
    };
    project.run_twice(&kept, job);
}

#[test]
fn the_job_for_gitlab_deploys_and_keeps_the_state() {
    let Some(project) = Project::new() else { return };
    let file = yaml::read(&block("`.gitlab-ci.yml`", "yaml"));
    let deploy = &file["deploy"];
    let [kept] = &deploy["cache"]["paths"].as_array().unwrap()[..] else { panic!("{deploy}") };
    let kept = project.source().join(text(kept).trim_end_matches('/'));
    let source = project.source().display().to_string();
    let mut variables: Vec<(String, String)> = vec![("CI_PROJECT_DIR".to_owned(), source.clone())];
    for (name, value) in deploy["variables"].as_object().unwrap() {
        variables.push((name.clone(), text(value).replace("$CI_PROJECT_DIR", &source)));
    }
    for name in ["WEB_HOST", "CUTOVER_ARCHIVE", "DEPLOY_KEY", "KNOWN_HOSTS"] {
        variables.push((name.to_owned(), project.setting(name)));
    }
    let lines = ["before_script", "script"].iter().flat_map(|part| deploy[part].as_array().unwrap());
    let script: String = lines.map(|line| format!("{}\n", text(line))).collect();
    // The agent of a job in a container ends with the container.
    let script = format!("trap 'ssh-agent -k' EXIT\n{script}");
    project.run_twice(&kept, || project.run(&["-e", "-o", "pipefail"], &script, &variables));
}
