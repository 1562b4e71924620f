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
