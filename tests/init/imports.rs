//! `cutover init --from`: configurations of other tools, as those tools write them and as their documentation shows them.

mod capistrano;
mod deployer;
mod deployhq;

use std::fs;

use serde_json::{Value, json};

use super::Workshop;
use crate::support::sshd::{HOST, Sshd, is_root};

impl Workshop {
    /// Translates, and returns the config that would be written. Every stage of it must be accepted.
    #[track_caller]
    fn translates(&self, words: &[&str]) -> String {
        let config = self.succeed(&[&["init", "--print", "--from"], words].concat());
        let file = self.path("checked.toml");
        fs::write(&file, &config).unwrap();
        let report = self.report(words);
        for stage in report["stages"].as_array().unwrap() {
            self.succeed(&["hooks", "list", stage.as_str().unwrap(), "--config", file.to_str().unwrap()]);
        }
        config
    }

    #[track_caller]
    fn report(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.succeed(&[&["init", "--print", "--json", "--from"], words].concat())).unwrap()
    }

    /// Returns the parts that were not translated, each as `file:line: text`.
    #[track_caller]
    fn untranslated(&self, words: &[&str]) -> Vec<String> {
        let report = self.report(words);
        let parts = report["untranslated"].as_array().unwrap();
        let line = |part: &Value| {
            format!("{}:{}: {}", part["file"].as_str().unwrap(), part["line"], part["text"].as_str().unwrap())
        };
        parts.iter().map(line).collect()
    }
}

#[test]
fn a_translated_configuration_deploys() {
    let workshop = Workshop::new();
    let target = workshop.path("srv");
    workshop.write(
        "deploy.php",
        &format!(
            "<?php\nnamespace Deployer;\nrequire 'recipe/common.php';\nadd('shared_dirs', ['uploads']);\n\
             localhost()->set('deploy_path', '{}');\ntask('mark', function () {{ run('cd {{{{release_path}}}} && touch marked'); }});\n\
             after('deploy:update_code', 'mark');\n",
            target.display()
        ),
    );
    workshop.write("index.html", "1");
    workshop.succeed(&["init", "--from", "deployer"]);
    workshop.deploys(&target, &["deploy.php", "index.html", "marked", "uploads@"]);
}

#[test]
fn a_translated_stage_deploys_to_its_server() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/sh");
    let workshop = Workshop::new();
    let deploy_rb = "set :application, 'shop'\nset :deploy_to, -> { \"HOME/#{fetch(:application)}\" }\n\
                     append :linked_dirs, 'log'\n\
                     after 'deploy:published', 'shop:mark' do\n  on roles(:app) do\n    \
                     execute \"cd #{release_path} && touch log/marked\"\n  end\nend\n";
    workshop.write("config/deploy.rb", &deploy_rb.replace("HOME", sshd.home(&user).to_str().unwrap()));
    workshop.write("config/deploy/production.rb", &format!("server '{HOST}', user: '{user}', roles: %w[app]\n"));
    workshop.succeed(&["init", "--from", "capistrano"]);
    let ssh_config = sshd.client(".ssh/config");
    workshop.succeed(&["deploy", "production", "-F", ssh_config.to_str().unwrap()]);
    let target = sshd.home(&user).join("shop");
    assert!(target.join("shared/log/marked").exists() && target.join("current/config/deploy.rb").exists());
}

#[test]
fn odd_and_hostile_files_are_refused_or_listed() {
    let workshop = Workshop::new();
    let refused = |tool: &str, file: &str, content: &[u8], expected: &str| {
        let path = workshop.path("shop").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        workshop.refused(&["init", "--print", "--from", tool], 2, expected);
        fs::remove_file(path).unwrap();
    };
    workshop.refused(&["init", "--print", "--from", "capistrano"], 2, "`config/deploy.rb` does not exist");
    workshop.refused(&["init", "--print", "--from", "deployer"], 2, "neither `deploy.php` nor `deploy.yaml` exists");
    workshop.refused(&["init", "--print", "--from", "deployhq"], 2, "neither `.deploybuild.yaml` nor `deployhq.json`");
    refused("capistrano", "config/deploy.rb", b"\x7fELF\0\0\xff", "It is not UTF-8 text");
    refused("deployer", "deploy.php", "é".repeat(9 << 20).as_bytes(), "It has more than 16 MiB");
    refused("deployer", "deploy.yaml", b"a: &x [1]\nb: *x", "aliases (`*name`) are not read");
    refused("deployer", "deploy.yaml", "[".repeat(100_000).as_bytes(), "Could not read `deploy.yaml`");
    refused("deployhq", "deployhq.json", b"[{", "Could not read `deployhq.json`");
    refused("deployhq", "deployhq.json", "[".repeat(100_000).as_bytes(), "Could not read `deployhq.json`");

    // Ten megabytes, unclosed brackets, and values that Cutover would refuse.
    let many = "set :a, [\n".repeat(1_000_000);
    workshop.write("config/deploy.rb", &many);
    assert_eq!(workshop.untranslated(&["capistrano"])[0], "config/deploy.rb:1: set :a, [");
    let many = "foo :a, `rm -rf /`\n".repeat(100_000);
    workshop.write("config/deploy.rb", &many);
    assert!(workshop.untranslated(&["capistrano"]).len() <= 210);
    let many = "append :linked_dirs, 'a', 'b/c'\nrole :app, %w[a b]\n".repeat(50_000);
    workshop.write("config/deploy.rb", &many);
    assert!(workshop.translates(&["capistrano"]).contains("\nshared_dirs = [\"a\", \"b/c\"]\n"));
    let command = json!({ "cback": "after_changes", "description": "x", "command": "true" });
    workshop.write("deployhq.json", &Value::from(vec![command; 2_000]).to_string());
    assert!(workshop.succeed(&["init", "--print", "--from", "deployhq"]).contains("\nname = \"x-2000\"\n"));
    workshop.write("deploy.php", &format!("<?php\n{}", "set('a', [".repeat(200_000)));
    assert_eq!(workshop.untranslated(&["deployer"]).len(), 1);
    workshop.write(
        "config/deploy.rb",
        "server '-oProxyCommand=touch${IFS}x', user: 'a b'\nset :deploy_to, \"/srv/\\n[evil]\"\nset :keep_releases, 0\n\
         append :linked_dirs, '../../etc', '/abs', 'ok', \"a\\u001b[2J\"\nset :branch, '--upload-pack=x'\n# [evil]\n\
         execute 'touch /tmp/evil'\nsystem('touch /tmp/evil')\n",
    );
    let config = workshop.translates(&["capistrano"]);
    assert!(config.contains("shared_dirs = [\"ok\""), "{config}");
    assert!(!config.contains('\u{1b}') && !config.lines().any(|line| line.starts_with("[evil]")), "{config}");
    let left = workshop.untranslated(&["capistrano"]).join("\n");
    for line in [1, 2, 3, 4, 5, 7, 8] {
        assert!(left.contains(&format!("config/deploy.rb:{line}: ")), "line {line} is not in {left}");
    }
}
