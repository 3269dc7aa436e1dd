//! docker's table for the destination of a copy.

/// What there is at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Anything that is no directory.
    File,
    /// A directory.
    Directory,
}

/// Where the source goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It becomes the destination.
    As,
    /// Into the directory, under its own name.
    Inside,
    /// What is in it goes into the directory.
    Contents,
}

/// Why it goes nowhere; docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A file was named as if it were a directory.
    #[error("not a directory")]
    NotADirectory,
    /// A file was to go into a directory that is not there.
    #[error("no such directory")]
    NoSuchDirectory,
    /// A directory cannot take the place of a file.
    #[error("cannot copy directory: the destination is no directory")]
    DirectoryOverFile,
}

/// Decides where a source goes. `contents`: the source was named with `/.` at its
/// end; `slash`: the destination with `/`.
///
/// # Errors
/// [`Refusal`].
pub fn place(directory: bool, contents: bool, found: Found, slash: bool) -> Result<Place, Refusal> {
    match (found, directory) {
        (Found::Directory, true) if contents => Ok(Place::Contents),
        (Found::Directory, _) => Ok(Place::Inside),
        (Found::File, _) if slash => Err(Refusal::NotADirectory),
        (Found::File, true) => Err(Refusal::DirectoryOverFile),
        (Found::Nothing, false) if slash => Err(Refusal::NoSuchDirectory),
        (Found::File, false) | (Found::Nothing, _) => Ok(Place::As),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docker's reference of `cp`.
    #[test]
    fn the_table_is_dockers() {
        use Found::{Directory, File, Nothing};
        for (directory, contents, found, slash, expected) in [
            (false, false, Nothing, false, Ok(Place::As)),
            (false, false, Nothing, true, Err(Refusal::NoSuchDirectory)),
            (false, false, File, false, Ok(Place::As)),
            (false, false, File, true, Err(Refusal::NotADirectory)),
            (false, false, Directory, false, Ok(Place::Inside)),
            (false, false, Directory, true, Ok(Place::Inside)),
            (true, false, Nothing, false, Ok(Place::As)),
            (true, false, Nothing, true, Ok(Place::As)),
            (true, true, Nothing, false, Ok(Place::As)),
            (true, false, File, false, Err(Refusal::DirectoryOverFile)),
            (true, true, File, false, Err(Refusal::DirectoryOverFile)),
            (true, false, Directory, false, Ok(Place::Inside)),
            (true, true, Directory, true, Ok(Place::Contents)),
        ] {
            assert_eq!(place(directory, contents, found, slash), expected);
        }
    }
}
