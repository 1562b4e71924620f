//! The level at which content is packed, the content that is not packed, and that all of it arrives.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::real_tree::noise;
use crate::support::site::Site;

const MIB: usize = 1 << 20;

/// Returns bytes of content by level.
fn levels(report: &Value) -> BTreeMap<i32, u64> {
    serde_json::from_value(report["zstd_levels"].clone()).unwrap()
}

fn text(words: usize) -> String {
    (0..words).map(|word| format!("{} ", word * word % 4099)).collect()
}

/// Writes files, and returns how many bytes of them compress and how many do not.
fn write_all_kinds(site: &Site) -> (u64, u64) {
    let mut dense = 0;
    for (number, length) in [40_000, 300_000, MIB, 3 * MIB, 4 * MIB, 9 * MIB].into_iter().enumerate() {
        site.write(&format!("dense/{number}"), noise(number as u64 + 1, length));
        dense += length;
    }
    let mut plain = 0;
    let mut write = |path: String, content: Vec<u8>| {
        plain += content.len();
        site.write(&path, content);
    };
    for number in 0..40 {
        write(format!("text/{number}"), text(3000 + number * 50).into_bytes());
    }
    write("zeros".into(), vec![0; 20 * MIB]);
    // Of such, less fits a block as it travels than fits one unpacked.
    for number in 0..30 {
        let mut rough = noise(100 + number, 900_000);
        rough.chunks_mut(1000).for_each(|chunk| chunk[700..].fill(b' '));
        write(format!("rough/{number}"), rough);
    }
    for number in 0..3000 {
        write(format!("tiny/{number}"), noise(1000 + number, 2000));
    }
    (plain as u64, dense as u64)
}

#[test]
fn content_of_every_kind_arrives_and_what_is_dense_is_sent_as_it_is() {
    for level in [Some(1), Some(9), None] {
        let site = Site::new();
        let (plain, dense) = write_all_kinds(&site);
        let flag = level.map(|level| format!("--zstd-level={level}"));
        let flags: Vec<&str> = flag.iter().map(String::as_str).collect();
        let report = site.deploy(&flags);
        crate::support::tree::assert_same(&site.path("source"), &site.current(""));
        let mut levels = levels(&report);
        assert_eq!(levels.remove(&0), Some(dense));
        assert_eq!(levels.values().sum::<u64>(), plain);
        if let Some(level) = level {
            assert_eq!(levels.into_keys().collect::<Vec<_>>(), [level]);
        }
    }
}

#[test]
fn little_is_packed_small_and_the_config_names_another_level() {
    let mut site = Site::new();
    site.write("a", text(1000));
    let bytes = text(1000).len() as u64;
    assert_eq!(levels(&site.deploy(&[])), [(9, bytes)].into());
    site.write("a", text(1001));
    site.write("b", text(2000));
    site.configure("zstd_level = 4");
    let report = site.deploy(&[]);
    assert_eq!(levels(&report).into_keys().collect::<Vec<_>>(), [4]);
    site.write("c", text(3000));
    assert_eq!(levels(&site.deploy(&["--zstd-level", "2"])).into_keys().collect::<Vec<_>>(), [2]);
}
