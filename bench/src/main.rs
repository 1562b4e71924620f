//! Measures Cutover against rsync on real trees.
fn main() {}
