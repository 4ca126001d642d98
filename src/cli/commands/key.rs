//! `herd key`: makes the key pair of a node, for secret links.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::{Failure, write};
use crate::config::{KEY_BYTES, Keys, key_digits, private_key_file, read_private_key};
use crate::proto::noise::key_pair::{KeyPair, PublicKey};

/// Makes `private/NODE` in the folder, if it is not there yet, and prints its public key.
pub(in crate::cli) fn run(node: &str, folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let could_not = |message: String| Failure::CouldNotRun(format!("key: {message}"));
    let file = private_key_file(folder, node);
    let (public, verb) = match make(&file) {
        Ok(public) => (public, "Wrote"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let pair = read_private_key(&file, true, node);
            let pair = pair.map_err(|(message, remedy)| could_not(format!("{message} ({remedy})")))?;
            (*pair.public(), "Found")
        }
        Err(error) => return Err(could_not(format!("{}: {error}", file.display()))),
    };
    let text = format!(
        "{verb} {}: the secret of {node}. It belongs on the board of {node} alone.\nIn herd.json, the same on all boards:\n  \
         \"{node}\": {{ ..., \"public_key\": \"{}\" }}\n",
        file.display(),
        *key_digits(&public.0)
    );
    write(out, text.as_bytes())
}

/// A key pair that no file has yet.
pub(super) struct NewKey {
    private: Zeroizing<[u8; KEY_BYTES]>,
    pub(super) public: PublicKey,
}

impl NewKey {
    /// Draws random bytes from the system.
    pub(super) fn draw() -> io::Result<Self> {
        let private = Keys::random()?;
        let public = *KeyPair::new(*private).public();
        Ok(NewKey { private, public })
    }

    /// Writes the private key to a file that is not there yet, in a folder that is made if need be.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        new.write_all(key_digits(&self.private).as_bytes())?;
        new.write_all(b"\n")?;
        new.sync_all()
    }
}

fn make(file: &Path) -> io::Result<PublicKey> {
    let new = NewKey::draw()?;
    new.write(file).map(|()| new.public)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::files::testing::TestDir;

    fn keyed(folder: &Path) -> Result<String, Failure> {
        let mut out = Vec::new();
        run("Hill", folder, &mut out).map(|()| String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_key_is_made_once_and_shown_again() {
        let folder = TestDir::new();
        let first = keyed(&folder.path("")).expect("the folder is there");
        let file = folder.path("private/Hill");
        assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
        let private = fs::read_to_string(&file).expect("text");
        assert_eq!(private.len(), 65);
        assert!(first.starts_with("Wrote ") && !first.contains(private.trim_end()), "{first}");
        let again = keyed(&folder.path("")).expect("it is there");
        assert_eq!(first.replace("Wrote", "Found"), again);
        assert_eq!(fs::read_to_string(&file).expect("text"), private);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
        assert!(
            matches!(keyed(&folder.path("")), Err(Failure::CouldNotRun(message)) if message.contains("chmod 600"))
        );
        fs::write(folder.path("file"), "").expect("a new file");
        assert!(matches!(keyed(&folder.path("file")), Err(Failure::CouldNotRun(_))));
    }
}
