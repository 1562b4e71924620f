//! The job of a CI that runs the command: who started it, for which branch, and where it is seen.
//!
//! The names are those that each CI documents. Gitea and Forgejo set those of GitHub, and Woodpecker those of Drone's
//! kind.

/// The job of a CI. All are `None` elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Job {
    /// The person who started it.
    pub(crate) actor: Option<String>,
    /// The branch, or the tag: the checkout of a CI has none itself.
    pub(crate) branch: Option<String>,
    /// Its address, or its name.
    pub(crate) address: Option<String>,
}

/// The variable that a CI sets, those of the person and of the branch, and the template of the address: `$NAME` is a
/// variable.
const SYSTEMS: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "GITHUB_ACTIONS",
        &["GITHUB_ACTOR"],
        &["GITHUB_HEAD_REF", "GITHUB_REF_NAME"],
        "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID",
    ),
    ("GITLAB_CI", &["GITLAB_USER_LOGIN"], &["CI_COMMIT_REF_NAME"], "$CI_JOB_URL"),
    ("JENKINS_URL", &["BUILD_USER_ID"], &["BRANCH_NAME", "GIT_BRANCH"], "$BUILD_URL"),
    ("CIRCLECI", &["CIRCLE_USERNAME"], &["CIRCLE_BRANCH", "CIRCLE_TAG"], "$CIRCLE_BUILD_URL"),
    (
        "BUILDKITE",
        &["BUILDKITE_UNBLOCKER", "BUILDKITE_BUILD_CREATOR"],
        &["BUILDKITE_BRANCH"],
        "$BUILDKITE_BUILD_URL#$BUILDKITE_JOB_ID",
    ),
    (
        "BITBUCKET_BUILD_NUMBER",
        &[],
        &["BITBUCKET_BRANCH", "BITBUCKET_TAG"],
        "https://bitbucket.org/$BITBUCKET_REPO_FULL_NAME/pipelines/results/$BITBUCKET_BUILD_NUMBER",
    ),
    (
        "TF_BUILD",
        &["BUILD_REQUESTEDFOR"],
        &["BUILD_SOURCEBRANCHNAME"],
        "$SYSTEM_TEAMFOUNDATIONCOLLECTIONURI$SYSTEM_TEAMPROJECT/_build/results?buildId=$BUILD_BUILDID",
    ),
    ("DRONE", &["DRONE_BUILD_TRIGGER"], &["DRONE_BRANCH", "DRONE_TAG"], "$DRONE_BUILD_LINK"),
    ("CODEBUILD_BUILD_ID", &["CODEBUILD_INITIATOR"], &[], "$CODEBUILD_BUILD_ID"),
    ("TRAVIS", &[], &["TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"], "$TRAVIS_BUILD_WEB_URL"),
    ("TEAMCITY_VERSION", &[], &[], "$BUILD_URL"),
    (
        "SEMAPHORE",
        &["SEMAPHORE_WORKFLOW_TRIGGERED_BY"],
        &["SEMAPHORE_GIT_BRANCH"],
        "$SEMAPHORE_ORGANIZATION_URL/jobs/$SEMAPHORE_JOB_ID",
    ),
    ("CI", &["CI_COMMIT_AUTHOR"], &["CI_COMMIT_BRANCH", "CI_COMMIT_TAG"], "$CI_PIPELINE_URL"),
];

/// The longest address or name, in bytes. A longer one is left out.
const TEXT_BYTES_MAX: usize = 1000;

impl Job {
    /// Finds the job in variables.
    pub(crate) fn find(variable: impl Fn(&str) -> Option<String>) -> Job {
        let variable = |name: &str| variable(name).filter(|text| !text.is_empty() && text.len() <= TEXT_BYTES_MAX);
        let system = SYSTEMS.iter().find(|(marker, ..)| variable(marker).is_some());
        system.map_or_else(Job::default, |(_, actors, branches, address)| Job {
            actor: actors.iter().find_map(|name| variable(name)),
            branch: branches.iter().find_map(|name| variable(name)),
            address: fill(address, variable),
        })
    }
}

/// Puts the values of variables into a template. Returns nothing if one is missing.
fn fill(template: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut parts = template.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
        let (name, rest) = part.split_at(part.find(|c| !is_name(c)).unwrap_or(part.len()));
        text += &variable(name)?;
        text += rest;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_and_its_person_are_found_in_the_variables_of_each_ci() {
        let check = |variables: &[(&str, &str)], actor: Option<&str>, address: Option<&str>| {
            let find =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let found = Job::find(find);
            assert_eq!((found.actor.as_deref(), found.address.as_deref()), (actor, address), "{variables:?}");
        };
        check(&[], None, None);
        check(&[("GITHUB_ACTOR", "anna"), ("GITHUB_RUN_ID", "7")], None, None);
        check(
            &[
                ("CI", "true"),
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_ACTOR", "anna"),
                ("GITHUB_SERVER_URL", "https://github.com"),
                ("GITHUB_REPOSITORY", "shop/site"),
                ("GITHUB_RUN_ID", "7"),
            ],
            Some("anna"),
            Some("https://github.com/shop/site/actions/runs/7"),
        );
        let gitlab = [("CI", "true"), ("GITLAB_CI", "true"), ("GITLAB_USER_LOGIN", "bert")];
        check(&gitlab, Some("bert"), None);
        check(
            &[&gitlab[..], &[("CI_JOB_URL", "https://git/-/jobs/1")]].concat(),
            Some("bert"),
            Some("https://git/-/jobs/1"),
        );
        check(&[("JENKINS_URL", "https://j/"), ("BUILD_URL", "https://j/7/")], None, Some("https://j/7/"));
        check(
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_BUILD_CREATOR", "carl"),
                ("BUILDKITE_BUILD_URL", "https://b/7"),
                ("BUILDKITE_JOB_ID", "x"),
            ],
            Some("carl"),
            Some("https://b/7#x"),
        );
        check(
            &[
                ("TF_BUILD", "True"),
                ("BUILD_REQUESTEDFOR", "Dora D"),
                ("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", "https://dev.azure.com/shop/"),
                ("SYSTEM_TEAMPROJECT", "site"),
                ("BUILD_BUILDID", "7"),
            ],
            Some("Dora D"),
            Some("https://dev.azure.com/shop/site/_build/results?buildId=7"),
        );
        check(&[("CI", "1"), ("CI_PIPELINE_URL", &"x".repeat(1001))], None, None);
    }

    #[test]
    fn the_branch_of_a_job_is_found_and_that_of_a_merge_request_before_it() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let find =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Job::find(find).branch.as_deref(), expected, "{variables:?}");
        };
        let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_REF_NAME", "7/merge"), ("GITHUB_HEAD_REF", "")];
        check(&github, Some("7/merge"));
        check(&[&[("GITHUB_HEAD_REF", "cart")], &github[..]].concat(), Some("cart"));
        check(&[("GITLAB_CI", "true"), ("CI_COMMIT_REF_NAME", "v1.2")], Some("v1.2"));
        check(&[("GITHUB_REF_NAME", "main")], None);
        check(&[("CI", "true"), ("CI_COMMIT_BRANCH", "main")], Some("main"));
    }
}
