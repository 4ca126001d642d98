//! Makes the page one file: style, scripts and the world's outline go into the HTML. The program holds it compressed.
//!
//! Beside it goes the policy that the node sends with it (Content Security Policy, level 3): the browser runs the script
//! and applies the style that have these hashes, speaks to the node, and does nothing else.

fn main() {
    println!("cargo::rerun-if-changed=src/page");
    #[cfg(feature = "page")]
    page::make();
}

#[cfg(feature = "page")]
mod page {
    use std::fs;
    use std::path::Path;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    /// The scripts, in the order in which they are read.
    const SCRIPTS: [&str; 7] =
        ["common.js", "clients.js", "map.js", "towns.js", "graph.js", "status.js", "stream.js"];
    /// The most that the page may add to the program, in bytes.
    const PAGE_BYTES_MAX: usize = 60 * 1024;

    /// Writes `page.html.gz` and `policy` into Cargo's output folder.
    pub(super) fn make() {
        let style = read("style.css");
        let scripts: String = SCRIPTS.iter().map(|name| read(name)).collect();
        let script =
            format!("'use strict';\n{}", scripts.replace("WORLD_OUTLINE", read("world.txt").trim_end()));
        let page = read("page.html").replace("/*STYLE*/", &style).replace("/*SCRIPT*/", &script);
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            hash(&script),
            hash(&style)
        );
        let mut compressed = Vec::new();
        zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, page.as_bytes(), &mut compressed)
            .expect("memory takes every write");
        let bytes = compressed.len();
        assert!(bytes <= PAGE_BYTES_MAX, "the page is {bytes} bytes, of {PAGE_BYTES_MAX} that it may take");
        write("page.html.gz", &compressed);
        write("policy", policy.as_bytes());
    }

    fn hash(text: &str) -> String {
        format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
    }

    fn read(name: &str) -> String {
        let path = Path::new("src/page").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn write(name: &str, bytes: &[u8]) {
        let folder = std::env::var_os("OUT_DIR").expect("Cargo names its output folder");
        fs::write(Path::new(&folder).join(name), bytes).expect("Cargo's output folder can be written");
    }
}
