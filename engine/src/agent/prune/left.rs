//! The names in removed releases that this user may not remove, because the application or another user made them.
//!
//! They stay in trash, out of reach of a web server, and each cleanup tries again. They never fail a deploy.

use std::os::unix::ffi::OsStrExt;

use crate::accounts::Accounts;
use crate::agent::site::layout::Layout;
use crate::agent::trash;
use crate::disk::LeftName;
use crate::path::shown_path;
use crate::shell::quoted;

/// The names that the warning has.
const NAMED_MAX: usize = 3;

/// Returns the warning for what is left, with the first names, their owners, and the command that removes their trees.
pub(super) fn left_warning(layout: &Layout, left: &[LeftName], total: u64) -> Option<String> {
    let first = left.first()?;
    let accounts = Accounts::read();
    let name = |name: &LeftName| format!("`{}` (owner {})", shown_path(&name.path), accounts.user_shown(name.owner));
    let mut named = left.iter().take(NAMED_MAX).map(name).collect::<Vec<_>>().join(", ");
    let further = total.saturating_sub(NAMED_MAX as u64);
    if further > 0 {
        named += &format!(" and {further} more");
    }
    let trees = trees(layout, left).join(" ");
    let what = if total == 1 { "1 name".to_owned() } else { format!("{total} names") };
    let next = match trees.is_empty() {
        true => format!("give `{}` to the user that deploys", shown_path(&first.path)),
        false => format!("remove them on the server with `sudo rm -rf --one-file-system {trees}`"),
    };
    Some(format!(
        "{what} in removed releases cannot be removed by this user, and the next cleanup tries again: {named}. To be rid of them, {next}. Files that the application keeps belong in `shared/`"
    ))
}

/// Returns the trees in trash with those names, for a shell.
fn trees(layout: &Layout, left: &[LeftName]) -> Vec<String> {
    let trash = layout.trash.path();
    let tree = |name: &LeftName| {
        let tree = name.path.strip_prefix(trash).ok()?.components().next()?;
        let real = trash::tree_path(layout, tree.as_os_str().as_bytes()).ok()?;
        Some(quoted(real.to_str()?).to_string())
    };
    let mut trees: Vec<String> = left.iter().filter_map(tree).collect();
    trees.sort_unstable();
    trees.dedup();
    trees
}
