//! Asks a person what the server asks (`keyboard-interactive`).
//!
//! The server chooses the words, and may be hostile. Control characters are escaped where the words are shown, their
//! length and number are bounded here, and the person is told that the server asks. A server that asks too much is left.
//!
//! libssh2 calls back for an answer and takes no failure. If there is no answer, the connection is ended: an empty
//! answer would count as a wrong one, and servers lock accounts after some of these.

use ssh2::{KeyboardInteractivePrompt, Prompt};

use crate::ask::{Answers, Question, Subject};
use crate::error::Error;
use crate::wire::steps::Steps;

/// The most questions at once, and the most times that the server may ask in one login: more than any module of PAM
/// does.
const QUESTIONS_MAX: usize = 10;
const ROUNDS_MAX: usize = 10;
/// The longest text of a question, and the longest text before questions, in characters.
const TEXT_MAX: usize = 200;
const INSTRUCTION_MAX: usize = 1000;

/// The reason that an interview ended without an answer.
pub(super) enum Unanswered {
    /// Nobody can be asked. These are the questions.
    Nobody(Vec<String>),
    /// The person did not answer.
    Declined,
    /// The server asks too much.
    TooMuch,
    /// The command was interrupted.
    Failed(Error),
}

/// One try of `keyboard-interactive`.
pub(super) struct Interview<'a> {
    pub(super) steps: &'a Steps,
    /// None if nobody can be asked.
    pub(super) answers: Option<&'a Answers>,
    /// Whether the answers of the try before were wrong.
    pub(super) is_again: bool,
    /// The number of times that the server has asked.
    pub(super) rounds: usize,
    /// The reason that it ended, if it has.
    pub(super) unanswered: Option<Unanswered>,
}

impl<'a> Interview<'a> {
    pub(super) fn new(steps: &'a Steps, answers: Option<&'a Answers>, is_again: bool) -> Interview<'a> {
        Interview { steps, answers, is_again, rounds: 0, unanswered: None }
    }

    fn answer(&mut self, instruction: &str, prompts: &[Prompt<'_>]) -> Result<Vec<String>, Unanswered> {
        self.rounds += 1;
        if self.unanswered.is_some() || prompts.len() > QUESTIONS_MAX || self.rounds > ROUNDS_MAX {
            return Err(self.unanswered.take().unwrap_or(Unanswered::TooMuch));
        }
        let Some(answers) = self.answers else {
            let texts = prompts.iter().map(|prompt| shown(&prompt.text, TEXT_MAX));
            return Err(Unanswered::Nobody(texts.collect()));
        };
        let mut given = Vec::new();
        for (at, prompt) in prompts.iter().enumerate() {
            let question = Question {
                about: Subject::OfServer {
                    server: self.steps.server.clone(),
                    instruction: if at == 0 { shown(instruction, INSTRUCTION_MAX) } else { String::new() },
                    text: shown(&prompt.text, TEXT_MAX),
                },
                echo: prompt.echo,
                is_again: self.is_again && self.rounds == 1 && at == 0,
            };
            match answers.ask(&question, &self.steps.cancel) {
                Ok(Some(answer)) => given.push(answer.as_str().to_owned()),
                Ok(None) => return Err(Unanswered::Declined),
                Err(error) => return Err(Unanswered::Failed(error)),
            }
        }
        self.steps.answered();
        Ok(given)
    }
}

impl KeyboardInteractivePrompt for Interview<'_> {
    fn prompt<'p>(&mut self, _user: &str, instruction: &str, prompts: &[Prompt<'p>]) -> Vec<String> {
        self.answer(instruction, prompts).unwrap_or_else(|unanswered| {
            self.unanswered = Some(unanswered);
            self.steps.hang_up();
            Vec::new()
        })
    }
}

/// Bounds a text of the server, and drops characters that change the direction of what stands beside them or cannot be
/// seen: these could make a question look like another one.
fn shown(text: &str, most: usize) -> String {
    let is_hidden = |c: &char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let mut characters = text.trim().chars().filter(|c| !is_hidden(c));
    let mut kept: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::ask::{Asker, Secret};
    use crate::cancel::Cancel;
    use crate::server::Server;

    /// Answers everything, and keeps the questions.
    #[derive(Debug, Default)]
    struct Talker(Mutex<Vec<Question>>);

    impl Asker for Talker {
        fn ask(&self, question: &Question, _: &Cancel) -> Result<Option<Secret>, Error> {
            self.0.lock().unwrap().push(question.clone());
            Ok(Some(Secret::new("yes".into())))
        }
    }

    fn prompts(texts: &[&str]) -> Vec<Prompt<'static>> {
        texts.iter().map(|&text| Prompt { text: text.to_owned().into(), echo: false }).collect()
    }

    /// Lets a server ask, and returns the number of answers of each time, and whether the connection stands.
    fn interview(answers: Option<&Answers>, rounds: &[Vec<Prompt<'_>>]) -> (Vec<usize>, bool, Option<Unanswered>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let steps = Steps {
            server: Server { name: "shop".into(), host_name: "shop".into(), port: 22 },
            socket: Arc::clone(&socket),
            cancel: Cancel::default(),
            patience: Duration::from_secs(1),
            answered: Cell::new(None),
        };
        let mut interview = Interview::new(&steps, answers, false);
        let given = rounds.iter().map(|prompts| interview.prompt("me", "Look", prompts).len()).collect();
        let unanswered = interview.unanswered;
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let is_open = std::io::Read::read(&mut &server, &mut [0; 1]).is_err();
        (given, is_open, unanswered)
    }

    #[test]
    fn a_server_gets_an_answer_to_each_question() {
        let talker = Arc::new(Talker::default());
        let answers = Answers::of(talker.clone());
        let (given, is_open, unanswered) = interview(Some(&answers), &[prompts(&["Password:", "Code:"])]);
        assert_eq!((given, is_open), (vec![2], true));
        assert!(unanswered.is_none());
        let asked = talker.0.lock().unwrap();
        let about = |instruction: &str, text: &str| Subject::OfServer {
            server: Server { name: "shop".into(), host_name: "shop".into(), port: 22 },
            instruction: instruction.into(),
            text: text.into(),
        };
        // The text before the questions is said once.
        assert_eq!([&asked[0].about, &asked[1].about], [&about("Look", "Password:"), &about("", "Code:")]);
    }

    #[test]
    fn a_server_that_asks_too_much_is_left() {
        let answers = Answers::of(Arc::new(Talker::default()));
        let (given, is_open, unanswered) = interview(Some(&answers), &[prompts(&["?"; QUESTIONS_MAX + 1])]);
        assert_eq!((given, is_open), (vec![0], false));
        assert!(matches!(unanswered, Some(Unanswered::TooMuch)));
        let rounds: Vec<_> = (0..=ROUNDS_MAX).map(|_| prompts(&["?"])).collect();
        let (given, is_open, unanswered) = interview(Some(&answers), &rounds);
        assert_eq!((given.iter().sum::<usize>(), is_open), (ROUNDS_MAX, false));
        assert!(matches!(unanswered, Some(Unanswered::TooMuch)));
    }

    #[test]
    fn where_nobody_can_be_asked_the_questions_are_noted_and_not_answered() {
        let (given, is_open, unanswered) = interview(None, &[prompts(&["Password:", "Code:"])]);
        assert_eq!((given, is_open), (vec![0], false));
        assert!(matches!(unanswered, Some(Unanswered::Nobody(texts)) if texts == ["Password:", "Code:"]));
    }

    #[test]
    fn a_text_of_the_server_is_bounded_and_hides_nothing() {
        assert_eq!(shown(" Verification code: ", 200), "Verification code:");
        assert_eq!(shown("a\u{202e}b\u{200b}c", 200), "abc");
        assert_eq!(shown(&"x".repeat(300), 5), "xxxxx…");
        assert_eq!(shown("xxxxx", 5), "xxxxx");
    }
}
