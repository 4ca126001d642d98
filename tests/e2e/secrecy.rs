//! Links that each node encrypts with a key of its own: what the wire shows, how a herd moves to them, and how a node is revoked.

use herd_test_support::{Herd, KIWI, Proxy, everyone_learns_of_everyone, public_key, until};

/// What must not be seen on the way of the example's line.
const SECRETS: [&str; 4] = ["kiwi.cs.ucla.edu", "+34.068930", "-118.445127", "1621464827"];

/// The names of the three nodes of a triangle, and its edges.
const NAMES: [&str; 3] = ["Campbell", "Hill", "Smith"];
const TRIANGLE: [(&str, &str); 3] = [("Campbell", "Hill"), ("Campbell", "Smith"), ("Hill", "Smith")];

fn has(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// Whether both ends of each link say that it is encrypted.
fn all_encrypted(herd: &Herd) -> bool {
    herd.names().iter().all(|name| {
        let status = herd.status(name);
        let links = status["links"].as_array().expect("a list");
        links.iter().all(|link| link["is_encrypted"] == true)
    })
}

/// Every link of a herd is captured while clients come, in the clear and encrypted: the same words are seen, or not.
#[test]
fn capture_shows_nothing() {
    for is_secret in [false, true] {
        let builder = Herd::five().all_proxied();
        let herd = if is_secret { builder.secret() } else { builder.keyed() }.start();
        let at = herd["Hill"].ask(KIWI);
        herd.wait_for_at("kiwi.cs.ucla.edu", &at);
        everyone_learns_of_everyone(&herd, "capture");
        let wire: Vec<u8> = herd.proxies().flat_map(Proxy::capture).collect();
        let words = SECRETS.iter().copied().chain(herd.names()).chain(["HELLO", "AT ", "capture"]);
        for words in words {
            assert_eq!(has(&wire, words), !is_secret, "{words} among {} bytes", wire.len());
        }
        assert_eq!(all_encrypted(&herd), is_secret);
    }
}

/// Three reloads of each node, one node after another. The herd answers and agrees between them.
#[test]
fn herd_moves_node_by_node() {
    let herd = Herd::five().keyed().start();
    let at = herd["Hill"].ask(KIWI);
    let names = herd.names();
    for mode in ["accept", "dial", "only"] {
        for name in &names {
            if mode == "accept" {
                for node in &names {
                    let links = format!("\"links\": \"{}\"", herd[*node].links);
                    let public = format!("{links}, \"public_key\": \"{}\"", public_key(node));
                    herd.edit_map(name, &links, &public);
                }
                herd.add_member(name, "\"secret_links\": \"accept\"");
            } else {
                let before = if mode == "dial" { "accept" } else { "dial" };
                let change = [before, mode].map(|mode| format!("\"secret_links\": \"{mode}\""));
                herd.edit_map(name, &change[0], &change[1]);
            }
            herd[*name].reload();
            everyone_learns_of_everyone(&herd, &format!("{mode}.{name}"));
        }
    }
    until("all links are encrypted", || all_encrypted(&herd));
    herd.wait_for_at("kiwi.cs.ucla.edu", &at);
}

/// The board of Smith is stolen. Its key goes from the configuration of the others, and no other link goes down.
#[test]
fn stolen_board_is_revoked() {
    let herd = Herd::of(&NAMES, &TRIANGLE).secret().start();
    for name in ["Campbell", "Hill"] {
        herd.edit_map(name, &public_key("Smith"), &public_key("Smith anew"));
        herd[name].reload();
        herd[name].log.wait_for("its public key was removed from the configuration");
    }
    // Whatever the thief does with it, Smith comes back nowhere.
    herd["Hill"].log.wait_for("refused a link connection");
    let at = herd["Campbell"].ask(KIWI);
    herd["Hill"].wait_for_at("kiwi.cs.ucla.edu", &at);
    assert_eq!(herd["Smith"].at("kiwi.cs.ucla.edu"), None);
    for (name, other) in [("Campbell", "Hill"), ("Hill", "Campbell")] {
        assert!(!herd[name].log.has(&format!("link to {other} is down")), "{}", herd[name].log.tail());
        let status = herd.status(name);
        let links = status["links"].as_array().expect("a list");
        let is_up = |link: &serde_json::Value| link["is_up"] == true;
        assert!(links.iter().all(|link| is_up(link) == (link["node"] == other)), "{status}");
    }
    // A new board of the same name has the new key.
    herd.edit_map("Smith", &public_key("Smith"), &public_key("Smith anew"));
    herd.write_private("Smith", "Smith anew");
    herd["Smith"].reload();
    herd["Smith"].wait_for_at("kiwi.cs.ucla.edu", &at);
}

/// A node does not run with a private key that is not its own, and says what is wrong.
#[test]
fn private_key_is_its_own() {
    let mut herd = Herd::pair().secret().build();
    herd.write_private("Hill", "other");
    herd["Hill"].launch();
    let failed = herd["Hill"].try_wait_until_it_serves().expect_err("it has another key");
    assert!(failed.contains("its public key is not that of nodes.Hill"), "{failed}");
}
