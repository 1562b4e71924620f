//! The words and flags that make another verb work at the same place, so that commands in messages can be pasted.

use clap::ValueEnum;
use engine::shell::quoted;

use crate::args::{
    AdoptArgs, Args, CleanupArgs, ConfigArgs, ConfigVerb, DeployArgs, DoctorArgs, DuArgs, ExecArgs, GlobalArgs,
    HooksArgs, HooksVerb, ReleasesArgs, RunHookArgs, SetupArgs, SharedArgs, SharedCommand, ShowArgs, SshArgs,
    StatusArgs, UnlockArgs, Verb, WebArgs, WebVerb,
};
use crate::words::{Stages, Word};

/// Returns the words and flags that make another verb work at the same place, each after a space.
pub(crate) fn flags(args: &Args, stages: &Stages) -> String {
    let (words, target) = match &args.verb {
        Verb::Setup(SetupArgs { place })
        | Verb::Ssh(SshArgs { place, .. })
        | Verb::Exec(ExecArgs { place, .. })
        | Verb::Releases(ReleasesArgs { place, .. })
        | Verb::Status(StatusArgs { place, .. })
        | Verb::Du(DuArgs { place })
        | Verb::Deploy(DeployArgs { place, .. })
        | Verb::Adopt(AdoptArgs { place, .. })
        | Verb::Doctor(DoctorArgs { place, .. })
        | Verb::Unlock(UnlockArgs { place, .. })
        | Verb::Cleanup(CleanupArgs { place, .. }) => {
            (place.stage.as_deref().into_iter().collect(), &place.target.target)
        }
        Verb::Lock(args) => (args.place().stage.as_deref().into_iter().collect(), &args.place().target.target),
        Verb::Switch(args) => (args.release.words(), &args.release.target.target),
        Verb::Unpin(args) => (args.words(), &args.target.target),
        Verb::Pin(args) => (args.release.words(), &args.release.target.target),
        Verb::Rollback(args) => (args.words(), &args.target.target),
        Verb::Log(args) => (args.words(), &args.target.target),
        Verb::Diff(args) => (args.words(), &args.target.target),
        Verb::Shared(SharedArgs { command: SharedCommand::List(place) }) => {
            (place.stage.as_deref().into_iter().collect(), &place.target.target)
        }
        Verb::Shared(SharedArgs { command }) => {
            let (words, target) = command.stage();
            (words.into_iter().collect(), target)
        }
        Verb::Hooks(HooksArgs { verb: HooksVerb::List(place) | HooksVerb::Run(RunHookArgs { place, .. }) }) => {
            (place.stage.as_deref().into_iter().collect(), &place.target.target)
        }
        Verb::Web(WebArgs { verb: WebVerb::Nginx(args) | WebVerb::Apache(args) | WebVerb::Caddy(args) }) => {
            (args.place.stage.as_deref().into_iter().collect(), &args.place.target.target)
        }
        Verb::Config(ConfigArgs { verb: ConfigVerb::Show(ShowArgs { place, .. }) }) => {
            (place.stage.as_deref().into_iter().collect(), &place.target.target)
        }
        Verb::Init(_)
        | Verb::Config(_)
        | Verb::Explain(_)
        | Verb::Completions(_)
        | Verb::Man(_)
        | Verb::Reference
        | Verb::Agent(_) => (Vec::new(), &None),
    };
    let mut place = String::new();
    let is_stage = |word: &str| match &args.verb {
        Verb::Switch(_) | Verb::Unpin(_) | Verb::Pin(_) | Verb::Rollback(_) | Verb::Diff(_) => {
            matches!(stages.parse(word), Ok(Word::Stage(_)))
        }
        // The other word is a number.
        Verb::Log(_) => word.starts_with(|first: char| first.is_ascii_alphabetic()),
        _ => true,
    };
    let stage = words.iter().find(|word| is_stage(word));
    if let Some(stage) = stage {
        place += &format!(" {stage}");
    }
    if let Some(target) = target {
        place += &format!(" --target {}", quoted(&target.to_string_lossy()));
    }
    let GlobalArgs { config, set, ssh_config, identity, transport, .. } = &args.everywhere;
    for (flag, file) in [("--config", config), ("--ssh-config", ssh_config), ("--identity", identity)] {
        if let Some(file) = file {
            place += &format!(" {flag} {}", quoted(&file.to_string_lossy()));
        }
    }
    for word in set {
        place += &format!(" --set {}", quoted(word));
    }
    if let Some(transport) = transport.and_then(|transport| transport.to_possible_value()) {
        place += &format!(" --transport {}", transport.get_name());
    }
    place
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn another_verb_is_sent_to_the_same_place() {
        let check = |line: &str, expected: &str| {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            let stages = ["shop", "web1"].into_iter().collect();
            assert_eq!(format!("cutover status{}", flags(&args, &stages)), expected, "{line}");
        };
        check("cutover deploy", "cutover status");
        check("cutover deploy shop --json", "cutover status shop");
        check("cutover shared edit shop .env", "cutover status shop");
        check("cutover shared edit env", "cutover status");
        check("cutover switch 1 shop", "cutover status shop");
        check("cutover switch v1.2 web1", "cutover status web1");
        check("cutover deploy web9", "cutover status web9");
        check("cutover switch 1 --target me@web1:/srv", "cutover status --target me@web1:/srv");
        check("cutover deploy --target /a;b", "cutover status --target '/a;b'");
        check("cutover rollback --config a'b", "cutover status --config 'a'\\''b'");
        check("cutover deploy -F a -i b", "cutover status --ssh-config a --identity b");
        check("cutover deploy --set port=22 --set host=a;b", "cutover status --set 'port=22' --set 'host=a;b'");
        check("cutover deploy --transport openssh shop", "cutover status shop --transport openssh");
    }
}
