//! What the environment's variables say. `main` reads them, once; nothing else does.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where this user's files are, and who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// The folder for this program's files.
    folder: Option<PathBuf>,
    /// The user's name.
    pub(crate) user: Option<String>,
}

impl Environment {
    /// From the variables of the process, which `variable` looks up.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = if cfg!(windows) {
            path("APPDATA")
        } else {
            // Relative ones are to be ignored, as the XDG Base Directory Specification has it.
            path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")))
        };
        let names = ["USER", "LOGNAME", "USERNAME"].into_iter();
        let user = names
            .filter_map(variable)
            .filter_map(|name| name.into_string().ok())
            .find(|name| !name.is_empty());
        Self { folder: base.map(|base| base.join("aldaba")), user }
    }

    /// The device's secret key: `~/.config/aldaba/id`.
    pub(crate) fn identity(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("id"))
    }

    /// The time of this device's last knock, beside its key.
    pub(crate) fn last(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("last"))
    }

    /// The servers this device is enrolled with.
    pub(crate) fn servers(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("servers"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_identity_is_where_configuration_is() {
        for (variables, wanted) in [
            (&[("HOME", "/home/ana")][..], Some("/home/ana/.config/aldaba/id")),
            (&[("HOME", "/home/ana"), ("XDG_CONFIG_HOME", "/else")], Some("/else/aldaba/id")),
            (&[("HOME", "/home/ana"), ("XDG_CONFIG_HOME", "")], Some("/home/ana/.config/aldaba/id")),
            (&[("HOME", "/home/ana"), ("XDG_CONFIG_HOME", "config")], Some("/home/ana/.config/aldaba/id")),
            (&[("HOME", "")], None),
            (&[], None),
        ] {
            assert_eq!(environment(variables).identity(), wanted.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn the_first_name_counts() {
        assert_eq!(environment(&[("USER", ""), ("LOGNAME", "ana")]).user.as_deref(), Some("ana"));
        assert_eq!(environment(&[]).user, None);
    }
}
