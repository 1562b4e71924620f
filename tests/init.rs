//! `cutover init`: the config that it writes for each framework is deployed, on a tree that has the framework's usual
//! files, and with its real programs where they are here.

mod imports;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::git::git;
use crate::support::person::Person;
use crate::support::program;
use crate::support::site::names;
use crate::support::sshd::run;
use crate::support::tree;

/// A directory with an application, and the programs that it needs.
struct Workshop {
    place: TempDir,
}

impl Workshop {
    fn new() -> Workshop {
        let workshop = Workshop { place: tempfile::tempdir().unwrap() };
        for directory in ["shop", "home", "bin"] {
            fs::create_dir(workshop.path(directory)).unwrap();
        }
        workshop
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        tree::write(&self.path("shop").join(path), content);
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path("shop").join(path)).unwrap()
    }

    /// Writes a program that notes its calls, and does something else.
    fn provide(&self, name: &str, does: &str) {
        let calls = self.path("calls");
        program::write(
            &self.path("bin").join(name),
            &format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\n{does}\n", calls.display()),
        );
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(words).arg("--state-dir").arg(self.path("state"));
        command.env_clear().env("HOME", self.path("home")).env("USER", "anna");
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.current_dir(self.path("shop"));
        command
    }

    fn cutover(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, words: &[&str]) -> String {
        let output = self.cutover(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str], code: i32, expected: &str) {
        let output = self.cutover(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }

    /// Commits all files.
    fn commit(&self) {
        if !self.path("shop/.git").exists() {
            git(&self.path("shop"), &["init", "-q"]);
        }
        git(&self.path("shop"), &["add", "-A"]);
        git(&self.path("shop"), &["commit", "-q", "-m", "a version"]);
    }

    /// Writes a config for a deploy path on this machine, and fills `shared/`. Returns the deploy path.
    fn init(&self, preset: &str, shared: &[(&str, &str)]) -> PathBuf {
        let target = self.path("srv");
        let said = self.succeed(&["init", "--target", target.to_str().unwrap(), "--json"]);
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report["preset"], preset, "{report}");
        self.succeed(&["setup", "production"]);
        for (path, content) in shared {
            let path = target.join("shared").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        target
    }

    /// Deploys, and asserts that what the live release has is this. Directories end with a slash, and links with `@`.
    #[track_caller]
    fn deploys(&self, target: &Path, expected: &[&str]) {
        let output = self.cutover(&["deploy", "production"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("Warning"), "{said}");
        let current = target.join("current");
        let mut found: Vec<String> = names(&current);
        for name in &mut found {
            let path = current.join(&*name);
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            name.push_str(if kind.is_symlink() {
                "@"
            } else if kind.is_dir() {
                "/"
            } else {
                ""
            });
        }
        assert_eq!(found, expected);
    }
}

/// A program of a framework in PHP, which notes how it is called and what it sees.
fn php_program(calls: &Path) -> String {
    format!(
        "#!/usr/bin/env php\n<?php\nfile_put_contents('{}', implode(' ', $argv) . \"\\n\", FILE_APPEND);\n",
        calls.display()
    )
}

#[test]
fn a_config_is_written_and_nothing_that_stands_is_replaced() {
    let workshop = Workshop::new();
    workshop.write("package.json", "{}");
    workshop.write(".deployignore", "/.env\n/mine\n");
    let said = workshop.succeed(&["init", "--target", "deploy@web1.example.com:/srv/shop"]);
    assert!(said.starts_with("Wrote `cutover.toml`\n"), "{said}");
    assert!(said.contains("Usual lines that it lacks: `/coverage/` and `!/node_modules/`"), "{said}");
    assert_eq!(workshop.read(".deployignore"), "/.env\n/mine\n");
    let config = workshop.read("cutover.toml");
    assert!(config.contains("\n[production]\nhost = \"web1.example.com\"\nuser = \"deploy\"\n"), "{config}");
    assert_eq!(fs::metadata(workshop.path("shop/cutover.toml")).unwrap().permissions().mode() & 0o777, 0o644);
    workshop.refused(&["init"], 1, "cutover.toml` exists already");
    std::os::unix::fs::symlink("nowhere", workshop.path("shop/other.toml")).unwrap();
    workshop.refused(&["init", "--config", "other.toml"], 1, "other.toml` exists already");
    assert_eq!(workshop.read("cutover.toml"), config);
    assert!(!workshop.path("shop/nowhere").exists());
    let printed = workshop.succeed(&["init", "--print", "--target", "deploy@web1.example.com:/srv/shop"]);
    assert_eq!(printed, config);
    assert_eq!(names(&workshop.path("shop")), [".deployignore", "cutover.toml", "other.toml", "package.json"]);
}

#[test]
fn without_a_terminal_flags_say_what_is_written() {
    let workshop = Workshop::new();
    let words = ["--target", "ssh://anna@web2:2222/srv/blog", "--preset", "wordpress", "--stage", "eu.b"];
    let set = ["--set", "keep_releases=5", "--set", "exclude=['/a b/']", "--set", "run_as=web"];
    let config = workshop.succeed(&[&["init", "--print"], &words[..], &set].concat());
    for line in [
        "[\"eu.b\"]\nhost = \"web2\"\nuser = \"anna\"\nport = 2222\ndeploy_path = \"/srv/blog\"\n",
        "\nkeep_releases = 5\nexclude = [\"/a b/\"]\nrun_as = \"web\"\n",
        "\nshared_files = [\"wp-config.php\"]\n",
        "FILE wp-config.php",
        "# url = \"https://web2/\"",
    ] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    let usual = workshop.succeed(&["init", "--print"]);
    assert!(usual.contains("host = \"web1.example.com\"\nuser = \"deploy\"\ndeploy_path = \"/srv/shop\"\n"), "{usual}");
    let said = workshop.succeed(&["init"]);
    assert!(said.contains("Write the name of your server for `host` of `[production]`"), "{said}");
    workshop.refused(&["init", "--print", "--stage", "live"], 2, "the word is reserved");
    workshop.refused(&["init", "--print", "--preset", "cobol"], 2, "possible values: laravel, symfony");
    workshop.refused(&["init", "--print", "--set", "keep_release=1"], 2, "Did you mean `keep_releases`?");
    workshop.refused(&["init", "--print", "--target", "nowhere"], 2, "neither a path nor a server");
    workshop.refused(&["init", "--print", "--file", "deploy.rb"], 2, "--from");
    // Another tool may name no server.
    workshop.write("config/deploy.rb", "");
    let config = workshop.succeed(&["init", "--print", "--from", "capistrano", "--target", "/srv/a", "--stage", "us"]);
    assert!(config.contains("\n[us]\ndeploy_path = \"/srv/a\"\n"), "{config}");
    workshop.write("config/deploy/eu.rb", "");
    workshop.refused(&["init", "--print", "--from", "capistrano", "--target", "/srv/a"], 2, "both name a server");
    workshop.refused(&["init", "--print", "--from", "capistrano", "--stage", "us"], 2, "both name a stage");
}

#[test]
fn on_a_terminal_it_asks_for_what_no_flag_says() {
    let workshop = Workshop::new();
    workshop.write("manage.py", "");
    let mut person = Person::run(&workshop.command(&["init"]));
    person.answers(
        "Framework (laravel, symfony, wordpress, magento, rails, django, node, static, none) [django]: ",
        1,
        "pearl",
    );
    person.sees("The frameworks are `laravel`", 1);
    person.answers("[django]: ", 2, "");
    person.answers("[web1.example.com]: ", 1, "me@web7");
    person.sees("write `user = \"me\"` and `host = \"web7\"`", 1);
    person.answers("[web1.example.com]: ", 2, "web7");
    person.answers("[deploy]: ", 1, "");
    person.answers("[/srv/shop]: ", 1, "/srv/books");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    let config = workshop.read("cutover.toml");
    assert!(config.contains("host = \"web7\"\nuser = \"deploy\"\ndeploy_path = \"/srv/books\"\n"), "{config}");
    assert!(config.contains("run = \"sudo systemctl restart books\"\n"), "{config}");
    // The end of the input is no answer.
    fs::remove_file(workshop.path("shop/cutover.toml")).unwrap();
    let mut person = Person::run(&workshop.command(&["init"]));
    person.sees("[django]: ", 1);
    person.types("\u{4}");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("Nothing was written") && !workshop.path("shop/cutover.toml").exists(), "{screen}");
}

#[test]
fn the_preset_of_laravel_deploys_an_application_of_laravel() {
    let workshop = Workshop::new();
    workshop.provide("composer", "mkdir -p vendor && echo '<?php' > vendor/autoload.php");
    workshop.provide("npm", "mkdir -p public/build node_modules && echo 1 > public/build/app.js");
    workshop.write("artisan", &php_program(&workshop.path("calls")));
    workshop.write("composer.json", "{}");
    workshop.write("package.json", "{}");
    workshop.write("public/index.php", "<?php");
    workshop.write("bootstrap/cache/.gitignore", "*\n!.gitignore\n");
    workshop.write("storage/framework/views/.gitignore", "*\n!.gitignore\n");
    workshop.write("tests/TestCase.php", "<?php");
    workshop.write(".gitignore", "/vendor\n/node_modules\n/public/build\n/.env\n/cutover.toml\n");
    workshop.write(".env", "APP_ENV=local");
    workshop.commit();
    let target = workshop.init("laravel", &[(".env", "APP_ENV=production")]);
    assert!(workshop.read("cutover.toml").contains("\nref = \"main\"\n"));
    workshop.commit();
    let content =
        [".env@", ".gitignore", "REVISION", "artisan", "bootstrap/", "composer.json", "package.json", "public/"];
    workshop.deploys(&target, &[&content[..], &["storage@", "vendor/"]].concat());
    assert!(target.join("current/public/build/app.js").exists());
    assert!(target.join("shared/storage/framework/views").exists());
    assert_eq!(fs::metadata(target.join("current/bootstrap/cache")).unwrap().permissions().mode() & 0o7777, 0o2775);
    assert_eq!(fs::read_to_string(target.join("current/.env")).unwrap(), "APP_ENV=production");
    let calls = workshop.calls();
    let expected = [
        "composer install --no-dev --no-interaction --prefer-dist --optimize-autoloader",
        "npm ci",
        "npm run build",
        "artisan storage:link",
        "artisan optimize",
        "artisan migrate --force",
        "artisan queue:restart",
    ];
    assert_eq!(calls, expected);
    // The working directory stays as it is.
    assert!(!workshop.path("shop/vendor").exists());
}

#[test]
fn the_preset_of_symfony_deploys_an_application_of_symfony() {
    let workshop = Workshop::new();
    workshop.provide("composer", "echo $APP_ENV >> ../env; mkdir -p vendor && echo '<?php' > vendor/autoload.php");
    workshop.write("bin/console", &php_program(&workshop.path("calls")));
    workshop.write("config/bundles.php", "<?php return [];");
    workshop.write("config/packages/doctrine_migrations.yaml", "");
    workshop.write("public/index.php", "<?php");
    workshop.write("src/Kernel.php", "<?php");
    workshop.write("var/cache/dev/paths", "of this machine");
    workshop.write(".env", "APP_ENV=dev");
    workshop.write(".env.local", "APP_ENV=dev");
    let target = workshop.init("symfony", &[(".env.local", "APP_ENV=prod")]);
    assert!(!workshop.read("cutover.toml").contains("\nref = "), "there is no repository");
    workshop.deploys(&target, &[".env", ".env.local@", "bin/", "config/", "public/", "src/", "var/", "vendor/"]);
    assert_eq!(names(&target.join("current/var")), ["cache", "log", "share"]);
    assert_eq!(fs::read_link(target.join("current/var/log")).unwrap(), Path::new("../../../shared/var/log"));
    let calls = workshop.calls();
    let console = [
        "bin/console cache:clear --no-interaction",
        "bin/console doctrine:migrations:migrate --no-interaction --allow-no-migration",
    ];
    assert_eq!(calls[1..], console, "{calls:?}");
}

#[test]
fn the_preset_of_wordpress_deploys_wordpress() {
    let workshop = Workshop::new();
    // Debian has links to files of other packages in it.
    run(Command::new("cp").args(["-RL", "/usr/share/wordpress/."]).arg(workshop.path("shop")));
    workshop.write("wp-config.php", "<?php // of this machine");
    workshop.write("wp-content/uploads/local.jpg", "of this machine");
    workshop.write("wp-content/plugins/shop/shop.php", "<?php // version 1");
    let target = workshop.init("wordpress", &[("wp-config.php", "<?php // of the server")]);
    workshop.succeed(&["deploy", "production"]);
    let current = target.join("current");
    assert_eq!(fs::read_to_string(current.join("wp-config.php")).unwrap(), "<?php // of the server");
    assert!(current.join("wp-load.php").exists() && names(&current.join("wp-content/uploads")).is_empty());
    // Somebody installs a plugin, and WordPress changes another one in place.
    fs::create_dir(current.join("wp-content/plugins/forms")).unwrap();
    fs::write(current.join("wp-content/plugins/forms/forms.php"), "<?php").unwrap();
    fs::write(current.join("wp-content/plugins/shop/shop.php"), "edited").unwrap();
    workshop.succeed(&["deploy", "production", "--force"]);
    assert!(current.join("wp-content/plugins/forms/forms.php").exists());
    let releases = names(&target.join("releases"));
    let code = |release: &String| {
        let shop = target.join("releases").join(release).join("wp-content/plugins/shop/shop.php");
        fs::read_to_string(shop).unwrap()
    };
    assert_eq!(releases.iter().map(code).collect::<Vec<_>>(), ["edited", "<?php // version 1"]);
}

#[test]
fn the_preset_of_magento_deploys_a_shop_of_magento() {
    let workshop = Workshop::new();
    workshop.provide("composer", "mkdir -p vendor && echo '<?php' > vendor/autoload.php");
    let code = "if ($argv[1] === 'setup:di:compile') { @mkdir('generated'); touch('generated/code.php'); }\n\
                if ($argv[1] === 'setup:static-content:deploy') { @mkdir('pub/static'); touch('pub/static/app.js'); }\n\
                if ($argv[1] === 'setup:db:status') { exit(2); }\n";
    workshop.write("bin/magento", &format!("{}{code}", php_program(&workshop.path("calls"))));
    workshop.write("app/etc/config.php", "<?php return [];");
    workshop.write("app/etc/env.php", "<?php // of this machine");
    workshop.write("pub/index.php", "<?php");
    workshop.write("pub/media/.htaccess", "rules");
    workshop.write("pub/media/local.jpg", "of this machine");
    workshop.write("var/cache/x", "of this machine");
    let target = workshop.init("magento", &[("app/etc/env.php", "<?php // of the server")]);
    workshop.deploys(&target, &["app/", "bin/", "generated/", "pub/", "var/", "vendor/"]);
    let current = target.join("current");
    assert_eq!(fs::read_to_string(current.join("app/etc/env.php")).unwrap(), "<?php // of the server");
    assert_eq!(names(&current.join("pub/media")), [".htaccess"]);
    assert!(current.join("pub/static/app.js").exists() && current.join("generated/code.php").exists());
    let calls = workshop.calls();
    let expected = [
        "composer install --no-dev --no-interaction --prefer-dist",
        "bin/magento setup:di:compile",
        "composer dump-autoload --no-dev --optimize --apcu",
        "bin/magento setup:static-content:deploy --force --jobs 2 en_US",
        "bin/magento setup:db:status",
        "bin/magento setup:upgrade --keep-generated --no-interaction",
        "bin/magento app:config:status",
        "bin/magento cache:flush",
    ];
    assert_eq!(calls, expected);
}

#[test]
fn the_preset_of_rails_deploys_an_application_of_rails() {
    let workshop = Workshop::new();
    let assets = "case \"$*\" in *assets:precompile) mkdir -p public/assets; echo $RAILS_ENV > public/assets/app.js;; \
                  'install --quiet') touch vendor/bundle/gems;; esac";
    workshop.provide("bundle", assets);
    workshop.provide("sudo", "");
    let skipped = ["--skip-bundle", "--skip-git", "--skip-javascript", "--skip-spring", "--skip-listen"];
    let mut new = Command::new("rails");
    new.args(["new", "."]).args(skipped).current_dir(workshop.path("shop"));
    run(new.env("HOME", workshop.path("home")));
    workshop.write("config/master.key", "of this machine");
    workshop.write("log/development.log", "of this machine");
    workshop.write("tmp/pids/server.pid", "1");
    let target = workshop.init("rails", &[("config/master.key", "of the server")]);
    let content = [".ruby-version", "Gemfile", "README.md", "Rakefile", "app/", "bin/", "config/", "config.ru", "db/"];
    workshop.deploys(&target, &[&content[..], &["lib/", "log@", "public/", "storage@", "tmp/", "vendor/"]].concat());
    let current = target.join("current");
    assert_eq!(fs::read_to_string(current.join("config/master.key")).unwrap(), "of the server");
    assert_eq!(fs::read_to_string(current.join("public/assets/app.js")).unwrap(), "production\n");
    assert_eq!(names(&current.join("tmp")), ["cache", "pids", "sockets"]);
    assert!(target.join("shared/vendor/bundle/gems").exists() && names(&current.join("log")).is_empty());
    let calls = workshop.calls();
    let expected = [
        "bundle config set --local deployment true",
        "bundle config set --local without development:test",
        "bundle install --quiet",
        "bundle exec rails assets:precompile",
        "bundle exec rails db:migrate",
        "sudo systemctl restart srv",
    ];
    assert_eq!(calls, expected);
}

#[test]
fn the_preset_of_django_deploys_a_project_of_django() {
    let workshop = Workshop::new();
    run(Command::new("django-admin").args(["startproject", "shop", "."]).current_dir(workshop.path("shop")));
    workshop.write("requirements.txt", "# Django comes from the system here.\n");
    let settings = workshop.read("shop/settings.py").replace("'db.sqlite3'", "'media' / 'db.sqlite3'");
    workshop.write("shop/settings.py", &format!("{settings}\nSTATIC_ROOT = BASE_DIR / 'staticfiles'\n"));
    workshop.write(".venv/of-this-machine", "");
    workshop.provide("sudo", "");
    // A new environment sees no packages of the system, so they are named to it.
    let python = "export PYTHONPATH=/usr/lib/python3/dist-packages; exec /usr/bin/python3 \"$@\"";
    workshop.provide("python3", python);
    let target = workshop.init("django", &[]);
    let output = workshop
        .command(&["deploy", "production"])
        .env("PYTHONPATH", "/usr/lib/python3/dist-packages")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let current = target.join("current");
    assert!(current.join(".venv/bin/python").exists() && !current.join(".venv/of-this-machine").exists());
    assert!(current.join("staticfiles/admin/css/base.css").exists());
    assert!(target.join("shared/media/db.sqlite3").exists(), "the migrations of Django itself have run");
    assert_eq!(workshop.calls().last().unwrap(), "sudo systemctl restart srv");
}

#[test]
fn the_preset_of_node_deploys_a_server_of_node() {
    let workshop = Workshop::new();
    workshop.provide("sudo", "");
    let build =
        r#"{ "name": "shop", "private": true, "scripts": { "build": "mkdir -p dist && echo 1 > dist/app.js" } }"#;
    workshop.write("package.json", build);
    let lock = r#"{ "name": "shop", "lockfileVersion": 3, "requires": true, "packages": { "": { "name": "shop" } } }"#;
    workshop.write("package-lock.json", lock);
    workshop.write(".env", "of this machine");
    workshop.write(".gitignore", "/node_modules\n/dist\n/.env\n/cutover.toml\n");
    workshop.commit();
    let target = workshop.init("node", &[(".env", "of the server")]);
    workshop.commit();
    workshop.succeed(&["deploy", "production"]);
    let current = target.join("current");
    assert_eq!(fs::read_to_string(current.join("dist/app.js")).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(current.join(".env")).unwrap(), "of the server");
    assert_eq!(workshop.calls(), ["sudo systemctl restart srv"]);
}

#[test]
fn the_preset_of_static_files_deploys_them() {
    let workshop = Workshop::new();
    workshop.write("index.html", "<h1>");
    workshop.write("README.md", "for developers");
    let target = workshop.init("static", &[]);
    workshop.deploys(&target, &["index.html"]);
}
