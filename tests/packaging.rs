//! What stands around the program: the unit that systemd starts, its user, the licences of all that is linked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Most that `systemd-analyze security` may find exposed, in tenths: 1.0, of 10.
const EXPOSURE_TENTHS: u32 = 10;

#[test]
fn systemd_accepts_the_unit_without_a_word() {
    let Some(analyze) = tool("systemd-analyze") else { return };
    let root = installed();
    // Its own root, so that the program stands where the unit looks for it; `no`: what it is ordered after is not there.
    let said = ran(Command::new(analyze)
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", root.path().display()))
        .arg(root.path().join("usr/lib/systemd/system/andon.service")));
    assert_eq!(said, (true, String::new()));
}

#[test]
fn the_unit_leaves_next_to_nothing_exposed() {
    let Some(analyze) = tool("systemd-analyze") else { return };
    let root = installed();
    let (fine, said) = ran(Command::new(analyze)
        .args(["security", "--no-pager", "--offline=true"])
        .arg(format!("--threshold={EXPOSURE_TENTHS}"))
        .arg(root.path().join("usr/lib/systemd/system/andon.service")));
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(fine, "{said}");
}

#[test]
fn the_unit_lets_the_program_check_itself_and_take_its_own_place() {
    let unit = repo("systemd/andon.service");
    assert!(unit.contains("\nExecReload=/bin/kill -HUP $MAINPID\n"));
    // Nothing that forbids to start the program once more, from where it stands.
    for key in ["NoExecPaths", "ExecPaths", "InaccessiblePaths", "RootDirectory", "TasksMax", "LimitNPROC"] {
        assert!(!unit.contains(&format!("\n{key}=")), "{key}");
    }
    let Some(analyze) = tool("systemd-analyze") else { return };
    let filter = |set: &str| {
        let (fine, said) = ran(Command::new(&analyze).args(["syscall-filter", "--no-pager", set]));
        assert!(fine, "{said}");
        let lines = said.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>()
    };
    fn all(set: &str, filter: &impl Fn(&str) -> Vec<String>) -> BTreeSet<String> {
        let nested = |word: String| if word.starts_with('@') { all(&word, filter) } else { BTreeSet::from([word]) };
        filter(set).into_iter().skip(1).flat_map(nested).collect()
    }
    let line = |sign: &str| {
        let lines = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
        let of = lines.filter(|sets| sets.starts_with('~') == (sign == "~")).map(|sets| sets.trim_start_matches('~'));
        of.flat_map(|sets| sets.split(' ')).flat_map(|set| all(set, &filter)).collect::<BTreeSet<_>>()
    };
    let (allowed, denied) = (line(""), line("~"));
    for call in [
        "execve",
        "clone",
        "clone3",
        "vfork",
        "wait4",
        "waitid",
        "pidfd_open",
        "kill",
        "tgkill",
        "rt_sigprocmask",
        "flock",
    ] {
        assert!(allowed.contains(call) && !denied.contains(call), "{call} is not allowed");
    }
    assert!(!allowed.contains("mount"), "the sets are read as they are");
}

#[test]
fn the_user_that_the_unit_names_is_created() {
    let Some(sysusers) = tool("systemd-sysusers") else { return };
    let root = installed();
    let (fine, said) = ran(Command::new(sysusers)
        .args(["--dry-run", "--inline"])
        .arg(format!("--root={}", root.path().display()))
        .args(repo("systemd/andon.sysusers").lines().filter(|line| line.starts_with('u'))));
    assert!(fine && said.contains("user 'andon'"), "{said}");
    assert!(repo("systemd/andon.service").contains("\nUser=andon\nGroup=andon\n"));
}

#[test]
fn every_licence_in_the_tree_is_allowed_and_nothing_banned_is_linked() {
    let rules: toml::Table = repo("deny.toml").parse().unwrap();
    let named = |list: &toml::Value| -> BTreeSet<String> {
        let name = |entry: &toml::Value| entry.get("crate").unwrap_or(entry).as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(name).collect()
    };
    let (allowed, banned) = (named(&rules["licenses"]["allow"]), named(&rules["bans"]["deny"]));
    let (fine, tree) = ran(Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "tree",
        "--locked",
        "--offline",
        "--all-features",
        "--edges=all",
        "--prefix=none",
        "--format={p}|{l}",
    ]));
    assert!(fine, "{tree}");
    let tree: BTreeSet<(&str, &str)> =
        tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')).collect();
    assert!(tree.len() > 100, "{tree:?}");
    let faults: Vec<_> = tree
        .iter()
        .filter(|(package, licence)| {
            !fits(&licence.replace('/', " OR "), &allowed) || banned.contains(package.split(' ').next().unwrap())
        })
        .collect();
    assert!(faults.is_empty(), "not allowed by deny.toml: {faults:?}");
}

#[test]
fn every_target_that_is_built_for_is_one_whose_licences_are_checked() {
    let [cross, deny] = ["cross.toml", "deny.toml"].map(|file| repo(file).parse::<toml::Table>().unwrap());
    let checked = deny["graph"]["targets"].as_array().unwrap();
    let built: Vec<_> = cross["target"].as_table().unwrap().keys().cloned().map(toml::Value::from).collect();
    assert_eq!(built.len(), 3);
    assert!(built.iter().all(|target| checked.contains(target)), "{built:?} {checked:?}");
}

#[test]
fn a_licence_fits_if_each_part_that_binds_is_allowed() {
    let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception"].map(String::from).into();
    for licence in ["MIT", "MIT OR GPL-3.0", "(GPL-3.0 OR MIT) AND MIT", "GPL-3.0 OR Apache-2.0 WITH LLVM-exception"] {
        assert!(fits(licence, &allowed), "{licence}");
    }
    for licence in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND GPL-3.0", "Apache-2.0"] {
        assert!(!fits(licence, &allowed), "{licence}");
    }
}

/// An SPDX expression: `AND` binds closer than `OR`, parentheses closest.
fn fits(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let parts = |word: &str| {
        let mut depth = 0;
        let mut parts = vec![String::new()];
        for token in licence.replace('(', "( ").replace(')', " )").split_whitespace() {
            depth += i32::from(token == "(") - i32::from(token == ")");
            if depth == 0 && token == word {
                parts.push(String::new());
            } else {
                let part = parts.last_mut().unwrap();
                part.push_str(if part.is_empty() { "" } else { " " });
                part.push_str(token);
            }
        }
        parts
    };
    let (either, each) = (parts("OR"), parts("AND"));
    if either.len() > 1 {
        either.iter().any(|part| fits(part, allowed))
    } else if each.len() > 1 {
        each.iter().all(|part| fits(part, allowed))
    } else {
        match licence.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(inner) => fits(inner, allowed),
            None => allowed.contains(licence.trim()),
        }
    }
}

/// A root with andon in it, as a package lays it out.
fn installed() -> TempDir {
    let root = TempDir::new().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    put("usr/lib/systemd/system/andon.service", &repo("systemd/andon.service"));
    put("usr/lib/sysusers.d/andon.conf", &repo("systemd/andon.sysusers"));
    for program in ["usr/bin/andon", "bin/kill"] {
        fs::set_permissions(put(program, "#!/bin/sh\n"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

fn repo(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Where a tool stands, or the reason for leaving a test out.
fn tool(name: &str) -> Option<PathBuf> {
    let found =
        std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: {name} is not installed (./test installs it)");
    }
    found
}

/// Whether it exited 0, and all that it said.
fn ran(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
