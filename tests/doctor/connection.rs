//! Connections that fail: one finding, and the exit code of every verb.

use std::fs;

use serde_json::Value;

use super::Target;

/// Examines a target that is not reached, and compares with another verb.
#[track_caller]
fn check(target: &Target, id: &str, code: i32) -> Value {
    let ran = target.examine(&[]);
    let other = target.site.cutover(&["status"]);
    assert_eq!((ran.code, other.code), (Some(code), Some(code)), "{}", ran.stderr);
    let findings = ran.json["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[0]["id"]), (1, &Value::from(id)), "{}", ran.json);
    let hint = &other.json["error"]["hint"];
    assert_eq!(&findings[0]["fix"], hint);
    let skipped = ran.json["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "skipped").count();
    assert_eq!(skipped, 21);
    findings[0].clone()
}

#[test]
fn an_error_of_the_connection_is_a_finding_with_the_hint_of_every_verb() {
    let Some(mut target) = Target::deployed() else { return };
    let config = fs::read_to_string(target.sshd.client(".ssh/config")).unwrap();
    let port = format!("Port {}", target.sshd.port());
    let changed =
        |from: &str, to: &str| fs::write(target.sshd.client(".ssh/config"), config.replace(from, to)).unwrap();
    changed(&port, "Port 1");
    check(&target, "host-unreachable", 3);
    changed("HostName 127.0.0.1", "HostName nowhere.invalid");
    check(&target, "host-unreachable", 3);
    changed("known_hosts", "other_hosts");
    check(&target, "host-key", 1);
    changed("id_ed25519", "none");
    check(&target, "login-refused", 1);
    changed("", "");
    let user = target.sshd.add_user("/usr/sbin/nologin");
    target.site.move_on_server(&user, &target.home("site"));
    check(&target, "agent-not-started", 1);
}
