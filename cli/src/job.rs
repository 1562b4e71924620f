//! The job of a continuous integration that runs the command, found by the variables of common ones.

/// Returns the address of the job, or its name, from the variables of the environment.
pub(crate) fn job(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    const ADDRESSES: [&str; 8] = [
        "CI_JOB_URL",
        "BUILD_URL",
        "BUILDKITE_BUILD_URL",
        "CIRCLE_BUILD_URL",
        "TRAVIS_JOB_WEB_URL",
        "DRONE_BUILD_LINK",
        "SEMAPHORE_WORKFLOW_URL",
        "BITBUCKET_PIPELINE_URL",
    ];
    let of_github = || {
        let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?))
    };
    of_github().or_else(|| ADDRESSES.into_iter().find_map(&variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_its_address() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
            assert_eq!(job(variable).as_deref(), expected);
        };
        check(&[], None);
        check(&[("CI_JOB_URL", "https://git.example.com/7")], Some("https://git.example.com/7"));
        check(&[("GITHUB_SERVER_URL", "https://git.example.com"), ("GITHUB_REPOSITORY", "me/shop")], None);
        check(
            &[
                ("GITHUB_SERVER_URL", "https://git.example.com"),
                ("GITHUB_REPOSITORY", "me/shop"),
                ("GITHUB_RUN_ID", "7"),
            ],
            Some("https://git.example.com/me/shop/actions/runs/7"),
        );
    }
}
