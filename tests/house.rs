//! The table of the house, kept: which room may name which, and what only one place may do.
//!
//! Read as text, not as Rust: comments and `#[cfg(test)]` items are cut out, string literals are looked at apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A room and the rooms that it may name. A room that does not stand here may not stand in `src/`.
const IMPORTS: [(&str, &[&str]); 12] = [
    ("event", &[]),
    ("signal", &["event"]),
    ("books", &["event"]),
    ("custody", &["event"]),
    ("shop", &["signal", "books", "event"]),
    ("wire", &["books", "custody", "event"]),
    ("io", &["signal", "wire", "custody", "event"]),
    ("gateway", &["shop", "io", "wire", "custody", "books", "signal", "event"]),
    ("sim", &["shop", "io", "wire", "custody", "books", "signal", "event"]),
    ("config", &["gateway", "sim", "shop", "io", "wire", "custody", "books", "signal", "event"]),
    ("cli", &["config", "gateway", "sim", "shop", "io", "wire", "custody", "books", "signal", "event"]),
    ("main", &["cli", "config", "gateway", "sim", "shop", "io", "wire", "custody", "books", "signal", "event"]),
];

/// A rule on words: where they may stand (prefixes of paths below `src/`) and what is said where they may not.
struct Rule {
    place: Place,
    words: &'static [&'static str],
    allowed: &'static [&'static str],
    says: &'static str,
}

/// What a rule looks at.
enum Place {
    Code,
    Literals,
}

const RULES: [Rule; 9] = [
    Rule {
        place: Place::Code,
        words: &["tokio", "rusqlite", "rumqttc", "rumqttd", "tokio_modbus", "tokio_serial", "socket2", "rustix", "nix"],
        allowed: &["io", "gateway", "sim", "cli", "main.rs"],
        says: "only io, gateway, sim, cli and main touch the world",
    },
    Rule {
        place: Place::Code,
        words: &["std::fs", "std::net", "std::env", "std::process", "std::thread", "fastrand", "Uuid::new_v4"],
        allowed: &["io", "gateway", "sim", "cli", "main.rs", "config"],
        says: "event, signal, books, shop, custody and wire touch nothing; chance is an argument",
    },
    Rule {
        place: Place::Code,
        words: &["SystemTime::now", "Timestamp::now", "Zoned::now", "now_v7", "clock_gettime"],
        allowed: &["io/clock.rs"],
        says: "only io/clock asks for the time",
    },
    // A deadline of a socket or a disk is no moment of the shop floor.
    Rule {
        place: Place::Code,
        words: &["Instant::now"],
        allowed: &["io", "gateway", "cli"],
        says: "only io, gateway and cli have deadlines",
    },
    Rule {
        place: Place::Literals,
        words: &["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "CREATE ", "DROP ", "PRAGMA "],
        allowed: &["io/journal"],
        says: "SQL stands in io/journal only",
    },
    Rule {
        place: Place::Literals,
        words: &[
            "/event/",
            "/command/",
            "/receipt/",
            "/replay/",
            "/state",
            "/oee",
            "/downtime",
            "/reply",
            "/status",
            "/digest",
            "/_gateway",
            "_gateway/",
        ],
        // The key of a topic is a word; the prefix and the path come to it in wire.
        allowed: &["wire/topic.rs", "event.rs"],
        says: "topics are built in wire/topic only",
    },
    Rule {
        place: Place::Code,
        words: &[
            "write_single_coil",
            "write_multiple_coils",
            "write_single_register",
            "write_multiple_registers",
            "masked_write_register",
            "read_write_multiple_registers",
        ],
        allowed: &[],
        says: "no code here writes to a PLC",
    },
    Rule {
        place: Place::Code,
        words: &[
            "WriteSingleCoil",
            "WriteMultipleCoils",
            "WriteSingleRegister",
            "WriteMultipleRegisters",
            "MaskWriteRegister",
            "ReadWriteMultipleRegisters",
            "Request::Custom",
        ],
        allowed: &["sim"],
        says: "no code here writes to a PLC (the simulator may refuse a write)",
    },
    Rule { place: Place::Code, words: &["unsafe"], allowed: &[], says: "nothing here is unsafe" },
];

#[test]
fn every_room_keeps_to_the_table_of_the_house() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 10, "only {} files were found in {}", files.len(), src.display());
    let faults: Vec<String> = files
        .iter()
        .flat_map(|file| faults(file.strip_prefix(&src).unwrap().to_str().unwrap(), &fs::read_to_string(file).unwrap()))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn what_breaks_the_table_is_named_with_file_line_and_rule() {
    let said = |path, source| faults(path, source).join("\n");
    assert_eq!(said("books/oee.rs", "\nuse crate::shop::rules;"), "src/books/oee.rs:2: `books` may not name `shop`");
    assert_eq!(
        said("io/plc.rs", "use crate::{\n    event::Stamp,\n    shop::{Rules, Known},\n    config,\n};"),
        "src/io/plc.rs:3: `io` may not name `shop`\nsrc/io/plc.rs:4: `io` may not name `config`"
    );
    assert_eq!(
        said("event/stop.rs", "fn f() { super::super::io::mqtt::g() }"),
        "src/event/stop.rs:1: `event` may not name `io`"
    );
    assert_eq!(said("helper.rs", ""), "src/helper.rs:1: `helper` is no room of the house");
    let broken = [
        ("shop/turn.rs", "use tokio::sync::mpsc;", "`tokio`: only io, gateway, sim, cli and main touch the world"),
        (
            "wire/topic.rs",
            "use std::{collections::BTreeMap, fs};",
            "`std::fs`: event, signal, books, shop, custody and wire touch nothing; chance is an argument",
        ),
        ("shop/turn.rs", "let t = Instant::now();", "`Instant::now`: only io, gateway and cli have deadlines"),
        ("cli/report.rs", "db.run(\"SELECT 1\");", "`SELECT `: SQL stands in io/journal only"),
        ("gateway.rs", "format!(r#\"{p}/event/{k}\"#)", "`/event/`: topics are built in wire/topic only"),
        ("io/plc/tcp.rs", "link.write_single_coil(0, true)", "`write_single_coil`: no code here writes to a PLC"),
        ("main.rs", "unsafe { f() }", "`unsafe`: nothing here is unsafe"),
    ];
    for (path, source, fault) in broken {
        assert_eq!(said(path, source), format!("src/{path}:1: {fault}"));
    }
}

#[test]
fn comments_tests_and_look_alikes_break_nothing() {
    let source = r##"
        //! tokio, unsafe, crate::shop
        /* SystemTime::now() /* nested */ unsafe */
        use crate::event::Stamp;
        const SAID: &str = "unsafe \" tokio // crate::shop"; const QUOTE: char = '"';
        fn unsafety<'a>(tokio_like: &'a str) -> (&'a str, &'static str) { (tokio_like, r#"crate::io "quoted""#) }
        #[cfg(test)]
        mod tests {
            use crate::shop::Rules; // }
            fn f() { let brace = '}'; let text = "}"; std::time::Instant::now(); }
        }
    "##;
    assert_eq!(faults("books/tally.rs", source), [""; 0]);
    assert_eq!(faults("books/tally.rs", &format!("{source}\nuse crate::io;")).len(), 1, "what follows a test is read");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !entry.ends_with("tests.rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// `path` lies below `src/`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let (code, literals) = split(source);
    let line = |at: usize| source[..at].matches('\n').count() + 1;
    let room = path.split(['/', '.']).next().unwrap();
    let mut faults = Vec::new();
    match IMPORTS.iter().find(|(name, _)| *name == room) {
        Some((_, allowed)) => {
            // `super`, as often as the file lies deep, is the crate.
            let root = "super::".repeat(path.split('/').count());
            for (at, named) in ["crate::", "andon::", &root].into_iter().flat_map(|root| named(&code, root)) {
                if named != room && !allowed.contains(&named) && IMPORTS.iter().any(|(name, _)| *name == named) {
                    faults.push((at, format!("`{room}` may not name `{named}`")));
                }
            }
        }
        None if room == "lib" => {}
        None => faults.push((0, format!("`{room}` is no room of the house"))),
    }
    for rule in RULES.iter().filter(|rule| !rule.allowed.iter().any(|prefix| path.starts_with(prefix))) {
        for word in rule.words {
            let places = match rule.place {
                Place::Code => match word.strip_prefix("std::") {
                    Some(module) => named(&code, "std::")
                        .into_iter()
                        .filter(|(_, name)| *name == module)
                        .map(|(at, _)| at)
                        .collect(),
                    None => whole(&code, word),
                },
                Place::Literals => literals.match_indices(word).map(|(at, _)| at).collect(),
            };
            faults.extend(places.into_iter().map(|at| (at, format!("`{word}`: {}", rule.says))));
        }
    }
    faults.sort();
    faults.into_iter().map(|(at, fault)| format!("src/{path}:{}: {fault}", line(at))).collect()
}

/// What follows `root`, with its place: one name, or the first names of a `{…}` group.
fn named<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let name = |at: usize| {
        let at = at + code[at..].len() - code[at..].trim_start().len();
        (at, code[at..].split(|c| !in_name(c)).next().unwrap_or_default())
    };
    let mut names = Vec::new();
    for start in whole(code, root).into_iter().map(|at| at + root.len()) {
        if !code[start..].starts_with('{') {
            names.push(name(start));
            continue;
        }
        let mut depth = 0;
        for (at, c) in code[start..].char_indices().map(|(at, c)| (start + at, c)) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && (c == '{' || c == ',') {
                names.push(name(at + 1));
            }
        }
    }
    names
}

/// Where `word` stands and is not part of a longer name.
fn whole(code: &str, word: &str) -> Vec<usize> {
    let open = |at: usize| word.ends_with(':') || !code[at + word.len()..].starts_with(in_name);
    code.match_indices(word).map(|(at, _)| at).filter(|&at| !code[..at].ends_with(in_name) && open(at)).collect()
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The source twice, in places of equal length: its code without comments, literals and tests, and its literals alone.
fn split(source: &str) -> (String, String) {
    let mut code = source.as_bytes().to_vec();
    let mut literals = vec![b' '; code.len()];
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        let (length, literal) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else if let Some(length) = string(rest, source[..at].ends_with(in_name)) {
            (length, true)
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        for place in at..at + length {
            if literal {
                literals[place] = code[place];
            }
            if code[place] != b'\n' {
                code[place] = b' ';
            }
        }
        at += length;
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let mut code = text(code);
    let mut literals = text(literals);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = start + item(&code[start..]);
        let blank = |text: &str| text.chars().map(|c| " ".repeat(c.len_utf8())).collect::<String>();
        code.replace_range(start..end, &blank(&code[start..end]));
        literals.replace_range(start..end, &blank(&literals[start..end]));
    }
    (code, literals)
}

/// Length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    for at in (0..rest.len()).filter(|&at| rest.is_char_boundary(at)) {
        if rest[at..].starts_with("/*") {
            depth += 1;
        } else if rest[..at].ends_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    rest.len()
}

/// Length of the string or character that `rest` begins with, if it does.
fn string(rest: &str, in_word: bool) -> Option<usize> {
    let hashes =
        rest.strip_prefix('r').filter(|_| !in_word).map(|rest| rest.len() - rest.trim_start_matches('#').len());
    if let Some(hashes) = hashes.filter(|&hashes| rest[1 + hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = hashes + 2;
        return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
    }
    let mark = rest.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == mark && at > 1 || c == '"' && mark == '"' => return Some(at + 1),
            // A lifetime: no second quote after one character.
            _ if mark == '\'' && at > 1 && !rest.starts_with("'\\") => return None,
            _ => {}
        }
    }
    None
}

/// Length of the item that `rest` begins with: up to its `;` or the end of its braces.
fn item(rest: &str) -> usize {
    let mut depth = 0;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == ';' || c == '}') {
            return at + 1;
        }
    }
    rest.len()
}
