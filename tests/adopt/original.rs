//! The directory that was adopted: it is counted, and removed on request.

use crate::support::site::text;

use super::{adopt, deploy_path, standing, to_deploy_path};

#[test]
fn the_adopted_directory_is_counted_and_removed_on_request_and_then_nothing_goes_back() {
    let mut site = standing();
    adopt(&site, &["--yes"]).succeeded();
    let original = deploy_path(&site).join(".cutover/original");
    to_deploy_path(&mut site);
    let counted = site.succeed(&["du"])["original"]["bytes"].as_u64().unwrap();
    assert!(counted > 0);
    assert_eq!(site.succeed(&["cleanup"])["original"], serde_json::Value::Null);
    let dry = site.succeed(&["cleanup", "--original", "--dry-run"]);
    assert_eq!(dry["original"]["bytes"], counted);
    assert!(original.join("old/index.php").exists());

    let report = site.succeed(&["cleanup", "--original", "--yes"]);
    assert_eq!(report["original"]["bytes"], counted);
    assert!(report["freed_bytes"].as_u64().unwrap() >= counted);
    assert!(!original.exists());
    let link = site.path("target");
    site.move_to(&link);
    site.cutover(&["adopt", "--undo", "--yes"])
        .failed(1, &["[not-adopted]", "was removed on request", "`cutover releases"]);
    to_deploy_path(&mut site);
    assert_eq!(site.succeed(&["cleanup", "--original", "--yes"])["original"], serde_json::Value::Null);
    // What is served and shared is as it was.
    let live = text(&site.succeed(&["status"])["live"]["id"]);
    assert!(deploy_path(&site).join("releases").join(live).join("public/index.php").exists());
    assert!(deploy_path(&site).join("shared/public/uploads/2026/a.jpg").exists());
}
