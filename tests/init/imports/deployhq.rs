//! What the API of DeployHQ returns.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::init::Workshop;

#[test]
fn what_deployhq_has_is_translated() {
    let workshop = Workshop::new();
    workshop.write(
        ".deploybuild.yaml",
        "build_languages:\n  - name: \"node\"\n    version: \"18\"\n\nbuild_commands:\n  - description: \"Test Command\"\n    \
         command: \"composer install \\n npm install \\n npm run build\"\n    halt_on_error: true\n\n\
         build_cache_files:\n  - path: node_modules/**\n",
    );
    let server = |identifier: &str, name: &str, more: Value| {
        let mut server = json!({
            "identifier": identifier, "name": name, "protocol_type": "ssh", "server_path": "/var/www/shop",
            "last_revision": null, "preferred_branch": "main", "branch": "", "hostname": "web1.example.com", "port": "22",
            "username": "deploy", "use_ssh_keys": true, "server_group_identifier": null, "atomic": true,
            "host_key": "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
        });
        server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server
    };
    let servers = json!([
        server("a1", "Production Web", json!({ "atomic_retention": 5, "server_group_identifier": "g" })),
        server("a2", "Second Web", json!({ "server_group_identifier": "g" })),
        server("b1", "Staging", json!({ "branch": "devel", "hostname": "staging.example.com" })),
        server("c1", "Bucket", json!({ "protocol_type": "s3" })),
    ]);
    workshop.write("servers.json", &serde_json::to_string_pretty(&servers).unwrap());
    let commands = json!({ "data": { "records": [
        { "identifier": "x", "cback": "before_changes", "position": 1, "description": "Check", "command": "df -h",
          "halt_on_error": true, "servers": [], "timing": "all", "timeout": 300, "enabled": true },
        { "identifier": "y", "cback": "after_changes", "position": 2, "description": "Migrate",
          "command": "php artisan migrate --force\nphp artisan optimize", "halt_on_error": false,
          "servers": [{ "identifier": "a1", "name": "Production Web" }], "timing": "after_first", "timeout": 1800, "enabled": true },
        { "identifier": "z", "cback": "after_changes", "position": 3, "description": "Path", "command": "ls %path%",
          "halt_on_error": true, "servers": [], "timing": "all", "timeout": 300, "enabled": true },
    ] } });
    workshop.write("commands.json", &commands.to_string());
    let excluded =
        json!([{ "identifier": "e", "path": "vendor/**", "servers": [] }, { "identifier": "f", "path": "**/*.psd" }]);
    workshop.write("excluded.json", &excluded.to_string());
    workshop.write(".deployignore", "# tests\ntests\ntests/**\n/docs\n**/*.psd\n");
    let files = [".deploybuild.yaml", "servers.json", "commands.json", "excluded.json"];
    let words: Vec<&str> = ["deployhq"].into_iter().chain(files.iter().flat_map(|file| ["--file", file])).collect();
    assert_snapshot!(workshop.translates(&words), @r#"
    # Cutover deploys this application as this file says. `cutover init` translated it from DeployHQ
    # (.deploybuild.yaml, servers.json, commands.json, excluded.json).
    # `cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy
    # would do.

    build_keep = ["/node_modules"]
    exclude = ["/vendor/**", "**/*.psd"]

    [[hooks]]
    name = "Test Command"
    phase = "build"
    run = """
    set -e
    composer install
    npm install
    npm run build
    """

    [[hooks]]
    name = "Check"
    phase = "before_upload"
    run = "df -h"
    timeout = "300s"

    [production-web]
    host = "web1.example.com"
    user = "deploy"
    port = 22
    deploy_path = "/var/www/shop"
    ref = "main"
    host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    keep_releases = 5

    [[production-web.hooks]]
    name = "Migrate"
    phase = "before_switch"
    run = """
    set -e
    php artisan migrate --force
    php artisan optimize
    """
    when = "after_first"
    timeout = "1800s"
    halt_on_error = false

    [staging]
    host = "staging.example.com"
    user = "deploy"
    port = 22
    deploy_path = "/var/www/shop"
    ref = "devel"
    host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

    # Not translated:
    #   .deploybuild.yaml:2: - name: "node"
    #     The build runs on this machine: `node` must be installed here
    #   .deployignore:2: tests
    #     Here it matches at every depth: write `/tests` for the top alone
    #   commands.json:1: {"data":{"records":[{"cback":"before_changes","command":"df -h","description":"Check","enabled":true…
    #     `%path%` is a variable of DeployHQ: see the variables of hooks
    #   servers.json:26: "name": "Second Web",
    #     A stage has one server here, and that of its group is `Production Web`
    #   servers.json:58: "name": "Bucket",
    #     Cutover deploys over SSH only, and this server is reached by `s3`
    "#);
    let usual = workshop.translates(&["deployhq"]);
    assert!(usual.contains("npm run build") && usual.contains("[production]"), "{usual}");
    let target = ["init", "--print", "--from", "deployhq", "--target", "me@web7:/srv/a", "--stage", "eu"];
    let config = workshop.succeed(&target);
    assert!(config.contains("[eu]\nhost = \"web7\"\n") && config.contains("npm run build"), "{config}");
}

#[test]
fn the_directory_of_a_server_is_the_source_and_a_command_without_a_server_is_listed() {
    let workshop = Workshop::new();
    let servers = json!([
        { "identifier": "a", "name": "Web", "protocol_type": "ssh", "hostname": "web1", "server_path": "/srv/a", "root_path": "dist/public/" },
        { "identifier": "b", "name": "Old", "protocol_type": "ftp", "hostname": "old", "server_path": "/srv/b" },
        { "cback": "after_changes", "description": "x", "command": "./x", "servers": [{ "identifier": "b" }] },
    ]);
    workshop.write("deployhq.json", &serde_json::to_string_pretty(&servers).unwrap());
    fs::create_dir_all(workshop.path("shop/dist/public")).unwrap();
    let config = workshop.translates(&["deployhq"]);
    assert!(config.contains("\nsource = \"dist/public\"\n") && !config.contains("[[hooks]]"), "{config}");
    let left = workshop.untranslated(&["deployhq"]);
    assert!(left.iter().any(|part| part.contains("./x")), "{left:?}");
}
