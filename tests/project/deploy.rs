//! When `cross/deploy` reloads a node and when it restarts it: the text that runs on a board, with a systemd and a node that are
//! played by scripts. `tests/board/deploy` tries it with real ones.

use std::process::Command;

use herd_test_support::Folder;

/// The service manager. `answer` says what the node does at a reload.
const SYSTEMCTL: &str = r#"#!/bin/sh
case "$*" in
    'show -P ActiveState '*) cat state ;;
    'show -P MainPID '*) cat pid ;;
    'reload '* | 'stop '* | 'restart '*) echo "${1}" >>calls ;;
esac
case "$1/$(cat answer)" in
    reload/*takes) echo 1 >taken ;;
    reload/*refuses) echo 1 >refused ;;
esac
"#;

/// The node's status. A node of before the counter does not report it.
const HERD: &str = r#"#!/bin/sh
[ "$(cat answer)" = old ] || taken="\"reloads\":$(cat taken),"
echo "{\"node\":\"Hill\",${taken:-}\"counters\":{\"reloads_failed\":$(cat refused)}}"
"#;

/// A board that runs the node Hill, as a deployment with a changed configuration finds it.
struct Board(Folder);

impl Board {
    fn new() -> Board {
        let board = Board(Folder::new());
        for folder in ["bin", "etc/private", "new", "run/herd@Hill.service"] {
            std::fs::create_dir_all(board.0.path(folder)).expect("the folder is ours");
        }
        for (program, text) in [
            ("systemctl", SYSTEMCTL),
            ("herd", HERD),
            ("journalctl", "#!/bin/sh\necho 'reload failed: it is in use'\n"),
            // Only root may give files away.
            ("chown", "#!/bin/sh\n"),
        ] {
            let name = format!("bin/{program}");
            board.write(&name, text);
            std::fs::set_permissions(
                board.0.path(&name),
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )
            .expect("the file is ours");
        }
        board.write("state", "active");
        board.write("pid", &std::process::id().to_string());
        board.write("answer", "takes");
        board.write("taken", "0");
        board.write("refused", "0");
        board.write("calls", "");
        board.write("etc/key", "ab\n");
        board.write("etc/private/Hill", "cd\n");
        board.write("run/herd@Hill.service/key", "AB");
        board.write("run/herd@Hill.service/private-key", "cd\n");
        // The board has no such file: systemd hands over an empty line.
        board.write("run/herd@Hill.service/places-key", "\n");
        board.write("etc/herd.json", "old");
        board.write("new/herd.json", "new");
        board
    }

    fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path(name)).expect("the file is there")
    }

    /// Puts the files of `new` onto the board, with a variable set after the text. Returns what it printed, and its messages.
    fn start_node(&self, after: &str) -> (String, String) {
        let part = crate::read("cross/deploy-board");
        let program = std::env::current_exe().expect("it is known");
        let script = format!(
            "node=Hill salt=1 etc=etc credentials=run program='{}'\n{part}\nRELOAD_TRIES=2 {after}\nstart_node new\necho $how\n",
            program.display()
        );
        let path = format!("{}:{}", self.0.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.0.path(""))
            .env("PATH", path)
            .output()
            .expect("a shell is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn reload_where_it_can() {
    let board = Board::new();
    let printed = board.start_node("");
    assert_eq!(printed, ("reloaded".to_owned(), String::new()));
    assert_eq!(board.read("calls"), "reload\n");
    assert_eq!(board.read("etc/herd.json"), "new");
}

#[test]
fn restart_where_not() {
    // Which file of the board differs, with which text.
    for (file, text, after) in [
        ("new/key", "ef\n", ""),
        ("new/private-key", "ef\n", ""),
        ("new/places-key", "ef\n", ""),
        // It was put there after the node had started.
        ("etc/key", "ef\n", ""),
        ("state", "failed", ""),
        // The program of the node was replaced.
        ("pid", "1", ""),
        ("answer", "old", ""),
        ("state", "active", "new_package=yes"),
    ] {
        let board = Board::new();
        board.write(file, text);
        let printed = board.start_node(after);
        assert_eq!(printed, ("restarted".to_owned(), String::new()), "{file}");
        assert_eq!(board.read("calls"), "stop\nrestart\n", "{file}");
        assert_eq!(board.read("etc/herd.json"), "new", "{file}");
    }
}

#[test]
fn restart_after_refusal() {
    for (answer, configuration, calls) in [
        ("refuses", "new", "reload\nstop\nrestart\n"),
        // A node that hangs takes and refuses nothing.
        ("hangs", "new", "reload\nstop\nrestart\n"),
        // Its listeners stay the same.
        ("refuses", "old", "reload\nrestart\n"),
    ] {
        let board = Board::new();
        board.write("answer", answer);
        board.write("new/herd.json", configuration);
        let (how, messages) = board.start_node("");
        assert_eq!(how, "restarted", "{answer}");
        assert!(messages.contains("was not reloaded") && messages.contains("it is in use"), "{messages}");
        assert_eq!(board.read("calls"), calls, "{answer}");
    }
}
