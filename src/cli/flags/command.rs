//! The commands as the parser returns them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use crate::places::Query;
use crate::places::import::Import;
use crate::server::control::Request;
use crate::server::logging::LogFormat;

/// A command and its arguments.
#[derive(Debug, PartialEq)]
pub(in crate::cli) enum Command {
    /// Print this text: help, or the version.
    Print(String),
    /// This build lacks the command: the reason.
    Refused(&'static str),
    Up {
        config: Option<PathBuf>,
        log_dir: Option<PathBuf>,
        log_level: LevelFilter,
    },
    Serve {
        name: String,
        config: Option<PathBuf>,
        log_level: LevelFilter,
        log_format: LogFormat,
        supervised: bool,
    },
    Send(SendOptions),
    Init {
        boards: Vec<String>,
        out: PathBuf,
    },
    Key {
        node: String,
        out: PathBuf,
    },
    Status {
        name: Option<String>,
        request: Request,
    },
    Clients(ClientsOptions),
    Nodes(NodesOptions),
    Check {
        config: Option<PathBuf>,
        node: Option<String>,
    },
    Token(TokenOptions),
    PlacesNear {
        query: Query,
        file: Option<PathBuf>,
    },
    PlacesImport(Import),
}

/// The arguments of `herd send`.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct SendOptions {
    pub(in crate::cli) to: Option<String>,
    pub(in crate::cli) config: Option<PathBuf>,
    /// How long an answer may take.
    pub(in crate::cli) timeout: Duration,
    pub(in crate::cli) lines: Vec<OsString>,
}

/// The arguments of `herd clients`.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli) struct ClientsOptions {
    pub(in crate::cli) id: Option<String>,
    pub(in crate::cli) near: Option<Near>,
    pub(in crate::cli) node: Option<String>,
    pub(in crate::cli) json: bool,
}

/// The arguments of `herd nodes`.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli) struct NodesOptions {
    /// The nodes to print; all if empty.
    pub(in crate::cli) names: Vec<String>,
    pub(in crate::cli) node: Option<String>,
    pub(in crate::cli) json: bool,
}

/// The arguments of `herd token`.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli) struct TokenOptions {
    pub(in crate::cli) config: Option<PathBuf>,
    /// The name whose phones report with the token; the page's token if none.
    pub(in crate::cli) phone: Option<String>,
    /// Where phones reach a node.
    pub(in crate::cli) url: Option<String>,
    /// The app whose link is shown as a QR code, too.
    pub(in crate::cli) qr: Option<PhoneApp>,
}

/// An app that reports positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum PhoneApp {
    OwnTracks,
    Traccar,
    Overland,
    OsmAnd,
    GpsLogger,
}

impl PhoneApp {
    /// All of them.
    pub(in crate::cli) const ALL: [PhoneApp; 5] =
        [PhoneApp::OwnTracks, PhoneApp::Traccar, PhoneApp::Overland, PhoneApp::OsmAnd, PhoneApp::GpsLogger];

    /// Its name on the command line.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            PhoneApp::OwnTracks => "owntracks",
            PhoneApp::Traccar => "traccar",
            PhoneApp::Overland => "overland",
            PhoneApp::OsmAnd => "osmand",
            PhoneApp::GpsLogger => "gpslogger",
        }
    }
}

/// A circle.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Near {
    pub(in crate::cli) lat_deg: f64,
    pub(in crate::cli) lon_deg: f64,
    pub(in crate::cli) radius_km: f64,
}
