//! The names of the files of a pack: `<time>-<process>.<extension>`.

/// The content.
pub(super) const PACK: &str = "pack";
/// The place of each file's content in the pack.
pub(super) const INDEX: &str = "index";
/// An index that is being written.
pub(super) const BEGUN: &str = "new";
/// The digits of the time at the begin of a pack's name.
pub(super) const NANOS_DIGITS: usize = 20;

/// Returns the pack of a file with one of these extensions. None if the file is not of the cache: the user's state
/// directory may have another `content` in it.
pub(super) fn pack_of(name: &[u8], extensions: &[&str]) -> Option<String> {
    let (pack, extension) = str::from_utf8(name).ok()?.split_once('.')?;
    let (nanos, process) = pack.split_once('-')?;
    let are_digits = [nanos, process].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let is_ours = are_digits && nanos.len() >= NANOS_DIGITS && !process.is_empty() && extensions.contains(&extension);
    is_ours.then(|| pack.to_owned())
}

/// Returns the name of a file of a pack.
pub(super) fn file_name(pack: &str, extension: &str) -> Vec<u8> {
    format!("{pack}.{extension}").into_bytes()
}
