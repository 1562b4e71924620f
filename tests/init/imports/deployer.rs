//! The recipes of Deployer, in PHP and in YAML.

use insta::assert_snapshot;

use crate::init::Workshop;

#[test]
fn the_recipe_for_laravel_of_deployer_is_translated() {
    let workshop = Workshop::new();
    workshop.write("artisan", "");
    workshop.write(
        "deploy.php",
        r#"<?php
namespace Deployer;

require 'recipe/laravel.php';
require 'contrib/npm.php';

// Config
set('application', 'shop');
set('repository', 'git@example.com:anna/shop.git');
set('keep_releases', 4);
set('http_group', 'www-data');

add('shared_files', []);
add('shared_dirs', [
    'public/uploads', # of visitors
]);
add('writable_dirs', ['public/uploads']);

// Hosts
host('example.com')
    ->set('remote_user', 'deployer')
    ->setPort(2222)
    ->set('deploy_path', '~/{{application}}')
    ->setLabels(['stage' => 'prod'])
    ->set('branch', getenv('BRANCH'));
host('web[2:3].example.com')->set('deploy_path', '/srv/shop')->setLabels(['stage' => 'prod']);
host('staging')->setHostname('staging.example.com')->set('deploy_path', '/srv/staging');

task('build', function () {
    cd('{{release_path}}');
    run('npm ci');
    run("npm run build");
});
task('notify', function () {
    if (get('x')) { run('curl'); }
});
task('local', fn() => runLocally('make'));
task('odd', fn($x) => run('make'));

after('deploy:update_code', 'build');
before('deploy:update_code', 'local');
before('deploy:symlink', 'artisan:migrate');
after('deploy:symlink', 'artisan:horizon:terminate');
after('deploy:success', 'notify');
after('deploy:failed', 'deploy:unlock');
"#,
    );
    assert_snapshot!(workshop.translates(&["deployer"]), @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Deployer
    # (deploy.php).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    # Uploads, sessions and logs outlive releases. The first deploy fills the directory from the
    # release.
    shared_dirs = ["storage", "public/uploads"]

    # The file must be on the server before the first deploy: `cutover shared push prod FILE .env`.
    shared_files = [".env"]

    # PHP writes there. Their new files and directories keep the group (2).
    writable_dirs = ["bootstrap/cache", "storage", "public/uploads"]
    writable_mode = "2775"

    # The group of PHP, if PHP runs as another user. The user that deploys must be in it.
    writable_group = "www-data"

    # If a release fails after the switch, the last lines of this file are in the output.
    logs = ["storage/logs/laravel.log"]
    keep_releases = 4

    # Packages are installed on this machine, before anything is sent.
    [[hooks]]
    name = "composer"
    phase = "build"
    run = "composer install --no-dev --no-interaction --prefer-dist --optimize-autoloader"

    # For a source with `package.json`.
    # [[hooks]]
    # name = "assets"
    # phase = "build"
    # run = "npm ci && npm run build"
    # if_changed = ["package-lock.json", "resources/", "vite.config.*"]

    # The caches hold absolute paths and values of `.env`, so each release makes its own.
    [[hooks]]
    name = "caches"
    phase = "before_switch"
    run = "php artisan storage:link && php artisan optimize"

    # The old release runs meanwhile: add columns in one deploy, and remove old ones in a later one.
    [[hooks]]
    name = "migrate"
    phase = "before_switch"
    run = "php artisan migrate --force"
    migration = true
    once = true

    # Workers of the queue end after their job, and their supervisor starts them again with the new
    # code.
    [[hooks]]
    name = "queue"
    phase = "after_switch"
    run = "php artisan queue:restart"

    # Needed if the web server does not give PHP the path behind the link (`$realpath_root` in nginx).
    # [[hooks]]
    # name = "php-fpm"
    # phase = "after_switch"
    # run = "sudo systemctl reload php-fpm"

    [[hooks]]
    name = "build"
    phase = "before_switch"
    run = """
    set -e
    cd $CUTOVER_RELEASE_PATH
    npm ci
    npm run build
    """

    [[hooks]]
    name = "local"
    phase = "build"
    run = "make"

    [[hooks]]
    name = "artisan:horizon:terminate"
    phase = "after_switch"
    run = "php artisan horizon:terminate"

    [prod]
    host = "example.com"
    user = "deployer"
    port = 2222
    deploy_path = "~/shop"

    [staging]
    host = "staging.example.com"
    deploy_path = "/srv/staging"

    # Not translated:
    #   deploy.php:5: require 'contrib/npm.php';
    #     Its settings and tasks are not read
    #   deploy.php:9: set('repository', 'git@example.com:anna/shop.git');
    #     Cutover deploys this checkout, and clones no repository
    #   deploy.php:25: ->set('branch', getenv('BRANCH'));
    #     It was not read: it is no setting that stands there as it is
    #   deploy.php:26: host('web[2:3].example.com')->set('deploy_path', '/srv/shop')->setLabels(['stage' => 'prod']);
    #     A stage has one server here, and that of `prod` is `example.com`
    #   deploy.php:34: task('notify', function () {
    #     The task does more than run plain commands
    #   deploy.php:38: task('odd', fn($x) => run('make'));
    #     The task does more than run plain commands
    #   deploy.php:44: after('deploy:success', 'notify');
    #     The task `notify` is not one of plain commands
    "#);
}

#[test]
fn a_recipe_of_deployer_in_yaml_is_translated() {
    let workshop = Workshop::new();
    workshop.write(
        "deploy.yaml",
        r#"
import:
  - recipe/symfony.php
  - contrib/slack.php

config:
  repository: "git@example.com:anna/shop.git"
  remote_user: deployer
  keep_releases: 6
  shared_dirs: [var/log, var/uploads]

hosts:
  example.com:
    deploy_path: "~/example"
    port: 22

tasks:
  build:
    - cd: "{{release_path}}"
    - run: "npm run build"
  upload:
    - upload: { src: a, dest: b }

after:
  deploy:failed: deploy:unlock
  deploy:update_code: build
  deploy:publish: [upload, database:migrate]
"#,
    );
    assert_snapshot!(workshop.translates(&["deployer"]), @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Deployer
    # (deploy.yaml).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    # Logs, and since Symfony 7.4 the data that releases share (`APP_SHARE_DIR`). `var/cache` is not
    # shared: it belongs to one release.
    shared_dirs = ["var/log", "var/uploads"]

    # It has `APP_ENV=prod` and the secrets. It must be on the server before the first deploy:
    # `cutover shared push production FILE .env.local`.
    shared_files = [".env.local"]

    # PHP writes there. Their new files and directories keep the group (2).
    writable_dirs = ["var", "var/cache", "var/log", "var/share"]
    writable_mode = "2775"

    # The group of PHP, if PHP runs as another user. The user that deploys must be in it.
    # writable_group = "www-data"

    # If a release fails after the switch, the last lines of this file are in the output.
    logs = ["var/log/prod.log"]
    keep_releases = 6

    # Packages are installed on this machine, before anything is sent.
    [[hooks]]
    name = "composer"
    phase = "build"
    run = "composer install --no-dev --no-interaction --prefer-dist --optimize-autoloader"
    env = { APP_ENV = "prod" }

    # For a source with `importmap.php`.
    # [[hooks]]
    # name = "assets"
    # phase = "build"
    # run = "php bin/console asset-map:compile"
    # env = { APP_ENV = "prod" }

    # For a source with `package.json`.
    # [[hooks]]
    # name = "frontend"
    # phase = "build"
    # run = "npm ci && npm run build"
    # if_changed = ["package-lock.json", "assets/", "webpack.config.js"]

    # The cache holds the path of its release, so each release makes its own.
    [[hooks]]
    name = "cache"
    phase = "before_switch"
    run = "php bin/console cache:clear --no-interaction"

    # For a source with `config/packages/doctrine_migrations.yaml`. The old release runs meanwhile: add
    # columns in one deploy, and remove old ones in a later one.
    # [[hooks]]
    # name = "migrate"
    # phase = "before_switch"
    # run = "php bin/console doctrine:migrations:migrate --no-interaction --allow-no-migration"
    # migration = true
    # once = true

    # For a source with `config/packages/messenger.yaml`. Workers of Messenger end after their message,
    # and their supervisor starts them again with the new code.
    # [[hooks]]
    # name = "messenger"
    # phase = "after_switch"
    # run = "php bin/console messenger:stop-workers"

    # Needed if the web server does not give PHP the path behind the link (`$realpath_root` in nginx).
    # [[hooks]]
    # name = "php-fpm"
    # phase = "after_switch"
    # run = "sudo systemctl reload php-fpm"

    [[hooks]]
    name = "build"
    phase = "before_switch"
    run = """
    set -e
    cd $CUTOVER_RELEASE_PATH
    npm run build
    """

    [production]
    host = "example.com"
    user = "deployer"
    port = 22
    deploy_path = "~/example"

    # Not translated:
    #   deploy.yaml:4: - contrib/slack.php
    #     Its settings and tasks are not read
    #   deploy.yaml:7: repository: "git@example.com:anna/shop.git"
    #     Cutover deploys this checkout, and clones no repository
    #   deploy.yaml:21: upload:
    #     The task does more than run plain commands
    #   deploy.yaml:27: deploy:publish: [upload, database:migrate]
    #     The task `upload` is not one of plain commands
    "#);
}

#[test]
fn a_task_with_conditions_and_one_of_another_place_are_no_hooks() {
    let workshop = Workshop::new();
    workshop.write(
        "deploy.php",
        r"<?php
namespace Deployer;
host('stage.example.com')->set('deploy_path', '/srv/s')->setLabels(['stage' => 'staging']);
host('prod.example.com')->set('deploy_path', '/srv/p')->setLabels(['stage' => 'production']);
task('reset', function () { run('cd {{release_path}} && php artisan migrate:fresh --seed'); })->select('stage=staging');
task('once', function () { run('cd {{release_path}} && ./once'); })->once()->desc('Once');
task('assets', function () { run('npm ci'); })->local();
task('tell', function () { runLocally('./tell'); });
task('warm', function () { run('./bin/warm'); });
task('off', 'rm -rf /srv/x');
task('off')->disable();
task('group', ['warm', 'reset'])->select('stage=staging');
after('deploy:symlink', 'reset');
after('deploy:symlink', 'once');
after('deploy:symlink', 'assets');
before('deploy:update_code', 'assets');
after('deploy:symlink', 'tell');
after('deploy:symlink', 'warm');
after('deploy:symlink', 'off');
after('deploy:symlink', 'group');
",
    );
    let config = workshop.translates(&["deployer"]);
    assert_snapshot!(config.split_once("\n[[hooks]]").unwrap().1, @r#"
    name = "once"
    phase = "after_switch"
    run = "cd $CUTOVER_RELEASE_PATH && ./once"

    [[hooks]]
    name = "assets"
    phase = "build"
    run = "npm ci"

    [[hooks]]
    name = "warm"
    phase = "after_switch"
    run = """
    set -e
    cd "$HOME"
    ./bin/warm
    """

    [staging]
    host = "stage.example.com"
    deploy_path = "/srv/s"

    [production]
    host = "prod.example.com"
    deploy_path = "/srv/p"

    # Not translated:
    #   deploy.php:5: task('reset', function () { run('cd {{release_path}} && php artisan migrate:fresh --seed'); })->sele…
    #     The task `reset` has conditions of its own: `select`
    #   deploy.php:11: task('off')->disable();
    #     The task `off` has conditions of its own: `disable`
    #   deploy.php:12: task('group', ['warm', 'reset'])->select('stage=staging');
    #     The task `group` has conditions of its own: `select`
    #   deploy.php:13: after('deploy:symlink', 'reset');
    #     The task `reset` is not one of plain commands
    #   deploy.php:15: after('deploy:symlink', 'assets');
    #     The task `assets` runs on this machine: here a build does, before the upload
    #   deploy.php:17: after('deploy:symlink', 'tell');
    #     The task `tell` runs on this machine: here a build does, before the upload
    #   deploy.php:19: after('deploy:symlink', 'off');
    #     The task `off` is not one of plain commands
    #   deploy.php:20: after('deploy:symlink', 'group');
    #     The task `group` is not one of plain commands
    "#);
}

#[test]
fn names_in_values_are_replaced_through_each_other_and_what_has_code_is_listed() {
    let workshop = Workshop::new();
    workshop.write(
        "deploy.php",
        r"<?php
namespace Deployer {
set('application', 'shop');
set('base', '/srv/{{application}}');
set('tenant', getenv('TENANT'));
set('shared_dirs', ['storage', 'data/{{tenant}}', 'logs/{{application}}', $more]);
set('shared_files', ['.env', 'config/{{region}}.php']);
set('clear_paths', ['tests', '{{tenant}}']);
set('branch', '{{tenant}}-main');
set('port', 2222);
set('keep_releases', -1);
set('loop', '{{loop}}');
host('a.example.com')->set('deploy_path', '{{base}}/a')->set('keep_releases', 20)->set('region', 'eu');
host('b.example.com')->set('deploy_path', '{{loop}}')->set('remote_user', getenv('ME'))->setPort($port);
host($_SERVER['HOST'])->set('deploy_path', '/srv/c');
}
",
    );
    assert_snapshot!(workshop.translates(&["deployer"]), @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from Deployer
    # (deploy.php).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    exclude = ["/tests"]
    keep_releases = 4294967295
    shared_files = [".env"]

    ["a.example.com"]
    host = "a.example.com"
    port = 2222
    deploy_path = "/srv/shop/a"
    keep_releases = 20

    ["b.example.com"]
    host = "b.example.com"

    # Write the right path here.
    deploy_path = "/srv/b.example.com"

    # Not translated:
    #   deploy.php:4: set('base', '/srv/{{application}}');
    #     Cutover has no such setting
    #   deploy.php:5: set('tenant', getenv('TENANT'));
    #     It was not read: it is no setting that stands there as it is
    #   deploy.php:6: set('shared_dirs', ['storage', 'data/{{tenant}}', 'logs/{{application}}', $more]);
    #     It was not read: it is no setting that stands there as it is
    #   deploy.php:7: set('shared_files', ['.env', 'config/{{region}}.php']);
    #     A path in the list does not stand there as it is: write it into the list
    #   deploy.php:8: set('clear_paths', ['tests', '{{tenant}}']);
    #     A path in the list does not stand there as it is: write it into the list
    #   deploy.php:9: set('branch', '{{tenant}}-main');
    #     Its value does not stand there as it is
    #   deploy.php:12: set('loop', '{{loop}}');
    #     Cutover has no such setting
    #   deploy.php:13: host('a.example.com')->set('deploy_path', '{{base}}/a')->set('keep_releases', 20)->set('region', 'eu…
    #     Cutover has no such setting
    #   deploy.php:14: host('b.example.com')->set('deploy_path', '{{loop}}')->set('remote_user', getenv('ME'))->setPort($po…
    #     It was not read: it is no setting that stands there as it is
    #   deploy.php:14: host('b.example.com')->set('deploy_path', '{{loop}}')->set('remote_user', getenv('ME'))->setPort($po…
    #     It was not read: it is no setting that stands there as it is
    #   deploy.php:14: host('b.example.com')->set('deploy_path', '{{loop}}')->set('remote_user', getenv('ME'))->setPort($po…
    #     Its value does not stand there as it is: write `deploy_path` of the stage
    #   deploy.php:14: host('b.example.com')->set('deploy_path', '{{loop}}')->set('remote_user', getenv('ME'))->setPort($po…
    #     Its value does not stand there as it is: write `port` of the stage
    #   deploy.php:14: host('b.example.com')->set('deploy_path', '{{loop}}')->set('remote_user', getenv('ME'))->setPort($po…
    #     Its value does not stand there as it is: write `user` of the stage
    #   deploy.php:15: host($_SERVER['HOST'])->set('deploy_path', '/srv/c');
    #     It was not read: it is no setting that stands there as it is
    "#);
}

#[test]
fn the_steps_of_an_own_deploy_are_hooks_or_listed() {
    let workshop = Workshop::new();
    let own = |recipe: &str, steps: &str| {
        let text = format!(
            "<?php\nnamespace Deployer;\nrequire 'recipe/{recipe}.php';\nhost('a.example.com')->set('deploy_path', '/srv/a');\n\
             task('deploy', [{steps}]);\n"
        );
        workshop.write("deploy.php", &text);
        (workshop.translates(&["deployer"]), workshop.untranslated(&["deployer"]))
    };
    workshop.write("artisan", "");
    let (config, left) =
        own("common", "'deploy:prepare', 'deploy:vendors', 'deploy:clear_paths', 'deploy:magic', 'deploy:publish'");
    assert!(config.contains("\nrun = \"composer install --verbose"), "{config}");
    assert_eq!(
        left,
        [
            "deploy.php:5: task('deploy', ['deploy:prepare', 'deploy:vendors', 'deploy:clear_paths', 'deploy:magic', 'deploy:pu…"
        ]
    );
    // A database is migrated only where the other tool does.
    let migrate = "\nname = \"migrate\"\n";
    let (config, _) = own("laravel", "'deploy:prepare', 'deploy:vendors', 'deploy:publish'");
    assert!(!config.contains(migrate) && config.contains("# name = \"migrate\"\n"), "{config}");
    let (config, _) = own("laravel", "'deploy:prepare', 'artisan:migrate', 'deploy:publish'");
    assert!(config.contains(migrate), "{config}");
    let (config, _) = own("laravel", "'deploy:prepare', 'inner', 'deploy:publish']); task('inner', ['artisan:migrate'");
    assert!(config.contains(migrate), "{config}");
    let (config, _) = own("laravel", "'artisan:migrate']); task('artisan:migrate')->select('stage=x'); task('b', ['x'");
    assert!(!config.contains(migrate), "{config}");
}

#[test]
fn a_task_of_another_moment_or_with_other_programs_is_no_hook() {
    let workshop = Workshop::new();
    let recipe = |text: &str| {
        let begin =
            "<?php\nnamespace Deployer;\nrequire 'recipe/symfony.php';\nhost('a')->set('deploy_path', '/srv/a');\n";
        workshop.write("deploy.php", &format!("{begin}{text}"));
        let config = workshop.translates(&["deployer"]);
        config.split_once("# Needed if the web server").unwrap().1.split_once("\n\n").unwrap().1.to_owned()
    };
    workshop.write("bin/console", "");
    workshop.write("config/packages/doctrine_migrations.yaml", "");
    let found = recipe(
        "task('clear', function () { run('rm -rf {{release_path}}/var/cache'); });\n\
         task('build', function () { cd('{{release_path}}'); run('./a'); cd('web'); run('./b'); });\n\
         after('deploy:release', 'clear');\nafter('setup', 'build');\nfail('provision', 'build');\n\
         after('deploy:update_code', 'build');\nafter('rollback', 'database:migrate');\n\
         task('deploy:vendors', function () { run('composer install'); });\n",
    );
    assert_snapshot!(found, @r#"
    [[hooks]]
    name = "build"
    phase = "before_switch"
    run = """
    set -e
    cd $CUTOVER_RELEASE_PATH
    ./a
    cd "$HOME"
    cd web
    ./b
    """

    [production]
    host = "a"
    deploy_path = "/srv/a"

    # Not translated:
    #   deploy.php:7: after('deploy:release', 'clear');
    #     There is no new release at that moment
    #   deploy.php:8: after('setup', 'build');
    #     Cutover has no such moment
    #   deploy.php:9: fail('provision', 'build');
    #     It was not read: it is no setting that stands there as it is
    #   deploy.php:11: after('rollback', 'database:migrate');
    #     The task `database:migrate` is not one of plain commands
    #   deploy.php:12: task('deploy:vendors', function () { run('composer install'); });
    #     It takes the place of a step of Deployer: look whether a hook is needed
    "#);
    let config = workshop.translates(&["deployer"]);
    assert!(!config.contains("\nrun = \"php bin/console doctrine:migrations:migrate"), "{config}");
    let found = recipe(
        "set('bin/php', '/usr/bin/php8.1');\nset('deploy_path', '/srv/b');\ntask('x', function () { run('{{bin/php}} a'); });\nafter('deploy:symlink', 'x');\nhost('b')->setHostname(getenv('H'))->setLabels(['stage' => 'b']);\n",
    );
    assert!(!found.contains("[[hooks]]") && found.contains("host = \"web1.example.com\""), "{found}");
}

#[test]
fn hostile_recipes_are_read_to_their_end() {
    let workshop = Workshop::new();
    let steps = vec!["'deploy'"; 50].join(", ");
    workshop.write("deploy.php", &format!("<?php\nrequire 'recipe/laravel.php';\ntask('deploy', [{steps}]);\n"));
    workshop.untranslated(&["deployer"]);
    workshop.write("config/deploy.rb", &"foo;".repeat(200_000));
    assert!(workshop.untranslated(&["capistrano"]).len() <= 210);
    workshop.write("config/deploy.rb", &format!("x\n{}.y\n", "\n".repeat(1_000_000)));
    workshop.untranslated(&["capistrano"]);
    workshop.write(
        "config/deploy.rb",
        &format!(
            "set :a, '{}'\nappend :linked_dirs, {}\n",
            "x".repeat(1 << 20),
            vec!["\"#{fetch(:a)}\""; 10_000].join(", ")
        ),
    );
    workshop.untranslated(&["capistrano"]);
}
