//! A places file that the first query opens and that stays open.
//!
//! This module does not know threads or upstreams. Invariant: after a failure, the file is opened again after
//! [`REOPEN_AFTER`], not before.

use crate::places::Query;
use crate::places::error::PlacesError;
use crate::places::file::format::{Dat, Scratch};
use crate::places::file::render::{answer_with_info, error_form};
use crate::places::file::towns::{Rectangle, Town, towns};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Pause after a failed open. It is short for an operator after a repair. It is long enough that the check of a bad file,
/// which reads 4 MB, causes little load.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// A places file for queries.
pub(crate) struct Offline {
    file: PathBuf,
    /// Stays open, so that a query does not open and check the file again. Boxed, so that a node without queries has no buffers.
    open: Option<Box<(Dat, Scratch)>>,
    /// The error form for clients, and when the failure occurred.
    failure: Option<(Instant, Vec<u8>)>,
}

impl Offline {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, open: None, failure: None }
    }

    /// The file's name without its folders.
    pub(crate) fn name(&self) -> String {
        self.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The answer, with `info` in its `info_messages`, or the error form.
    pub(crate) fn answer(&mut self, query: &Query, info: Option<&str>) -> Result<Vec<u8>, Vec<u8>> {
        self.read(|dat, scratch| answer_with_info(dat, query, scratch, info))
    }

    /// The towns of a rectangle. The error form as for a query.
    pub(crate) fn towns(&mut self, area: &Rectangle) -> Result<Vec<Town>, Vec<u8>> {
        self.read(|dat, scratch| towns(dat, area, scratch))
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(&Dat, &mut Scratch) -> Result<T, PlacesError>,
    ) -> Result<T, Vec<u8>> {
        if let Some((at, form)) = &self.failure
            && at.elapsed() < REOPEN_AFTER
        {
            return Err(form.clone());
        }
        self.opened().and_then(|(dat, scratch)| read(dat, scratch)).map_err(|error| {
            let form = error_form(&error);
            if !matches!(error, PlacesError::BadQuery(_)) {
                log::warn!("{error}");
                // A failed file is opened again: the operator may have replaced the card or the file.
                self.open = None;
                self.failure = Some((Instant::now(), form.clone()));
            }
            form
        })
    }

    fn opened(&mut self) -> Result<&mut (Dat, Scratch), PlacesError> {
        if self.open.is_none() {
            let dat = Dat::open(&self.file)?;
            log::info!("places: {} places in {}", dat.places(), self.file.display());
            self.failure = None;
            self.open = Some(Box::new((dat, Scratch::new())));
        }
        self.open.as_deref_mut().ok_or(PlacesError::NoSource)
    }
}
