//! Connects the command line to the rest of the program: one function for each command that another module implements.
//!
//! The arguments are checked. If a function returns a message, the program prints `herd: ` and the message, and exits
//! with status 1.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::RunNode;
use crate::config::{self, Checked};
use crate::places::import::{Import, Progress};
use crate::places::{self, Query};
use crate::proto::auth;
use crate::server::logging::LogFormat;
use crate::server::token::Token;
use crate::server::{self, Address, NodeConfig};

/// How a node is run.
#[derive(Debug)]
pub(super) struct ServeOptions {
    pub(super) log_level: LevelFilter,
    pub(super) log_format: LogFormat,
    /// Whether the node stops at the end of its standard input, which `herd up` holds open. `ready_to_serve` has
    /// read the key from it; no more bytes follow.
    pub(super) stops_with_stdin: bool,
}

/// The query of `places near`: degrees, kilometres from 0 to 50, 1 to 20 places.
#[derive(Debug)]
pub(super) struct NearQuery {
    pub(super) lat_deg: f64,
    pub(super) lon_deg: f64,
    pub(super) radius_km: f64,
    pub(super) items: usize,
}

/// The input files of `places build`.
#[derive(Debug)]
pub(super) struct BuildInputs {
    pub(super) cities: PathBuf,
    pub(super) admin1: PathBuf,
    pub(super) admin2: PathBuf,
    pub(super) airports: PathBuf,
}

/// Runs the node of this index until a signal stops it. `reread` reads the configuration and the index again.
pub(super) fn serve(
    checked: Checked,
    me: usize,
    options: &ServeOptions,
    reread: impl Fn() -> Result<(Checked, usize), String> + 'static,
    node: RunNode,
) -> Result<(), String> {
    server::logging::start(options.log_level, options.log_format);
    let name = checked.nodes[me].name.clone();
    let supervised = options.stops_with_stdin;
    let reread = move || reread().map(|(checked, me)| plan(checked, me, supervised));
    node(plan(checked, me, supervised), Box::new(reread)).map_err(|error| format!("{name}: {error}"))
}

/// The configuration as one node sees it.
fn plan(checked: Checked, me: usize, supervised: bool) -> NodeConfig {
    let neighbours = checked.neighbours(me);
    let address = |node: config::NodeEntry| Address {
        name: node.name,
        clients: node.clients,
        links: node.links,
        http: node.http,
    };
    // Edges cost memory, and only the page shows them.
    let shown = if checked.nodes[me].http.is_some() { checked.edges.as_slice() } else { &[] };
    let number = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
    let edges = shown.iter().map(|&(a, b)| (number(a), number(b))).collect();
    NodeConfig {
        edges,
        nodes: checked.nodes.into_iter().map(address).collect(),
        me,
        neighbours,
        keys: checked.keys.map(|keys| auth::Keys::new(keys.current, keys.previous)),
        clock: checked.clock,
        clients_per_address: checked.clients_per_address,
        gateways: checked.gateways,
        is_loopback: checked.is_loopback,
        snapshot_s: checked.snapshot_s,
        places: checked.places,
        supervised,
    }
}

/// The token that opens the pages of nodes that have these keys.
pub(super) fn token(keys: &config::Keys) -> Option<Token> {
    Token::of(&auth::Keys::new(keys.current, keys.previous)).next()
}

/// Writes the answer from a places file, and a line feed.
pub(super) fn places_near(file: &Path, query: &NearQuery, out: &mut dyn Write) -> Result<(), String> {
    let query = Query {
        latitude_deg: query.lat_deg,
        longitude_deg: query.lon_deg,
        radius_m: query.radius_km * 1_000.0,
        items: u8::try_from(query.items).unwrap_or(places::MAX_ITEMS),
    };
    places::near_command(file, query, out).map_err(|error| error.to_string())
}

/// The error of a build without the feature `import`. Each function checks the feature first, so the compiler can drop
/// the code that follows.
const NO_IMPORT: &str = "this build cannot make places files (make the file on a PC, with the feature \"import\", and copy it here)";

/// Imports places. Writes a summary to `out`, a progress bar and bad rows to standard error.
pub(super) fn places_import(what: &Import, out: &mut dyn Write) -> Result<(), String> {
    if !cfg!(feature = "import") {
        return Err(NO_IMPORT.to_owned());
    }
    let mut stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    places::import_command(what, &mut Progress::new(&mut stderr, is_terminal), out)
        .map_err(|error| error.to_string())
}

/// Builds a places file and writes a summary to `out`.
pub(super) fn places_build(inputs: &BuildInputs, file: &Path, out: &mut dyn Write) -> Result<(), String> {
    if !cfg!(feature = "import") {
        return Err(NO_IMPORT.to_owned());
    }
    let BuildInputs { cities, admin1, admin2, airports } = inputs;
    places::build_command(cities, admin1, admin2, airports, file, out).map_err(|error| error.to_string())
}
