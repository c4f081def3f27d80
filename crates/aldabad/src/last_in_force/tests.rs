use std::os::unix::fs::{PermissionsExt as _, symlink};

use aldaba_config::{Bundle, load};

use super::*;

const CONFIG: &str = "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"7000,8000\"\nports = [\"4000/tcp\"]\n\
                      [[door]]\nname = \"old\"\nsequence = \"7100,8100\"\nstart = [\"true\"]\nstop = [\"true\", \"{ip}\"]\n";

const OF_KNOCKD: &str = "[options]\n UseSyslog\n Interface = eth0\n[web]\n Sequence = 7000,8000:udp\n Start_Command = true %IP%\n \
                         TCPFlags = syn\n Cmd_Timeout = 7\n Stop_Command = true\n";

/// A configuration, and the folder beside it that has its policy.
struct Scene {
    dir: tempfile::TempDir,
    config: PathBuf,
    policy: Policy,
}

impl Scene {
    fn new() -> Self {
        Self::of("aldaba.toml", CONFIG)
    }

    fn of(name: &str, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join(name);
        std::fs::write(&config, text).unwrap();
        let own_uid = aldaba_sys::process::effective_uid();
        let options = Options { own_uid, ..Options::default() };
        let policy = load(Kind::of(&config), &config, &mut Disk, &options).unwrap().policy;
        write(&dir.path().join("state"), &config, &policy).unwrap();
        Self { dir, config, policy }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn file(&self) -> PathBuf {
        self.folder().join(NAME)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn find(&self) -> Result<LastInForce, NoStandIn> {
        LastInForce::find(&self.folder(), &self.config, aldaba_sys::process::effective_uid())
    }

    /// Why it is not taken.
    fn refused(&self) -> String {
        self.find().unwrap_err().told()
    }

    /// The same of a file with this text.
    fn refused_as(&self, text: &str) -> String {
        std::fs::write(self.file(), text).unwrap();
        self.refused()
    }
}

#[test]
fn what_was_written_down_is_the_same_policy() {
    for (name, text) in [("aldaba.toml", CONFIG), ("knockd.conf", OF_KNOCKD)] {
        is_the_same_policy(&Scene::of(name, text));
    }
}

fn is_the_same_policy(scene: &Scene) {
    let mut last = scene.find().unwrap();
    // What stands in the state folder's own conf.d is no part of it.
    std::fs::create_dir(scene.folder().join("conf.d")).unwrap();
    std::fs::write(scene.folder().join("conf.d/more.toml"), "nonsense").unwrap();
    let (path, options) = (last.path().to_owned(), Options { own_uid: last.own_uid, ..Options::default() });
    let (bundle, loaded) = Bundle::record(Kind::Toml, &path, &mut last, &options);
    let loaded = loaded.unwrap();
    assert_eq!(loaded.policy, scene.policy);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    // And so it is for the worker, which has the bytes alone.
    let handed_over = Bundle::decode(&bundle.encode()).unwrap().policy().unwrap();
    assert_eq!(handed_over, scene.policy);
}

#[test]
fn it_is_written_when_it_is_another_one() {
    let mut scene = Scene::new();
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(scene.file()).unwrap());
    let first = inode();
    write(&scene.folder(), &scene.config, &scene.policy).unwrap();
    assert_eq!(inode(), first, "left alone");
    let before = scene.text();
    scene.policy.daemon.table = "other".to_owned();
    write(&scene.folder(), &scene.config, &scene.policy).unwrap();
    assert!(scene.text() != before && scene.text().contains("table = \"other\""));
    std::fs::set_permissions(scene.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    write(&scene.folder(), &scene.config, &scene.policy).unwrap();
    assert!(scene.find().is_ok(), "made private again");
}

#[test]
fn a_policy_that_may_not_be_the_one_is_not_taken() {
    let scene = Scene::new();
    let text = scene.text();
    // Cut at any place it would have fewer doors, or none; with any byte changed it would be another one.
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let said = scene.refused_as(&text[..end]);
        assert!(said.contains("is damaged") && said.contains("help: mend the configuration"), "{said}");
    }
    for at in
        text.match_indices(['7', '4', '\n']).map(|(at, _)| at).filter(|at| *at > MARK.len() + FORM.len())
    {
        let changed = [&text[..at], "5", &text[at + 1..]].concat();
        assert!(scene.refused_as(&changed).contains("is damaged"), "{changed}");
    }
    assert!(
        scene
            .refused_as(&text.replacen(" 1\n", " 2\n", 1))
            .contains("of another version of aldabad (form 2)")
    );
    std::fs::write(scene.file(), &text).unwrap();
    let other = LastInForce::find(&scene.folder(), Path::new("/etc/other.toml"), 0).unwrap_err().to_string();
    assert!(other.contains("is of another configuration") && other.contains("aldaba.toml"), "{other}");
    std::fs::set_permissions(scene.file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = scene.refused();
    assert!(said.contains("is not taken: others could use it"), "{said}");
    std::fs::rename(scene.file(), scene.folder().join("elsewhere")).unwrap();
    let said = scene.refused();
    assert!(said.contains("is not there"), "{said}");
    symlink(scene.folder().join("elsewhere"), scene.file()).unwrap();
    assert!(scene.refused().contains("is not taken"), "a link");
}
