//! The commands as the parser returns them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use crate::places::import::Import;
use crate::server::control::Request;
use crate::server::logging::LogFormat;

/// A command and its arguments.
#[derive(Debug, PartialEq)]
pub(in crate::cli) enum Command {
    /// Print this text: help, or the version.
    Print(String),
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
    Status {
        name: Option<String>,
        request: Request,
    },
    Clients(ClientsOptions),
    Check {
        config: Option<PathBuf>,
        node: Option<String>,
    },
    Token {
        config: Option<PathBuf>,
    },
    PlacesNear {
        lat_deg: f64,
        lon_deg: f64,
        radius_km: f64,
        items: usize,
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

/// A circle.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Near {
    pub(in crate::cli) lat_deg: f64,
    pub(in crate::cli) lon_deg: f64,
    pub(in crate::cli) radius_km: f64,
}
