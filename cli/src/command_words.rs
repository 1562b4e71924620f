//! The words of a command for the server, as the user wrote them behind `--`.
//!
//! One word is a command line for the shell: `-- 'php artisan down && php artisan up'`. Several words are a program and
//! its arguments, and the shell must read each as it is: `-- grep 'a b' *.php` searches for `a b` in what the local
//! shell made of `*.php`.

use engine::shell::quoted;

use crate::failure::Failure;

/// The longest command in bytes: far more than a person types, and less than a server takes as one argument.
const COMMAND_MAX: usize = 64 << 10;

/// Returns the command for the server's shell.
pub(crate) fn command(words: &[String]) -> Result<String, Failure> {
    let command = match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<String>>().join(" "),
    };
    if command.trim().is_empty() {
        return Err(Failure::usage("There is no command behind `--`")
            .hint("Write one: `cutover exec STAGE -- php artisan about`"));
    }
    if command.contains('\0') {
        return Err(Failure::usage("The command has a NUL byte").hint("Leave it out: no program takes one"));
    }
    if command.len() > COMMAND_MAX {
        return Err(Failure::usage(format!(
            "The command has {} bytes; at most {COMMAND_MAX} are taken",
            command.len()
        ))
        .hint("Put it into a script of the release, and run that"));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        command(&words).map_err(|failure| failure.message)
    }

    #[test]
    fn one_word_is_for_the_shell_and_several_are_as_they_are() {
        let check = |words: &[&str], expected: &str| assert_eq!(of(words).as_deref(), Ok(expected));
        check(&["php artisan down && echo $HOME"], "php artisan down && echo $HOME");
        check(&["php", "artisan", "about"], "php artisan about");
        check(&["grep", "a b", "$HOME", "*.php", ""], "grep 'a b' '$HOME' '*.php' ''");
        check(&["echo", "it's", "a;b"], "echo 'it'\\''s' 'a;b'");
    }

    #[test]
    fn the_shell_reads_several_words_back() {
        let words = ["printf", "[%s]", "a b", "$HOME", "it's", "*", "-n", "é\n"];
        let output = std::process::Command::new("sh").args(["-c", &of(&words).unwrap()]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "[a b][$HOME][it's][*][-n][é\n]");
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for words in [&[][..], &[""], &["  \n"]] {
            assert_eq!(of(words), Err("There is no command behind `--`".into()), "{words:?}");
        }
        assert_eq!(of(&["a\0b"]), Err("The command has a NUL byte".into()));
        let long = "x".repeat(COMMAND_MAX + 1);
        assert!(of(&[&long]).unwrap_err().starts_with("The command has 65537 bytes"));
    }
}
