//! The tools: Cutover, and rsync in its best honest modes.

pub(crate) mod checkout;
pub(crate) mod cutover;
pub(crate) mod rsync;
pub(crate) mod site;

use crate::scenario::Scenario;
use crate::tool::Tool;
use crate::tools::cutover::Cutover;
use crate::tools::rsync::Rsync;

/// Returns the tools that take part in a scenario: Cutover first, its variants after it, then rsync's modes.
pub(crate) fn joining(scenario: Scenario, variants: &[String]) -> Vec<Box<dyn Tool>> {
    all(variants).into_iter().filter(|tool| tool.joins(scenario)).collect()
}

fn all(variants: &[String]) -> Vec<Box<dyn Tool>> {
    let mut tools: Vec<Box<dyn Tool>> = vec![Box::new(Cutover::default())];
    tools.extend(variants.iter().map(|options| Box::new(Cutover::with(options)) as Box<dyn Tool>));
    tools.extend(Rsync::MODES.iter().map(|mode| Box::new(*mode) as Box<dyn Tool>));
    tools
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::place::slug;

    #[test]
    fn no_two_tools_share_a_title_or_a_directory() {
        let titles: Vec<String> = all(&["--zstd-level 3".to_owned()]).iter().map(|tool| tool.title()).collect();
        let directories: HashSet<String> = titles.iter().map(|title| slug(title)).collect();
        assert_eq!(directories.len(), titles.len());
        for title in &titles {
            // The first ends a cell of Markdown, the second a job's name.
            assert!(!title.contains('|') && !title.contains(": "), "{title}");
        }
    }

    #[test]
    fn cutover_takes_part_everywhere_and_rsync_where_it_is_at_its_best() {
        let titles = |scenario| joining(scenario, &[]).iter().map(|tool| tool.title()).collect::<Vec<_>>();
        assert_eq!(titles(Scenario::First), ["cutover deploy", "rsync -a", "rsync -az --zc=zstd"]);
        assert_eq!(titles(Scenario::Next), ["cutover deploy", "rsync -rlpzc --link-dest"]);
        assert_eq!(titles(Scenario::Worst), ["cutover deploy"]);
    }
}
