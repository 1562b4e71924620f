//! One glob of git's grammar, parsed into steps once and matched against many paths.
//!
//! A glob works on bytes. Only `**` matches a slash. Git's `*` and `**` mean the same if there is no slash, so a glob
//! for a name needs no rules of its own.
//!
//! | glob | matches |
//! |---|---|
//! | `?` | one byte |
//! | `*`, and `**` beside anything but slashes | any bytes, or none |
//! | `**/` at the beginning or behind a slash | any directories, or none |
//! | `**\/` there | any directories, at least one |
//! | `**` behind a slash, at the end | whatever is below |
//! | `[a-z]`, `[!a-z]`, `[^a-z]`, `[[:alpha:]]` | one byte of a set, or one outside it |
//! | `\x` | `x` |

/// A step of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Text(Vec<u8>),
    AnyByte,
    Set(Box<ByteSet>),
    /// `*`
    Bytes,
    /// `**/` and `**\/`
    Directories {
        at_least_one: bool,
    },
    /// `**` at the end.
    Everything,
}

/// A parsed glob. See the description of the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Step>);

impl Glob {
    /// Parses a glob. Returns nothing if git would match no path: for an unclosed bracket, an unknown class, or a
    /// backslash at the end.
    pub(super) fn parse(glob: &[u8]) -> Option<Glob> {
        let mut steps: Vec<Step> = Vec::new();
        let mut at = 0;
        while let Some(&byte) = glob.get(at) {
            let (step, end) = match byte {
                b'?' => (Step::AnyByte, at + 1),
                b'*' => stars(glob, at),
                b'[' => {
                    let (set, end) = ByteSet::parse(glob, at + 1)?;
                    (Step::Set(Box::new(set)), end)
                }
                b'\\' => (Step::Text(vec![*glob.get(at + 1)?]), at + 2),
                _ => (Step::Text(vec![byte]), at + 1),
            };
            match (steps.last_mut(), step) {
                (Some(Step::Text(text)), Step::Text(more)) => text.extend(more),
                (_, step) => steps.push(step),
            }
            at = end;
        }
        Some(Glob(steps))
    }

    /// Returns whether the glob is empty, and so matches no path.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path that the glob matches, if it matches only one.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        match &self.0[..] {
            [Step::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the extension with its dot if the glob matches all names of that extension, for example `*.log`.
    pub(super) fn extension(&self) -> Option<&[u8]> {
        match &self.0[..] {
            [Step::Bytes, Step::Text(text)] if memchr::memrchr(b'.', text) == Some(0) => Some(text),
            _ => None,
        }
    }

    /// Returns whether the glob matches the whole path.
    ///
    /// Only the last `*` and the last `**/` are ever tried again: whatever an earlier one could match instead, the
    /// last one can match too. So no glob takes longer than a few times the product of both lengths and the number of
    /// directories.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        let steps = &self.0;
        if let Some(Step::Text(text)) = steps.last()
            && !path.ends_with(text)
        {
            return false;
        }
        let (mut step, mut at) = (0, 0);
        // For the last `*` and the last `**/`: the step behind it, and the offset in the path at which that step was
        // last tried.
        let mut bytes: Option<(usize, usize)> = None;
        let mut directories: Option<(usize, usize)> = None;
        loop {
            let rest = &path[at..];
            let taken = match steps.get(step) {
                None if rest.is_empty() => return true,
                None => None,
                Some(Step::Text(text)) => rest.starts_with(text).then_some(text.len()),
                Some(Step::AnyByte) => rest.first().is_some_and(|&byte| byte != b'/').then_some(1),
                Some(Step::Set(set)) => rest.first().is_some_and(|&byte| set.has(byte)).then_some(1),
                Some(Step::Bytes) => {
                    bytes = Some((step + 1, at));
                    Some(0)
                }
                Some(Step::Directories { at_least_one }) => {
                    (bytes, directories) = (None, Some((step + 1, at)));
                    (!at_least_one).then_some(0)
                }
                Some(Step::Everything) => return true,
            };
            if let Some(taken) = taken {
                step += 1;
                at += taken;
            } else if let Some((behind, tried)) = bytes
                && let Some(next) = self.next_try(behind, path, tried)
            {
                bytes = Some((behind, next));
                (step, at) = (behind, next);
            } else if let Some((behind, tried)) = directories
                && let Some(slash) = memchr::memchr(b'/', &path[tried..])
            {
                let next = tried + slash + 1;
                (bytes, directories) = (None, Some((behind, next)));
                (step, at) = (behind, next);
            } else {
                return false;
            }
        }
    }
}

impl Glob {
    /// Returns the next offset after `tried` for the step behind a `*`, which the `*` reaches without a slash.
    fn next_try(&self, behind: usize, path: &[u8], tried: usize) -> Option<usize> {
        if *path.get(tried)? == b'/' {
            return None;
        }
        let next = tried + 1;
        match self.0.get(behind) {
            // Skip offsets whose byte is not the first byte of the text.
            Some(Step::Text(text)) => {
                let found = next + memchr::memchr2(text[0], b'/', &path[next..])?;
                (path[found] == text[0]).then_some(found)
            }
            _ => Some(next),
        }
    }
}

/// Parses stars from `at`. Returns the step and the offset behind it.
fn stars(glob: &[u8], at: usize) -> (Step, usize) {
    let count = glob[at..].iter().take_while(|&&byte| byte == b'*').count();
    let end = at + count;
    let begins_a_name = at == 0 || glob[at - 1] == b'/';
    match &glob[end..] {
        _ if count < 2 || !begins_a_name => (Step::Bytes, end),
        [] => (Step::Everything, end),
        [b'/', ..] => (Step::Directories { at_least_one: false }, end + 1),
        [b'\\', b'/', ..] => (Step::Directories { at_least_one: true }, end + 2),
        _ => (Step::Bytes, end),
    }
}

/// A set of bytes in brackets. It never contains a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ByteSet([u128; 2]);

impl ByteSet {
    /// Parses a set from behind its `[`. Returns it with the offset behind it.
    fn parse(glob: &[u8], at: usize) -> Option<(ByteSet, usize)> {
        let mut set = ByteSet([0; 2]);
        let is_negated = matches!(glob.get(at), Some(b'!' | b'^'));
        let mut at = at + usize::from(is_negated);
        // The possible start of a range: the byte before, unless it ended a range or a class.
        let mut before: Option<u8> = None;
        // The first byte is in the set, even if it is `]`.
        loop {
            let byte = *glob.get(at)?;
            let range = before.filter(|_| byte == b'-' && !matches!(glob.get(at + 1), None | Some(b']')));
            if let Some(first) = range {
                let (last, end) = one(glob, at + 1)?;
                set.add(|byte| (first..=last).contains(&byte));
                (before, at) = (None, end);
            } else if let Some((class, end)) = class(glob, at)? {
                set.add(class);
                (before, at) = (None, end);
            } else {
                let (byte, end) = one(glob, at)?;
                set.add(|other| other == byte);
                (before, at) = (Some(byte), end);
            }
            if *glob.get(at)? == b']' {
                break;
            }
        }
        if is_negated {
            set.0 = set.0.map(|half| !half);
        }
        set.remove(b'/');
        Some((set, at + 1))
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 7)] >> (byte & 127) & 1 == 1
    }

    fn add(&mut self, is_in: impl Fn(u8) -> bool) {
        for byte in (0..=u8::MAX).filter(|&byte| is_in(byte)) {
            self.0[usize::from(byte >> 7)] |= 1 << (byte & 127);
        }
    }

    fn remove(&mut self, byte: u8) {
        self.0[usize::from(byte >> 7)] &= !(1 << (byte & 127));
    }
}

/// Parses a byte of a set, perhaps behind a backslash. Returns it with the offset behind it.
fn one(glob: &[u8], at: usize) -> Option<(u8, usize)> {
    match *glob.get(at)? {
        b'\\' => Some((*glob.get(at + 1)?, at + 2)),
        byte => Some((byte, at + 1)),
    }
}

/// A class of bytes.
type Class = fn(u8) -> bool;

/// Parses a class such as `[:alpha:]`. Returns `Some(None)` if `at` has none, and nothing if the set cannot be
/// parsed.
fn class(glob: &[u8], at: usize) -> Option<Option<(Class, usize)>> {
    let Some(text) = glob[at..].strip_prefix(b"[:") else { return Some(None) };
    let end = memchr::memchr(b']', text)?;
    let Some(name) = text[..end].strip_suffix(b":") else { return Some(None) };
    let class: Class = match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        // Without the form feed and the vertical tab.
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    };
    Some(Some((class, at + 2 + end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks which of the paths a glob matches: those before the bar.
    fn check(glob: &[u8], paths: &str) {
        let (matched, others) = paths.split_once('|').unwrap();
        let parsed = Glob::parse(glob);
        for (paths, expected) in [(matched, true), (others, false)] {
            for path in paths.split_whitespace() {
                let matches = parsed.as_ref().is_some_and(|glob| glob.matches(path.as_bytes()));
                assert_eq!(matches, expected, "`{}` and `{path}`", glob.escape_ascii());
            }
        }
    }

    #[test]
    fn each_part_of_a_glob_matches_what_it_says() {
        check(b"a?c", "abc a*c | ac a/c abbc");
        check(b"a*c", "ac abc abbc | a/c ab/c abcd");
        check(b"*.p?", ".py a.py .a.py | a.p a.pyc a/b.py");
        check(b"a*b*c*d", "abcd a1b2c3d abcbcd | abdc abcde a/bcd");
        check(b"a/*/c", "a/b/c | a/c a/b/b/c a//c/c");
        check(b"a**c", "ac abbc | a/c");
        check(br"\*\?\[\a", "*?[a | a bcda");
        check(b"{a,b}", "{a,b} | a b");
    }

    #[test]
    fn two_stars_match_directories() {
        check(b"**/a", "a b/a b/c/a | ab b/ca a/b");
        check(b"a/**/b", "a/b a/c/b a/c/d/b | ab a/cb b a/b/c");
        check(b"a/**", "a/b a/b/c | a b/a");
        check(br"**\/a", "b/a b/c/a | a");
        check(b"**/*a/**/b?", "a/b1 x/1a/b2 1a/x/y/b2 | a/b 1a/x/b/c2");
        check(b"a/***/b", "a/b a/c/d/b | ab");
        check(b"**/a/**/a/b", "a/a/b x/a/a/a/b a/a/c/a/b | a/b a/a/a/c");
    }

    #[test]
    fn a_set_is_what_stands_between_brackets() {
        check(b"[abc]", "a b c | d ab /");
        check(b"[!abc]", "d ] | a b c /");
        check(b"[^abc]", "d | a /");
        check(b"[a-c]", "a b c | d - A");
        check(b"[]a]", "] a | b");
        check(b"[!]a]", "b | ] a");
        check(b"[a-]", "a - | b");
        check(b"[-a]", "a - | b");
        check(b"[a-e-n]", "a e - n | f j");
        check(b"[z-a]", "z | a -");
        check(br"[\-_]", "- _ | \\ ]");
        check(br"[\]]", "] | \\");
        check(br"[\1-\3]", "1 2 3 | 4 \\");
        check(b"a[/]b", "| a/b");
        check(b"a[^x]b", "ayb | a/b axb");
        check(b"[[:digit:]-]", "1 - | a :");
        check(b"[[:alpha:][:digit:]x]", "a 1 x | - :");
        check(b"[[:alpha:]-z]", "a - z | 1");
        check(b"[[:alpha]", "[ : a l p h | x");
        check(b"[[:]", "[ : | a");
        check(b"[\x80-\xff]", "| a");
        assert!(Glob::parse(b"[\x80-\xff]").unwrap().matches(b"\xe4"));
    }

    #[test]
    fn what_git_matches_with_nothing_is_no_glob() {
        for glob in [&b"["[..], b"a[", b"a[]b", b"a[b", b"[!", b"[a-", br"[\", br"a\", b"[[:alpha:]", b"[[:word:]]"] {
            assert_eq!(Glob::parse(glob), None, "{}", glob.escape_ascii());
        }
    }

    #[test]
    fn many_stars_are_matched_soon() {
        let glob = Glob::parse(&[&b"**/*a".repeat(200)[..], b"b"].concat()).unwrap();
        assert!(!glob.matches(&b"aaaaaaaaa/".repeat(400)));
    }
}
