//! The configuration of Capistrano.

use std::fs;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::Value;

use crate::init::Workshop;
use crate::support::sshd::run;

#[test]
fn what_capistrano_itself_writes_is_translated() {
    let workshop = Workshop::new();
    // The package of Debian lacks the file by which `cap install` works anywhere.
    workshop.write("Capfile", "include Capistrano::DSL\nrequire \"capistrano/install\"\n");
    let mut cap = Command::new("cap");
    cap.args(["install", "STAGES=staging,production"]).current_dir(workshop.path("shop"));
    run(cap.env("HOME", workshop.path("home")));
    fs::copy("/usr/lib/ruby/vendor_ruby/capistrano/templates/Capfile", workshop.path("shop/Capfile")).unwrap();
    let config = workshop.translates(&["capistrano"]);
    assert_snapshot!(config, @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Capistrano
    # (Capfile, config/deploy.rb, config/deploy/production.rb, config/deploy/staging.rb).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    keep_releases = 5

    [production]
    # Write the name of the server here.
    host = "web1.example.com"
    deploy_path = "/var/www/my_app_name"

    [staging]
    # Write the name of the server here.
    host = "web1.example.com"
    deploy_path = "/var/www/my_app_name"

    # Not translated:
    #   config/deploy.rb:5: set :repo_url, "git@example.com:me/my_repo.git"
    #     Cutover deploys this checkout, and clones no repository
    #   config/deploy/production.rb:1: # server-based syntax
    #     The file names no server: `host` is only a placeholder
    #   config/deploy/staging.rb:1: # server-based syntax
    #     The file names no server: `host` is only a placeholder
    "#);
    // The line that loads tasks of one's own matters once there are some.
    workshop.write("lib/capistrano/tasks/mails.rake", "task :mails do\nend\n");
    let left = workshop.untranslated(&["capistrano"]);
    assert!(left.iter().any(|part| part.starts_with("Capfile:38:")), "{left:?}");
}

/// A configuration of Capistrano as people have it.
const DEPLOY_RB: &str = r#"
lock "~> 3.19"

set :application, "shop"
set :repo_url, "git@example.com:anna/shop.git"
set :deploy_to, "/var/www/#{fetch(:application)}"
set :branch, ENV.fetch("BRANCH", "main")
set :keep_releases, 7
append :linked_files, "config/database.yml", 'config/master.key'
append :linked_dirs, "log", "tmp", "tmp/pids",
       "public/uploads" # and more
set :linked_dirs, fetch(:linked_dirs, []).push("storage")
set :ssh_options, { user: "deploy", keys: %w(~/.ssh/deploy), forward_agent: true }
set :rbenv_ruby, "3.4.1"

namespace :deploy do
  desc "Restart"
  task :restart do
    on roles(:app), in: :sequence do
      execute :sudo, :systemctl, :restart, "shop"
      execute :touch, release_path.join("tmp/restart.txt")
    end
  end

  task :seed do
    on primary(:db) do
      with rails_env: fetch(:rails_env) do
        execute :rake, "db:seed"
      end
    end
  end

  after :published, :restart
  before :publishing, "deploy:seed"
  after :finishing, :cleanup_mails
end

after "deploy:updated", "deploy:report" do
  on roles(:web) do
    execute "cd #{release_path} && ./bin/report"
  end
end

if ENV["CI"]
  set :keep_releases, 1
end
"#;

#[test]
fn a_configuration_of_capistrano_is_translated_and_what_is_not_is_listed() {
    let workshop = Workshop::new();
    workshop.write("Capfile", "require \"capistrano/setup\"\nrequire \"capistrano/deploy\"\nrequire 'capistrano/rails'\nrequire 'capistrano/puma'\n");
    workshop.write("config/deploy.rb", DEPLOY_RB);
    let production = "server \"web1.example.com\", user: \"app\", roles: %w{app db web}, port: 2222\n\
                      server \"web2.example.com\", user: \"app\", roles: %w{app}\n\
                      set :branch, \"release\"\nappend :linked_dirs, \"private\"\n";
    workshop.write("config/deploy/production.rb", production);
    workshop
        .write("config/deploy/staging.rb", "role :app, %w{staging@staging.example.com}\nset :deploy_to, -> { path }\n");
    fs::create_dir(workshop.path("home/.ssh")).unwrap();
    fs::write(workshop.path("home/.ssh/deploy"), "a key").unwrap();
    let config = workshop.translates(&["capistrano"]);
    assert_snapshot!(config, @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Capistrano
    # (Capfile, config/deploy.rb, config/deploy/production.rb, config/deploy/staging.rb).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    # Logs, uploads and the databases of SQLite (`storage`), and the gems outlive releases.
    shared_dirs = ["log", "tmp", "public/uploads", "storage"]

    # It must be on the server before the first deploy:
    # `cutover shared push production config/master.key config/master.key`.
    shared_files = ["config/database.yml", "config/master.key"]

    # If a release fails after the switch, the last lines of this file are in the output.
    logs = ["log/production.log"]
    keep_releases = 7

    # Gems are installed on the server, because some are compiled for it. `deployment` puts them into
    # `vendor/bundle`.
    [[hooks]]
    name = "bundle"
    phase = "after_upload"
    run = """
    bundle config set --local deployment true
    bundle config set --local without development:test
    bundle install --quiet
    """

    [[hooks]]
    name = "assets"
    phase = "after_upload"
    run = "bundle exec rails assets:precompile"
    env = { RAILS_ENV = "production" }

    # The old release runs meanwhile: add columns in one deploy, and remove old ones in a later one.
    [[hooks]]
    name = "migrate"
    phase = "before_switch"
    run = "bundle exec rails db:migrate"
    env = { RAILS_ENV = "production" }
    migration = true
    once = true

    # A unit with `WorkingDirectory=/var/www/shop/current`. The user that deploys needs a line in
    # `/etc/sudoers.d`: `USER ALL=NOPASSWD: /usr/bin/systemctl restart shop`.
    # [[hooks]]
    # name = "restart"
    # phase = "after_switch"
    # run = "sudo systemctl restart shop"

    [[hooks]]
    name = "deploy:restart"
    phase = "after_switch"
    run = """
    set -e
    sudo systemctl restart shop
    touch $CUTOVER_RELEASE_PATH/tmp/restart.txt
    """

    [production]
    host = "web1.example.com"
    user = "app"
    port = 2222
    identity_file = "~/.ssh/deploy"
    deploy_path = "/var/www/shop"
    ref = "release"
    shared_dirs = ["log", "tmp", "public/uploads", "storage", "private"]

    [[production.hooks]]
    name = "deploy:report"
    phase = "before_switch"
    run = "cd $CUTOVER_RELEASE_PATH && ./bin/report"

    [staging]
    host = "staging.example.com"
    user = "staging"
    identity_file = "~/.ssh/deploy"

    # Write the right path here.
    deploy_path = "/srv/staging"

    # Not translated:
    #   Capfile:4: require 'capistrano/puma'
    #     Tasks of a plugin are not read
    #   config/deploy.rb:5: set :repo_url, "git@example.com:anna/shop.git"
    #     Cutover deploys this checkout, and clones no repository
    #   config/deploy.rb:7: set :branch, ENV.fetch("BRANCH", "main")
    #     It was not read: it is no setting that stands there as it is
    #   config/deploy.rb:12: set :linked_dirs, fetch(:linked_dirs, []).push("storage")
    #     `tmp/pids` is in the shared path `tmp`, and so it is shared with it
    #   config/deploy.rb:13: set :ssh_options, { user: "deploy", keys: %w(~/.ssh/deploy), forward_agent: true }
    #     Cutover takes `forward_agent` from `~/.ssh/config`
    #   config/deploy.rb:14: set :rbenv_ruby, "3.4.1"
    #     Cutover has no such setting
    #   config/deploy.rb:25: task :seed do
    #     The task does more than run plain commands
    #   config/deploy.rb:34: before :publishing, "deploy:seed"
    #     The task `deploy:seed` is not one of plain commands
    #   config/deploy.rb:35: after :finishing, :cleanup_mails
    #     The task `deploy:cleanup_mails` is not one of plain commands
    #   config/deploy.rb:38: after "deploy:updated", "deploy:report" do
    #     The server has not its role in the stages: staging
    #   config/deploy.rb:44: if ENV["CI"]
    #     It was not read: it is no setting that stands there as it is
    #   config/deploy/production.rb:2: server "web2.example.com", user: "app", roles: %w{app}
    #     A stage has one server here, and this is a further one
    #   config/deploy/production.rb:4: append :linked_dirs, "private"
    #     `tmp/pids` is in the shared path `tmp`, and so it is shared with it
    #   config/deploy/staging.rb:2: set :deploy_to, -> { path }
    #     It was not read: it is no setting that stands there as it is
    "#);
    // Bundler alone is no Rails.
    workshop.write("Capfile", "require 'capistrano/bundler'\n");
    workshop.write("config/deploy/my live.rb", "");
    let report = workshop.report(&["capistrano"]);
    assert_eq!((&report["preset"], &report["stages"][0]), (&Value::Null, &"my-live".into()));
    assert_eq!(report["untranslated"][0]["file"], "Capfile");
    // The same by naming the files.
    let named = workshop.succeed(&[
        "init",
        "--print",
        "--from",
        "capistrano",
        "--file",
        "config/deploy.rb",
        "--file",
        "config/deploy/production.rb",
    ]);
    assert!(named.contains("[production]") && !named.contains("[staging]"), "{named}");
}

#[test]
fn a_task_with_conditions_and_one_of_another_server_are_no_hooks() {
    let workshop = Workshop::new();
    workshop.write("Capfile", "require 'capistrano/rails/assets'\n");
    workshop.write(
        "config/deploy.rb",
        r#"
set :application, "shop"
after "deploy:published", "seed" do
  on roles(:app) do
    execute "cd #{release_path} && bin/reset"
  end
end unless fetch(:stage) == :production
set :deploy_to, "/srv/real"
set_if_empty :deploy_to, "/srv/usual"
set_if_empty :branch, "main"
namespace :deploy do
  task :purge do
    on "backup@nas.example.com" do
      execute :rm, "-rf", "storage"
    end
  end
  task :here do
    on :local do
      execute "./tell"
    end
  end
  task :some do
    on roles(:app, filter: :main) do
      execute "./some"
    end
  end
  task :of_jobs do
    on roles(:jobs) do
      execute "./jobs"
    end
  end
  task :warm do
    on roles(:app), in: :sequence, wait: 5 do
      execute "./bin/warm"
      within release_path do
        execute "./bin/own"
      end
    end
  end
  after :published, :purge
  after :published, :here
  after :published, :some
  after :published, :of_jobs
  after :published, :warm
end
"#,
    );
    let production = "server 'db1.example.com', roles: %w[db], no_release: true\n\
                      server 'jobs1.example.com', roles: %w[jobs]\n\
                      server 'web1.example.com', roles: %w[app web]\n";
    workshop.write("config/deploy/production.rb", production);
    let config = workshop.translates(&["capistrano"]);
    assert!(config.contains("# name = \"migrate\"\n"), "{config}");
    assert_snapshot!(config.split_once("\n[[hooks]]\nname = \"deploy:warm\"").unwrap().1, @r#"
    phase = "after_switch"
    run = """
    set -e
    cd "$HOME"
    ./bin/warm
    cd "$CUTOVER_RELEASE_PATH"
    ./bin/own
    """

    [production]
    host = "web1.example.com"
    deploy_path = "/srv/real"

    # Not translated:
    #   config/deploy.rb:3: after "deploy:published", "seed" do
    #     It was not read: it is no setting that stands there as it is
    #   config/deploy.rb:12: task :purge do
    #     The task does more than run plain commands
    #   config/deploy.rb:17: task :here do
    #     The task does more than run plain commands
    #   config/deploy.rb:22: task :some do
    #     The task does more than run plain commands
    #   config/deploy.rb:40: after :published, :purge
    #     The task `deploy:purge` is not one of plain commands
    #   config/deploy.rb:41: after :published, :here
    #     The task `deploy:here` is not one of plain commands
    #   config/deploy.rb:42: after :published, :some
    #     The task `deploy:some` is not one of plain commands
    #   config/deploy.rb:43: after :published, :of_jobs
    #     The server has not its role in the stages: production
    #   config/deploy/production.rb:1: server 'db1.example.com', roles: %w[db], no_release: true
    #     It gets no releases
    #   config/deploy/production.rb:2: server 'jobs1.example.com', roles: %w[jobs]
    #     A stage has one server here, and this is a further one
    "#);
}

#[test]
fn a_list_is_whole_or_what_it_lacks_is_listed() {
    let workshop = Workshop::new();
    workshop.write(
        "config/deploy.rb",
        r#"
set :deploy_to, "/srv/shop"
append :linked_dirs, "log", "public/#{ENV['TENANT']}/uploads"
set :linked_files, fetch(:linked_files, %w[config/master.key]).push('.env')
set :base, %w[tmp]
set :other, fetch(:base) + %w[public/uploads]
set :ssh_options, { user: 'deploy', password: 'hunter2' }
"#,
    );
    workshop.write(
        "config/deploy/production.rb",
        "server 'web1.example.com'\nset :linked_files, fetch(:linked_files, %w[no]).push('b')\n",
    );
    assert_snapshot!(workshop.translates(&["capistrano"]), @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Capistrano
    # (config/deploy.rb, config/deploy/production.rb).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    shared_dirs = ["log"]
    shared_files = ["config/master.key", ".env"]
    keep_releases = 5

    [production]
    host = "web1.example.com"
    user = "deploy"
    deploy_path = "/srv/shop"
    shared_files = ["config/master.key", ".env", "b"]

    # Not translated:
    #   config/deploy.rb:3: append :linked_dirs, "log", "public/#{ENV['TENANT']}/uploads"
    #     A path in the list has code: write it into the list
    #   config/deploy.rb:5: set :base, %w[tmp]
    #     Cutover has no such setting
    #   config/deploy.rb:6: set :other, fetch(:base) + %w[public/uploads]
    #     It was not read: it is no setting that stands there as it is
    #   config/deploy.rb:7: set :ssh_options, { user: 'deploy', password:…
    #     Cutover logs in with a key, or asks for the password
    "#);
    workshop.write(
        "config/deploy.rb",
        "set :deploy_to, '/srv/shop'\nset :linked_dirs, fetch(:base, []) + %w[public/uploads]\n",
    );
    assert_eq!(workshop.untranslated(&["capistrano"]).len(), 1);
}

#[test]
fn a_hook_does_what_the_task_does_in_the_same_place_and_at_the_same_moment() {
    let workshop = Workshop::new();
    workshop.write("Capfile", "require 'capistrano/bundler'\n# require 'capistrano/rails/assets'\n");
    workshop.write(
        "config/deploy.rb",
        r#"
set :deploy_to, "/srv/shop"
set :keep_releases, 5
set_if_empty :keep_releases, 3
set :x, url: "u", if: true
namespace :deploy do
  task :clear do
    on roles(:app) do
      execute "rm -rf #{release_path}/cache"
    end
  end
  task :build do
    on roles(:app, :db) do
      within release_path do
        execute "npm run build"
        execute :npm, :test
        execute "[ -f .env ] && ./check # note"
      end
    end
  end
  task :down do
    on roles(:app) do
      within current_path do
        execute :php, "artisan", "down"
      end
    end
  end
  task :text do
    on roles(:app) do
      execute(<<~SH)
        rm x
      SH
    end
  end
  before :starting, :clear
  after :updated, :build
  before :publishing, :down
  after :published, :text
end
task :restart do
  on roles(:app) do
    execute "./restart"
  end
end
after "restart", "deploy:build"
%w[a b].select do |n|
  ENV[n]
end.each do |n|
  after "deploy:published", "deploy:build"
end
"#,
    );
    workshop.write(
        "config/deploy/production.rb",
        "role :app, 'web1.example.com'\nserver 'web1.example.com', user: 'deploy', port: 2222\nset_if_empty :keep_releases, 2\n",
    );
    assert_snapshot!(workshop.translates(&["capistrano"]), @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Capistrano
    # (Capfile, config/deploy.rb, config/deploy/production.rb).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    keep_releases = 5

    [[hooks]]
    name = "deploy:build"
    phase = "before_switch"
    run = """
    set -e
    cd "$HOME"
    npm run build
    cd "$CUTOVER_RELEASE_PATH"
    npm test
    cd "$HOME"
    (
    [ -f .env ] && ./check # note
    )
    """

    [production]
    host = "web1.example.com"
    user = "deploy"
    port = 2222
    deploy_path = "/srv/shop"

    # Not translated:
    #   Capfile:1: require 'capistrano/bundler'
    #     Tasks of a plugin are not read
    #   config/deploy.rb:5: set :x, url: "u", if: true
    #     Cutover has no such setting
    #   config/deploy.rb:21: task :down do
    #     The task does more than run plain commands
    #   config/deploy.rb:28: task :text do
    #     The task does more than run plain commands
    #   config/deploy.rb:35: before :starting, :clear
    #     There is no new release at that moment
    #   config/deploy.rb:37: before :publishing, :down
    #     The task `deploy:down` is not one of plain commands
    #   config/deploy.rb:38: after :published, :text
    #     The task `deploy:text` is not one of plain commands
    #   config/deploy.rb:45: after "restart", "deploy:build"
    #     Cutover has no such moment
    #   config/deploy.rb:46: %w[a b].select do |n|
    #     It was not read: it is no setting that stands there as it is
    "#);
}
